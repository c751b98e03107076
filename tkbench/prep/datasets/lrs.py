"""The .txt beside each clip of LRS2 and LRS3: text, confidence, source, word times. Parsed by the worker.

Text:  AND WHEN WE
Conf:  4
(LRS3) Ref: 0Fi83BHQsMA

(LRS3) FRAME X Y W H, then a row for each frame
(pretrain) WORD START END ASDSCORE, then `WHEN 0.00 0.20 6.3`: seconds from the clip's first frame
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tkbench.prep.datasets.tree import text_of
from tkbench.types import Clip, Word


@dataclass(slots=True)
class Transcript:
    """What one .txt says, and what in it could not be read."""

    text: str | None = None
    words: list[Word] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    """`conf` (int), `ref`, `word_scores` (active-speaker score per word), `n_boxes` (rows of the FRAME table)."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    """(line number from 1, what is wrong with it)"""


def parse(text: str) -> Transcript:
    r"""The content of a .txt; damaged lines are named, and the others still count.

    >>> said = parse("Text:  WHEN WE\nConf:  4\n\nWORD START END ASDSCORE\nWHEN 0.0 0.2 6.3\nWE 0.2 x 1\n")
    >>> said.text, said.words, said.problems
    ('WHEN WE', [Word(text='WHEN', start=0.0, end=0.2)], [(6, "not a word with its times: 'WE 0.2 x 1'")])
    """
    said = Transcript()
    table: Callable[[list[str]], None] | None = None
    wanted = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        parts = line.split()
        name, mark, value = line.partition(":")
        if not line:
            table = None
        elif parts[:3] == ["WORD", "START", "END"]:
            table, wanted = said_word(said), "a word with its times"
        elif parts[:2] == ["FRAME", "X"]:
            table, wanted = _count_box(said), "a frame with its box"
        elif table is not None:
            try:
                table(parts)
            except (ValueError, IndexError):
                said.problems.append((number, f"not {wanted}: {line[:60]!r}"))
        elif mark and name.lower() == "text":
            said.text = " ".join(value.split()) or None
        elif mark and name.lower() == "conf" and value.strip().lstrip("-").isdecimal():
            said.extra["conf"] = int(value)
        elif mark and name.lower() == "ref" and value.strip():
            said.extra["ref"] = value.strip()[:100]
        else:
            said.problems.append((number, f"not a line of such a file: {line[:60]!r}"))
    if said.text is None:
        said.problems.append((1, "no line `Text:  ...`"))
    return said


def said_word(said: Transcript) -> Callable[[list[str]], None]:
    """Takes a row of the word table. Raises ValueError or IndexError for one that is none."""

    def take(parts: list[str]) -> None:
        start, end = float(parts[1]), float(parts[2])
        scores = [float(part) for part in parts[3:4]]
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end) or len(parts) > 4:
            raise ValueError
        said.words.append(Word(parts[0], start, end))
        if scores and math.isfinite(scores[0]):
            said.extra.setdefault("word_scores", []).append(scores[0])

    return take


def _count_box(said: Transcript) -> Callable[[list[str]], None]:
    def take(parts: list[str]) -> None:
        if len([float(part) for part in parts]) != 5:
            raise ValueError
        said.extra["n_boxes"] = said.extra.get("n_boxes", 0) + 1

    return take


def annotate(clip: Clip) -> tuple[Clip, list[str]]:
    """The clip with its text and words."""
    assert clip.sidecar is not None
    file = Path(clip.sidecar)
    try:
        said = parse(text_of(file))
    except (OSError, ValueError) as error:
        return clip, [f"{file.name}: {type(error).__name__}, no text"]
    notes = [f"{file.name} line {number}: {what}" for number, what in said.problems[:3]]
    if len(said.problems) > 3:
        notes.append(f"{file.name}: {len(said.problems) - 3} more bad lines")
    extra = {**clip.extra, **said.extra}
    return replace(clip, text=said.text, words=tuple(said.words), extra=extra), notes
