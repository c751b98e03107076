"""VoxCeleb2: `{dev,test}/mp4/<identity>/<youtube id>/<5-digit number>.mp4`, and a .txt for each below `txt`.

root     the folder of dev and test. Archives that were unpacked without them give `mp4/id00012/...`: then vox2_meta.csv
         says who is in which split
split    dev or test: the folder, or the column Set of vox2_meta.csv
key      id00012/21Uxsk56VDQ/00001, as the lists of the data set name an utterance
speaker  the identity, id00012
labels   gender (m or f) of vox2_meta.csv; source: the YouTube id
sidecar  the .txt: identity, YouTube id, offset of sound and picture in frames, confidences, and a box for each frame of
         the YouTube video. Offset and confidences are kept in `extra`; the boxes are of the picture before it was
         cropped
missing  a .txt without its .mp4

Sources: `dev/mp4/id07737/9mmP2c-X_aU/00015.mp4` in JeongHun0716/vsr-low, French/README.md; counts of utterances in the
paper (1,128,246 in all) and, but for two digits of the test split, PaddlePaddle/PaddleSpeech,
examples/voxceleb/README.md. The columns of vox2_meta.csv ("VoxCeleb2 ID ", "Gender ", "Set ", with blanks) and the form
of the .txt ("Offset : 2", "FRAME X Y W H") are as several public loaders read them; 224 x 224 at 25 fps is from memory.
Not confirmed by any: whether the test archive unpacks to test/mp4 or to mp4; both are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.tree import SAFE, lines_of, listing, text_of, videos
from tkbench.runtime import storage
from tkbench.types import Clip, Reason, Skipped

SPLITS = ("dev", "test")
IDENTITY = re.compile(r"id\d{5}")
_FACTS = {"offset": "offset", "fv conf": "fv_conf", "asd conf": "asd_conf"}


def load_meta(root: Path, lists: str | None) -> dict[str, tuple[str, str]]:
    """Identity -> (gender, split) of vox2_meta.csv; empty where it is not there."""
    file = storage.place(lists) if lists is not None else root / "vox2_meta.csv"
    rows = [[cell.strip() for cell in line.split(",")] for line in lines_of(file)]
    if lists is not None and not rows:
        raise UsageError(f"{lists}: no such file, or nothing in it; expected vox2_meta.csv of VoxCeleb2")
    return {row[0]: (row[2], row[3]) for row in rows if len(row) == 4 and IDENTITY.fullmatch(row[0])}


def places(root: Path) -> list[tuple[str | None, Path, Path]]:
    """(split, folder of identities with videos, folder of identities with texts); split None: the meta file says it.

    Raises UsageError for a folder without any.
    """
    found: list[tuple[str | None, Path, Path]] = []
    for split, base in (*((split, root / split) for split in SPLITS), (None, root)):
        inner = [base / "mp4"] if (base / "mp4").is_dir() else [base] if _has_people(base) else []
        found += [
            (split, place, base / "txt")
            for place in inner
            if place == base / "mp4" or base != root or not found
        ]
    if not found:
        raise UsageError(f"{root}: not VoxCeleb2: no folder dev/mp4, test/mp4, mp4 or id00012 in it")
    return found


def _has_people(folder: Path) -> bool:
    return any(IDENTITY.fullmatch(name) for name in listing(folder)[0])


def read(root: Path, lists: str | None = None) -> Iterator[Clip | Skipped]:
    """Every utterance, by split and name; a .txt without its .mp4 is one that is missing."""
    meta = load_meta(root, lists)
    for split, place, texts in places(root):
        people = sorted({*listing(place)[0], *listing(texts)[0]})
        for person in (name for name in people if IDENTITY.fullmatch(name)):
            gender, stated = meta.get(person, (None, split))
            mine = split or stated
            if mine is None:
                raise UsageError(
                    f"{root}: no folder dev or test, so vox2_meta.csv is needed, with {person}: --lists FILE"
                )
            for tube in sorted({*listing(place / person)[0], *listing(texts / person)[0]}):
                if SAFE.fullmatch(tube):
                    labels = {"source": tube, **({"gender": gender} if gender else {})}
                    yield from _of_video(place / person / tube, texts / person / tube, mine, person, labels)


def _of_video(
    place: Path, texts: Path, split: str, person: str, labels: dict[str, str]
) -> Iterator[Clip | Skipped]:
    there = {stem for stem in videos(listing(place)[1])[0] if SAFE.fullmatch(stem)}
    told = {name[:-4] for name in listing(texts)[1] if name.endswith(".txt") and SAFE.fullmatch(name[:-4])}
    folder, prefix = str(place), f"{person}/{place.name}/"
    for stem in sorted(there | told):
        path = f"{folder}/{stem}.mp4"
        if stem in there:
            sidecar = f"{texts}/{stem}.txt" if stem in told else None
            yield Clip(f"{prefix}{stem}", path, "voxceleb2", split, person, sidecar=sidecar, labels=labels)
        else:
            why = f"txt/{prefix}{stem}.txt is there without its .mp4"
            yield Skipped(f"{prefix}{stem}", path, Reason.MISSING_FILE, why, split, person, labels)


def annotate(clip: Clip) -> tuple[Clip, list[str]]:
    """The clip with the offset and confidences of its .txt."""
    assert clip.sidecar is not None
    name = Path(clip.sidecar).name
    try:
        lines = text_of(Path(clip.sidecar)).splitlines()
    except (OSError, ValueError) as error:
        return clip, [f"{name}: {type(error).__name__}, no offset"]
    facts: dict[str, float] = {}
    for line in lines[:8]:
        head, _, rest = line.partition(":")
        field = _FACTS.get(" ".join(head.lower().split()))
        try:
            if field is not None:
                facts[field] = float(rest.split()[0])
        except (ValueError, IndexError):
            return clip, [f"{name}: {line.strip()[:40]!r} is no number"]
    if "offset" not in facts:
        return clip, [f"{name}: no line Offset"]
    return replace(clip, extra={**clip.extra, **facts}), []
