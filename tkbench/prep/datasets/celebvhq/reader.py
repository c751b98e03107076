"""CelebV-HQ: `celebvhq_info.json` over a folder of downloads.

root     the videos, in it or in folders below: `M2Ohb0FAaJU.mp4`, or clips as its script cuts them out,
         `M2Ohb0FAaJU_1.mp4`, which are cropped and hold the interval alone. If both are there, the clip is taken
key      the name of the clip in the JSON, M2Ohb0FAaJU_1
clip     start and end in seconds; the window `bbox` in shares of the picture, made larger by 0.02 on each side and cut
         to the largest square around its middle, as its script does, at 512 x 512
speaker  the YouTube id: the 15,653 identities of the paper are not in the JSON
labels   emotion (`several` where it changes), and of the attributes gender (Male), young (Young) and talks (talk),
         where the JSON's lists have them; all attributes that are set are kept in `extra`. source: the YouTube id
split    none is published: all clips are in `test`

Sources: CelebV-HQ/CelebV-HQ, README.md (form of the JSON, counts), download_and_process.py (bbox in shares, `expand` by
0.02, `to_square`, names of files, folders raw and processed), split_dataset.py (the emotions). The script rounds to
pixels before it takes the square: the window may differ by a pixel. Not confirmed by any: the full list of the 83
attributes' names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets import downloads
from tkbench.prep.datasets.downloads import Part
from tkbench.prep.datasets.tree import SAFE
from tkbench.runtime import storage
from tkbench.types import Clip, Crop, Skipped

NAME, SIDE, GROW = "celebvhq_info.json", 512, 0.02
_YES = {"Male": ("gender", "male", "female"), "Young": ("young", "yes", "no"), "talk": ("talks", "yes", "no")}


def load(root: Path, annotations: str | None, bad: list[str] | None = None) -> list[Part]:
    """Every clip of the JSON, sorted by name. bad: takes the names of entries that cannot be read.

    Raises UsageError for a file that is not there, or is another one.
    """
    file = storage.place(annotations) if annotations is not None else root / NAME
    try:
        with file.open("rb") as stream:
            found = json.load(stream)
        meta, clips = found.get("meta_info", {}), found["clips"]
        names = {kind: list(meta.get(f"{kind}_mapping", [])) for kind in ("appearance", "action")}
        entries = sorted(clips.items())
    except FileNotFoundError as error:
        raise UsageError(
            f"{file}: no such file; give {NAME} of github.com/CelebV-HQ/CelebV-HQ: --annotations FILE"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{file}: not {NAME} ({type(error).__name__}: {error})") from error
    parts = []
    for key, entry in entries:
        try:
            parts.append(_part(key, entry, names))
        except (KeyError, TypeError, ValueError, AttributeError):
            if bad is not None:
                bad.append(str(key)[:80])
    return parts


def _part(key: str, entry: Mapping[str, Mapping[str, float]], names: Mapping[str, list[str]]) -> Part:
    """One clip of the JSON. Raises KeyError, TypeError or ValueError for one of another form."""
    tube, times, box = str(entry["ytb_id"]), entry["duration"], entry["bbox"]
    start, stop = float(times["start_sec"]), float(times["end_sec"])
    left, top = (max(0.0, float(box[side]) - GROW) for side in ("left", "top"))
    right, bottom = (min(1.0, float(box[side]) + GROW) for side in ("right", "bottom"))
    if not (
        SAFE.fullmatch(key) and SAFE.fullmatch(tube) and 0 <= start < stop and left < right and top < bottom
    ):
        raise ValueError(key)
    labels, extra = _attributes(entry.get("attributes", {}), names)
    return Part(
        key=key,
        video=tube,
        names=(tube,),
        start=start,
        stop=stop,
        group="clips",
        speaker=tube,
        cut=(key,),
        cropped=True,
        crop=Crop(left, top, right - left, bottom - top, of_height=0, shares=True, square=True),
        target=SIDE,
        labels=labels | {"source": tube},
        extra=extra | {"youtube": tube},
    )


def _attributes(
    said: Mapping[str, object], names: Mapping[str, list[str]]
) -> tuple[dict[str, str], dict[str, object]]:
    """(labels, the names of all attributes that are set)."""
    labels: dict[str, str] = {}
    extra: dict[str, object] = {}
    for kind, known in names.items():
        flags = said.get(kind)
        if not isinstance(flags, list) or len(flags) != len(known):
            continue
        extra[kind] = [name for name, flag in zip(known, flags, strict=True) if flag]
        for name, flag in zip(known, flags, strict=True):
            if name in _YES:
                label, yes, no = _YES[name]
                labels[label] = yes if flag else no
    emotion = said.get("emotion")
    if isinstance(emotion, dict):
        named = emotion.get("labels")
        labels["emotion"] = named if isinstance(named, str) else "several"
    return labels, extra


def read(root: Path, annotations: str | None = None) -> Iterator[Clip | Skipped]:
    """Every clip of the JSON; those whose video is not there are missing."""
    parts = load(root, annotations)
    yield from downloads.clips(root, parts, downloads.index_videos(root), "celebvhq")
