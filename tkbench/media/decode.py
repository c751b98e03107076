"""Pictures out of files: whole clips, streams of frames, canvases of shards, and a few pictures of a clip."""

from __future__ import annotations

import io
import math
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from tkbench.errors import BadInput, BadMedia
from tkbench.media.ffmpeg import (
    BITEXACT,
    INPUT_OPTIONS,
    MP4,
    MP4_COPY,
    SWS_FLAGS,
    TELLING_OPTIONS,
    Options,
    Quality,
    as_file,
    check_stopped,
    encoder_options,
    error_lines,
    ffmpeg_exe,
    ffmpeg_python,
    file_url,
)
from tkbench.media.interval import Part, frames_of, locate_part, seek_options
from tkbench.media.probe import lenient_tags, open_container, probe, time_base
from tkbench.media.sound import SoundOrder, plain_input
from tkbench.media.watchdog import Patience, end, work_of_children
from tkbench.types import FPS, MediaFacts, Reading, Reason, UInt8

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from ffmpeg.nodes import FilterableStream, OutputStream


@dataclass(frozen=True, slots=True)
class Cut:
    """A window of the shown picture and the size it is brought to, in pixels; all even."""

    x: int
    y: int
    width: int
    height: int
    out_width: int
    out_height: int


def read_video(
    source: str | Path | bytes,
    *,
    fps: int = FPS,
    facts: MediaFacts | None = None,
    expected: int | None = None,
) -> UInt8:
    """A whole clip as (T, H, W, 3) uint8 RGB, resampled to `fps` by time stamps; bytes are an mp4 in memory.

    For short clips and shard members: all frames are held at once. facts: of the file, where `probe` was asked
    already. expected: how many frames there should be; no more than one beyond is read, and `MOST_BYTES` hold for them.
    Raises BadMedia.
    """
    with as_file(source, ".mp4") as path:
        facts = facts or probe(path)
        frames = stream_frames(path, facts, FrameSelection(fps=fps))
        if expected is None:
            return _stack(frames, facts, max(1, int(facts.duration * FPS) + 2))
        if (size := expected * facts.width * facts.height * 3) > MOST_BYTES:
            found = f"{expected} frames of {facts.width}x{facts.height} take {size / 1e9:.1f} GB"
            raise BadMedia(Reason.TOO_LARGE, f"{found}, at most {MOST_BYTES / 1e9:.1f} GB are read")
        return _stack(islice(frames, expected + 1), facts, expected + 1)


MOST_BYTES = 1_500_000_000
"""Bytes of pictures that are read from a stranger's clip whose number of frames is known: 1900 of 512x512."""


def _stack(frames: Iterable[UInt8], facts: MediaFacts, expected: int) -> UInt8:
    """All frames as one array, which is filled as they come: facts may promise a frame more or less."""
    whole = np.empty((expected, facts.height, facts.width, 3), np.uint8)
    count = 0
    for frame in frames:
        if count == len(whole):
            whole = np.concatenate([whole, np.empty_like(whole)])
        whole[count] = frame
        count += 1
    return whole[:count]


class Planes(NamedTuple):
    """A picture as a canvas stores it."""

    yuv: UInt8
    """(H * 3 // 2, W) planar YUV 4:2:0, chroma in the middle of its four pixels."""
    matrix: tuple[float, float]
    """Shares of red and blue in the luma, in which BT.601 and BT.709 differ."""
    full: bool
    """Whether luma fills 0-255; otherwise 16-235."""


_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""H.273 matrix coefficients; all others are BT.601's, as ffmpeg takes them."""


def read_planes(canvas: bytes) -> Iterator[Planes]:
    """The pictures of a canvas one by one, decoded in this process and not turned into RGB.

    For loaders: it starts no ffmpeg, converts no pixel that a crop leaves out, and is several times as fast as
    `read_video`. Only for the canvases of shards, which have 25 evenly spaced frames a second from 0 on. Raises
    BadMedia(DECODE_ERROR).
    """
    import av

    try:
        with av.open(io.BytesIO(canvas), format="mp4", **lenient_tags()) as box:
            stream = box.streams.video[0]
            stream.thread_count = 1
            for frame in box.decode(stream):
                kept = frame.format.name in ("yuv420p", "yuvj420p")
                yuv = frame.to_ndarray() if kept else frame.to_ndarray(format="yuv420p")
                matrix = _LUMA.get(int(frame.colorspace), (0.299, 0.114))
                yield Planes(yuv, matrix, int(frame.color_range) == 2)
    except (av.FFmpegError, IndexError) as error:
        raise BadMedia(Reason.DECODE_ERROR, f"the canvas cannot be decoded ({error})") from error


@dataclass(frozen=True, slots=True)
class FrameSelection:
    """Which pictures of a file are decoded, and at which times."""

    fps: int | None = FPS
    """Frames per second of the result, resampled by time stamps; None keeps the source's pictures as they come."""
    keyframes: bool = False
    """Only pictures that are stored whole."""
    seconds: float | None = None
    """Only the first seconds of the file."""
    interval: tuple[float, float] | None = None
    """(start, stop) in seconds after the first picture, each taken to the nearest frame of the 25 fps grid. The
    pictures are those that the whole file has from frame `round(start * 25)` on, found by a seek where that is safe."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What a decoded picture shows, and how it is given."""

    cut: Cut | None = None
    """The canvas; None: the whole picture."""
    size: tuple[int, int] | None = None
    """(width, height) of what is yielded, if that is not the canvas."""
    pixels: Literal["rgb24", "yuv420p"] = "rgb24"


@dataclass(frozen=True, slots=True)
class SideOutputs:
    """What is written while pictures are decoded: the file is read once for all of it."""

    canvas: Path | None = None
    """A file that gets the canvas (mp4)."""
    canvas_quality: Quality | Literal["copy"] = "lossless"
    """"copy" moves the packets unchanged."""
    sound: Path | None = None
    """A file that gets raw 16-bit little-endian mono at 16 kHz, from the first frame on."""
    messages: list[str] | None = None
    """A list that gets the lines that ffmpeg wrote about damage."""


def stream_frames(
    path: str | Path,
    facts: MediaFacts,
    select: FrameSelection | None = None,
    picture: PictureFormat | None = None,
    outputs: SideOutputs | None = None,
) -> Iterator[UInt8]:
    """Decode a file once and yield its pictures one by one; memory does not grow with its length.

    Yields (H, W, 3) RGB, or (H * 3 // 2, W) planar YUV 4:2:0, valid until the next one is asked for.

    Raises BadMedia(DECODE_ERROR) where ffmpeg fails, after the pictures that could be decoded; BadInput for an interval
    with another frame rate than 25, or with a copied canvas.
    """
    file, select = Path(path), select or FrameSelection()
    picture, outputs = picture or PictureFormat(), outputs or SideOutputs()
    reading = facts.reading
    part = None if select.interval is None else locate_part(file, select.interval, reading)
    if part is not None and (select.fps != FPS or outputs.canvas_quality == "copy"):
        raise BadInput(f"{file.name}: an interval is cut at {FPS} fps and never copied")
    source: Options = {
        **INPUT_OPTIONS,
        # A graph that is built anew in the middle would forget the time; those below take pictures of any size. Only
        # a deinterlacer, which holds three pictures of one size, cannot.
        **({} if reading.interlaced else {"reinit_filter:v": 0}),
        **({"skip_frame": "nokey"} if select.keyframes else {}),
        **({"t": select.seconds} if select.seconds else {}),
        **seek_options(part),
    }
    fed = ffmpeg_python().input(file_url(file), **source)
    stored = fed[str(reading.video)]
    video, canvas_size = _on_canvas(_resampled(stored, select.fps, reading, part), facts, picture.cut)
    video, written = _canvas_output(video, stored, outputs)
    shown = picture.size or canvas_size
    if shown != canvas_size:
        video = video.filter("scale", *shown, flags="bilinear+bitexact")
    if picture.pixels == "rgb24":
        # Only a filter of our own carries our flags; one that ffmpeg puts in by itself would not.
        video = video.filter("scale", flags=SWS_FLAGS, out_range="full")
    raw = {"format": "rawvideo", "pix_fmt": picture.pixels, "fps_mode": "passthrough", **BITEXACT}
    streams = [video.output("pipe:", **raw), *written]
    graph = streams[0] if len(streams) == 1 else ffmpeg_python().merge_outputs(*streams)
    command = graph.global_args(*TELLING_OPTIONS).compile(cmd=ffmpeg_exe(), overwrite_output=True)
    order = None
    if outputs.sound is not None and reading.audio is None:
        outputs.sound.write_bytes(b"")
    elif outputs.sound is not None:
        # A graph of its own: one that both shared would be built anew for both. From the file's beginning, which costs
        # little without its pictures: after a seek, the resampler would stand elsewhere, and the time stamps of
        # Matroska are whole milliseconds.
        again = bool(seek_options(part))
        order = SoundOrder(reading, outputs.sound, part=part, source=int(again), clipped=True)
        command += order.options()
        if again:
            place = command.index("-i") + 2
            command[place:place] = [*plain_input(), "-i", file_url(file)]
    size = (shown[1], shown[0], 3) if picture.pixels == "rgb24" else (shown[1] * 3 // 2, shown[0])
    counted = select.fps == FPS and not select.keyframes and not select.seconds
    with tempfile.TemporaryDirectory(prefix="tkbench-") as folder:
        times = Path(folder) / "times"
        times.touch()
        if counted:
            place = command.index("pipe:")
            command[place:place] = [
                "-stats_enc_pre:v",
                str(times),
                "-stats_enc_pre_fmt:v",
                "{pts} {ptsi} {tbi}",
            ]
        limit = _Limits(_limit(facts, select.interval) if counted else None, _work_limit(facts))
        command[1:1] = ["-timelimit", str(limit.work)]
        yield from _pictures(command, size, file, outputs.messages, limit)
        if counted:
            _check_times(times, reading, part)
    if order is not None and order.finish() and outputs.messages is not None:
        outputs.messages.append(SOUND_CHANGES)


PICTURES_CHANGE = "the pictures change on the way"
SOUND_CHANGES = "the sound changes its rate or channels on the way"


class _Limits(NamedTuple):
    """What one run of ffmpeg may give and do."""

    pictures: int | None
    work: int
    """Seconds of the processor."""


def _limit(facts: MediaFacts, interval: tuple[float, float] | None) -> int:
    """Pictures after which a stream that still goes on is given up: more than its stamps can mean."""
    frames = facts.reading.frames or round(facts.duration * FPS)
    if interval is not None:
        first, last = frames_of(interval)
        frames = min(frames, last - first)
    return frames + frames // 50 + 2 * FPS


def _work_limit(facts: MediaFacts) -> int:
    """Seconds of the processor (not of the clock) after which ffmpeg is given up: a hundred times what it needs."""
    frames = max(facts.n_frames, facts.reading.frames, 1)
    return 300 + int(frames * (1 + facts.width * facts.height / 250_000))


def _check_times(file: Path, reading: Reading, part: Part | None) -> None:
    """Compare what ffmpeg says of the pictures that it gave with what the stamps promised.

    Each line: number of the frame on the 25 fps grid, stamp of the picture that it shows, and that stamp's unit.
    Raises BadMedia(OUT_OF_STEP).
    """
    lines = file.read_text(encoding="ascii").splitlines()
    if not lines:
        return
    numbers = np.array([line.split(" ", 1)[0] for line in lines], np.int64)
    lost = np.flatnonzero(numbers != np.arange(len(numbers)))
    if len(lost):
        found = f"frame {int(lost[0])} of the decoder is frame {int(numbers[lost[0]])} by its stamps"
        raise BadMedia(Reason.OUT_OF_STEP, found)
    if part is not None:
        return
    _, stamp, unit = lines[0].split()
    shown = int(stamp) * float(Fraction(unit))
    # In AVI the decoder may give no time at all.
    if shown > -1e9 and abs(shown - reading.first) > 0.25 / FPS:
        found = f"the first picture has the stamp {shown:.3f} s, {reading.first:.3f} s were found before"
        raise BadMedia(Reason.OUT_OF_STEP, found)


def _resampled(
    video: FilterableStream, fps: int | None, reading: Reading, part: Part | None
) -> FilterableStream:
    """The pictures of a part, or of the whole file, at their times on the grid of `fps`; zero is the first picture."""
    if reading.interlaced:
        video = video.filter("yadif", mode="send_frame", parity="auto", deint="interlaced")
    if fps is not None:
        # Rounded: setpts cuts fractions off, and a tick less could be another frame.
        video = video.filter("setpts", f"round(PTS-{reading.first:.9f}/TB)").filter("fps", fps, round="near")
    if reading.transfer is not None:
        video = _tone_mapped(video, reading.transfer)
    if part is not None:
        video = video.filter("trim", start_pts=part.first, end_pts=part.last).filter("setpts", "N")
    return video


REFERENCE_WHITE = 203
"""cd/m2 of a picture's white in BT.2100 (ITU-R BT.2408): the white of BT.709."""
BRIGHTEST = 1000
"""cd/m2 that become the largest value; masters are made for it, and HLG is defined by it."""
KNEE = 0.9
"""Share of the reference white up to which light stays as it is; what is brighter is pressed into the rest."""


def _tone_mapped(video: FilterableStream, transfer: str) -> FilterableStream:
    """BT.2100 pictures (PQ or HLG) as BT.709, limited range, as bright as players show them.

    What is not brighter than a sheet of paper keeps its light, so a picture in BT.709 that was put into BT.2100 comes
    back; highlights follow a Moebius curve. The peak is a constant: what a file says of its own is often untrue.
    """
    curve = {"pq": "smpte2084", "hlg": "arib-std-b67"}[transfer]
    source = {"tin": curve, "min": "bt2020nc", "pin": "bt2020"}
    video = video.filter("zscale", t="linear", npl=REFERENCE_WHITE, **source).filter("format", "gbrpf32le")
    video = video.filter("zscale", p="bt709")
    video = video.filter(
        "tonemap", tonemap="mobius", param=KNEE, desat=0, peak=round(BRIGHTEST / REFERENCE_WHITE, 4)
    )
    video = video.filter("zscale", t="bt709", m="bt709", r="limited").filter("format", "yuv420p")
    return video.filter(
        "setparams", range="limited", colorspace="bt709", color_primaries="bt709", color_trc="bt709"
    )


def _on_canvas(
    video: FilterableStream, facts: MediaFacts, cut: Cut | None
) -> tuple[FilterableStream, tuple[int, int]]:
    """The pictures with square pixels, cut and scaled to the canvas; with its (width, height)."""
    video = video.filter("scale", facts.width, facts.height, flags=SWS_FLAGS).filter("setsar", 1)
    if cut is None:
        return video, (facts.width, facts.height)
    size = (cut.out_width, cut.out_height)
    if (cut.x, cut.y, cut.width, cut.height) != (0, 0, facts.width, facts.height):
        video = video.filter("crop", cut.width, cut.height, cut.x, cut.y, exact=1)
    if (cut.width, cut.height) != size:
        # The mean of an area is no way to enlarge.
        kind = "area" if size[0] <= cut.width else "bicubic"
        video = video.filter("scale", *size, flags=SWS_FLAGS.replace("bilinear", kind))
    return video, size


def _canvas_output(
    video: FilterableStream, stored: FilterableStream, outputs: SideOutputs
) -> tuple[FilterableStream, list[OutputStream]]:
    """The pictures to go on with, and the output that writes the canvas, where one is asked for."""
    if outputs.canvas is None:
        return video, []
    url, quality = file_url(outputs.canvas), outputs.canvas_quality
    if quality == "copy":
        return video, [stored.output(url, format="mp4", vcodec="copy", **MP4_COPY)]
    branches = video.filter("format", "yuv420p").filter_multi_output("split")
    return branches[0], [branches[1].output(url, format="mp4", **encoder_options(quality), **MP4)]


def sample_pictures(
    path: str | Path,
    *,
    facts: MediaFacts,
    limit: int,
    side: int = 480,
    dense: bool = False,
    interval: tuple[float, float] | None = None,
    times: list[float] | None = None,
) -> list[UInt8]:
    """A few pictures from all over a clip, (h, w, 3) RGB, at most `side` pixels long: to see who is in it.

    Decodes at most `limit` of the pictures that are stored whole (keyframes), evenly chosen: cheap, but a clip may
    have only one. dense: decodes every picture and keeps `limit` of them, evenly spaced. interval: only from this
    part of the file (start, stop in seconds); if it holds fewer than two keyframes, every picture of it is decoded.
    times: takes the seconds of each picture from the file's first one, nan where the file does not say.
    Raises BadMedia(DECODE_ERROR).
    """
    import av

    scale = min(1.0, side / max(facts.width, facts.height))
    turned = facts.rotation in (90, 270)
    shown = (facts.height, facts.width) if turned else (facts.width, facts.height)
    width, height = (max(2, round(length * scale)) for length in shown)
    pictures: list[UInt8] = []
    try:
        with ExitStack() as stack:
            box = stack.enter_context(open_container(path))
            stream = video_stream(box, facts.reading)
            begin, end = _bounds(facts.reading.origin, interval)
            total = facts.n_frames
            if interval is not None:
                total = min(total, max(1, round((interval[1] - interval[0]) * facts.fps)))
            if not dense:
                total = sum(
                    1 for packet in _between(box, stream, begin, end) if packet.is_keyframe and packet.size
                )
                if interval is not None and total < 2:
                    return sample_pictures(
                        path, facts=facts, limit=limit, side=side, dense=True, interval=interval, times=times
                    )
                try:
                    box.seek(0)
                except av.FFmpegError:  # FLV without an index: from the beginning, by opening it again
                    box = stack.enter_context(open_container(path))
                    stream = video_stream(box, facts.reading)
                stream.codec_context.skip_frame = "NONKEY"
            step, seen = max(1, -(-total // limit)), 0
            for packet in _between(box, stream, begin, end, whole_groups=dense):
                if not dense and packet.size:
                    if not packet.is_keyframe:
                        continue
                    seen += 1
                    if (seen - 1) % step:
                        continue
                for frame in _decoded(packet):
                    if interval is not None and not (frame.time is None or begin <= frame.time < end):
                        continue
                    seen += dense
                    if dense and (seen - 1) % step:
                        continue
                    small = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
                    upright = small.to_ndarray()[:, :: -1 if facts.reading.mirrored else 1]
                    upright = np.rot90(upright, -facts.rotation // 90)
                    pictures.append(np.ascontiguousarray(upright, np.uint8))
                    if times is not None:
                        times.append(math.nan if frame.time is None else frame.time - facts.reading.origin)
    except av.FFmpegError as error:
        if not pictures:
            raise BadMedia(Reason.DECODE_ERROR, f"no picture could be decoded: {error.strerror}") from error
    return pictures


def video_stream(box: InputContainer, reading: Reading) -> VideoStream:
    """The stream whose pictures are read, to be decoded by one thread."""
    from av.video.stream import VideoStream

    stream = box.streams[reading.video]
    assert isinstance(stream, VideoStream), "the probe chose a video stream of this same file"
    stream.codec_context.thread_count = 1
    return stream


def _decoded(packet: Packet[VideoStream]) -> Iterator[VideoFrame]:
    """The pictures that a packet gives; none where it is damaged: the main pass tells of that."""
    import av

    with suppress(av.FFmpegError):
        yield from packet.decode()


def _bounds(origin: float, interval: tuple[float, float] | None) -> tuple[float, float]:
    """Time stamps [begin, end) of an interval; without one, from minus to plus infinity."""
    if interval is None:
        return -np.inf, np.inf
    return origin + interval[0], origin + interval[1]


def _between(
    box: InputContainer, stream: VideoStream, begin: float, end: float, *, whole_groups: bool = False
) -> Iterator[Packet[VideoStream]]:
    """The stream's packets with time stamps in [begin, end), then the packet that flushes the decoder.

    whole_groups: also those before, back to a keyframe, which a decoder needs.
    """
    if begin > -np.inf:
        box.seek(max(0, int(begin / time_base(stream))), stream=stream)
    for packet in box.demux(stream):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            yield packet
            continue
        time = float(stamp * time_base(stream))
        if packet.dts is not None and float(packet.dts * time_base(stream)) >= end:
            break
        if whole_groups or begin <= time < end:
            yield packet


_PIPE = 1 << 20
"""Bytes: the most that Linux allows everyone."""


def _pictures(
    command: Sequence[str], size: tuple[int, ...], file: Path, messages: list[str] | None, limit: _Limits
) -> Iterator[UInt8]:
    """The raw pictures that ffmpeg writes to its stdout, each an array of shape `size`."""
    # Read as many at a time as the pipe holds, while ffmpeg decodes the next ones. Read one by one, each picture would
    # cost several switches between ffmpeg's threads and this one, which on one core evict each other's caches.
    buffer = np.empty((max(1, _PIPE // int(np.prod(size))), *size), np.uint8)
    before = work_of_children()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        )
        assert process.stdout is not None
        _widen(process.stdout)
        patience = Patience(process)
        try:
            count, total = len(buffer), 0
            while count == len(buffer):
                count = _fill(process.stdout, buffer.data.cast("B"), patience) // buffer[0].nbytes
                yield from buffer[:count]
                total += count
                if limit.pictures is not None and total > limit.pictures:
                    found = f"{total} frames and no end; the stamps promise fewer than {limit.pictures}"
                    raise BadMedia(Reason.ENDLESS, found)
            code = patience.until_ended()
        finally:
            # Left early by the caller, or by an error: the child must not outlive the generator.
            process.stdout.close()
            end(process)
        lines = error_lines(errors, file)
        changes = [line for line in lines if line.startswith(PICTURES_CHANGE)]
        lines = [line for line in lines if line not in changes]
        if messages is not None:
            messages += lines + changes[:1]
        # At its limit ffmpeg ends as if someone had stopped it.
        if code != 0 and work_of_children() - before > limit.work - 1:
            raise BadMedia(
                Reason.ENDLESS, f"ffmpeg made {total} frames and no more, with all the work they are worth"
            )
        check_stopped(code, file)
        if code != 0:
            raise BadMedia(Reason.DECODE_ERROR, lines[-1] if lines else f"ffmpeg ended with code {code}")


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold `_PIPE` bytes, where the system can (Linux); 64 kB are usual."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def _fill(pipe: IO[bytes], view: memoryview, patience: Patience) -> int:
    """Fill `view` from the pipe, or as much of it as there is before the end; returns the number of bytes."""
    filled = 0
    while filled < len(view):
        patience.until_readable(pipe)
        count = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            break
        filled += count
    return filled
