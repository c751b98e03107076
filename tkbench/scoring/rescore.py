"""Score a bundle's videos again: what `tkbench verify BUNDLE --data SHARDS --videos DIR` does.

`tkbench.results.proof` shows that a bundle holds together. Whether its clips' values are those of the videos, only the
videos can say. Here they are scored again, all or a seeded sample, by the protocol that the bundle names and on the
data whose hash it holds. Every value is compared with the stored one, and so is every clip's speaker.

Values of one machine come again to the last bit. Between machines they differ in their last digits, so a difference
counts from one unit of the last digit that tables print, and from 1e-4 of the value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench import models, protocol
from tkbench.errors import BadBundle, UsageError
from tkbench.protocol import Protocol
from tkbench.results import bundle
from tkbench.results.bundle import Bundle
from tkbench.runtime.parallel import Pool
from tkbench.runtime.progress import Progress, silent
from tkbench.scoring import pairing
from tkbench.scoring.clips import CHUNK, Run, build_metrics, is_crossed, open_split, set_rows
from tkbench.scoring.evaluate import gather
from tkbench.scoring.recipes import extend
from tkbench.scoring.tasks import Chunk, ChunkScores
from tkbench.shards import Shards
from tkbench.types import Column, Reason, Row

RELATIVE = 1e-4
"""Of a value, by which it may differ."""
NAMED = 3
"""Columns that a line about a clip lists."""
_MISSING = (Reason.WEIGHTS_MISSING, Reason.EXTRA_MISSING)


@dataclass(frozen=True, slots=True)
class Rescored:
    """What scoring the videos again gave."""

    clips: int
    columns: int
    """Those that were compared."""
    differences: tuple[str, ...]
    """A line per clip that differs, in key order."""
    left_out: tuple[str, ...]
    """Labels of columns that could not be scored here: their network or package is missing or another."""


def rescore(
    bundle_folder: Path,
    data: Path,
    model: str,
    *,
    sample: int | None = None,
    seed: int = 0,
    sources: Path | None = None,
    workers: int | Pool = 1,
    progress: Progress = silent,
) -> Rescored:
    """Score `model` (`files:DIR` for videos) on the clips of a bundle again, `sample` of them drawn by `seed` or all.

    Numbers of a whole set are compared only where all clips are scored. Raises BadBundle where the bundle's protocol,
    data or clips are not those that are here, UsageError for an option that cannot be used.
    """
    kept = bundle.read(bundle_folder)
    result = kept.result
    rules = rules_of(kept)
    source = data_of(kept, data)
    card = models.create(model).card
    if "drive:other" in result.signature.split("|") and not is_crossed(card):
        model, card = f"cross:{model}", models.create(f"cross:{model}").card
    scored = sorted({row.key for row in bundle.rows_of(kept.clips())} - {"*"})
    items = pairing.of_bundle(result.signature, scored, source)
    if items is None:
        items = pairing.items_of(rules, source, card, limit=result.n_clips)
    keys, speakers = items.keys, items.speakers
    if list(keys) != scored:
        raise BadBundle(f"{kept.folder}: its clips are not the first {len(keys)} of {data}")
    table = kept.clips()
    for key, said in zip(bundle.column_of(table, "key"), bundle.column_of(table, "speaker"), strict=True):
        if key != "*" and said != speakers[key]:
            raise BadBundle(
                f"{kept.folder}: clip {key} is of the speaker {said!r:.60}, {data} has {speakers[key]!r:.60}"
            )
    chosen = keys
    if sample is not None and sample < len(keys):
        if sample < 1:
            raise UsageError(f"--sample {sample}: expected one clip or more")
        drawn = np.random.default_rng(seed).choice(len(keys), size=sample, replace=False)
        chosen = tuple(keys[place] for place in sorted(drawn))
    split = source.split if len(source.splits) == 1 else None
    run = Run.begin(data, split, rules)
    where = None if sources is None else str(sources.expanduser().absolute())
    chunks = [
        Chunk(run, model, part, *items.voices_of(part), sources=where)
        for part in (chosen[i : i + CHUNK] for i in range(0, len(chosen), CHUNK))
    ]
    parts = gather(chunks, workers, progress, f"scoring {result.model} again")
    metrics = build_metrics(rules)
    fresh = [row for part in parts for row in part.rows]
    if len(chosen) == len(keys):
        missing = sum(part.without_video for part in parts)
        fresh += set_rows(metrics.whole_set, [part.states for part in parts], "", missing, len(keys))
    return _compared(kept, fresh, parts, {column.name: column for column in metrics.columns})


def rules_of(kept: Bundle) -> Protocol:
    """The protocol that a bundle names, if its settings are those of the bundle's signature; otherwise BadBundle."""
    result = kept.result
    name, _, more = result.protocol.partition("+")
    if name not in protocol.names():
        raise BadBundle(
            f"{kept.folder}: its protocol {name!r:.80} is not installed; known: {', '.join(protocol.names())}"
        )
    rules = protocol.load(name)
    if more == "lse":
        recipes = re.findall(r"\|lse\(judge=[^,()]*,recipe=([^,()]*)\)", result.signature)
        rules = extend(rules, ",".join(dict.fromkeys(recipes)))
    said, expected = result.signature.split("|"), rules.signature().split("|")
    for found, wanted in zip(said, expected, strict=False):
        if found != wanted:
            raise BadBundle(
                f"{kept.folder}: its signature has {found!r:.120}, the protocol {result.protocol} has {wanted!r:.120}"
            )
    return rules


def data_of(kept: Bundle, data: Path) -> Shards:
    """The shards that a bundle was scored on, which must be those in `data`."""
    result = kept.result
    source = open_split(data, None)
    if result.split != source.split:
        source = open_split(data, result.split)
    if source.data_hash != result.data_hash:
        raise BadBundle(
            f"{kept.folder}: was scored on data with the hash {result.data_hash[:12]}, {data} has "
            f"{source.data_hash[:12]}"
        )
    return source


def _compared(
    kept: Bundle, fresh: Sequence[Row], parts: Sequence[ChunkScores], columns: Mapping[str, Column]
) -> Rescored:
    stored = {(row.key, row.metric): row for row in bundle.rows_of(kept.clips())}
    ours = {column.name: column for column in kept.result.columns}
    # Another network has another signature; its numbers say nothing about those of the bundle.
    other = {name for name in ours if name not in columns or columns[name].signature != ours[name].signature}
    other |= {row.metric for row in fresh if row.reason in _MISSING}
    found: dict[str, list[str]] = {}
    for row in fresh:
        before = stored.get((row.key, row.metric))
        if row.metric in other:
            continue
        if before is None:
            found.setdefault(row.key, []).append(f"{row.metric} is not in the bundle")
        elif not _alike(before, row, ours[row.metric]):
            found.setdefault(row.key, []).append(
                f"{row.metric} is {_told(before)}, its video gives {_told(row)}"
            )
    for key, line in _other_videos(kept, parts).items():
        found.setdefault(key, []).insert(0, line)
    lines = []
    for key, texts in sorted(found.items()):
        more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
        what = "the whole set" if key == "*" else f"clip {key}"
        lines.append(f"{kept.folder}: {what}: {'; '.join(texts[:NAMED])}{more}")
    left = tuple(ours[name].label for name in ours if name in other)
    scored = len({row.key for row in fresh} - {"*"})
    compared = len({row.metric for row in fresh} - other)
    return Rescored(scored, compared, tuple(lines), left)


def _other_videos(kept: Bundle, parts: Sequence[ChunkScores]) -> dict[str, str]:
    """Clips whose file is not the one that was scored."""
    if "videos.parquet" not in kept.result.files:
        return {}
    table = kept.videos()
    pairs = zip(bundle.column_of(table, "key"), bundle.column_of(table, "sha256"), strict=True)
    known = dict(pairs)
    here = {key: digest for part in parts for key, digest in part.videos.items()}
    return {
        key: f"its video is another file (sha256 {digest[:12]}, scored was {known[key][:12]})"
        for key, digest in here.items()
        if key in known and known[key] != digest
    }


def _alike(before: Row, now: Row, column: Column) -> bool:
    if math.isnan(before.value) or math.isnan(now.value):
        return math.isnan(before.value) and math.isnan(now.value) and before.reason == now.reason
    if before.value == now.value:
        return True
    return math.isclose(before.value, now.value, rel_tol=RELATIVE, abs_tol=10.0**-column.digits)


def _told(row: Row) -> str:
    return f"{row.value:.6g}" if row.reason is None else f"unscored ({row.reason.value})"
