"""Which of a file's streams a player would play, and how its pictures are turned.

A file may hold several pictures and voices: languages, comments, a cover, a preview. Players take the stream that the
file marks as the default one, never an attached picture; so does this module. A display matrix turns the stored picture
by quarters and may mirror it, as phones write it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from tkbench.errors import BadMedia
from tkbench.types import Reason, Tracks

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

S = TypeVar("S", "VideoStream", "AudioStream")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def choose_streams(box: InputContainer, tracks: Tracks) -> tuple[VideoStream, AudioStream | None, list[str]]:
    """(video stream, audio stream or None, what is to be told about the others) of an open container.

    The rule: of the streams that are no attached pictures and have a decoder, the first one marked as default,
    otherwise the first. tracks: numbers that the caller wants instead. Raises BadMedia(NO_VIDEO), or NO_AUDIO and
    NO_VIDEO where a wanted track is not there.
    """
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    moving = [stream for stream in box.streams.video if not stream.disposition & covers]
    voices = list(box.streams.audio)
    if not moving:
        raise BadMedia(Reason.NO_VIDEO, "the file has no video stream")
    video, told = _choose(moving, tracks.video, "video", Reason.NO_VIDEO)
    if not voices:
        if tracks.audio is not None:
            raise BadMedia(Reason.NO_AUDIO, f"audio track {tracks.audio} was asked for, the file has none")
        return video, None, told
    audio, more = _choose(voices, tracks.audio, "audio", Reason.NO_AUDIO)
    return video, audio, told + more


def _choose(streams: Sequence[S], wanted: int | None, kind: str, lacking: Reason) -> tuple[S, list[str]]:
    from av.stream import Disposition

    count = _NUMBERS[len(streams)] if len(streams) < len(_NUMBERS) else str(len(streams))
    if wanted is not None:
        if not 1 <= wanted <= len(streams):
            found = f"{kind} track {wanted} was asked for, the file has {len(streams)}"
            raise BadMedia(lacking, found)
        told = [f"{count} {kind} tracks: number {wanted} as asked for"] if len(streams) > 1 else []
        return streams[wanted - 1], told
    usable = [stream for stream in streams if stream.codec_context is not None] or list(streams)
    marked = [stream for stream in usable if stream.disposition & Disposition.default]
    chosen = (marked or usable)[0]
    if len(streams) == 1:
        return chosen, []
    which = "the default one" if marked else "none is marked as default, the first one"
    return chosen, [f"{count} {kind} tracks: {which}"]


def orientation_of(frame: VideoFrame) -> tuple[int, bool]:
    """(clockwise degrees, mirrored) that a decoded picture is to be shown with: first mirrored left to right, then
    turned.

    The display matrix maps a stored point (x, y) to (a x + c y, b x + d y), in 1/65536 (ISO/IEC 14496-12, tkhd).
    """
    from av.sidedata.sidedata import SideData

    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return 0, False
    matrix = np.frombuffer(bytes(data), "<i4")[:5].astype(float)
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    mirrored = bool(a * d - b * c < 0)
    turn = np.arctan2(-c, d) if mirrored else np.arctan2(b, a)
    return round(float(np.degrees(turn)) / 90) * 90 % 360, mirrored
