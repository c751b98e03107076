"""The recipes by which the field computes LSE-C, LSE-D and AVOffset, by name; `lse.py` runs them.

    name           starts at  cut                   before the network           scenes     ends   a clip's value
    tkbench-v1     canvas     track of true video   nothing                      -          valid  the one curve
    wav2lip-lrs    file       none: resized to 224  JPEG                         -          zeros  the one curve
    syncnet-real   file       detect, track > 100   mpeg4, mp3, JPEG x 2, XVID   psd-0.5.1  zeros  mean over tracks
    syncnet-real-1fbfc08      the same, with the scenes of the release that the newer script pins: psd-0.6.7
    latentsync     file       detect, track > 50    h264, aac x 2, JPEG x 2, mp4v  psd-0.6.1  zeros  mean over tracks
    mocha          file       detect, track > 50    mpeg4, JPEG x 2, XVID        psd-0.6.7  zeros  best of the tracks

A recipe without an ending starts where the published script starts: at the video file as it was released, with its own
pictures, frame rate and sound. NAME-canvas is the same from the prepared canvas on (25 fps RGB, 16 kHz mono), for
models whose files are gone; its numbers are not those of the script, since the picture was cut or scaled and the sound
is poorer before the first encoder sees them. NAME-canvas-mediapipe takes the box of the prepared track (MediaPipe's
points as the box that S3FD would give) instead of a detection by S3FD, whose weight is not bundled.

Numbers of different recipes are not comparable, so each has columns of its own. The script behind `syncnet-real` writes
a line per track and averages nothing. Its lines are in the row's detail; the mean is this project's choice.

Two facts of these chains, measured with ffmpeg 9.0 on the example clip of syncnet_python: the AVI's mp3 makes the sound
1105 samples late, for which ffmpeg repeats two pictures at the start; `mocha` reads its voice from elsewhere, so its
videos lag by two frames more (its authors' notes have AV offset 5 where the clip has 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tkbench.metrics import tracks
from tkbench.metrics.scenes import SceneRule
from tkbench.metrics.sync import CROP


@dataclass(frozen=True, slots=True)
class LseRecipe:
    """Everything in which the named recipes differ."""

    name: str
    cut: Literal["real-track", "whole", "tracks"]
    ends: Literal["valid", "zeros"]
    pool: Literal["one", "mean", "best"] = "one"
    detector: Literal["", "s3fd", "mediapipe"] = ""
    min_track: int = 0
    container: Literal["avi", "mp4"] = "avi"
    scenes: SceneRule | None = None
    """The release of PySceneDetect that the script pins; None where it looks for no scenes."""
    coded_voice: bool = True
    """Whether the sound goes through the codec of the container as the picture does."""
    strict: bool = False
    """MoChaBench's reading of the tracking loop."""
    source: Literal["file", "canvas"] = "file"
    """Where it starts: at the released file, or at the prepared canvas and its voice."""

    def signature(self) -> str:
        """All of it in one line."""
        if self.cut == "real-track":
            return f"{self.name},ends:valid,crop:{CROP},track:real,lossy:none"
        if self.cut == "whole":
            return f"{self.name},source:{self.source},ends:zeros,crop:none,resize:cv2-linear,lossy:jpeg"
        voice = f"{self.container}-sound" if self.coded_voice else "none"
        return (
            f"{self.name},source:{self.source},ends:zeros,detector:{self.detector},scenes:{self.scenes},"
            f"track:>{self.min_track},gap:{tracks.MAX_GAP},"
            f"face:>{tracks.MIN_FACE}px,scale:0.4,medfilt:13,lossy:{self.container}+jpeg2+crop+jpeg,"
            f"voice:{voice},tracks:{self.pool}"
        )


_REAL = LseRecipe("syncnet-real", "tracks", "zeros", "mean", "s3fd", 100, scenes="psd-0.5.1")
_TRACKED = (
    _REAL,
    LseRecipe("latentsync", "tracks", "zeros", "mean", "s3fd", 50, container="mp4", scenes="psd-0.6.1"),
    LseRecipe(
        "mocha", "tracks", "zeros", "best", "s3fd", 50, scenes="psd-0.6.7", coded_voice=False, strict=True
    ),
)
_FILES = (
    LseRecipe("wav2lip-lrs", "whole", "zeros"),
    _REAL,
    replace(_REAL, name="syncnet-real-1fbfc08", scenes="psd-0.6.7"),
    *_TRACKED[1:],
)
_CANVAS = tuple(replace(item, name=f"{item.name}-canvas", source="canvas") for item in (_FILES[0], *_TRACKED))
_ALL = (
    LseRecipe("tkbench-v1", "real-track", "valid", source="canvas"),
    *_FILES,
    *_CANVAS,
    *(
        replace(item, name=f"{item.name}-mediapipe", detector="mediapipe")
        for item in _CANVAS
        if item.detector
    ),
)
RECIPES: dict[str, LseRecipe] = {item.name: item for item in _ALL}
