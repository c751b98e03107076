"""The recipes by which the field computes LSE-C, LSE-D and AVOffset, by name; `lse.py` runs them.

    name           picture              cut                     before the network           ends    a clip's value
    tkbench-v1     canvas               track of the true video nothing                      valid   the one curve
    wav2lip-lrs    canvas               none: resized to 224    JPEG                         zeros   the one curve
    syncnet-real   canvas, 4 codings    detect, track > 100     mpeg4, mp3, JPEG x 2, XVID   zeros   mean over tracks
    latentsync     canvas, 4 codings    detect, track > 50      h264, aac x 2, JPEG x 2, mp4v zeros  mean over tracks
    mocha          canvas, 4 codings    detect, track > 50      mpeg4, JPEG x 2, XVID        zeros   best of the tracks

Numbers of different recipes are not comparable, so each has columns of its own. A name that ends in `-mediapipe`
takes the box of the prepared track (MediaPipe's points as the box that S3FD would give) instead of a detection by
S3FD, whose weight is not bundled; everything else is the same. The script behind `syncnet-real` writes a line per
track and averages nothing. Its lines are in the row's detail; the mean is this project's choice.

Two facts of these chains, measured with ffmpeg 9.0 on the example clip of syncnet_python: the AVI's mp3 makes the sound
1105 samples late, for which ffmpeg repeats two pictures at the start; `mocha` reads its voice from elsewhere, so its
videos lag by two frames more (its authors' notes have AV offset 5 where the clip has 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tkbench.metrics import tracks
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
    coded_voice: bool = True
    """Whether the sound goes through the codec of the container as the picture does."""
    strict: bool = False
    """MoChaBench's reading of the tracking loop."""

    def signature(self) -> str:
        """All of it in one line."""
        if self.cut == "real-track":
            return f"{self.name},ends:valid,crop:{CROP},track:real,lossy:none"
        if self.cut == "whole":
            return f"{self.name},ends:zeros,crop:none,resize:cv2-linear,lossy:jpeg"
        voice = f"{self.container}-sound" if self.coded_voice else "none"
        return (
            f"{self.name},ends:zeros,detector:{self.detector},track:>{self.min_track},gap:{tracks.MAX_GAP},"
            f"face:>{tracks.MIN_FACE}px,scale:0.4,medfilt:13,lossy:{self.container}+jpeg2+crop+jpeg,"
            f"voice:{voice},tracks:{self.pool}"
        )


_S3FD = (
    LseRecipe("syncnet-real", "tracks", "zeros", "mean", "s3fd", 100),
    LseRecipe("latentsync", "tracks", "zeros", "mean", "s3fd", 50, container="mp4"),
    LseRecipe("mocha", "tracks", "zeros", "best", "s3fd", 50, coded_voice=False, strict=True),
)
_ALL = (
    LseRecipe("tkbench-v1", "real-track", "valid"),
    LseRecipe("wav2lip-lrs", "whole", "zeros"),
    *_S3FD,
    *(replace(item, name=f"{item.name}-mediapipe", detector="mediapipe") for item in _S3FD),
)
RECIPES: dict[str, LseRecipe] = {item.name: item for item in _ALL}
