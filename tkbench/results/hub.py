"""A table as a data set folder for the Hugging Face hub: `tkbench leaderboard export RUNS --hf OUT`.

    README.md              the card; its YAML names the files of each configuration
    data/rows.parquet      configuration `rows`: a line per model, as in the CSV of the table
    data/clips.parquet     configuration `clips`: every score of every clip, or nan with its reason
    data/curves.parquet    configuration `curves`: distance of mouth and voice at each lag, where a judge measured it
    bundles/<model>/       what the rows rest on; `tkbench verify OUT/bundles` recomputes them. Videos are left out

`datasets.load_dataset(OUT, "clips")` opens it, from a disk as well as from the hub. Nothing is uploaded here.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tkbench.errors import UsageError
from tkbench.results import leaderboard
from tkbench.results.bundle import Bundle
from tkbench.runtime.words import counted
from tkbench.version import __version__

if TYPE_CHECKING:
    import pandas as pd

PREVIEWS = "previews/"
TEXTS = {
    "rows": "a line per model: rank, means, intervals, counts, signature",
    "clips": "a line per model, clip and metric: the value, or nan and the reason",
    "curves": "a line per model, clip, metric and shift: the distance of mouth and voice",
}


def write(bundles: Sequence[Bundle], out: Path) -> list[Path]:
    """Write the folder; returns its files in sorted order.

    Raises UsageError for a folder that holds anything, BadBundle for bundles of several tables.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--hf {out}: is there and not empty; give a new folder")
    entries = leaderboard.ranked(bundles)
    tables = {
        "rows": _rows(entries),
        "clips": _joined(bundles, "clips"),
        "curves": _joined(bundles, "curves"),
    }
    tables = {name: table for name, table in tables.items() if len(table)}
    (out / "data").mkdir(parents=True)
    for name, table in tables.items():
        table.to_parquet(out / "data" / f"{name}.parquet", index=False, compression="zstd")
    for bundle in bundles:
        _copy(bundle, out / "bundles" / bundle.folder.name)
    (out / "README.md").write_text(card(entries, tables), encoding="utf-8")
    return sorted(path for path in out.rglob("*") if path.is_file())


def _rows(entries: Sequence[leaderboard.Entry]) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(io.StringIO(leaderboard.to_csv(entries)))


def _joined(bundles: Sequence[Bundle], what: str) -> pd.DataFrame:
    """One table of all bundles' clips or curves, the model in front."""
    import pandas as pd

    found = []
    for bundle in bundles:
        table = bundle.clips() if what == "clips" else bundle.curves()
        found.append(table.drop(columns="model", errors="ignore").assign(model=bundle.result.model))
    whole = pd.concat(found, ignore_index=True)
    return whole[["model", *(name for name in whole.columns if name != "model")]]


def _copy(bundle: Bundle, place: Path) -> None:
    """The files of a bundle that its numbers rest on."""
    place.mkdir(parents=True)
    for name in ("result.json", *bundle.result.files):
        if not name.startswith(PREVIEWS):
            shutil.copyfile(bundle.folder / name, place / name, follow_symlinks=False)


def card(entries: Sequence[leaderboard.Entry], tables: dict[str, pd.DataFrame]) -> str:
    """README.md: what the hub reads of it stands between lines of three dashes, in YAML."""
    result = entries[0].result
    title = f"{result.data_title} {result.split}, scored by {result.protocol}"
    lines = ["---", f"pretty_name: {json.dumps(title, ensure_ascii=False)}", "tags:"]
    lines += [f"- {tag}" for tag in ("talking-face-generation", "lip-sync", "benchmark", "tkbench")]
    lines.append("configs:")
    for name in tables:
        lines += [f"- config_name: {name}", *(["  default: true"] if name == "rows" else [])]
        lines += ["  data_files:", f"  - split: {_split(result.split)}", f"    path: data/{name}.parquet"]
    lines += ["---", ""]
    models = ", ".join(entry.result.model for entry in entries)
    lines += [
        f"# {title}",
        "",
        f"{counted(len(entries), 'model')} ({models}) on {counted(result.n_clips, 'clip')}, scored by tkbench "
        f"{__version__}. A clip without a score has nan and a reason. Numbers compare only under the same signature:",
        "",
        "```text",
        result.signature,
        "```",
        "",
        "| configuration | lines | what |",
        "|---|---:|---|",
        *(f"| `{name}` | {len(table)} | {TEXTS[name]} |" for name, table in tables.items()),
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'load_dataset("PATH", "clips")',
        "```",
        "",
        "`bundles/` holds what the rows rest on: `tkbench verify bundles` recomputes every mean and interval.",
        "",
        leaderboard.to_markdown(entries, leaderboard.chosen(result.columns, [])),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _split(name: str) -> str:
    """A split's name as `datasets` takes it: letters, digits and underscores.

    >>> _split("test"), _split("train, test")
    ('test', 'train_test')
    """
    words = "".join(c if c.isalnum() else " " for c in name).split()
    return "_".join(words) or "all"
