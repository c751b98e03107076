"""The facts of a file: headers and packet times, read by PyAV without decoding pictures."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench.errors import BadMedia
from tkbench.media.clock import Stamps, check_leap, holds_of
from tkbench.media.ffmpeg import FORMATS
from tkbench.media.streams import choose_streams, orientation_of
from tkbench.types import FPS, Array, MediaFacts, Reading, Reason, Tracks

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


def probe(path: str | Path, *, tracks: Tracks | None = None) -> MediaFacts:
    """The facts of a media file, from its headers, its packet times and the flags of its first picture.

    tracks: which streams, where it shall not be those that a player would play. Raises BadMedia with a Reason:
    MISSING_FILE, NOT_A_FILE, EMPTY_FILE, UNREADABLE, NOT_A_VIDEO, NO_VIDEO, TOO_LARGE, TRUNCATED, CLOCK_RESTARTS or
    DECODE_ERROR. A file without sound is no error here: `sample_rate` is None.
    """
    import av

    file = Path(path)
    check_file(file)
    try:
        with open_container(file) as box:
            return _facts(box, file, tracks or Tracks())
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
            video, audio, _ = choose_streams(box, Tracks())
            seconds = float(video.duration * time_base(video)) if video.duration else None
            if seconds is None and box.duration:
                seconds = box.duration / 1_000_000
            context = video.codec_context
            return Header(context.width, context.height, seconds, audio is not None)
    except (av.FFmpegError, ValueError, UnicodeError) as error:
        if isinstance(error, BadMedia):
            raise
        raise unopenable(file) from error


def check_file(file: Path) -> None:
    """Raises BadMedia (MISSING_FILE, NOT_A_FILE, UNREADABLE, EMPTY_FILE) for a path that holds no bytes to read."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadMedia(Reason.NOT_A_FILE, f"{_kind_of(status.st_mode)}, not a regular file")
        size = status.st_size
        with file.open("rb"):
            pass
    except FileNotFoundError as error:
        raise BadMedia(Reason.MISSING_FILE, "the file is not there") from error
    except OSError as error:
        raise BadMedia(Reason.UNREADABLE, f"cannot be opened: {error.strerror or error}") from error
    if size == 0:
        raise BadMedia(Reason.EMPTY_FILE, "the file has no bytes")


def _kind_of(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a folder" if stat.S_ISDIR(mode) else "something else")


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


LARGEST = 1 << 26
"""Pixels of the largest picture that is read: 8192 x 8192."""
_HDR = {16: "pq", 18: "hlg"}
"""H.273 transfer characteristics of SMPTE ST 2084 and ARIB STD-B67."""


@dataclass(slots=True)
class _First:
    """The first picture that can be decoded, and what it says of the others."""

    time: float | None = None
    decoded: float | None = None
    turn: int = 0
    mirrored: bool = False
    interlaced: bool = False
    transfer: str | None = None

    @classmethod
    def of(cls, frame: VideoFrame) -> _First:
        tick = frame.time_base
        shown, decoded = (
            None if stamp is None or tick is None else float(stamp * tick) for stamp in (frame.pts, frame.dts)
        )
        turn, mirrored = orientation_of(frame)
        return cls(
            decoded if shown is None else shown,
            decoded,
            turn,
            mirrored,
            bool(frame.interlaced_frame),
            _HDR.get(int(frame.color_trc)),
        )


def _facts(box: InputContainer, file: Path, tracks: Tracks) -> MediaFacts:
    import av

    if not box.streams.video and _mp4_is_cut(file):
        raise unopenable(file)
    video, audio, notes = choose_streams(box, tracks)
    context = video.codec_context
    if context is None:
        raise BadMedia(Reason.DECODE_ERROR, "no decoder for the video stream")
    if context.width * context.height > LARGEST:
        raise BadMedia(Reason.TOO_LARGE, f"pictures of {context.width}x{context.height} pixels")
    context.thread_count = 1
    first: _First | None = None
    pictures, sounds, packets, kept, sound_start = Stamps(), Stamps(), 0, 0, None
    last_of_all = -np.inf
    total, most = 0, file.stat().st_size
    # AVI has no times of showing, only an order; what the demuxer makes up for pictures with a delay is not used.
    counted = box.format.name == "avi"
    makeshift: dict[float, float] = {}
    guessed = False
    # As two whole numbers: the quotient is rounded as a Fraction's is, at a fifth of the cost per packet.
    ticks = {
        stream.index: (time_base(stream).numerator, time_base(stream).denominator) for stream in box.streams
    }
    try:
        for packet in box.demux():
            if packet.size == 0:
                if first is None and packet.stream_index == video.index:
                    first = _first_of(packet)  # the decoder gives what it holds
                continue
            total += 1
            if total > most:
                raise BadMedia(Reason.ENDLESS, f"more packets than the file's {most} bytes can hold")
            up, down = ticks[packet.stream_index]
            shown = None if packet.pts is None else packet.pts * up / down
            decoded = None if packet.dts is None else packet.dts * up / down
            length = (packet.duration or 0) * up / down
            stamp = shown if shown is not None else decoded
            if stamp is not None:
                last_of_all = max(last_of_all, stamp)
            if packet.stream_index == video.index:
                packets += 1
                if counted and decoded is not None:
                    guessed |= shown is not None and shown != decoded
                    if shown is not None and first is None:
                        makeshift[shown] = decoded
                    shown = decoded
                if first is None:
                    first = _first_of(packet)
                kept += not packet.is_discard
                pictures.add(shown, decoded, length, kept=not packet.is_discard)
            elif audio is not None and packet.stream_index == audio.index:
                sounds.add(shown, decoded, length, kept=False)
                if sound_start is None and stamp is not None:
                    # Decoded, because a packet's time still counts the encoder's priming samples.
                    sound_start = _first_sound(packet)
    except av.FFmpegError as error:
        raise BadMedia(Reason.DECODE_ERROR, f"packet {packets}: {error.strerror}") from error
    if not pictures.shown:
        raise BadMedia(
            Reason.NO_VIDEO if not packets else Reason.DECODE_ERROR, "the video stream holds no picture"
        )
    if first is None:
        raise BadMedia(Reason.DECODE_ERROR, f"none of {packets} pictures could be decoded")
    _check_length(box, file, video, packets, pictures.shown, last_of_all)
    # Packets come in decoding order, and stamps may be missing or double in old containers; B-pictures sort.
    stamps = np.unique(np.asarray(pictures.shown))
    origin = first.time if first.time is not None else first_time(box, video, default=float(stamps[0]))
    shown_first = origin
    if counted:
        shown_first = origin if first.decoded is None else first.decoded
        origin = makeshift.get(origin, float(stamps[0]))
    lost = int(np.sum(stamps < origin - 1e-6))
    if 0 < lost < len(stamps):
        stamps = stamps[lost:]
        notes.append(f"{lost} picture{'s' if lost > 1 else ''} before the first keyframe cannot be decoded")
    step = float(np.median(np.diff(stamps))) if len(stamps) > 1 else float(1 / (video.average_rate or FPS))
    duration = float(stamps[-1] - stamps[0]) + step
    steps = np.diff(stamps)
    uneven = bool(len(steps) > 2 and np.abs(steps - step).max() > max(0.0021, 0.05 * step))
    n_frames = len(stamps) if len(stamps) > kept // 2 else kept - lost
    rate = n_frames / duration
    if video.average_rate and abs(float(video.average_rate) / rate - 1) < 0.005:
        rate = float(video.average_rate)  # time stamps in whole milliseconds hide that 30 is 30
    holds = holds_of(stamps)
    check_leap(sounds, float(stamps[-1]))
    width, height = context.width, context.height
    aspect = video.sample_aspect_ratio
    if aspect and aspect > 0 and aspect != 1:
        width = max(2, round(width * float(aspect) / 2) * 2)
        notes.append(
            f"its pixels are {aspect.numerator}:{aspect.denominator}, so {context.width}x{context.height} is shown as "
            f"{width}x{height}"
        )
    if first.turn in (90, 270):
        width, height = height, width
    if sound_start is None:
        audio = None  # a declared stream that gives no sample is no sound
    return MediaFacts(
        width=width,
        height=height,
        rotation=first.turn,
        fps=round(rate, 6),
        vfr=uneven,
        n_frames=n_frames,
        duration=round(duration, 6),
        video_codec=context.name,
        pix_fmt=str(context.pix_fmt),
        start_offset=round(sound_start - origin, 6) if sound_start is not None else 0.0,
        sample_rate=audio.rate if audio is not None else None,
        channels=audio.channels if audio is not None else None,
        audio_codec=audio.codec_context.name if audio is not None else None,
        audio_duration=round(sounds.end - sound_start, 6) if sound_start is not None else None,
        reading=Reading(
            video=video.index,
            audio=audio.index if audio is not None else None,
            origin=origin,
            first=shown_first,
            frames=_promised(stamps, step),
            holds=holds,
            mirrored=first.mirrored,
            interlaced=first.interlaced,
            guessed=guessed,
            edited=kept < packets,
            transfer=first.transfer,
            notes=tuple(notes),
        ),
    )


def _first_of(packet: Packet[Stream]) -> _First | None:
    """What the first picture says, if the decoder gives one for this packet; damage before it is passed over."""
    import av

    try:
        for frame in packet.decode():
            if isinstance(frame, av.VideoFrame):
                return _First.of(frame)
    except av.FFmpegError:
        pass
    return None


def _first_sound(packet: Packet[Stream]) -> float | None:
    """Time stamp of the first sample, if the decoder gives one for this packet."""
    import av

    try:
        frames = (frame for frame in packet.decode() if isinstance(frame, av.AudioFrame))
        return next((float(frame.time) for frame in frames if frame.time is not None), None)
    except av.FFmpegError:
        return None


def _promised(stamps: Array, step: float) -> int:
    """Frames at 25 a second from the first picture to the end of the last one."""
    return max(1, int(np.floor((float(stamps[-1] - stamps[0]) + step) * FPS + 0.5 + 1e-6)))


def _check_length(
    box: InputContainer,
    file: Path,
    video: VideoStream,
    packets: int,
    times: Sequence[float],
    last_of_all: float,
) -> None:
    """Refuse a file whose header promises clearly more than its packets hold."""
    promised, there = video.frames or 0, packets
    container = box.format.name.split(",")[0]
    if container == "avi":
        # An AVI counts pictures that only say "as before"; they have no packet, but a time.
        there = max(packets, round(max(times) / time_base(video)) + 1)
    if promised - there > max(2, promised // 100):
        raise BadMedia(Reason.TRUNCATED, f"{packets} of {promised} pictures are in the file")
    if container in ("matroska", "flv") and box.duration:
        # What the header tells is the last time stamp of all streams, and a recording may begin at another than 0.
        told, length = box.duration / 1e6, max(last_of_all, max(times)) - min(0.0, min(times))
        if told - length > max(1.0, 0.1 * told):
            raise BadMedia(Reason.TRUNCATED, f"{length:.1f} s of the {told:.1f} s that the header tells")
    if container == "mpeg":
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


def sound_reading(path: Path) -> Reading:
    """How the sound of a file is read: zero is the first picture, or the first sample of a file without pictures."""
    import av

    check_file(path)
    try:
        with open_container(path) as box:
            if not box.streams.audio:
                raise BadMedia(Reason.NO_AUDIO, "the file has no audio stream")
            try:
                choose_streams(box, Tracks())
            except BadMedia:
                stream = box.streams.audio[0]
                return Reading(audio=stream.index, origin=first_time(box, stream))
    except av.FFmpegError as error:
        raise unopenable(path) from error
    reading = probe(path).reading
    if reading.audio is None:
        raise BadMedia(Reason.NO_AUDIO, "the audio stream holds no sample")
    return reading


def time_base(stream: Stream) -> Fraction:
    """Seconds per tick of a stream's time stamps."""
    assert stream.time_base is not None, "every stream that is read from a file has one"
    # PyAV 19 has a type of its own for it.
    return Fraction(stream.time_base.numerator, stream.time_base.denominator)


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


def count_pictures(path: Path) -> int:
    """Pictures in the first video stream of a file, counted from its packets."""
    import av

    try:
        with open_container(path) as box:
            return sum(1 for packet in box.demux(box.streams.video[0]) if packet.size)
    except (av.FFmpegError, IndexError):
        return 0


def color_tags(path: str | Path, *, index: int | None = None) -> dict[str, str]:
    """Matrix and range of a stream as `encode_planes` takes them; only those that the stream states.

    index: of the stream in the file; None: the first video stream.
    """
    with open_container(path) as box:
        context = (box.streams.video[0] if index is None else box.streams[index]).codec_context
        matrix, span = _MATRICES.get(int(context.colorspace)), _RANGES.get(int(context.color_range))
    return {name: tag for name, tag in (("colorspace", matrix), ("range", span)) if tag is not None}
