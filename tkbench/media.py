"""Files in and out: the only module that runs ffmpeg or opens a container.

Decoding and encoding are done by one pinned ffmpeg (imageio-ffmpeg's binary, or TKBENCH_FFMPEG), so that
everyone has the same pixels; PyAV reads headers and packet times. What is fixed here moves scores, and
`stack()` names it:

* Time. Frame n of the result is the source picture that is nearest to n/25 s after the first one: of all
  pictures whose time, rounded to the 25 fps grid, is at most n, the last (`resample_indices`). Sample 0 of
  the sound is the instant of the first frame; the start offset of the streams is kept, never "synchronised"
  away.
* Colour. RGB <-> YUV by swscale with accurate rounding and full chroma interpolation. A stream's own matrix
  and range tags count; an untagged stream is BT.601, limited range. What is written here is BT.709, limited,
  and says so.
* Size. Pictures come as a player shows them: turned by the rotation flag, with square pixels.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from tkbench.errors import BadInput, BadMedia, Stopped, UsageError
from tkbench.types import FPS, SAMPLE_RATE, Array, Float32, MediaFacts, Reason, UInt8

Quality = Literal["lossless"] | int

SWS_FLAGS = "bilinear+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
"""Set on every conversion of size or colour."""

# Demuxers that may open a file. Playlists, image patterns, subtitles and text "videos" are not among them:
# they follow names to other files, or find a picture in any text.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,flv,asf,ogg,nut,ivf,mxf,dv,rm,"
    "wav,flac,mp3,aac,w64"
)
_ANCHORED = {".mp4": "mp4", ".mov": "mov", ".avi": "avi", ".mkv": "matroska", ".mpg": "mpeg", ".webm": "webm"}


def ffmpeg_exe() -> str:
    """The ffmpeg that does all the work: TKBENCH_FFMPEG, otherwise the binary of the imageio-ffmpeg wheel."""
    chosen = os.environ.get("TKBENCH_FFMPEG")
    if chosen:
        if not Path(chosen).is_file():
            raise UsageError(f"TKBENCH_FFMPEG={chosen!r} is not a file; unset it to use the bundled ffmpeg")
        return chosen
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


@lru_cache(maxsize=4)
def _ffmpeg_version(exe: str) -> str:
    said = subprocess.run([exe, "-version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]


def stack() -> dict[str, str]:
    """Versions of everything that decides what a pixel or sample is, for signatures and bundles."""
    from importlib.metadata import version

    import cv2

    packages = {name: version(name) for name in ("av", "mediapipe", "numpy")}
    return {"ffmpeg": _ffmpeg_version(ffmpeg_exe()), "opencv": str(cv2.__version__), **packages}


def resample_indices(times: Array, fps: float = FPS, *, end: float | None = None) -> Array:
    """Which source picture each output frame shows; the law that the `fps` filter of ffmpeg follows.

    times: (N,) seconds, rising, with the first at any value. end: when the last picture ends, by default one
    usual step after it began -> (M,) int64 indices, where M is the length of the clip in output frames,
    rounded.

    >>> resample_indices(np.arange(6) / 30).tolist()
    [0, 1, 2, 4, 5]
    """
    times = np.asarray(times, np.float64)
    if end is None:
        end = float(times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 1 / fps))
    slots = np.floor((times - times[0]) * fps + 0.5).astype(np.int64)
    length = int(np.floor((end - times[0]) * fps + 0.5))
    return np.searchsorted(slots, np.arange(length), side="right") - 1


# -- what a file says of itself ------------------------------------------------------------------------------


def probe(path: str | Path) -> MediaFacts:
    """The facts of a media file, from its headers, its packet times and the flags of its first picture.

    Raises BadMedia with a Reason: MISSING_FILE, EMPTY_FILE, UNREADABLE, NOT_A_VIDEO, NO_VIDEO, TRUNCATED or
    DECODE_ERROR. A file without sound is no error here: `sample_rate` is None.
    """
    import av

    file = Path(path)
    _check_file(file)
    try:
        with _open(file) as box:
            return _facts(box, file)
    except (av.FFmpegError, ValueError, UnicodeError) as error:
        if isinstance(error, BadMedia):
            raise
        raise _unopenable(file) from error


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a container says; nothing is counted and no picture decoded."""

    width: int
    """Pixels as stored: a rotation flag is not looked at."""
    height: int
    seconds: float | None
    sound: bool


def _open(path: str | Path) -> Any:
    """The container, for `with`: of a known format, and whatever its tags are written in."""
    import av

    return av.open(str(Path(path).absolute()), options={"format_whitelist": FORMATS}, **_any_tags())


@lru_cache(maxsize=1)
def _any_tags() -> dict[str, str]:
    """PyAV before 19 has to be told that tags need not be UTF-8."""
    from importlib.metadata import version

    return {"metadata_errors": "replace"} if int(version("av").split(".")[0]) < 19 else {}


def peek(path: str | Path) -> Header:
    """The header of a media file, in milliseconds whatever its length. Raises BadMedia as `probe` does."""
    import av

    file = Path(path)
    _check_file(file)
    try:
        with _open(file) as box:
            if not box.streams.video:
                raise BadMedia(Reason.NO_VIDEO, "the file has no video stream")
            video = box.streams.video[0]
            seconds = float(video.duration * video.time_base) if video.duration else None
            if seconds is None and box.duration:
                seconds = box.duration / 1_000_000
            context = video.codec_context
            return Header(context.width, context.height, seconds, bool(box.streams.audio))
    except (av.FFmpegError, ValueError, UnicodeError) as error:
        if isinstance(error, BadMedia):
            raise
        raise _unopenable(file) from error


def _check_file(file: Path) -> None:
    try:
        size = file.stat().st_size
        with file.open("rb"):
            pass
    except FileNotFoundError as error:
        raise BadMedia(Reason.MISSING_FILE, "the file is not there") from error
    except OSError as error:
        raise BadMedia(Reason.UNREADABLE, f"cannot be opened: {error.strerror or error}") from error
    if size == 0:
        raise BadMedia(Reason.EMPTY_FILE, "the file has no bytes")


def _unopenable(file: Path) -> BadMedia:
    """Tell a cut mp4 (its index was still to come) from a file that never was a video."""
    if _mp4_is_cut(file):
        return BadMedia(Reason.TRUNCATED, "an mp4 without a whole index (moov): cut off, or never finished")
    return BadMedia(Reason.NOT_A_VIDEO, f"no known container in {file.stat().st_size} bytes")


def _mp4_is_cut(file: Path) -> bool:
    """True for a file that begins like an mp4 and has no complete `moov` atom."""
    size, place = file.stat().st_size, 0
    with file.open("rb") as stream:
        while place + 8 <= size:
            stream.seek(place)
            head = stream.read(16)
            length, name = int.from_bytes(head[:4], "big"), head[4:8]
            if place == 0 and name != b"ftyp":
                return False
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0 or length < 8 or place + length > size:
                return True
            if name == b"moov":
                return False
            place += length
    return place > 0


def _facts(box: Any, file: Path) -> MediaFacts:
    import av

    if not box.streams.video:
        if _mp4_is_cut(file):
            raise _unopenable(file)
        raise BadMedia(Reason.NO_VIDEO, "the file has no video stream")
    video = box.streams.video[0]
    audio = box.streams.audio[0] if box.streams.audio else None
    video.codec_context.thread_count = 1
    turn, times, packets, sound_start, sound_end = None, [], 0, None, 0.0
    # As two whole numbers: the quotient is rounded as a Fraction's is, at a fifth of the cost per packet.
    ticks = {
        stream.index: (stream.time_base.numerator, stream.time_base.denominator)
        for stream in (video, audio)
        if stream is not None
    }
    try:
        for packet in box.demux([stream for stream in (video, audio) if stream is not None]):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.size == 0:
                continue
            up, down = ticks[packet.stream_index]
            if packet.stream_index == video.index:
                packets += 1
                if turn is None:
                    for frame in packet.decode():
                        turn = -round(getattr(frame, "rotation", 0) / 90) * 90 % 360
                        break
                if stamp is not None and not getattr(packet, "is_discard", False):
                    times.append(stamp * up / down)
            elif stamp is not None:
                start = stamp * up / down
                if sound_start is None:
                    # Decoded, because a packet's time still counts the encoder's priming samples.
                    sound_start = next(
                        (float(frame.time) for frame in packet.decode() if frame.time is not None), None
                    )
                sound_end = max(sound_end, start + (packet.duration or 0) * up / down)
    except av.FFmpegError as error:
        raise BadMedia(Reason.DECODE_ERROR, f"packet {packets}: {error}") from error
    if not times:
        raise BadMedia(
            Reason.NO_VIDEO if not packets else Reason.DECODE_ERROR, "the video stream holds no picture"
        )
    _check_length(box, file, video, packets, times)
    context = video.codec_context
    # Packets come in decoding order, and stamps may be missing or double in old containers; B-pictures sort.
    stamps = np.unique(np.asarray(times))
    step = float(np.median(np.diff(stamps))) if len(stamps) > 1 else float(1 / (video.average_rate or FPS))
    duration = float(stamps[-1] - stamps[0]) + step
    steps = np.diff(stamps)
    uneven = bool(len(steps) > 2 and np.abs(steps - step).max() > max(0.0021, 0.05 * step))
    n_frames = len(stamps) if len(stamps) > packets // 2 else packets
    rate = n_frames / duration
    if video.average_rate and abs(float(video.average_rate) / rate - 1) < 0.005:
        rate = float(video.average_rate)  # time stamps in whole milliseconds hide that 30 is 30
    width, height = context.width, context.height
    aspect = video.sample_aspect_ratio
    if aspect and aspect > 0 and aspect != 1:
        width = max(2, round(width * float(aspect) / 2) * 2)
    if turn in (90, 270):
        width, height = height, width
    if sound_start is None:
        audio = None  # a declared stream that gives no sample is no sound
    first = _first_time(box, video, default=float(stamps[0]))
    return MediaFacts(
        width=width,
        height=height,
        rotation=turn or 0,
        fps=round(rate, 6),
        vfr=uneven,
        n_frames=n_frames,
        duration=round(duration, 6),
        video_codec=context.name,
        pix_fmt=str(context.pix_fmt),
        start_offset=round(sound_start - first, 6) if sound_start is not None else 0.0,
        sample_rate=audio.rate if audio is not None else None,
        channels=audio.channels if audio is not None else None,
        audio_codec=audio.codec_context.name if audio is not None else None,
        audio_duration=round(sound_end - sound_start, 6) if sound_start is not None else None,
    )


def _check_length(box: Any, file: Path, video: Any, packets: int, times: Sequence[float]) -> None:
    """Refuse a file whose header promises clearly more than its packets hold."""
    promised = video.frames or 0
    if promised - packets > max(2, promised // 100):
        raise BadMedia(Reason.TRUNCATED, f"{packets} of {promised} pictures are in the file")
    if box.format.name.split(",")[0] in ("matroska", "flv") and box.duration:
        # What the header tells is the last time stamp, and a recording may begin at another than 0.
        told, there = box.duration / 1e6, max(times) - min(0.0, min(times))
        if told - there > max(1.0, 0.1 * told):
            raise BadMedia(Reason.TRUNCATED, f"{there:.1f} s of the {told:.1f} s that the header tells")
    if box.format.name == "mpeg":
        _check_last_packet(file)


def _check_last_packet(file: Path) -> None:
    """Refuse an MPEG program stream that ends inside a packet; it has no header that counts pictures."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        start = stream.seek(max(0, size - (1 << 17)))
        tail = stream.read()
    # Start codes of packets; those inside a picture are below 0xB9. Two bytes of length follow.
    packets = [found.start() for found in re.finditer(rb"\x00\x00\x01[\xbd-\xef]", tail)]
    if packets and packets[-1] + 6 <= len(tail):
        length = int.from_bytes(tail[packets[-1] + 4 : packets[-1] + 6], "big")
        lacking = start + packets[-1] + 6 + length - size
        if lacking > 0:
            raise BadMedia(Reason.TRUNCATED, f"the last packet lacks {lacking} of its {length} bytes")


# -- reading -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """A window of the shown picture and the size it is brought to, in pixels; all even."""

    x: int
    y: int
    width: int
    height: int
    out_width: int
    out_height: int


def read_video(source: str | Path | bytes, *, fps: int = FPS) -> UInt8:
    """A whole clip as (T, H, W, 3) uint8 RGB, resampled to `fps` by time stamps; bytes are an mp4 in memory.

    For short clips and shard members: all frames are held at once. Raises BadMedia.
    """
    with _as_file(source, ".mp4") as path:
        facts = probe(path)
        # A clip that lacks pictures at its end is refused by `stream`; so the array is filled as frames come.
        return _stack(stream_frames(path, facts=facts, fps=fps), facts)


def _stack(frames: Iterable[UInt8], facts: MediaFacts) -> UInt8:
    expected = max(1, int(facts.duration * FPS) + 2)
    whole = np.empty((expected, facts.height, facts.width, 3), np.uint8)
    count = 0
    for frame in frames:
        if count == len(whole):
            whole = np.concatenate([whole, np.empty_like(whole)])
        whole[count] = frame
        count += 1
    return whole[:count]


class Planes(NamedTuple):
    """A picture as it is stored in a canvas."""

    yuv: UInt8
    """(H * 3 // 2, W) planar YUV 4:2:0, chroma in the middle of its four pixels."""
    matrix: tuple[float, float]
    """Shares of red and blue in the brightness: what tells BT.601 from BT.709."""
    full: bool
    """Brightness fills 0-255; otherwise 16-235."""


_BRIGHTNESS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""H.273 matrix coefficients; all others are BT.601's, as ffmpeg takes them."""


def read_planes(canvas: bytes) -> Iterator[Planes]:
    """The pictures of a canvas one by one, decoded in this process and not turned into RGB.

    For loaders: it starts no ffmpeg and spares the colours of what a crop leaves out, and is several times as
    fast as `read_video`. Only for the canvases of shards, which have 25 even frames a second from 0 on. Raises
    BadMedia(DECODE_ERROR).
    """
    import av

    try:
        with av.open(io.BytesIO(canvas), format="mp4", **_any_tags()) as box:
            stream = box.streams.video[0]
            stream.thread_count = 1
            for frame in box.decode(stream):
                kept = frame.format.name in ("yuv420p", "yuvj420p")
                yuv = frame.to_ndarray() if kept else frame.to_ndarray(format="yuv420p")
                matrix = _BRIGHTNESS.get(int(frame.colorspace), (0.299, 0.114))
                yield Planes(yuv, matrix, int(frame.color_range) == 2)
    except (av.FFmpegError, IndexError) as error:
        raise BadMedia(Reason.DECODE_ERROR, f"the canvas cannot be decoded ({error})") from error


def read_audio(
    source: str | Path | bytes, *, rate: int = SAMPLE_RATE, interval: tuple[float, float] | None = None
) -> Float32:
    """The sound as (S,) float32 mono in [-1, 1), with sample 0 at the first video frame (if there is video).

    interval: only this part, see `stream_frames`. Gaps in the sound's time stamps are filled with silence.
    Raises BadMedia (NO_AUDIO where there is none).
    """
    with _as_file(source, ".bin") as path:
        offset = _sound_origin(path)
        part = None if interval is None else _part_of(path, interval)
        sound = _ffmpeg().input(_url(path), **_INPUT)
        out = _sound_filter(sound, offset, rate, part).output("pipe:", format="s16le", **_BITEXACT)
        done = _finish(out.compile(cmd=ffmpeg_exe()), Path(path))
    return np.frombuffer(done, "<i2").astype(np.float32) / 32768.0


def _sound_origin(path: Path) -> float:
    """Absolute time stamp of the first frame in seconds (of the first sample, in a file without video)."""
    import av

    _check_file(path)
    try:
        with _open(path) as box:
            if not box.streams.audio:
                raise BadMedia(Reason.NO_AUDIO, "the file has no audio stream")
            stream = box.streams.video[0] if box.streams.video else box.streams.audio[0]
            return _first_time(box, stream)
    except av.FFmpegError as error:
        raise _unopenable(path) from error


def _first_time(box: Any, stream: Any, default: float | None = None) -> float:
    """Time stamp of a stream's first picture or sample as ffmpeg will give it, in seconds."""
    if stream.start_time is not None:
        return float(stream.start_time * stream.time_base)
    if default is not None:
        return default
    stamps = [
        packet.pts
        for packet, _ in zip(box.demux(stream), range(64), strict=False)
        if packet.pts is not None and not packet.is_discard
    ]
    return float(min(stamps) * stream.time_base) if stamps else 0.0


def stream_frames(
    path: str | Path,
    *,
    facts: MediaFacts,
    fps: int | None = FPS,
    cut: Cut | None = None,
    picture: tuple[int, int] | None = None,
    pixels: Literal["rgb24", "yuv420p"] = "rgb24",
    keyframes: bool = False,
    seconds: float | None = None,
    interval: tuple[float, float] | None = None,
    canvas: Path | None = None,
    canvas_quality: Quality | Literal["copy"] = "lossless",
    sound: Path | None = None,
    said: list[str] | None = None,
) -> Iterator[UInt8]:
    """Decode a file once and yield its pictures one by one; memory does not grow with its length.

    Yields (H, W, 3) RGB, or (H * 3 // 2, W) planar YUV 4:2:0, valid until the next one is asked for.
    fps: None keeps the source's pictures as they come. cut: the canvas. picture: (width, height) of what is
    yielded, if that is not the canvas. keyframes, seconds: only pictures that stand alone, only the first
    seconds. interval: (start, stop) in seconds after the first picture, each taken to the nearest frame of the
    25 fps grid: the pictures are those that the whole file has from `round(start * 25)` on, found by a seek
    where that is safe; not with fps None or canvas_quality "copy". canvas: a file that gets the canvas on the
    way, by `canvas_quality` ("copy" moves the packets unchanged). sound: a file that gets raw 16-bit
    little-endian mono at 16 kHz, from the first frame on.
    said: gets the lines that ffmpeg wrote about damage.

    Raises BadMedia(DECODE_ERROR) where ffmpeg fails, after the pictures that could be decoded.
    """
    file = Path(path)
    part = None if interval is None else _part_of(file, interval)
    if part is not None and (fps != FPS or canvas_quality == "copy"):
        raise BadInput(f"{file.name}: an interval is cut at {FPS} fps and never copied")
    source = {
        **_INPUT,
        **({"skip_frame": "nokey"} if keyframes else {}),
        **({"t": seconds} if seconds else {}),
        **_seeking(part),
    }
    fed = _ffmpeg().input(_url(file), **source)
    video = fed["v:0"]
    if part is not None:
        # Rounded: setpts cuts fractions off, and a tick less could be another frame.
        video = video.filter("setpts", f"round(PTS-{part.origin:.9f}/TB)").filter("fps", FPS, round="near")
        video = video.filter("trim", start_pts=part.first, end_pts=part.last).filter("setpts", "N")
    elif fps is not None:
        video = video.filter("setpts", "PTS-STARTPTS").filter("fps", fps, round="near")
    video = video.filter("scale", facts.width, facts.height, flags=SWS_FLAGS).filter("setsar", 1)
    shape = (facts.width, facts.height)
    if cut is not None:
        shape = (cut.out_width, cut.out_height)
        if (cut.x, cut.y, cut.width, cut.height) != (0, 0, facts.width, facts.height):
            video = video.filter("crop", cut.width, cut.height, cut.x, cut.y, exact=1)
        if (cut.width, cut.height) != shape:
            # The mean of an area is no way to enlarge.
            kind = "area" if shape[0] <= cut.width else "bicubic"
            video = video.filter("scale", *shape, flags=SWS_FLAGS.replace("bilinear", kind))
    outputs = []
    if canvas is not None and canvas_quality != "copy":
        branches = video.filter("format", "yuv420p").filter_multi_output("split")
        video = branches[0]
        outputs.append(branches[1].output(_url(canvas), format="mp4", **_codec(canvas_quality), **_MP4))
    elif canvas is not None:
        outputs.append(fed["v:0"].output(_url(canvas), format="mp4", vcodec="copy", **_MP4_COPY))
    if picture is not None and picture != shape:
        video, shape = video.filter("scale", *picture, flags="bilinear+bitexact"), picture
    if pixels == "rgb24":
        # Only a filter of our own carries our flags; one that ffmpeg puts in by itself would not.
        video = video.filter("scale", flags=SWS_FLAGS, out_range="full")
    raw = {"format": "rawvideo", "pix_fmt": pixels, "fps_mode": "passthrough", **_BITEXACT}
    outputs.insert(0, video.output("pipe:", **raw))
    if sound is not None:
        # From the file's beginning, which costs little without its pictures: after a seek, the resampler would
        # stand elsewhere, and the time stamps of Matroska are whole milliseconds.
        heard = _ffmpeg().input(_url(file), **_INPUT) if _seeking(part) else fed
        outputs.append(
            _sound_filter(heard, _first_stamp(file), SAMPLE_RATE, part).output(
                _url(sound), format="s16le", **_BITEXACT
            )
        )
    graph = outputs[0] if len(outputs) == 1 else _ffmpeg().merge_outputs(*outputs)
    command = graph.global_args(*_GLOBAL).compile(cmd=ffmpeg_exe(), overwrite_output=True)
    size = (shape[1], shape[0], 3) if pixels == "rgb24" else (shape[1] * 3 // 2, shape[0])
    yield from _pictures(command, size, file, said)


@dataclass(frozen=True, slots=True)
class _Part:
    """An interval of a file on the 25 fps grid, and where ffmpeg may begin to read for it."""

    origin: float
    """Time stamp of the file's first picture, seconds."""
    first: int
    last: int
    """Frames [first, last) counted from the file's first picture."""
    seek: float
    """Seconds for ffmpeg's -ss; 0 reads from the beginning."""


def frames_of(interval: tuple[float, float]) -> tuple[int, int]:
    """Frames [first, last) of the 25 fps grid that an interval in seconds means.

    >>> frames_of((30.0, 60.0)), frames_of((0.05, 0.5))
    ((750, 1500), (1, 13))
    """
    first, last = (int(np.floor(second * FPS + 0.5 + 1e-6)) for second in interval)
    if not 0 <= first < last:
        raise BadInput(f"interval {interval[0]:g}-{interval[1]:g} s does not hold one frame")
    return first, last


# Containers whose index makes a seek exact; others are read from the beginning.
_SEEKABLE = frozenset({"mov", "matroska"})


def _part_of(path: Path, interval: tuple[float, float]) -> _Part:
    """Where an interval lies in a file, and a place before it from which decoding gives the same pictures.

    The picture on the screen at `first` may have appeared long before (a held picture of variable rate): its
    time is found among the packets, so that decoding begins no later.
    """
    import av

    first, last = frames_of(interval)
    _check_file(path)
    try:
        with _open(path) as box:
            if not box.streams.video:
                stream = box.streams.audio[0]
                return _Part(_first_time(box, stream), first, last, 0.0)
            stream = box.streams.video[0]
            origin = _first_time(box, stream)
            target = origin + first / FPS
            if box.format.name.split(",")[0] not in _SEEKABLE or first < 2 * FPS:
                return _Part(origin, first, last, 0.0)
            box.seek(int(target / stream.time_base), stream=stream)
            shown: float | None = None
            for packet in box.demux(stream):
                if packet.pts is None:
                    if packet.size:
                        return _Part(origin, first, last, 0.0)
                    continue
                time = float(packet.pts * stream.time_base)
                if np.floor((time - origin) * FPS + 0.5) <= first and not packet.is_discard:
                    shown = time if shown is None else max(shown, time)
                # No packet is decoded after it is shown: later ones cannot come before the target. Matroska does
                # not say when packets are decoded; no codec shows one two seconds late.
                decoded = time - 2.0 if packet.dts is None else float(packet.dts * stream.time_base)
                if decoded > target + 1 / FPS:
                    break
            start = (box.start_time or 0) / 1_000_000
    except (av.FFmpegError, IndexError) as error:
        raise _unopenable(path) from error
    if shown is None:
        return _Part(origin, first, last, 0.0)
    # 20 ms earlier, so that rounding to microseconds never drops the picture itself.
    return _Part(origin, first, last, max(0.0, shown - 0.02 - start))


def _seeking(part: _Part | None) -> dict[str, str]:
    return {"ss": f"{part.seek:.6f}"} if part is not None and part.seek > 0 else {}


def look(
    path: str | Path,
    *,
    facts: MediaFacts,
    limit: int,
    side: int = 480,
    dense: bool = False,
    interval: tuple[float, float] | None = None,
) -> list[UInt8]:
    """A few pictures from all over a clip, (h, w, 3) RGB, at most `side` pixels long: to see who is in it.

    Decodes at most `limit` of the pictures that stand alone (keyframes), evenly chosen: cheap, but a clip may
    have only one. dense: decodes everything and keeps `limit` evenly spaced pictures. interval: only from this
    part of the file (start, stop in seconds); one that holds less than two keyframes is decoded. Raises
    BadMedia(DECODE_ERROR).
    """
    import av

    scale = min(1.0, side / max(facts.width, facts.height))
    turned = facts.rotation in (90, 270)
    shown = (facts.height, facts.width) if turned else (facts.width, facts.height)
    width, height = (max(2, round(length * scale)) for length in shown)
    pictures: list[UInt8] = []
    try:
        with _open(path) as box:
            stream = box.streams.video[0]
            stream.codec_context.thread_count = 1
            begin, end = _bounds(box, stream, interval)
            total = facts.n_frames
            if interval is not None:
                total = min(total, max(1, round((interval[1] - interval[0]) * facts.fps)))
            if not dense:
                total = sum(
                    1 for packet in _between(box, stream, begin, end) if packet.is_keyframe and packet.size
                )
                if interval is not None and total < 2:
                    return look(path, facts=facts, limit=limit, side=side, dense=True, interval=interval)
                box.seek(0)
                stream.codec_context.skip_frame = "NONKEY"
            step, seen = max(1, -(-total // limit)), 0
            for packet in _between(box, stream, begin, end, whole_groups=dense):
                if not dense and packet.size:
                    if not packet.is_keyframe:
                        continue
                    seen += 1
                    if (seen - 1) % step:
                        continue
                for frame in packet.decode():
                    if interval is not None and not (frame.time is None or begin <= frame.time < end):
                        continue
                    seen += dense
                    if dense and (seen - 1) % step:
                        continue
                    small = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
                    pictures.append(np.rot90(small.to_ndarray(), -facts.rotation // 90).copy())
    except av.FFmpegError as error:
        if not pictures:
            raise BadMedia(Reason.DECODE_ERROR, f"no picture could be decoded: {error}") from error
    return pictures


def _bounds(box: Any, stream: Any, interval: tuple[float, float] | None) -> tuple[float, float]:
    """Time stamps [begin, end) of an interval; all of time without one."""
    if interval is None:
        return -np.inf, np.inf
    origin = _first_time(box, stream)
    return origin + interval[0], origin + interval[1]


def _between(box: Any, stream: Any, begin: float, end: float, *, whole_groups: bool = False) -> Iterator[Any]:
    """The stream's packets with time stamps in [begin, end); the packet that flushes the decoder comes last.

    whole_groups: also those before, back to a keyframe, as a decoder needs.
    """
    if begin > -np.inf:
        box.seek(max(0, int(begin / stream.time_base)), stream=stream)
    for packet in box.demux(stream):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            yield packet
            continue
        time = float(stamp * stream.time_base)
        if packet.dts is not None and float(packet.dts * stream.time_base) >= end:
            break
        if whole_groups or begin <= time < end:
            yield packet


# What PyAV's numbers are called on ffmpeg's command line (ISO/IEC 23091-2).
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}
_RANGES = {1: "limited", 2: "full"}


def color_tags(path: str | Path) -> dict[str, str]:
    """Matrix and range of a stream as `encode_planes` takes them; only those that the stream states."""
    with _open(path) as box:
        context = box.streams.video[0].codec_context
        matrix, span = _MATRICES.get(int(context.colorspace)), _RANGES.get(int(context.color_range))
    return {name: tag for name, tag in (("colorspace", matrix), ("range", span)) if tag is not None}


def _first_stamp(path: Path) -> float:

    with _open(path) as box:
        return _first_time(box, box.streams.video[0])


_PIPE = 1 << 20
"""Bytes: the most that Linux allows everyone."""


def _pictures(
    command: Sequence[str], size: tuple[int, ...], file: Path, said: list[str] | None
) -> Iterator[UInt8]:
    # As many at a time as the pipe holds: ffmpeg makes the next ones meanwhile. One by one, each picture would be
    # several changes between ffmpeg's threads and this one, and on one core each finds its caches full of the
    # other's data.
    buffer = np.empty((max(1, _PIPE // int(np.prod(size))), *size), np.uint8)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        )
        assert process.stdout is not None
        _widen(process.stdout)
        try:
            count = len(buffer)
            while count == len(buffer):
                count = _fill(process.stdout, buffer.data.cast("B")) // buffer[0].nbytes
                yield from buffer[:count]
            code = process.wait()
        finally:
            # Left early by the caller, or by an error: the child must not outlive the generator.
            process.stdout.close()
            if process.poll() is None:
                process.kill()
                process.wait()
        lines = _said(errors, file)
        if said is not None:
            said += lines
        _check_stopped(code, file)
        if code != 0:
            raise BadMedia(Reason.DECODE_ERROR, lines[-1] if lines else f"ffmpeg ended with code {code}")


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold `_PIPE` bytes, where the system can (Linux); 64 kB are usual."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def _fill(pipe: IO[bytes], view: memoryview) -> int:
    """Fill `view` from the pipe; less only at its end. The number of bytes."""
    filled = 0
    while filled < len(view):
        count = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            break
        filled += count
    return filled


# -- writing -------------------------------------------------------------------------------------------------


def write_video(
    path: str | Path,
    frames: Iterable[UInt8],
    *,
    fps: float = FPS,
    audio: Array | None = None,
    sample_rate: int = SAMPLE_RATE,
    quality: Quality = "lossless",
    audio_codec: Literal["aac", "pcm"] = "aac",
    frame_times: Sequence[float] | None = None,
    rotation: int = 0,
    audio_offset: float = 0.0,
) -> None:
    """Write frames (H, W, 3) uint8 RGB, and sound, as H.264; the container follows the suffix (.mp4 .mov .mkv
    .avi).

    audio: (S,) or (S, channels), int16 or float in [-1, 1]. quality: "lossless" (every YUV value kept) or an
    x264 crf. frame_times: seconds of each frame, rising: a file of variable rate. rotation: clockwise degrees
    (0, 90, 180, 270) that players shall turn the pictures by. audio_offset: seconds by which the sound starts
    after the first frame; negative: before.

    The file appears under its name when it is complete, and its bytes are the same from run to run.
    Raises BadInput for frames of odd or changing size, UsageError for a suffix or setting that cannot be
    written.
    """
    file = Path(path).absolute()
    if file.suffix.lower() not in _ANCHORED:
        raise UsageError(f"{file.name}: cannot write {file.suffix or 'a file without suffix'}; use .mp4")
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise BadInput(f"{file.name}: no frame to write")
    height, width = _check_frame(first, first)
    if width % 2 or height % 2:
        raise BadInput(f"{file.name}: frames are {width}x{height}; H.264 in 4:2:0 needs even sides")
    if rotation % 90:
        raise UsageError(f"{file.name}: rotation {rotation} is not a multiple of 90 degrees")
    checked: Iterator[Any] = (_frame_bytes(frame, first) for frame in chain((first,), stream))
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".writing-") as folder:
        done = Path(folder) / f"out{file.suffix.lower()}"
        if frame_times is None:
            video = _ffmpeg().input(
                "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=_rate(fps)
            )
        else:
            video = _ffmpeg().input("pipe:", format="nut")
            checked = _timed(checked, frame_times, (width, height))
        video = video.video.filter(
            "scale", flags=SWS_FLAGS, in_range="full", out_range="limited", out_color_matrix="bt709"
        )
        video = video.filter("format", "yuv420p").filter(
            "setparams", range="limited", colorspace="bt709", color_primaries="bt709", color_trc="bt709"
        )
        inputs = [video]
        if audio is not None:
            inputs.append(_sound_input(audio, sample_rate, Path(folder) / "sound.raw", audio_offset))
        extra = {} if audio is None else {"acodec": "aac" if audio_codec == "aac" else "pcm_s16le"}
        if extra.get("acodec") == "aac":
            extra["b:a"] = "128k"
        timing = (
            {"fps_mode": "passthrough"}
            if frame_times is None
            else {"fps_mode": "vfr", "enc_time_base": "1:90000"}
        )
        muxer = _ANCHORED[file.suffix.lower()]
        options = {**_codec(quality), **(_MP4 if muxer in ("mp4", "mov") else _BITEXACT), **timing, **extra}
        if frame_times is not None:
            options["bf"] = 0
        _feed(_compile(_ffmpeg().output(*inputs, _url(done), format=muxer, **options)), checked, file)
        if rotation % 360:
            done = _turned(done, rotation, muxer)
        _sync(done)
        done.replace(file)


def _turned(path: Path, rotation: int, muxer: str) -> Path:
    """Copy the packets into a file whose header tells players to turn the picture."""
    out = path.with_name(f"turned{path.suffix}")
    fed = _ffmpeg().input(_url(path), display_rotation=-(rotation % 360))
    options = {"c": "copy", "map": "0", **(_MP4_COPY if muxer in ("mp4", "mov") else _BITEXACT)}
    _finish(_compile(fed.output(_url(out), format=muxer, **options)), path)
    return out


def _sound_input(audio: Array, rate: int, raw: Path, offset: float) -> Any:
    sound = np.asarray(audio)
    if sound.ndim not in (1, 2) or (sound.dtype != np.int16 and sound.dtype.kind != "f"):
        raise BadInput(
            f"audio is {sound.dtype} {sound.shape}, expected int16 or float, (S,) or (S, channels)"
        )
    raw.write_bytes(to_int16(sound).tobytes())
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    sound_in = _ffmpeg().input(_url(raw), format="s16le", ar=rate, ac=channels).audio
    return sound_in.filter("asetpts", f"PTS+({offset:.6f})/TB") if offset else sound_in


def to_int16(audio: Array) -> Array:
    """Sound as 16-bit samples; float in [-1, 1] is scaled by 32768, rounded and clipped."""
    if audio.dtype == np.int16:
        return audio.astype("<i2")
    return np.clip(np.rint(audio.astype(np.float64) * 32768.0), -32768, 32767).astype("<i2")


def write_flac(audio: Array, *, rate: int = SAMPLE_RATE) -> bytes:
    """(S,) sound as the bytes of a 16-bit FLAC file."""
    import io

    import soundfile

    out = io.BytesIO()
    soundfile.write(out, to_int16(np.asarray(audio)), rate, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def read_flac(data: bytes) -> Float32:
    """(S,) float32 from the bytes of a FLAC or WAV file, in process: what shards hold."""
    import io

    import soundfile

    sound, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=False)
    return np.asarray(sound, np.float32)


def write_wav(path: str | Path, audio: Array, *, rate: int = SAMPLE_RATE) -> None:
    """(S,) sound as a 16-bit WAV file."""
    import soundfile

    soundfile.write(str(path), to_int16(np.asarray(audio)), rate, format="WAV", subtype="PCM_16")


def encode_planes(
    path: Path, frames: Iterable[UInt8], *, size: tuple[int, int], quality: Quality, tags: Mapping[str, str]
) -> None:
    """Write planar YUV 4:2:0 frames (H * 3 // 2, W) to an mp4 at 25 fps without touching their values.

    tags: `color_range`, `colorspace` and the like, as ffmpeg names them, of the stream that the frames came
    from.
    """
    video = _ffmpeg().input("pipe:", format="rawvideo", pix_fmt="yuv420p", s=f"{size[0]}x{size[1]}", r=FPS)
    video = video.video.filter("setparams", **tags) if tags else video.video
    out = video.output(_url(path), format="mp4", fps_mode="passthrough", **_codec(quality), **_MP4)
    _feed(_compile(out), (np.ascontiguousarray(frame).data.cast("B") for frame in frames), path)


# -- ffmpeg --------------------------------------------------------------------------------------------------

_GLOBAL = (
    "-hide_banner",
    "-nostdin",
    "-loglevel",
    "error",
    "-filter_threads",
    "1",
    "-filter_complex_threads",
    "1",
)
# copyts: time stamps stay those of the file, so that the two streams keep their distance to each other.
_INPUT: dict[str, Any] = {
    "threads": 1,
    "format_whitelist": FORMATS,
    "protocol_whitelist": "file",
    "copyts": None,
}
_BITEXACT: dict[str, Any] = {
    "fflags": "+bitexact",
    "flags:v": "+bitexact",
    "flags:a": "+bitexact",
    "map_metadata": -1,
}
_MP4: dict[str, Any] = {**_BITEXACT, "movflags": "+faststart", "video_track_timescale": 90000, "threads": 1}
_MP4_COPY: dict[str, Any] = {"fflags": "+bitexact", "map_metadata": -1, "movflags": "+faststart"}


def _ffmpeg() -> Any:
    import ffmpeg

    return ffmpeg


def _codec(quality: Quality) -> dict[str, Any]:
    if quality == "lossless":
        return {"vcodec": "libx264", "preset": "ultrafast", "qp": 0}
    if isinstance(quality, int) and 0 < quality <= 51:
        return {"vcodec": "libx264", "preset": "veryfast", "crf": quality}
    raise UsageError(f"quality {quality!r} is neither 'lossless' nor an x264 crf from 1 to 51")


def _rate(fps: float) -> str:
    from fractions import Fraction

    exact = Fraction(fps).limit_denominator(1001)
    return f"{exact.numerator}/{exact.denominator}"


def _url(path: str | Path) -> str:
    """An absolute name behind `file:`, so that no dash, colon or blank in it means anything to ffmpeg."""
    return f"file:{Path(path).absolute()}"


def _sound_filter(fed: Any, origin: float, rate: int, part: _Part | None = None) -> Any:
    """The first audio stream as mono at `rate`, from `origin` (a time stamp in seconds) on, or the part of it."""
    if part is not None:
        origin += part.first / FPS
    sound = fed["a:0"].filter("asetpts", f"PTS-({origin:.9f})/TB")
    # async=1 with first_pts: silence where the sound starts late or has a gap, a cut where it starts early.
    sound = sound.filter("aresample", rate, **{"async": 1}, first_pts=0)
    sound = sound.filter("aformat", sample_fmts="s16", sample_rates=rate, channel_layouts="mono")
    if part is not None:
        sound = sound.filter("atrim", end_sample=(part.last - part.first) * rate // FPS)
    return sound


def _compile(graph: Any) -> list[str]:
    return list(graph.global_args(*_GLOBAL).compile(cmd=ffmpeg_exe(), overwrite_output=True))


def run(arguments: Sequence[str], name: str, *, stdin: Array | None = None) -> bytes:
    """Run ffmpeg with these arguments, `stdin` (any array's bytes) going in; its stdout.

    For what the rest of this file has no word for, such as the encoders that a published script happens to use.
    Raises BadMedia with the last line that ffmpeg wrote; `name` is how the file is called there.
    """
    command = [ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *arguments]
    data = b"" if stdin is None else np.ascontiguousarray(stdin).data.cast("B")
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode != 0:
        lines = _clean(done.stderr, Path(name))
        raise BadMedia(
            Reason.DECODE_ERROR, lines[-1] if lines else f"ffmpeg ended with code {done.returncode}"
        )
    return done.stdout


def _finish(command: Sequence[str], file: Path) -> bytes:
    """Run to the end; its stdout, or BadMedia with the last line that it wrote."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        lines = _clean(done.stderr, file)
        _check_stopped(done.returncode, file)
        raise BadMedia(
            Reason.DECODE_ERROR, lines[-1] if lines else f"ffmpeg ended with code {done.returncode}"
        )
    return done.stdout


def _feed(command: Sequence[str], chunks: Iterable[Any], file: Path) -> None:
    """Write chunks to the stdin of an encoder and wait for it."""
    command = [word for word in command if word != "-nostdin"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
        assert process.stdin is not None
        broken = False
        try:
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
            code = process.wait()
        except BrokenPipeError:
            # The encoder ended first; what it said is the true error.
            broken, code = True, process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()
        lines = _said(errors, file)
    _check_stopped(code, file)
    if code != 0 or broken:
        raise UsageError(
            f"{file.name}: could not be written: {lines[-1] if lines else f'ffmpeg code {code}'}"
        )


def _check_stopped(code: int, file: Path) -> None:
    """Raises Stopped where somebody ended ffmpeg: a batch system, Ctrl-C, the kernel out of memory. No word about
    the file then; a crash of its own (SIGSEGV, SIGABRT) is one.
    """
    # ffmpeg catches SIGINT and SIGTERM, closes its files and ends with 255.
    if -code in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP) or code == 255:
        how = f"signal {-code}" if code < 0 else "a signal"
        raise Stopped(f"{file.name}: ffmpeg was ended by {how} from outside; run it again")


def _said(errors: IO[bytes], file: Path) -> list[str]:
    errors.seek(0)
    return _clean(errors.read(1 << 20), file)


def _clean(text: bytes, file: Path) -> list[str]:
    """The lines of ffmpeg without addresses and folder names, which differ from run to run."""
    lines: list[str] = []
    for line in text.decode("utf-8", "replace").splitlines():
        short = re.sub(r"^\[([\w:/,.#]+)( [^\]]*)? @ 0x[0-9a-f]+\]", r"[\1]", line.strip())
        short = (
            re.sub(r" @ 0x[0-9a-f]+", "", short).replace(_url(file), file.name).replace(str(file), file.name)
        )
        if short and (not lines or lines[-1] != short):
            lines.append(short)
    return lines


def _check_frame(frame: UInt8, like: UInt8) -> tuple[int, int]:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != like.shape:
        raise BadInput(f"a frame is {frame.dtype} {frame.shape}, expected uint8 {(*like.shape[:2], 3)}")
    return frame.shape[0], frame.shape[1]


def _frame_bytes(frame: UInt8, like: UInt8) -> memoryview:
    _check_frame(frame, like)
    return np.ascontiguousarray(frame).data.cast("B")


def _timed(chunks: Iterable[memoryview], times: Sequence[float], size: tuple[int, int]) -> Iterator[bytes]:
    """The frames as a NUT stream, the plainest container whose raw pictures carry time stamps."""
    import io
    from fractions import Fraction

    import av

    if any(late <= early for early, late in pairwise(times)):
        raise BadInput("frame_times must rise")
    sink = io.BytesIO()
    with av.open(sink, "w", format="nut") as box:
        stream = box.add_stream("rawvideo", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "rgb24"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 90000)
        for chunk, time in zip(chunks, times, strict=True):
            picture = np.frombuffer(chunk, np.uint8).reshape(size[1], size[0], 3)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
            for packet in stream.encode(frame):
                box.mux(packet)
            yield _drain(sink)
        for packet in stream.encode():
            box.mux(packet)
    yield _drain(sink)


def _drain(sink: Any) -> bytes:
    data = bytes(sink.getvalue())
    sink.seek(0)
    sink.truncate()
    return data


@contextmanager
def _as_file(source: str | Path | bytes, suffix: str) -> Iterator[Path]:
    """The path itself, or a temporary file with these bytes: an mp4 cannot be read from a pipe."""
    if not isinstance(source, bytes):
        yield Path(source)
        return
    with tempfile.TemporaryDirectory(prefix="tkbench-") as folder:
        path = Path(folder) / f"member{suffix}"
        path.write_bytes(source)
        yield path


def _sync(path: Path) -> None:
    """Push a file to the disk before it gets its name, so that a crash leaves all of it or nothing."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
