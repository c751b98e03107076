"""Distances to the true video: their values, when they stand in a table, and what tables call them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import bundles
from support.bundles import SPEAKERS, make

from tkbench.report import page
from tkbench.results import bundle, latex, leaderboard
from tkbench.results.delta import delta_column

KEYS = sorted(SPEAKERS)


@pytest.fixture(autouse=True)
def lse(monkeypatch: pytest.MonkeyPatch) -> None:
    first = replace(
        bundles.COLUMNS[0], label="LSE-C (synth)", near_true=True, also_called=("Sync-C",), bounds=(0.0, 9.0)
    )
    monkeypatch.setattr(bundles, "COLUMNS", (first, *bundles.COLUMNS[1:]))


def table(tmp_path: Path, *names: str, missing: tuple[str, ...] = ()) -> list[leaderboard.Entry]:
    scores = {
        "real": {key: 1.0 + 0.1 * i for i, key in enumerate(KEYS)},
        "over": {key: 1.5 + 0.1 * i for i, key in enumerate(KEYS)},
        "under": {key: 0.8 + 0.1 * i for i, key in enumerate(KEYS)},
    }
    made = [
        make(
            tmp_path,
            name,
            1.0,
            scores=scores[name],
            card={"anchor": name == "real"},
            missing=missing if name == "under" else (),
            coverage_min=0.5,
        )
        for name in names
    ]
    return leaderboard.ranked([bundle.read(folder) for folder in made])


def test_a_table_with_the_true_video_shows_how_far_each_model_is_from_it(tmp_path: Path) -> None:
    entries = {entry.result.model: entry for entry in table(tmp_path, "real", "over", "under")}
    cells = {name: entry.result.summary["delta_lse_c_synth"] for name, entry in entries.items()}
    assert cells["real"].mean == 0.0
    assert cells["over"].mean == pytest.approx(0.5)
    assert cells["under"].mean == pytest.approx(-0.2)
    assert cells["under"].mean_size == pytest.approx(0.2)
    assert cells["over"].low == pytest.approx(0.5), "every clip differs by as much"
    names = [column.name for column in entries["over"].result.columns]
    assert names == ["lse_c_synth", "delta_lse_c_synth", "psnr", "fid"]


def test_only_clips_that_both_have_count(tmp_path: Path) -> None:
    """The hard clips that a model leaves out would move a difference of means; a mean of differences does not."""
    entries = {e.result.model: e for e in table(tmp_path, "real", "under", missing=tuple(KEYS[-3:]))}
    cell = entries["under"].result.summary["delta_lse_c_synth"]
    assert (cell.n, cell.n_unscored, cell.reasons) == (6, 3, {"not-generated": 3})
    assert cell.mean == pytest.approx(-0.2)


def test_without_the_true_video_there_is_no_such_column(tmp_path: Path) -> None:
    for entry in table(tmp_path, "over", "under"):
        assert not [column.name for column in entry.result.columns if column.name.startswith("delta")]


def test_tables_print_both_names_and_the_distance(tmp_path: Path) -> None:
    entries = table(tmp_path, "real", "over")
    columns = entries[0].result.columns
    head = leaderboard.to_markdown(entries, columns).splitlines()[0]
    assert "LSE-C / Sync-C (synth) ↑" in head
    assert "ΔLSE-C / ΔSync-C (synth) →0" in head
    text = latex.to_latex(entries, columns)
    assert r"LSE-C / Sync-C (synth) $\uparrow$" in text
    assert r"$\Delta$LSE-C / $\Delta$Sync-C (synth) $\to$0" in text
    rows = list(csv.DictReader(io.StringIO(leaderboard.to_csv(entries))))
    over = next(row for row in rows if row["model"] == "over")
    assert float(over["delta_lse_c_synth"]) == pytest.approx(0.5)
    text = page.render([entry.bundle for entry in entries])
    assert "LSE-C / Sync-C" in text
    assert "ΔLSE-C / ΔSync-C" in text


def test_the_distance_is_best_at_zero_and_reaches_as_far_as_the_values() -> None:
    delta = delta_column(bundles.COLUMNS[0])
    assert (delta.better, delta.per_clip, delta.near_true) == ("zero", False, False)
    assert delta.bounds == (-9.0, 9.0)


def test_a_bundle_keeps_the_fact(tmp_path: Path) -> None:
    folder = make(tmp_path, "over", 1.0)
    assert [c.near_true for c in bundle.read(folder).result.columns] == [True, False, False]
    assert np.isfinite(bundle.read(folder).result.summary["lse_c_synth"].mean)
