"""Models that a stopped call has finished, so that the next one does not score them again.

A call for several models publishes its table at the end. Until then each model that it has finished is noted:

    OUT/.work/TABLE.MODEL.done.json    what its bundle rests on, as a hash, and the sha256 of its result.json

The note goes when the call has published. So a note that is there is of a call that was stopped, and the bundle is
kept where it still is the one that was written and rests on the same facts: signature, model, clips, videos, software.
Anything else is scored again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from tkbench.errors import BadBundle
from tkbench.results import bundle
from tkbench.runtime import storage
from tkbench.scoring.records import WORK

END = ".done.json"


def note_file(folder: Path) -> Path:
    """Where the note of a bundle lies."""
    return folder.parent.parent / WORK / f"{folder.parent.name}.{folder.name}{END}"


def digest_of(facts: Mapping[str, object]) -> str:
    """What tells these facts from others."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def note(folder: Path, facts: Mapping[str, object]) -> None:
    """Say that the bundle in `folder` is finished and not published yet."""
    told = {"facts": digest_of(facts), "result": bundle.read(folder).digest}
    file = note_file(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    storage.write_file(file, json.dumps(told, indent=1).encode() + b"\n")


def is_kept(folder: Path, facts: Mapping[str, object]) -> bool:
    """Whether a stopped call has finished this bundle with these facts, and it is still the one that was written."""
    try:
        told = json.loads(note_file(folder).read_bytes())
        found = bundle.read(folder)
        whole = all(
            storage.sha256_of(found.folder / name) == known for name, known in found.result.files.items()
        )
        return whole and told == {"facts": digest_of(facts), "result": found.digest}
    except (OSError, ValueError, BadBundle):
        return False


def any_in(out: Path) -> bool:
    """Whether a stopped call has left notes in this folder of bundles."""
    return next((out / WORK).glob(f"*{END}"), None) is not None


def published(folders: Iterable[Path]) -> None:
    """Remove the notes of bundles that are in their table now."""
    for folder in folders:
        note_file(folder).unlink(missing_ok=True)
        with suppress(OSError):  # not empty: another evaluation is at work there
            note_file(folder).parent.rmdir()
