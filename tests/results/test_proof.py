"""What a bundle proves by itself: facts against the signature, LSE against curves, cells of a CSV against bundles."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.bundles import make

from tkbench.errors import BadBundle
from tkbench.results import bundle, leaderboard, proof


def hashed(folder: Path, change: Callable[[dict], object] = lambda record: None) -> Path:
    """The bundle with a changed result.json and the hashes of the files that are there now."""
    path = folder / "result.json"
    record = json.loads(path.read_text())
    change(record)
    for name in record["files"]:
        if (folder / name).is_file():
            record["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.update(data_hash="1" * 64), "data is test@1111"),
        (lambda r: r.update(dataset="lrs2"), "data is lrs2@0000"),
        (lambda r: r.update(protocol="test-v2"), "protocol is test-v2"),
        (lambda r: r.update(seed=5), "seed is 5"),
        (lambda r: r["stack"].update(ffmpeg="m"), "ffmpeg is m"),
        (lambda r: r["stats"].update(n_boot=1e12), "n_boot is 1e"),
        (lambda r: r["stats"].update(n_boot="inf"), "n_boot is inf"),
        (lambda r: r["stats"].update(seed=0.5), "seed is 0.5"),
        (lambda r: r["stats"].update(level=0.8), "level is 0.8, its signature says 0.95"),
        (lambda r: r["columns"][1].update(signature="psnr(9)"), "psnr.*not in the signature"),
        (lambda r: r["model_card"].update(name="other"), "its card is that of 'other'"),
        (lambda r: r.update(model="\x1b[2J"), "cannot be printed"),
        (lambda r: r.update(n_clips=10**9), "n_clips"),
        (lambda r: r["files"].update({"notes.txt": "0" * 64}), "none of a bundle's"),
    ],
)
def test_a_fact_that_is_not_the_signatures_is_named(
    tmp_path: Path, change: Callable[[dict], object], said: str
) -> None:
    folder = make(tmp_path, "m", 5.0)
    with pytest.raises(BadBundle, match=said) as error:
        proof.verify(hashed(folder, change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.iloc[:0], "a score and no curve"),
        (lambda c: c.iloc[31:], "a score and no curve"),
        (lambda c: pd.concat([c, c.iloc[:31]]), "comes twice"),
        (lambda c: c.assign(distance=c["distance"] * 2), "LSE-C is"),
        (lambda c: c.assign(distance=math.nan), "nan or inf"),
        (lambda c: c.assign(shift=0), "each from -k to k once"),
        (lambda c: c.assign(key="s9/c9"), "over 101 shifts"),
    ],
)
def test_lse_rests_on_its_curves(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    folder = make(tmp_path, "m", 5.0)
    assert "LSE-C from the curves" in str(proof.verify(folder))
    path = folder / "curves.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    with pytest.raises(BadBundle, match=said):
        proof.verify(hashed(folder))


def test_a_value_outside_its_bounds_is_named(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    change = {"bounds": [0.0, 20.0]}
    with pytest.raises(BadBundle, match="psnr is 30, which lies outside of 0 to 20"):
        proof.verify(hashed(folder, lambda record: record["columns"][1].update(change)))


def test_a_link_is_no_file_of_a_bundle(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    (folder / "clips.parquet").rename(tmp_path / "clips.parquet")
    (folder / "clips.parquet").symlink_to(tmp_path / "clips.parquet")
    with pytest.raises(BadBundle, match="is a link"):
        proof.verify(folder)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    (folder / "clips.parquet").unlink()
    os.mkfifo(folder / "clips.parquet")
    with pytest.raises(BadBundle, match="no plain file"):
        proof.verify(folder)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"format_version": ' + "9" * 5000 + "}", '{"a": "\\ud800"}']
)
def test_json_that_python_cannot_hold_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(BadBundle) as error:
        proof.verify(tmp_path)
    assert "\n" not in str(error.value)


def test_notes_for_pandas_are_not_looked_at(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    path = folder / "clips.parquet"
    table = pq.read_table(path).replace_schema_metadata({"pandas": "{broken"})
    pq.write_table(table, path)
    assert proof.verify(hashed(folder)).result.model == "m"


def test_rows_without_end_are_counted_before_they_are_read(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    table = pq.read_table(folder / "curves.parquet")
    pq.write_table(pa.concat_tables([table] * 40), folder / "curves.parquet")
    with pytest.raises(BadBundle, match="rows, at most"):
        proof.verify(hashed(folder))


def test_every_cell_of_a_table_is_held_against_its_bundle(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    folders = [make(runs, "a", 5.0), make(runs, "b", 6.0)]
    path = leaderboard.write_csv([bundle.read(folder) for folder in folders], tmp_path / "boards")
    assert proof.verify_table(path, runs) > 20
    text = path.read_text()
    path.write_text(text.replace("30,30", "31,30", 1))
    with pytest.raises(BadBundle, match="psnr: '31', but its bundle gives '30'"):
        proof.verify_table(path, runs)
    path.write_text("".join(text.splitlines(keepends=True)[:2]))
    with pytest.raises(BadBundle, match="has no row"):
        proof.verify_table(path, runs)
    path.write_text(text + text.splitlines()[-1].replace(",a,", ",z,") + "\n")
    with pytest.raises(BadBundle, match="has no bundle"):
        proof.verify_table(path, runs)


def test_no_cell_of_a_table_steers_a_spreadsheet_or_terminal(tmp_path: Path) -> None:
    folder = make(tmp_path, "=cmd|x", 5.0)
    entries = leaderboard.ranked([bundle.read(folder)])
    assert "'=cmd|x" in leaderboard.to_csv(entries)
    assert "=cmd\\|x" in leaderboard.to_markdown(entries, entries[0].result.columns)


@pytest.mark.parametrize(
    ("network", "rank_by", "said"),
    [
        ("@missing", "psnr", ""),
        ("@missing", "lse_c_synth", "rank_by is psnr"),
        ("@0123456789ab", "psnr", "rank_by is psnr"),
    ],
)
def test_the_second_choice_of_a_protocol_ranks_where_the_first_lacks_its_network(
    tmp_path: Path, network: str, rank_by: str, said: str
) -> None:
    folder = make(tmp_path, "m", 5.0)

    def change(record: dict) -> None:
        record["rank_by"] = rank_by
        record["columns"][0]["signature"] = f"sync[x{network}]"
        record["signature"] = record["signature"].replace(
            "rank:lse_c_synth|sync(synth)", f"rank:lse_c_synth|rank-without:psnr|sync[x{network}]"
        )
        record["weights"] = {} if network == "@missing" else {"x": "0123456789ab" + "0" * 52}

    if not said:
        proof.verify(hashed(folder, change))
        return
    with pytest.raises(BadBundle, match=said):
        proof.verify(hashed(folder, change))
