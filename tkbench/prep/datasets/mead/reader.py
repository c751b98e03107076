"""MEAD: `M003/video/front/angry/level_1/001.mp4`: actor, view, emotion, level, sentence.

root     the folder of the actors
key      M003/front/angry/level_1/001
speaker  M003
labels   emotion, level (1, 2, 3), view (front, left_30, ...), gender (M and W in the actor's name)
split    its makers publish none by file (the appendix divides sentences): all clips are in `test`
missing  an .m4a below audio/ whose front video is not there, where the actor's front view is in the copy. The sound of
         the .mp4 is used; a few have none and are skipped for it

Sources: actors in folders MXXX and WXXX, 60 actors, 8 emotions, 3 levels, 7 views in uniBruce/Mead, README.md; the
order of folders (video, view, emotion, level) in haonanhe/MEAD-3D, README.md; `M003/video/front/angry/level_1/001.mp4`
and the names of views and emotions in several public loaders. Not confirmed by any: how many clips the released parts
have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.tree import SAFE, listing
from tkbench.types import Clip, Reason, Skipped

VIEWS = ("down", "front", "left_30", "left_60", "right_30", "right_60", "top")
_ACTOR = re.compile(r"[MW]\d{3}(-\d)?")
_LEVEL = re.compile(r"level_[1-3]")


def read(root: Path, odd: list[Path] | None = None) -> Iterator[Clip | Skipped]:
    """Every clip, sorted by key. odd: takes videos whose name is none of MEAD."""
    actors = [
        name for name in listing(root)[0] if _ACTOR.fullmatch(name) and (root / name / "video").is_dir()
    ]
    actors.sort(key=lambda name: f"{name}/")
    if not actors:
        raise UsageError(f"{root}: not MEAD: no folder M003/video or W009/video in it")
    for actor in actors:
        told = dict(_files(root / actor / "audio", ".m4a"))
        for view in (name for name in listing(root / actor / "video")[0] if name in VIEWS):
            there = dict(_files(root / actor / "video" / view, ".mp4"))
            known = told if view == "front" else {}
            for name in sorted(there.keys() | known.keys()):
                emotion, level, stem = name.split("/")
                if not stem.isdecimal():
                    if odd is not None and name in there:
                        odd.append(Path(there[name]))
                    continue
                labels = {"emotion": emotion, "level": level[-1], "view": view}
                labels["gender"] = "male" if actor[0] == "M" else "female"
                key = f"{actor}/{view}/{name}"
                if name in there:
                    yield Clip(key, there[name], "mead", "test", actor, labels=labels)
                else:
                    path, why = (
                        f"{root}/{actor}/video/{view}/{name}.mp4",
                        f"audio/{name}.m4a is there without it",
                    )
                    yield Skipped(key, path, Reason.MISSING_FILE, why, "test", actor, labels)


def _files(place: Path, suffix: str) -> Iterator[tuple[str, str]]:
    """(emotion/level/number, path) of the files in a folder of emotions."""
    for emotion in (name for name in listing(place)[0] if SAFE.fullmatch(name)):
        for level in (name for name in listing(place / emotion)[0] if _LEVEL.fullmatch(name)):
            folder = place / emotion / level
            for name in listing(folder)[1]:
                stem = name[: -len(suffix)]
                if name.endswith(suffix) and SAFE.fullmatch(stem):
                    yield f"{emotion}/{level}/{stem}", f"{folder}/{name}"
