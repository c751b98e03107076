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
from functools import partial
from pathlib import Path

from tkbench.prep.datasets.tree import text_of
from tkbench.types import Clip, Word


@dataclass(slots=True)
class Transcript:
    """What one .txt says, and what in it could not be read."""

    text: str | None = None
    words: list[Word] = field(default_factory=list)
    confidence: int | None = None
    """The line `Conf`: how sure the data set's makers are of the text."""
    source: str | None = None
    """The line `Ref`: the YouTube id of the talk."""
    word_scores: list[float] = field(default_factory=list)
    """Of the active-speaker detector, a score for each word that has one."""
    n_boxes: int = 0
    """Rows of the FRAME table."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    """(line number from 1, what is wrong with it)"""

    @property
    def extra(self) -> dict[str, object]:
        """What a clip keeps of it besides text and words; facts that the file does not have are left out."""
        facts = {
            "conf": self.confidence,
            "ref": self.source,
            "word_scores": self.word_scores or None,
            "n_boxes": self.n_boxes or None,
        }
        return {name: value for name, value in facts.items() if value is not None}


def parse(text: str) -> Transcript:
    r"""The content of a .txt; damaged lines are named, and the others still count.

    >>> found = parse("Text:  WHEN WE\nConf:  4\n\nWORD START END ASDSCORE\nWHEN 0.0 0.2 6.3\nWE 0.2 x 1\n")
    >>> found.text, found.words, found.problems
    ('WHEN WE', [Word(text='WHEN', start=0.0, end=0.2)], [(6, "not a word with its times: 'WE 0.2 x 1'")])
    """
    found = Transcript()
    add_row: Callable[[list[str]], None] | None = None
    wanted = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        parts = line.split()
        name, colon, value = line.partition(":")
        if not line:
            add_row = None
        elif parts[:3] == ["WORD", "START", "END"]:
            add_row, wanted = partial(_add_word, found), "a word with its times"
        elif parts[:2] == ["FRAME", "X"]:
            add_row, wanted = partial(_add_box, found), "a frame with its box"
        elif add_row is not None:
            try:
                add_row(parts)
            except (ValueError, IndexError):
                found.problems.append((number, f"not {wanted}: {line[:60]!r}"))
        elif colon and name.lower() == "text":
            found.text = " ".join(value.split()) or None
        elif colon and name.lower() == "conf" and value.strip().lstrip("-").isdecimal():
            found.confidence = int(value)
        elif colon and name.lower() == "ref" and value.strip():
            found.source = value.strip()[:100]
        else:
            found.problems.append((number, f"not a line of such a file: {line[:60]!r}"))
    if found.text is None:
        found.problems.append((1, "no line `Text:  ...`"))
    return found


def _add_word(found: Transcript, parts: list[str]) -> None:
    """A row of the word table. Raises ValueError or IndexError for one that is none."""
    start, end = float(parts[1]), float(parts[2])
    scores = [float(part) for part in parts[3:4]]
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end) or len(parts) > 4:
        raise ValueError
    found.words.append(Word(parts[0], start, end))
    if scores and math.isfinite(scores[0]):
        found.word_scores.append(scores[0])


def _add_box(found: Transcript, parts: list[str]) -> None:
    """A row of the frame table. Raises ValueError for one that is none."""
    if len([float(part) for part in parts]) != 5:
        raise ValueError
    found.n_boxes += 1


def annotate(clip: Clip) -> tuple[Clip, list[str]]:
    """The clip with its text and words."""
    assert clip.sidecar is not None
    file = Path(clip.sidecar)
    try:
        found = parse(text_of(file))
    except (OSError, ValueError) as error:
        return clip, [f"{file.name}: {type(error).__name__}, no text"]
    notes = [f"{file.name} line {number}: {what}" for number, what in found.problems[:3]]
    if len(found.problems) > 3:
        notes.append(f"{file.name}: {len(found.problems) - 3} more bad lines")
    extra = {**clip.extra, **found.extra}
    return replace(clip, text=found.text, words=tuple(found.words), extra=extra), notes
