"""Does preparation keep picture and sound together, whatever is wrong with a file?

    python scripts/fuzz_prep.py --seeded-breaks
    python scripts/fuzz_prep.py --cases 300 --seed 0 --folder fuzz

Each case is a short clip in a container and codecs drawn at random, with an offset of the sound, a length and one
fault of a kind. It is made by plain ffmpeg and PyAV. Its pictures carry their number as a row of black and white cells,
its sound is noise whose loudness never repeats. So what a prepared clip shows and says can be read from its own canvas
and voice, and is compared with what went in; nothing of `tkbench.media` is asked. A case ends as

    right      prepared; every frame shows the picture that its time asks for, the sound is within half a frame
    refused    skipped, with a reason that names what was found
    WRONG      prepared otherwise; a good file that was refused; a reason that says nothing (`internal-error`)

`--seeded-breaks` first puts faults into preparation itself and ends with 1 unless each is found. The results go to
FOLDER/results.csv as they come; the same command goes on where it was stopped. Ends with 1 where a case is WRONG.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from tkbench.types import MediaFacts

Array = npt.NDArray[np.generic]

FPS, RATE = 25, 16_000
SIZE, STRIP = 192, 24
"""Pixels: side of the picture, height of the row of cells at its lower end."""
BITS = 8
HALF_FRAME = 0.5 / FPS
SLACK = 0.004
"""Seconds by which stamps in whole milliseconds and the delays of codecs may be off besides."""
NAMELESS = {"internal-error", "process-died"}
REFUSABLE = {
    "clock-restarts", "clock-leaps", "hole", "truncated", "damaged", "claims", "aspect-changes", "size-changes",
}  # fmt: skip
"""Kinds of faults for which a refusal is as good as the right answer; a file of any other kind is a good one."""


# -- material ------------------------------------------------------------------------------------------------


def pictures(count: int) -> Array:
    """(count, SIZE, SIZE, 3) RGB of a photographed face that moves a little; picture n carries the number n."""
    import cv2
    from skimage import data

    photo = data.astronaut()[0:288, 80:368]
    frames = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for n in range(count):
        move = np.array([[1, 0, 5 * np.sin(n / 4)], [0, 1, 3 * np.cos(n / 5)]])
        moved = cv2.warpAffine(photo, move, (288, 288), borderMode=cv2.BORDER_REPLICATE)
        frames[n] = cv2.resize(moved, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        cells = np.repeat(
            [value for bit in range(BITS) for value in (n >> bit & 1, 1 - (n >> bit & 1))], SIZE // 16
        )
        frames[n, -STRIP:] = (20 + 215 * cells)[None, :, None]
    return frames


def number_of(frame: Array) -> int:
    """The number that a picture of any size carries; -1 where it cannot be read."""
    height, width = frame.shape[:2]
    rows = frame[height - height * STRIP // SIZE // 2 - 2 : height - height * STRIP // SIZE // 2 + 2]
    grey = rows.reshape(len(rows), width, -1).mean(axis=(0, 2))
    cells = [grey[int((k + 0.3) * width / 16) : int((k + 0.7) * width / 16)].mean() for k in range(2 * BITS)]
    number = 0
    for bit in range(BITS):
        one, zero = cells[2 * bit], cells[2 * bit + 1]
        if abs(one - zero) < 60:
            return -1
        number |= int(one > zero) << bit
    return number


def noise(seconds: float, seed: int) -> Array:
    """(S,) float32 at 16 kHz: noise below 3 kHz whose loudness changes every 40 to 160 ms."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum[np.fft.rfftfreq(count, 1 / RATE) > 3000] = 0
    sound = np.fft.irfft(spectrum, count)
    edges = np.cumsum(rng.uniform(0.04, 0.16, int(seconds / 0.04) + 2)) * RATE
    loudness = rng.uniform(0.15, 1.0, len(edges))
    steps = loudness[np.minimum(np.searchsorted(edges, np.arange(count)), len(edges) - 1)]
    return (0.25 * steps * sound / sound.std()).clip(-0.99, 0.99).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Case:
    """One file to be made."""

    number: int
    kind: str
    container: str
    video: str
    audio: str
    frames: int
    offset: float
    """Seconds by which the sound starts after the picture; negative: before."""
    fps: float
    seed: int

    @property
    def seconds(self) -> float:
        return self.frames / self.fps


@dataclass(slots=True)
class Truth:
    """What a prepared clip must hold."""

    sound: Array
    """(S,) at 16 kHz, the voice that was put in; sample 0 belongs `offset` seconds after picture 0."""
    times: Array
    """(frames,) seconds at which picture n is due."""
    lost: tuple[float, float] = (math.inf, math.inf)
    """Seconds of the sound's own time that may be lacking."""
    loose: bool = False
    """Bytes were altered: what cannot be read is not held against preparation, what can be read must be in time."""


# -- making files --------------------------------------------------------------------------------------------

CODECS = {
    "mp4": (["h264", "hevc", "mpeg4"], ["aac", "mp3"]),
    "mov": (["h264", "mjpeg", "prores"], ["aac", "pcm"]),
    "mkv": (["h264", "hevc", "vp8", "mpeg4", "ffv1"], ["aac", "opus", "flac", "pcm", "ac3"]),
    "webm": (["vp8", "vp9"], ["opus", "vorbis"]),
    "avi": (["mpeg4", "mjpeg", "h264"], ["pcm"]),
    "ts": (["h264", "mpeg2"], ["mp2", "aac", "ac3"]),
    "mpg": (["mpeg1", "mpeg2"], ["mp2"]),
    "flv": (["h264", "flv1"], ["aac", "mp3"]),
}
VIDEO = {
    "h264": ["-c:v", "libx264", "-preset", "veryfast", "-crf", "14"],
    "hevc": [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-crf",
        "12",
        "-x265-params",
        "log-level=none:pools=1",
    ],
    "mpeg4": ["-c:v", "mpeg4", "-q:v", "3"],
    "mjpeg": ["-c:v", "mjpeg", "-q:v", "3"],
    "prores": ["-c:v", "prores_ks"],
    "vp8": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"],
    "vp9": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"],
    "ffv1": ["-c:v", "ffv1"],
    "mpeg1": ["-c:v", "mpeg1video", "-q:v", "3"],
    "mpeg2": ["-c:v", "mpeg2video", "-q:v", "3"],
    "flv1": ["-c:v", "flv", "-q:v", "3"],
}
AUDIO = {
    "aac": ["-c:a", "aac", "-b:a", "96k"],
    "mp3": ["-c:a", "libmp3lame", "-b:a", "96k"],
    "mp2": ["-c:a", "mp2", "-b:a", "128k"],
    "ac3": ["-c:a", "ac3", "-b:a", "128k"],
    "opus": ["-c:a", "libopus", "-b:a", "64k"],
    "vorbis": ["-c:a", "libvorbis", "-q:a", "5"],
    "flac": ["-c:a", "flac"],
    "pcm": ["-c:a", "pcm_s16le"],
}
RATES = {"mp2": [44100, 48000], "ac3": [44100, 48000], "opus": [48000]}
PIXELS = {"mjpeg": "yuvj420p", "prores": "yuv422p10le"}


def ffmpeg(*words: object, data: bytes = b"") -> None:
    """Run ffmpeg; what it says is shown where it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-hide_banner", "-loglevel", "error", *map(str, words)]
    done = subprocess.run(command, capture_output=True, input=data, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr.decode()}")


class Maker:
    """Makes the file of a case in a folder of its own."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.rng = random.Random(case.seed)
        self.rate = self.rng.choice(RATES.get(case.audio, [16000, 44100, 48000]))
        if case.container == "flv":
            self.rate = 44100
        self.channels = self.rng.choice([1, 2])
        self.frames = pictures(case.frames)
        self.truth = Truth(noise(case.seconds, case.seed), np.arange(case.frames) / case.fps)
        self.file = folder / f"case.{case.container}"

    def raw(
        self, start: int = 0, stop: int | None = None, *, sound: Array | None = None
    ) -> tuple[Path, Path]:
        """Pictures [start, stop) and the sound that belongs to them as files without loss."""
        stop = self.case.frames if stop is None else stop
        video, voice = self.folder / f"raw{start}.nut", self.folder / f"sound{start}.nut"
        if sound is None:
            first, last = (round(n / self.case.fps * RATE) for n in (start, stop))
            sound = self.truth.sound[first:last]
        # By way of NUT: headerless files have no stamps that an offset could be added to.
        shape = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE}x{SIZE}", "-r", self.case.fps]
        ffmpeg(*shape, "-i", "-", "-c", "copy", video, data=self.frames[start:stop].tobytes())
        shape = ["-f", "f32le", "-ar", RATE, "-ac", 1]
        ffmpeg(*shape, "-i", "-", "-c", "copy", voice, data=np.asarray(sound, np.float32).tobytes())
        return video, voice

    def inputs(self, video: Path, voice: Path, *, offset: float | None = None) -> list[object]:
        """The options of ffmpeg for these two files; the sound starts `offset` seconds after the picture."""
        offset = self.case.offset if offset is None else offset
        # Whole frames for the picture, as coders count them.
        wait = (math.ceil(-offset * self.case.fps - 1e-9) + 2) / self.case.fps if offset < 0 else 0.0
        return ["-itsoffset", wait, "-i", video, "-itsoffset", wait + offset, "-i", voice]

    def coding(self) -> list[object]:
        """The options of the encoders."""
        pixels = PIXELS.get(self.case.video, "yuv420p")
        words: list[object] = [*VIDEO[self.case.video], "-pix_fmt", pixels, "-threads", "1"]
        words += ["-fps_mode", "passthrough"]
        if self.case.container in ("ts", "mpg"):
            words += ["-muxdelay", "0", "-muxpreload", "0"]
        return [*words, *AUDIO[self.case.audio], "-ar", self.rate, "-ac", self.channels]

    def plain(self, *more: object, before: tuple[object, ...] = ()) -> None:
        """The file without a fault, but for options that are added."""
        video, voice = self.raw()
        ffmpeg(
            *self.inputs(video, voice),
            *before,
            "-map",
            "0:v",
            "-map",
            "1:a",
            *self.coding(),
            *more,
            self.file,
        )

    def halves(self, changes: list[list[object]], *, gap: float = 0.0, back: bool = False) -> None:
        """Two parts, each coded with its own changes, their packets joined. gap: seconds that the clock leaps
        between them; back: it begins anew.
        """
        middle = self.case.frames // 2
        parts = []
        for number, (start, stop) in enumerate([(0, middle), (middle, self.case.frames)]):
            video, voice = self.raw(start, stop)
            part = self.folder / f"part{number}.{self.case.container}"
            # Not from 0 on: a muxer would move a part whose coders begin before it, and not the other.
            begin = 1.0 + (0.0 if back else start / self.case.fps + gap * number)
            ffmpeg(
                *self.inputs(video, voice, offset=0.0), "-map", "0:v", "-map", "1:a", *self.coding(), "-bf", "0",
                *changes[number], "-output_ts_offset", begin, part,
            )  # fmt: skip
            parts.append(part)
        if back and self.case.container in ("ts", "mpg"):
            self.file.write_bytes(b"".join(part.read_bytes() for part in parts))
        else:
            join_packets(parts, self.file)


def join_packets(parts: list[Path], out: Path) -> None:
    """All packets of files with the same streams in one file, stamps as they are."""
    with av.open(str(out), "w") as target:
        streams = None
        packets = []
        boxes = [av.open(str(part)) for part in parts]
        for box in boxes:
            sources = [box.streams.video[0], box.streams.audio[0]]
            if streams is None:
                streams = [target.add_stream_from_template(source) for source in sources]
            for packet in box.demux(sources):
                if packet.dts is not None:
                    packets.append((packet, streams[sources.index(packet.stream)]))
        last: dict[int, int] = {}
        for packet, stream in packets:
            packet.stream = stream
            # A muxer takes no stamp twice; where the parts overlap, the later packet moves by a tick.
            if packet.dts <= last.get(stream.index, -(1 << 62)):
                shift = last[stream.index] + 1 - packet.dts
                packet.dts += shift
                packet.pts = max(packet.pts or packet.dts, packet.dts)
            last[stream.index] = packet.dts
            target.mux(packet)
        for box in boxes:
            box.close()


# -- faults: each makes the file of a case and tells what is right -------------------------------------------


def make_plain(m: Maker) -> None:
    """No fault."""
    m.plain()


def make_size_changes(m: Maker) -> None:
    """The second half has pictures of another size."""
    halves: list[list[object]] = [["-vf", "scale=144:144"], []]
    m.halves(halves[:: m.rng.choice([1, -1])])


def make_pixels_change(m: Maker) -> None:
    """The second half has colour at half height no more."""
    m.halves([[], ["-pix_fmt", "yuv422p"]])


def make_aspect_changes(m: Maker) -> None:
    """The second half says that its pixels are not square."""
    m.halves([[], ["-vf", "setsar=10/11"]])


def make_rate_changes(m: Maker) -> None:
    """The sound of the second half has another sampling rate."""
    m.halves([["-ar", 48000], ["-ar", 44100]])


def make_channels_change(m: Maker) -> None:
    """The sound of the second half has another number of channels."""
    first = m.rng.choice([1, 2])
    m.halves([["-ac", first], ["-ac", 3 - first]])


def make_starts_undecodable(m: Maker) -> None:
    """The first group of pictures lacks its keyframe, and the sound begins where the packets do."""
    whole = m.folder / f"whole.{m.case.container}"
    video, voice = m.raw()
    group = max(10, m.case.frames // 3)
    ffmpeg(
        *m.inputs(video, voice, offset=0.0), "-map", "0:v", "-map", "1:a", *m.coding(), "-g", group, "-bf", 0,
        "-keyint_min", group, "-sc_threshold", 0, whole,
    )  # fmt: skip
    drop = group - m.rng.randint(2, 7)
    with av.open(str(whole)) as box, av.open(str(m.file), "w") as target:
        sources = [box.streams.video[0], box.streams.audio[0]]
        streams = [target.add_stream_from_template(source) for source in sources]
        count, begun = 0, False
        for packet in box.demux(sources):
            if packet.dts is None:
                continue
            if packet.stream is sources[0]:
                count += 1
                begun = begun or count > drop
            elif not begun:
                # Sound of a time before the first packet that is kept.
                continue
            if begun:
                packet.stream = streams[sources.index(packet.stream)]
                target.mux(packet)


def make_clock_restarts(m: Maker) -> None:
    """Two files one behind the other, each with a clock from 0 on."""
    m.halves([[], []], back=True)


def make_clock_leaps(m: Maker) -> None:
    """Two parts a few seconds apart: most of the time between nothing moves."""
    m.halves([[], []], gap=m.rng.uniform(0.3, 6.0))
    middle = m.case.frames // 2
    with av.open(str(m.file)) as box:
        stamps = sorted(
            float(p.pts * p.time_base)
            for p in box.demux(box.streams.video[0])
            if p.pts is not None and p.size
        )
    if len(stamps) == m.case.frames:
        m.truth.times = np.array(stamps) - stamps[0]
    # The sound of the second part moves along with its pictures.
    leap = float(m.truth.times[middle] - middle / m.case.fps)
    cut = round(middle / m.case.fps * RATE)
    silence = np.zeros(round(leap * RATE), np.float32)
    m.truth.sound = np.concatenate([m.truth.sound[:cut], silence, m.truth.sound[cut:]])


def make_hole(m: Maker) -> None:
    """Packets of picture and sound are lost amid the clip; the clock goes on."""
    whole = m.folder / f"whole.{m.case.container}"
    video, voice = m.raw()
    ffmpeg(*m.inputs(video, voice), "-map", "0:v", "-map", "1:a", *m.coding(), "-bf", 0, "-g", 1, whole)
    begin = m.case.seconds * m.rng.uniform(0.3, 0.5)
    end = begin + m.rng.uniform(0.06, 0.4)
    with av.open(str(whole)) as box, av.open(str(m.file), "w") as target:
        sources = [box.streams.video[0], box.streams.audio[0]]
        streams = [target.add_stream_from_template(source) for source in sources]
        zero = None
        for packet in box.demux(sources):
            if packet.dts is None:
                continue
            if packet.stream is sources[0] and zero is None:
                zero = float((packet.pts if packet.pts is not None else packet.dts) * packet.time_base)
            at = float((packet.pts if packet.pts is not None else packet.dts) * packet.time_base) - (
                zero or 0.0
            )
            only_sound = m.case.seed % 2 and packet.stream is sources[0]
            if begin <= at < end and not only_sound:
                continue
            packet.stream = streams[sources.index(packet.stream)]
            target.mux(packet)
    m.truth.lost = (begin - m.case.offset - 0.1, end - m.case.offset + 0.1)


def make_wrap(m: Maker) -> None:
    """The 33-bit clock of MPEG runs over in the middle."""
    m.plain("-output_ts_offset", (1 << 33) / 90000 - m.case.seconds / 2)


def make_vfr(m: Maker) -> None:
    """Pictures at uneven times."""
    times = np.cumsum(np.random.default_rng(m.case.seed).uniform(0.02, 0.06, m.case.frames))
    times = np.round((times - times[0]) * 1000) / 1000
    middle = m.folder / "timed.mkv"
    m.truth.times = times
    m.truth.sound = noise(float(times[-1]) + 0.04, m.case.seed)
    video, voice = m.raw(sound=m.truth.sound)
    # Millisecond stamps on FFV1: the packets of intra-only video may be stamped at will.
    ffmpeg("-i", video, "-map", "0:v", "-c:v", "ffv1", "-pix_fmt", "yuv420p", middle)
    timed = m.folder / "timed2.mkv"
    with av.open(str(middle)) as box, av.open(str(timed), "w") as target:
        stream = target.add_stream_from_template(box.streams.video[0])
        packets = [packet for packet in box.demux(box.streams.video[0]) if packet.dts is not None]
        for packet, time in zip(packets, times, strict=True):
            packet.pts = packet.dts = round(time / packet.time_base)
            packet.stream = stream
            target.mux(packet)
    ffmpeg(
        *m.inputs(timed, voice), "-map", "0:v", "-map", "1:a", *m.coding(), "-enc_time_base:v", "1:1000", m.file,
    )  # fmt: skip


def make_sound_late(m: Maker) -> None:
    """The sound starts long after the picture."""
    offset = m.rng.uniform(0.3, 0.8)
    video, voice = m.raw()
    ffmpeg(*m.inputs(video, voice, offset=offset), "-map", "0:v", "-map", "1:a", *m.coding(), m.file)
    m.case = replace(m.case, offset=offset)


def make_sound_early(m: Maker) -> None:
    """The sound starts long before the picture."""
    offset = -m.rng.uniform(0.3, 0.8)
    video, voice = m.raw()
    ffmpeg(*m.inputs(video, voice, offset=offset), "-map", "0:v", "-map", "1:a", *m.coding(), m.file)
    m.case = replace(m.case, offset=offset)


def make_sound_longer(m: Maker) -> None:
    """The sound goes on after the last picture."""
    more = noise(m.rng.uniform(0.5, 3.0), m.case.seed + 1)
    m.truth.sound = np.concatenate([m.truth.sound, more])
    video, voice = m.raw(sound=m.truth.sound)
    ffmpeg(*m.inputs(video, voice), "-map", "0:v", "-map", "1:a", *m.coding(), m.file)


def make_sound_shorter(m: Maker) -> None:
    """The sound ends before the last picture."""
    m.truth.sound = m.truth.sound[: round(len(m.truth.sound) * m.rng.uniform(0.6, 0.9))]
    video, voice = m.raw(sound=m.truth.sound)
    ffmpeg(*m.inputs(video, voice), "-map", "0:v", "-map", "1:a", *m.coding(), m.file)


def make_second_track(m: Maker) -> None:
    """The voice is the second track, and the default one; or the first, with another language behind it."""
    video, voice = m.raw()
    tone = f"sine=frequency=500:sample_rate={m.rate}:duration={m.case.seconds}"
    if m.case.seed % 2:
        order: list[object] = [
            "-map",
            "2:a",
            "-map",
            "1:a",
            "-disposition:a:0",
            "0",
            "-disposition:a:1",
            "default",
        ]
    else:
        order = ["-map", "1:a", "-map", "2:a", "-disposition:a:0", "default", "-disposition:a:1", "0"]
    ffmpeg(*m.inputs(video, voice), "-f", "lavfi", "-i", tone, "-map", "0:v", *order, *m.coding(), m.file)


def make_cover(m: Maker) -> None:
    """A still picture comes before the video."""
    video, voice = m.raw()
    cover = m.folder / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:size=300x300", "-frames:v", 1, cover)
    dispositions = ["-disposition:v:0", "attached_pic", "-disposition:v:1", "default"]
    kept = ["-map", "2:v", "-map", "0:v", "-map", "1:a"]
    if m.case.container in ("mp4", "mov"):
        kept = ["-map", "0:v", "-map", "2:v", "-map", "1:a"]
        dispositions = ["-disposition:v:1", "attached_pic"]
    coding = m.coding()
    which = 0 if m.case.container in ("mp4", "mov") else 1
    coding[0] = f"-c:v:{which}"
    still = ["-c:v:0" if which else "-c:v:1", "mjpeg" if which else "png"]
    pixels = coding.index("-pix_fmt")
    coding[pixels] = f"-pix_fmt:v:{which}"
    ffmpeg(*m.inputs(video, voice), "-i", cover, *kept, *coding, *still, *dispositions, m.file)


def make_antiphase(m: Maker) -> None:
    """Two channels that cancel in the mean."""
    m.channels = 2
    m.plain("-af", "pan=stereo|c0=c0|c1=-1*c0")


def make_turned(m: Maker) -> None:
    """A display matrix: turned by a quarter, or mirrored. The stored picture is the inverse of the shown one."""
    stored = m.folder / f"stored.{m.case.container}"
    m.file, final = stored, m.file
    how = m.rng.choice(["90", "180", "hflip", "vflip"])
    undo = {"90": "transpose=cclock", "180": "hflip,vflip", "hflip": "hflip", "vflip": "vflip"}[how]
    m.plain("-vf", undo)
    m.file = final
    flags = {"90": ["-display_rotation", "-90"], "180": ["-display_rotation", "180"]}
    option = flags.get(how, [f"-display_{how}"])
    ffmpeg(*option, "-i", stored, "-c", "copy", "-map", "0", final)


def make_interlaced(m: Maker) -> None:
    """Pictures coded and marked as interlaced."""
    m.plain("-flags", "+ildct+ilme", "-vf", "setfield=tff")


def make_alpha(m: Maker) -> None:
    """Pictures with an alpha channel."""
    m.plain("-pix_fmt", {"ffv1": "yuva420p", "prores": "yuva444p10le"}[m.case.video])


def make_truncated(m: Maker) -> None:
    """The end of the file is lacking."""
    m.plain()
    whole = m.file.read_bytes()
    m.file.write_bytes(whole[: int(len(whole) * m.rng.uniform(0.5, 0.95))])
    m.truth.loose = True


def make_damaged(m: Maker) -> None:
    """A few bytes after the header are others."""
    m.plain()
    data = bytearray(m.file.read_bytes())
    for _ in range(m.rng.randint(1, 12)):
        data[m.rng.randrange(min(len(data) - 1, 2000), len(data))] = m.rng.randrange(256)
    m.file.write_bytes(bytes(data))
    m.truth.loose = True


def make_claims(m: Maker) -> None:
    """The rate in the header of an AVI, or the time scale of an MP4's picture, is 16 to 64 times too slow."""
    m.plain()
    data = m.file.read_bytes()
    factor = m.rng.choice([16, 32, 64])
    if m.case.container == "avi":
        at = data.index(b"strh") + 28
        scale = int.from_bytes(data[at : at + 4], "little")
        edited = data[:at] + (scale * factor).to_bytes(4, "little") + data[at + 4 :]
    else:
        at = data.index(b"mdhd") + 16
        scale = int.from_bytes(data[at : at + 4], "big")
        edited = data[:at] + (scale // factor).to_bytes(4, "big") + data[at + 4 :]
    m.file.write_bytes(edited)


STAMPED = tuple(name for name in CODECS if name != "avi")
KINDS: dict[str, tuple[Callable[[Maker], None], tuple[str, ...], tuple[str, ...] | None, tuple[str, ...] | None]] = {
    # name: how it is made, containers, picture codecs and sound codecs that it is possible in (None: all)
    "plain": (make_plain, tuple(CODECS), None, None),
    "size-changes": (make_size_changes, ("ts", "webm", "mkv"), ("mpeg2", "vp8", "vp9", "h264"), None),
    "pixels-change": (make_pixels_change, ("ts",), ("h264", "mpeg2"), None),
    "aspect-changes": (make_aspect_changes, ("ts",), ("h264", "mpeg2"), None),
    "rate-changes": (make_rate_changes, ("ts", "mkv"), None, ("mp2", "ac3")),
    "channels-change": (make_channels_change, ("ts", "mkv"), None, ("mp2", "ac3")),
    "starts-undecodable": (make_starts_undecodable, ("mkv", "ts", "flv"), ("h264", "mpeg4", "mpeg2"), None),
    "clock-restarts": (make_clock_restarts, ("ts", "mpg"), None, None),
    "clock-leaps": (make_clock_leaps, ("mkv", "ts"), None, None),
    "hole": (make_hole, ("mkv", "ts", "flv"), None, None),
    "wrap": (make_wrap, ("ts", "mpg"), None, None),
    "vfr": (make_vfr, ("mkv", "mp4", "flv"), ("h264", "mpeg4", "ffv1"), None),
    "sound-late": (make_sound_late, STAMPED, None, None),
    "sound-early": (make_sound_early, STAMPED, None, None),
    "sound-longer": (make_sound_longer, tuple(CODECS), None, None),
    "sound-shorter": (make_sound_shorter, tuple(CODECS), None, None),
    "second-track": (make_second_track, ("mkv", "mp4", "mov"), None, None),
    "cover": (make_cover, ("mkv", "mp4"), None, None),
    "antiphase": (make_antiphase, tuple(CODECS), None, ("pcm", "flac", "aac", "mp3", "mp2", "ac3", "opus")),
    "turned": (make_turned, ("mp4", "mov"), ("h264", "hevc"), None),
    "interlaced": (make_interlaced, ("mp4", "ts", "mpg", "mkv"), ("h264", "mpeg2"), None),
    "alpha": (make_alpha, ("mkv", "mov"), ("ffv1", "prores"), None),
    "truncated": (make_truncated, tuple(CODECS), None, None),
    "damaged": (make_damaged, tuple(CODECS), None, None),
    "claims": (make_claims, ("avi", "mp4"), None, None),
}  # fmt: skip


def draw(number: int, seed: int, only: str | None = None) -> Case:
    """The case of a number: kinds in turn, all else at random."""
    rng = random.Random(f"{seed}-{number}")
    kind = only or list(KINDS)[number % len(KINDS)]
    _, containers, video, audio = KINDS[kind]
    usable = []
    for container in containers:
        pictures_, sounds = CODECS[container]
        if container == "mkv" and kind == "size-changes":
            pictures_ = ["vp8"]  # what the others need to know stands in the header alone
        usable += [
            (container, v, a)
            for v in pictures_
            for a in sounds
            if (video is None or v in video) and (audio is None or a in audio)
        ]
    container = rng.choice(sorted({entry[0] for entry in usable}))
    container, coding, sound = rng.choice([entry for entry in usable if entry[0] == container])
    still = kind in NO_OFFSET or container == "avi"  # AVI has no stamps: an offset would be lost
    steady = kind in ("vfr", "clock-restarts", "clock-leaps") or coding in ("mpeg1", "mpeg2")
    return Case(
        number=number,
        kind=kind,
        container=container,
        video=coding,
        audio=sound,
        frames=rng.randint(36, 80),
        offset=0.0 if still else rng.choice([0.0, 0.0, 0.1, -0.1, 0.25, -0.25]),
        fps=25.0 if steady else rng.choice([25.0, 25.0, 30.0, 24.0, 20.0]),
        seed=rng.randrange(1 << 30),
    )


NO_OFFSET = {
    "size-changes", "pixels-change", "aspect-changes", "rate-changes", "channels-change", "starts-undecodable",
    "clock-restarts", "clock-leaps",
}  # fmt: skip


# -- the answer ----------------------------------------------------------------------------------------------


def shown_in(file: Path) -> list[int]:
    """The numbers of the pictures that plain ffmpeg decodes, in order of time; -1 for those that cannot be read."""
    with av.open(str(file)) as box:
        cover, chosen = av.stream.Disposition.attached_pic, av.stream.Disposition.default
        moving = [stream for stream in box.streams.video if not stream.disposition & cover]
        stream = ([s for s in moving if s.disposition & chosen] or moving)[0]
        stream.thread_count = 1
        found = []
        try:
            for frame in box.decode(stream):
                found.append(number_of(frame.to_ndarray(format="rgb24")))
        except av.FFmpegError:
            pass
    return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a case ended."""

    number: int
    kind: str
    container: str
    video: str
    audio: str
    offset: float
    fps: float
    result: str
    detail: str


def judge(maker: Maker, samples: list[tuple[int, Array, Array]], row: dict[str, str]) -> tuple[str, str]:
    """(result, detail). samples: (first frame, canvas (T, H, W, 3), voice (T * 640,)) of the clip's runs."""
    case, truth = maker.case, maker.truth
    if not samples:
        reason = row["reason"]
        if reason in NAMELESS or case.kind not in REFUSABLE:
            return "WRONG", f"{reason}: {row['detail']}"
        return "refused", f"{reason}: {row['detail']}"
    shown = shown_in(maker.file) if case.kind != "turned" else list(range(case.frames))
    there = [number for number in shown if 0 <= number < case.frames]
    if not there and truth.loose:
        return "right", "as damaged as plain ffmpeg shows it"
    if not there:
        return "WRONG", "prepared, but no picture can be read"
    decodable = np.array(sorted(set(there)))
    # Pictures before the first one that can be read are shown all the same.
    first = int(decodable[0])
    begin = float(truth.times[first]) - (shown.index(first) / case.fps if not truth.loose else 0.0)
    due = truth.times[decodable] - begin
    problems = []
    reached = 0
    for start, canvas, voice in samples:
        reached = max(reached, start + len(canvas))
        if len(voice) != len(canvas) * RATE // FPS:
            problems.append(f"{len(canvas)} frames beside {len(voice)} samples")
        problems += picture_problems(canvas, start, decodable, due, truth)
        problems += sound_problems(voice, start, begin - case.offset, truth)
    step = float(np.median(np.diff(truth.times)))
    promised = (due.max() + step) * FPS
    if not truth.loose and abs(reached - promised) > 1.5 + step * FPS:
        problems.append(f"{reached} frames, {promised:.1f} are there")
    if problems:
        return "WRONG", "; ".join(problems[:3]) + (
            f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        )
    return "right", row.get("fixes", "")


def picture_problems(canvas: Array, start: int, decodable: Array, due: Array, truth: Truth) -> Iterator[str]:
    """Frames whose picture is not the one that their time asks for, by more than half a frame."""
    wild = []
    for n, frame in enumerate(canvas, start):
        if n / FPS < due[0] - HALF_FRAME:
            continue
        number = number_of(frame)
        if number < 0 or number >= len(truth.times):
            if not truth.loose:
                yield f"frame {n}: its number cannot be read"
            continue
        low, high = (
            decodable[max(0, int(np.searchsorted(due, n / FPS + HALF_FRAME + slack, side="right")) - 1)]
            for slack in (-SLACK, SLACK)
        )
        if truth.loose:
            off = float(truth.times[number] - truth.times[decodable[0]]) - n / FPS
            wild += [f"frame {n} shows picture {number}, {off:+.3f} s off"] if abs(off) > 0.5 else []
        elif not low <= number <= high:
            yield f"frame {n} shows picture {number}, {truth.times[number] - truth.times[high]:+.3f} s off"
    # A damaged picture may show any number; a clip that is out of step shows many.
    if len(wild) > len(canvas) // 10:
        yield from wild


def sound_problems(voice: Array, start: int, begin: float, truth: Truth) -> Iterator[str]:
    """Windows of the voice that lie elsewhere in the sound that went in, or nowhere.

    begin: seconds of that sound's own time at the clip's first frame.
    """
    size = RATE * 3 // 10
    for at in range(0, len(voice) - size + 1, size // 2):
        due = begin + start / FPS + at / RATE
        span = (due, due + size / RATE)
        inside = span[0] >= 0.02 and span[1] <= len(truth.sound) / RATE - 0.02
        lost = span[1] > truth.lost[0] and span[0] < truth.lost[1]
        piece = np.asarray(voice[at : at + size], np.float64)
        reach = RATE * 4 // 10
        left = round(due * RATE) - reach
        near = np.zeros(size + 2 * reach)
        low, high = max(0, left), min(len(truth.sound), left + len(near))
        if high > low:
            near[low - left : high - left] = truth.sound[low:high]
        level, reference = float(np.sqrt((piece**2).mean())), float(np.sqrt((near[reach:-reach] ** 2).mean()))
        if not inside or lost:
            continue
        if reference < 0.005:
            if level > 0.03:
                yield f"sound at {due:.2f} s: something is heard where nothing was put in"
            continue
        product = correlate(near, piece)
        energy = np.sqrt(np.convolve(near**2, np.ones(size), "valid")) + 1e-9
        likeness = product / energy / max(math.sqrt((piece**2).sum()), 1e-9)
        best = int(np.argmax(np.abs(likeness)))
        if abs(likeness[best]) < 0.35:
            if not truth.loose:
                yield f"sound at {due:.2f} s: not what was put in (likeness {abs(likeness[best]):.2f})"
        elif abs(best - reach) / RATE > HALF_FRAME + SLACK:
            yield f"sound at {due:.2f} s: {(reach - best) / RATE:+.3f} s off"


def correlate(long: Array, short: Array) -> Array:
    """Correlation at every place at which `short` fits into `long`."""
    size = 1 << (len(long) + len(short) - 1).bit_length()
    both = np.fft.irfft(np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size)), size)
    return np.asarray(both[: len(long) - len(short) + 1])


def run_case(case: Case, folder: Path) -> Verdict:
    """Make the file, prepare it, and judge what came out."""
    import shutil

    from tkbench.prep.run import prepare
    from tkbench.shards import open_shards

    shutil.rmtree(folder, ignore_errors=True)
    (folder / "made").mkdir(parents=True)
    (folder / "in").mkdir()
    maker = Maker(case, folder / "made")
    KINDS[case.kind][0](maker)
    (folder / "in" / maker.file.name).write_bytes(maker.file.read_bytes())
    prepare(folder / "in", folder / "out")
    opened = open_shards(folder / "out")
    rows = opened.manifest().to_dict("records")
    samples = []
    for row in rows:
        if row["status"] == "ok":
            try:
                sample = opened.get(row["key"])
            except ValueError as error:
                return verdict(case, "WRONG", f"the shard cannot be read: {error}")
            samples.append((int(row["start_frame"]), sample.video, sample.audio))
    result, detail = judge(maker, samples, {k: str(v) for k, v in rows[0].items()})
    return verdict(maker.case, result, detail)


def verdict(case: Case, result: str, detail: str) -> Verdict:
    """The line of a case."""
    parts = (case.number, case.kind, case.container, case.video, case.audio, round(case.offset, 3), case.fps)
    return Verdict(*parts, result=result, detail=detail)


# -- faults in preparation itself ----------------------------------------------------------------------------


def early_pictures(facts: MediaFacts) -> MediaFacts:
    """The sound's zero is a frame too late, so the pictures come a frame early."""
    return replace(facts, reading=replace(facts.reading, origin=facts.reading.origin + 1 / FPS))


def late_sound(facts: MediaFacts) -> MediaFacts:
    """The sound's zero is a frame too early."""
    return replace(facts, reading=replace(facts.reading, origin=facts.reading.origin - 1 / FPS))


def other_stream(facts: MediaFacts) -> MediaFacts:
    """Another track is read: the one after the chosen one."""
    return replace(facts, reading=replace(facts.reading, audio=2))


PROBE_BREAKS: dict[str, Callable[[MediaFacts], MediaFacts]] = {
    "sound 40 ms early": early_pictures,
    "sound 40 ms late": late_sound,
    "another track": other_stream,
}
"""Faults of what the probe finds."""


def next_picture(frames: Iterator[Array]) -> Iterator[Array]:
    """Every frame shows the picture after its own; the last one is shown twice."""
    held: Array | None = None
    frame: Array | None = None
    for number, frame in enumerate(frames):
        held = frame.copy()
        if number:
            yield held
    if held is not None:
        yield held


def without_tail(frames: Iterator[Array]) -> Iterator[Array]:
    """The last eight frames are lacking."""
    waiting: list[Array] = []
    for frame in frames:
        waiting.append(frame.copy())
        if len(waiting) > 8:
            yield waiting.pop(0)


def too_fast(frames: Iterator[Array]) -> Iterator[Array]:
    """Every twentieth picture is left out."""
    return (frame for number, frame in enumerate(frames) if number % 20 != 19)


CANVAS_BREAKS: dict[str, Callable[[Iterator[Array]], Iterator[Array]]] = {
    "pictures one frame early": next_picture,
    "the last frames are lacking": without_tail,
    "pictures run 5 % fast": too_fast,
}
"""Faults of the pictures that become the canvas."""


@contextmanager
def broken(what: str) -> Iterator[None]:
    """Preparation with a fault in its probe, its sound, or the canvas that it writes."""
    from unittest import mock

    from tkbench.prep import gates, pack, pipeline

    with ExitStack() as patches:
        if what in PROBE_BREAKS:
            probe = pipeline.media.probe

            def patched(path: str, **named: object) -> MediaFacts:
                return PROBE_BREAKS[what](probe(path, **named))

            patches.enter_context(mock.patch.object(pipeline.media, "probe", patched))
        elif what in CANVAS_BREAKS:
            encode = pipeline.media.encode_planes

            def written(path: Path, frames: Iterator[Array], **named: object) -> None:
                encode(path, CANVAS_BREAKS[what](frames), **named)

            # Encoded anew, and what counts the pictures looks away.
            patches.enter_context(mock.patch.object(pipeline.media, "encode_planes", written))
            patches.enter_context(mock.patch.object(pack, "_reads_as", return_value=False))
            patches.enter_context(mock.patch.object(gates, "check_counts"))
        elif what == "silence from the middle on":
            write = pipeline.media.write_flac

            def halved(audio: Array, **named: object) -> bytes:
                half = np.array(audio)
                half[len(half) // 2 :] = 0
                return write(half, **named)

            patches.enter_context(mock.patch.object(pipeline.media, "write_flac", halved))
        yield


BREAKS = (*PROBE_BREAKS, *CANVAS_BREAKS, "silence from the middle on")


def seeded_breaks(folder: Path, seed: int = 0) -> list[str]:
    """The faults that were not found; a plain case must be right without them."""
    parts = {"container": "mkv", "video": "h264", "audio": "pcm", "fps": 25.0, "frames": 60, "offset": 0.0}
    case = replace(draw(2, seed, "second-track"), seed=2, **parts)
    missed = []
    for what in ("", *BREAKS):
        if what:
            with broken(what):
                found = run_case(case, folder / "break")
        else:
            found = run_case(case, folder / "break")
        if (found.result == "WRONG") != bool(what):
            missed.append(what or f"(none) {found.detail}")
        print(f"{what or 'no fault':32s} {found.result:8s} {found.detail}")
    return missed


# -- the run -------------------------------------------------------------------------------------------------


def main() -> int:
    """Run the cases that are not in the results yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="Number of the first case, to share the work.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(KINDS), help="Only this kind.")
    parser.add_argument("--folder", type=Path, default=Path("fuzz"))
    parser.add_argument(
        "--seeded-breaks", action="store_true", help="Show that faults in preparation are found."
    )
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.seeded_breaks:
        missed = seeded_breaks(given.folder, given.seed)
        print(f"{len(BREAKS)} breaks, not found: {missed or 'none'}")
        return int(bool(missed))
    name = f"results-{given.seed}{f'-{given.only}' if given.only else ''}-{given.first}.csv"
    results = given.folder / name
    done: dict[int, dict[str, str]] = {}
    if results.is_file():
        with results.open(newline="", encoding="utf-8") as file:
            done = {int(row["number"]): row for row in csv.DictReader(file)}
    with results.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Verdict)])
        if not done:
            writer.writeheader()
        for number in range(given.first, given.first + given.cases):
            if number in done:
                continue
            case = draw(number, given.seed, given.only)
            found = run_case(case, given.folder / f"work-{given.first}")
            writer.writerow(asdict(found))
            file.flush()
            done[number] = {k: str(v) for k, v in asdict(found).items()}
            what = f"{case.kind:18s} {case.container:5s}{case.video:7s}{case.audio:7s}"
            print(f"{number:4d} {what}{found.result:8s} {found.detail}", flush=True)
    counts = Counter((row["kind"], row["result"]) for row in done.values())
    print("\nkind                right refused WRONG")
    for kind in KINDS:
        line = [counts[kind, result] for result in ("right", "refused", "WRONG")]
        if sum(line):
            print(f"{kind:20s}{line[0]:5d}{line[1]:8d}{line[2]:6d}")
    wrong = sum(count for (_, result), count in counts.items() if result == "WRONG")
    print(f"{len(done)} cases, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
