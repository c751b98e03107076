"""The synthetic corpus: corpus.json names the clips, a JSON file beside each video holds its truth.

Everything in the truth file stays with the clip (`Clip.extra`), so that tests and tools can compare with it
later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tkbench.dataset import DataSet, Terms
from tkbench.errors import UsageError
from tkbench.prep.datasets.keys import make_keys
from tkbench.synth import FORMAT
from tkbench.types import Clip, Reason, Skipped, Word


def read(root: Path) -> Iterator[Clip | Skipped]:
    """Every clip of the corpus, sorted by key. Raises UsageError where corpus.json is not one."""
    listing = root / "corpus.json"
    try:
        corpus = json.loads(listing.read_text(encoding="utf-8"))
        found = corpus["format"]
        clips = sorted(corpus["clips"], key=lambda clip: str(clip["key"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{listing}: not a corpus ({type(error).__name__}: {error}); make it again"
        ) from error
    if found != FORMAT:
        raise UsageError(f"{listing}: format {found!r}, this tkbench reads {FORMAT!r}; make the corpus again")
    keys = make_keys([Path(f"{clip['key']}.x") for clip in clips])
    for key, clip in zip(keys, clips, strict=True):
        yield _clip(root, key, clip)


def _clip(root: Path, key: str, clip: Mapping[str, object]) -> Clip | Skipped:
    file = root / str(clip.get("file", ""))
    inside = file.resolve().is_relative_to(root.resolve())
    if not inside or not file.is_file():
        why = "is not there" if inside else "lies outside the corpus"
        return Skipped(key, str(file), Reason.UNREADABLE, f"{clip.get('file')!r} {why}")
    try:
        truth = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        words = tuple(Word(str(w["text"]), float(w["start"]), float(w["end"])) for w in truth["words"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        detail = f"{file.with_suffix('.json').name}: {type(error).__name__}: {error}"
        return Skipped(key, str(file), Reason.UNREADABLE, detail)
    return Clip(
        key=key,
        path=str(file),
        dataset="synth",
        split=str(clip.get("split", "test")),
        speaker=str(clip["speaker"]) if clip.get("speaker") is not None else None,
        text=str(clip["text"]) if clip.get("text") is not None else None,
        words=words,
        extra=truth,
    )


DATASET = DataSet(
    name="synth",
    title="the synthetic corpus of `tkbench prep synth`",
    layout="corpus.json names the clips",
    example="tkbench prep folder --root corpus --out shards",
    read=read,
    splits=("train", "val", "test"),
    protocol="synth-v1",
    prep_command="folder",
    recognises=lambda root: (root / "corpus.json").is_file(),
    terms=Terms(
        licence="none needed: voices of espeak-ng, faces made from two photographs in the public domain",
        source="tkbench/synth/template_build.py",
        cite="tkbench, as its CITATION.cff says, with the seed of the corpus.",
        confirmed=True,
    ),
)
