"""The facts of a file: headers and packet times, read by PyAV without decoding pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench.errors import BadMedia
from tkbench.media.ffmpeg import FORMATS
from tkbench.types import FPS, MediaFacts, Reason

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream


def probe(path: str | Path) -> MediaFacts:
    """The facts of a media file, from its headers, its packet times and the flags of its first picture.

    Raises BadMedia with a Reason: MISSING_FILE, EMPTY_FILE, UNREADABLE, NOT_A_VIDEO, NO_VIDEO, TRUNCATED or
    DECODE_ERROR. A file without sound is no error here: `sample_rate` is None.
    """
    import av

    file = Path(path)
    check_file(file)
    try:
        with open_container(file) as box:
            return _facts(box, file)
    except (av.FFmpegError, ValueError, UnicodeError) as error:
        if isinstance(error, BadMedia):
            raise
        raise unopenable(file) from error


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a container says; nothing is counted and no picture decoded."""

    width: int
    """Pixels as stored: a rotation flag is ignored."""
    height: int
    seconds: float | None
    sound: bool


def open_container(path: str | Path) -> InputContainer:
    """The container, for `with`: of a known format, with tags in any encoding."""
    import av

    return av.open(str(Path(path).absolute()), options={"format_whitelist": FORMATS}, **lenient_tags())


@lru_cache(maxsize=1)
def lenient_tags() -> dict[str, str]:
    """PyAV before 19 has to be told that tags need not be UTF-8."""
    from importlib.metadata import version

    return {"metadata_errors": "replace"} if int(version("av").split(".")[0]) < 19 else {}


def peek(path: str | Path) -> Header:
    """The header of a media file, in milliseconds whatever its length. Raises BadMedia as `probe` does."""
    import av

    file = Path(path)
    check_file(file)
    try:
        with open_container(file) as box:
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
        raise unopenable(file) from error


def check_file(file: Path) -> None:
    """Raises BadMedia (MISSING_FILE, UNREADABLE, EMPTY_FILE) for a path that holds no bytes to read."""
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


def unopenable(file: Path) -> BadMedia:
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


def _facts(box: InputContainer, file: Path) -> MediaFacts:
    import av

    if not box.streams.video:
        if _mp4_is_cut(file):
            raise unopenable(file)
        raise BadMedia(Reason.NO_VIDEO, "the file has no video stream")
    video = box.streams.video[0]
    audio = box.streams.audio[0] if box.streams.audio else None
    video.codec_context.thread_count = 1
    turn, times, packets, sound_start, sound_end = None, [], 0, None, 0.0
    # As two whole numbers: the quotient is rounded as a Fraction's is, at a fifth of the cost per packet.
    ticks = {
        stream.index: (time_base(stream).numerator, time_base(stream).denominator)
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
                    frames = (frame for frame in packet.decode() if isinstance(frame, av.AudioFrame))
                    sound_start = next((float(f.time) for f in frames if f.time is not None), None)
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
    first = first_time(box, video, default=float(stamps[0]))
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


def _check_length(
    box: InputContainer, file: Path, video: VideoStream, packets: int, times: Sequence[float]
) -> None:
    """Refuse a file whose header promises clearly more than its packets hold."""
    promised = video.frames or 0
    if promised - packets > max(2, promised // 100):
        raise BadMedia(Reason.TRUNCATED, f"{packets} of {promised} pictures are in the file")
    if box.format.name.split(",")[0] in ("matroska", "flv") and box.duration:
        # The header tells the last time stamp, and the first one need not be 0.
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


def sound_origin(path: Path) -> float:
    """Absolute time stamp of the first frame in seconds (of the first sample, in a file without video)."""
    import av

    check_file(path)
    try:
        with open_container(path) as box:
            if not box.streams.audio:
                raise BadMedia(Reason.NO_AUDIO, "the file has no audio stream")
            stream = box.streams.video[0] if box.streams.video else box.streams.audio[0]
            return first_time(box, stream)
    except av.FFmpegError as error:
        raise unopenable(path) from error


def time_base(stream: Stream) -> Fraction:
    """Seconds per tick of a stream's time stamps."""
    assert stream.time_base is not None, "every stream that is read from a file has one"
    return stream.time_base


def first_time(box: InputContainer, stream: Stream, default: float | None = None) -> float:
    """Time stamp of a stream's first picture or sample as ffmpeg will give it, in seconds."""
    if stream.start_time is not None:
        return float(stream.start_time * time_base(stream))
    if default is not None:
        return default
    stamps = [
        packet.pts
        for packet, _ in zip(box.demux(stream), range(64), strict=False)
        if packet.pts is not None and not packet.is_discard
    ]
    return float(min(stamps) * time_base(stream)) if stamps else 0.0


# What PyAV's numbers are called on ffmpeg's command line (ISO/IEC 23091-2).
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}


_RANGES = {1: "limited", 2: "full"}


def color_tags(path: str | Path) -> dict[str, str]:
    """Matrix and range of a stream as `encode_planes` takes them; only those that the stream states."""
    with open_container(path) as box:
        context = box.streams.video[0].codec_context
        matrix, span = _MATRICES.get(int(context.colorspace)), _RANGES.get(int(context.color_range))
    return {name: tag for name, tag in (("colorspace", matrix), ("range", span)) if tag is not None}


def first_picture_time(path: Path) -> float:
    """Time stamp of a file's first picture as ffmpeg will give it, in seconds."""
    with open_container(path) as box:
        return first_time(box, box.streams.video[0])
