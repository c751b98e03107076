"""The parquet tables of a bundle, read with care: they come from strangers.

Columns and their types are fixed, and how many rows and bytes a file has is checked before it is read. The notes that
pandas keeps in a file are not looked at.

    clips.parquet    model, key, speaker, metric, value, reason, detail
    curves.parquet   key, metric, shift, distance: a curve is a run of rows of one metric and key
    videos.parquet   key, sha256 of the file that was scored
    strata.parquet   stratum, key, number, label: what a clip is in a stratum, a number or a text
    strata_sets.parquet  stratum, group, metric, clips, value, reason, detail: one number per stratum's group
    mouths.parquet   key, frame and what `bundle.MOUTH` says, of the clips that have players
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench.errors import BadBundle
from tkbench.types import Array

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

TEXT, NUMBER, WHOLE = ("string", "large_string"), ("double",), ("int64",)
COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "clips.parquet": {
        "model": TEXT,
        "key": TEXT,
        "speaker": TEXT,
        "metric": TEXT,
        "value": NUMBER,
        "reason": TEXT,
        "detail": TEXT,
    },
    "curves.parquet": {"key": TEXT, "metric": TEXT, "shift": WHOLE, "distance": NUMBER},
    "videos.parquet": {"key": TEXT, "sha256": TEXT},
    "strata.parquet": {"stratum": TEXT, "key": TEXT, "number": NUMBER, "label": TEXT},
    "strata_sets.parquet": {
        "stratum": TEXT,
        "group": TEXT,
        "metric": TEXT,
        "clips": WHOLE,
        "value": NUMBER,
        "reason": TEXT,
        "detail": TEXT,
    },
    "mouths.parquet": {
        "key": TEXT,
        "frame": WHOLE,
        "true_opening": NUMBER,
        "made_opening": NUMBER,
        "left": NUMBER,
        "top": NUMBER,
        "right": NUMBER,
        "bottom": NUMBER,
    },
}
"""File -> column -> its types as Arrow names them. A column of no rows may be of any."""
MOST_ROWS = {
    "clips.parquet": 3_000_000,
    "curves.parquet": 20_000_000,
    "videos.parquet": 1_000_000,
    "strata.parquet": 20_000_000,
    "strata_sets.parquet": 100_000,
    "mouths.parquet": 1_000_000,
}
MOST_BYTES = 1 << 30
"""Bytes of a table's columns once they are unpacked."""
LONGEST_CURVE = 101
_AT_ONCE = 1 << 17


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """The file, after its rows, bytes and columns were checked; whatever fails in reading it is a BadBundle."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = COLUMNS[path.name]
    try:
        with pq.ParquetFile(path) as file:
            facts, there = file.metadata, file.schema_arrow
            if facts.num_rows > MOST_ROWS[path.name]:
                raise BadBundle(f"{path}: {facts.num_rows} rows, at most {MOST_ROWS[path.name]} are read")
            size = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
            if size > MOST_BYTES:
                raise BadBundle(
                    f"{path}: {size / 1e9:.1f} GB of columns, at most {MOST_BYTES / 1e9:.1f} GB are read"
                )
            if sorted(there.names) != sorted(wanted):
                names = ", ".join(there.names)
                raise BadBundle(f"{path}: its columns are {names:.120}; expected {', '.join(wanted)}")
            for name, kinds in wanted.items():
                if (kind := str(there.field(name).type)) not in kinds and facts.num_rows:
                    raise BadBundle(f"{path}: {name} holds {kind:.40}, expected {kinds[0]}")
            yield file
    except BadBundle:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        raise BadBundle(
            f"{path}: cannot be read ({type(error).__name__}); run `tkbench eval` again"
        ) from error


def count_rows(path: Path) -> int:
    """How many rows a table has, by its header."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def read(path: Path) -> pd.DataFrame:
    """The whole table."""
    with _opened(path) as file:
        table = file.read(columns=list(COLUMNS[path.name]))
        for name, kinds in COLUMNS[path.name].items():
            if kinds is TEXT and table.column(name).null_count:
                raise BadBundle(f"{path}: {name} is empty in some rows; run `tkbench eval` again")
        frame: pd.DataFrame = table.replace_schema_metadata(None).to_pandas()
        return frame


def curves(path: Path) -> Iterator[tuple[str, str, Array, Array]]:
    """(metric, key, shifts, distances) of each run of rows of one metric and key, in the order of the file."""
    import pyarrow.compute as pc

    rest: tuple[list[str], list[str], Array, Array] | None = None
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=_AT_ONCE):
            metrics = batch.column("metric").to_pylist()
            keys = batch.column("key").to_pylist()
            if None in metrics or None in keys or pc.any(pc.is_null(batch.column("shift"))).as_py():
                raise BadBundle(f"{path}: a row without a metric, key or shift; run `tkbench eval` again")
            shifts = batch.column("shift").to_numpy(zero_copy_only=False)
            distances = batch.column("distance").to_numpy(zero_copy_only=False)
            if rest is not None:
                metrics, keys = rest[0] + metrics, rest[1] + keys
                shifts = np.concatenate([rest[2], shifts])
                distances = np.concatenate([rest[3], distances])
            begin = 0
            for i in range(1, len(keys)):
                if keys[i] != keys[i - 1] or metrics[i] != metrics[i - 1]:
                    yield metrics[begin], keys[begin], shifts[begin:i], distances[begin:i]
                    begin = i
            if len(keys) - begin > LONGEST_CURVE:
                raise BadBundle(f"{path}: {keys[begin]!r:.80}: a curve of over {LONGEST_CURVE} shifts")
            rest = metrics[begin:], keys[begin:], shifts[begin:], distances[begin:]
        if rest is not None and rest[0]:
            yield rest[0][0], rest[1][0], rest[2], rest[3]
