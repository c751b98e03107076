"""Files in and out: the only package that runs ffmpeg or opens a container.

Decoding and encoding are done by one pinned ffmpeg (imageio-ffmpeg's binary, or TKBENCH_FFMPEG), so that
everyone has the same pixels; PyAV reads headers and packet times. The rules that are fixed here move scores, and
`stack()` gives the versions for signatures:

* Time. Frame n of the result is the source picture that is nearest to n/25 s after the first one: of all
  pictures whose time, rounded to the 25 fps grid, is at most n, the last. Sample 0 of the sound is the instant
  of the first frame; the start offset of the streams is kept, never "synchronised" away.
* Colour. RGB <-> YUV by swscale with accurate rounding and full chroma interpolation. A stream's own matrix
  and range tags count; an untagged stream is BT.601, limited range. What is written here is BT.709, limited,
  and says so.
* Size. Pictures come as a player shows them: turned by the rotation flag, with square pixels.
"""

from tkbench.media.clock import check_pace, held_frames
from tkbench.media.decode import (
    PICTURES_CHANGE,
    SOUND_CHANGES,
    Cut,
    FrameSelection,
    PictureFormat,
    Planes,
    SideOutputs,
    read_planes,
    read_video,
    sample_pictures,
    stream_frames,
)
from tkbench.media.encode import Sound, encode_planes, write_playable, write_video
from tkbench.media.ffmpeg import Quality, ffmpeg_exe, run, stack
from tkbench.media.interval import frames_of
from tkbench.media.probe import Header, color_tags, count_pictures, peek, probe
from tkbench.media.sound import (
    LONGER,
    count_samples,
    read_audio,
    read_flac,
    to_int16,
    write_flac,
    write_sound,
    write_wav,
)

CHANGES = (PICTURES_CHANGE, SOUND_CHANGES)
"""How the lines begin that tell of a change on the way, which is no damage."""

__all__ = [
    "LONGER",
    "CHANGES",
    "Cut",
    "FrameSelection",
    "Header",
    "PictureFormat",
    "Planes",
    "Quality",
    "SideOutputs",
    "Sound",
    "check_pace",
    "color_tags",
    "count_pictures",
    "count_samples",
    "encode_planes",
    "ffmpeg_exe",
    "frames_of",
    "held_frames",
    "peek",
    "probe",
    "read_audio",
    "read_flac",
    "read_planes",
    "read_video",
    "run",
    "sample_pictures",
    "stack",
    "stream_frames",
    "to_int16",
    "write_flac",
    "write_playable",
    "write_sound",
    "write_video",
    "write_wav",
]
