"""Result bundles: strict, whole, and provable."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError
from support.bundles import COLUMNS, SPEAKERS, make

from tkbench.errors import BadBundle, BadInput, UsageError
from tkbench.results import bundle, leaderboard, proof
from tkbench.types import Column, Reason, Row


def test_a_bundle_reads_back_and_verifies(tmp_path: Path) -> None:
    folder = make(tmp_path, "shift:5", 3.0, missing=["s0/c0"])
    assert folder.relative_to(tmp_path).as_posix() == "test-v1-27c4ef7f/shift-5"
    result = proof.verify(folder).result
    cell = result.summary["lse_c_synth"]
    assert (cell.n, cell.n_unscored, cell.n_clusters) == (8, 1, 3)
    assert cell.coverage == pytest.approx(8 / 9)
    assert cell.reasons == {"not-generated": 1}
    assert cell.low < cell.mean < cell.high
    fid = result.summary["fid"]
    assert fid.n == 0
    assert math.isnan(fid.mean)
    assert "weights fetch inception-fid" in fid.detail
    assert set(bundle.read(folder).curves().columns) == {"key", "metric", "shift", "distance"}
    assert bundle.read(folder).curves()["shift"].min() == -15


def test_result_json_is_strict_json(tmp_path: Path) -> None:
    folder = make(tmp_path, "real", 5.0, psnr=math.inf)

    def refuse(token: str) -> None:
        raise AssertionError(token)

    record = json.loads((folder / "result.json").read_text(), parse_constant=refuse)
    assert record["summary"]["psnr"]["mean"] == "inf"
    assert record["summary"]["psnr"]["low"] is None
    assert proof.verify(folder).result.summary["psnr"].mean == math.inf


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = make(tmp_path / "a", "m", 5.0), make(tmp_path / "b", "m", 5.0)
    for path in sorted(one.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (two / path.relative_to(one)).read_bytes(), path.name


def test_a_second_run_replaces_the_first_and_leaves_nothing_behind(tmp_path: Path) -> None:
    first = make(tmp_path, "m", 5.0)
    before = bundle.read(first).digest
    assert make(tmp_path, "m", 6.0) == first
    assert bundle.read(first).digest != before
    assert [path.name for path in first.parent.iterdir()] == ["m"]


def test_two_models_with_one_folder_name_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "a:b", 5.0)
    with pytest.raises(UsageError, match="--name"):
        make(tmp_path, "a-b", 5.0)


def test_an_edited_number_is_found(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    path = folder / "result.json"
    record = json.loads(path.read_text())
    record["summary"]["lse_c_synth"]["mean"] += 1
    path.write_text(json.dumps(record))
    with pytest.raises(BadBundle, match=r"lse_c_synth\.mean"):
        proof.verify(folder)


def test_an_edited_clip_is_found(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    table = pd.read_parquet(folder / "clips.parquet")
    table.loc[0, "value"] = 99.0
    table.to_parquet(folder / "clips.parquet", index=False)
    with pytest.raises(BadBundle, match=r"clips\.parquet.*changed"):
        proof.verify(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no result.json"),
        ("{", "not JSON"),
        ("[]", "format None"),
        ('{"format_version": 99}', "format 99"),
        ('{"format_version": 3}', "model"),
    ],
)
def test_what_is_not_a_bundle_is_said_in_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    with pytest.raises(BadBundle, match=said) as error:
        bundle.read(tmp_path)
    assert "\n" not in str(error.value)


def test_a_listed_file_outside_the_bundle_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    path = folder / "result.json"
    record = json.loads(path.read_text())
    record["files"]["../secret"] = "0" * 64
    path.write_text(json.dumps(record))
    with pytest.raises(BadBundle, match="outside"):
        proof.verify(folder)


def summarise(rows: list[Row]) -> dict[str, bundle.Summary]:
    return bundle.summarise(rows, SPEAKERS, COLUMNS, n_boot=200, seed=0, level=0.95)


def test_a_list_of_rows_that_shrank_is_refused() -> None:
    rows = [Row("m", key, name, 1.0) for key in SPEAKERS for name in ("lse_c_synth", "psnr")]
    rows.append(Row("m", "*", "fid", 1.0))
    assert summarise(rows)["psnr"].n == len(SPEAKERS)
    for wrong, said in [
        (rows[1:], r"'s0/c0': no row of 'lse_c_synth'"),
        (rows[:-1], r"'\*': no row of 'fid'"),
        ([*rows, rows[0]], "two scores"),
        ([*rows, Row("m", "s0/c0", "ssim", 1.0)], "'ssim'"),
        ([*rows[1:], Row("m", "s0/c0", "lse_c_synth", math.nan)], "with reason None"),
        ([*rows[1:], Row("m", "s0/c0", "lse_c_synth", 1.0, Reason.NO_FACE)], "with reason"),
    ]:
        with pytest.raises(BadInput, match=said):
            summarise(wrong)


def test_no_interval_leaves_the_bounds_of_its_column() -> None:
    share = Column("sure", "Sure", "share", "higher", 2, signature="s", bounds=(0.0, 1.0))
    values = (0.0, 0.0, 0.0, 0.0, 0.1, 0.9)
    rows = [Row("m", key, "sure", value) for key, value in zip("abcdef", values, strict=True)]
    (cell,) = bundle.summarise(rows, {}, (share,), n_boot=200, seed=0, level=0.95).values()
    assert cell.high == 1
    assert cell.low < cell.mean == pytest.approx(1 / 6)
    free = replace(share, bounds=(-math.inf, math.inf))
    (wider,) = bundle.summarise(rows, {}, (free,), n_boot=200, seed=0, level=0.95).values()
    assert wider.high > 1


def test_a_column_comes_back_with_every_fact() -> None:
    full = Column(
        "lag", "Lag", "frames", "zero", 2, False, "lag[x]", (-15.0, math.inf), ("AV offset",), "The lag.", "By x."
    )  # fmt: skip
    bare = Column("mae", "MAE", "grey levels", "lower", 2)
    adapter = TypeAdapter(list[bundle.StoredColumn])
    stored = adapter.dump_python([full, bare], mode="json")
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert set(stored[1]) == {"name", "label", "unit", "better", "digits", "per_clip", "signature"}
    assert adapter.validate_python(stored) == [full, bare]
    for wrong in (
        {"colour": "red"},
        {"digits": 99},
        {"better": "up"},
        {"bounds": [1, 0]},
        {"bounds": ["x", 0]},
    ):
        with pytest.raises(ValidationError):
            adapter.validate_python([stored[0] | wrong])
    with pytest.raises(ValidationError, match="signature"):
        adapter.validate_python([{k: v for k, v in stored[0].items() if k != "signature"}])


def test_a_bundle_of_the_format_before_is_read_ranked_and_verified(tmp_path: Path) -> None:
    """Format 3 kept no bounds, names and texts with its columns; its intervals went by the unit.

    The intervals of formats 3 and 4 are stretched percentiles: an old bundle is verified by the rule that made it.
    """
    folder = make(tmp_path, "old", 5.0)
    path = folder / "result.json"
    record = json.loads(path.read_text())
    assert record["format_version"] == 5
    rows = bundle.rows_of(bundle.read(folder).clips())
    before = bundle.summarise(rows, SPEAKERS, COLUMNS, n_boot=200, seed=0, level=0.95, rule="stretched")
    record["format_version"] = 4
    record["signature"] = record["signature"].replace("interval=halves-1", "interval=stretched")
    for name, cell in before.items():
        record["summary"][name] = {
            fact: value
            for fact, value in cell.model_dump(mode="json").items()
            if fact not in ("reach", "cluster_mean", "largest_share")
        }
    path.write_text(json.dumps(record))
    assert proof.verify(folder).result.summary["lse_c_synth"].low == before["lse_c_synth"].low
    record["summary"]["lse_c_synth"]["low"] -= 0.1
    path.write_text(json.dumps(record))
    with pytest.raises(BadBundle, match=r"lse_c_synth\.low"):
        proof.verify(folder)
    record["summary"]["lse_c_synth"]["low"] += 0.1
    record["format_version"] = 3
    for column in record["columns"]:
        for fact in ("bounds", "also_called", "text", "variant"):
            column.pop(fact, None)
    record["columns"][1]["unit"] = "share"
    path.write_text(json.dumps(record))
    old = bundle.read(folder).result
    assert old.columns[1].bounds == (0.0, 1.0)
    assert old.columns[0].bounds == (-math.inf, math.inf)
    record["columns"][1]["unit"] = "dB"
    path.write_text(json.dumps(record))
    new = make(tmp_path, "new", 6.0)
    signature = record["signature"]
    edited(new, lambda record: record.update(signature=signature))
    rows = [proof.verify(folder).bundle, bundle.read(new)]
    assert [entry.result.model for entry in leaderboard.ranked(rows)] == ["new", "old"]


def edited(folder: Path, change: object) -> Path:
    path = folder / "result.json"
    record = json.loads(path.read_text())
    change(record)  # type: ignore[operator]
    path.write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize("file", ["../../secret.mp4", "/etc/passwd", "previews/../00.mp4", "clips.parquet"])
def test_a_player_that_is_not_one_of_the_bundles_is_refused(tmp_path: Path, file: str) -> None:
    folder = make(tmp_path, "m", 5.0)
    preview = {"key": "s0/c0", "file": file, "scores": {}}
    with pytest.raises(BadBundle, match=r"previews\.0\.file"):
        bundle.read(edited(folder, lambda record: record["previews"].append(preview)))


def test_a_player_that_links_out_of_the_bundle_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    (tmp_path / "secret").write_text("secret")
    (folder / "previews" / "00.mp4").symlink_to(tmp_path / "secret")
    preview = {"key": "s0/c0", "file": "previews/00.mp4", "scores": {}}
    with pytest.raises(BadBundle, match="link out of the bundle"):
        bundle.read(edited(folder, lambda record: record["previews"].append(preview)))


def test_a_table_without_a_hash_proves_nothing(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    with pytest.raises(BadBundle, match=r"clips\.parquet has no hash"):
        proof.verify(edited(folder, lambda record: record["files"].pop("clips.parquet")))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("reason", "tired", "tired"),
        ("model", "other", "other"),
        ("metric", "ssim", "ssim"),
        ("key", "*", "no row"),
    ],
)
def test_clips_that_do_not_fit_are_found_behind_a_fresh_hash(
    tmp_path: Path, column: str, value: str, said: str
) -> None:
    folder = make(tmp_path, "m", 5.0)
    table = pd.read_parquet(folder / "clips.parquet")
    table.loc[:1, column] = value
    table.to_parquet(folder / "clips.parquet", index=False)
    digest = hashlib.sha256((folder / "clips.parquet").read_bytes()).hexdigest()
    edited(folder, lambda record: record["files"].update({"clips.parquet": digest}))
    with pytest.raises(BadBundle, match=said):
        proof.verify(folder)


def test_nan_tokens_and_columns_without_a_summary_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    with pytest.raises(BadBundle, match="the summary has"):
        bundle.read(edited(folder, lambda record: record["summary"].pop("psnr")))
    with pytest.raises(BadBundle, match="NaN is not a JSON value"):
        bundle.read(edited(folder, lambda record: record.update(coverage_min=math.nan)))


def test_curves_without_numbers_are_said_in_one_line(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    table = pd.read_parquet(folder / "curves.parquet")
    for wrong in (table.assign(distance="far"), table.drop(columns="distance")):
        wrong.to_parquet(folder / "curves.parquet", index=False)
        digest = hashlib.sha256((folder / "curves.parquet").read_bytes()).hexdigest()
        edited(folder, lambda record, digest=digest: record["files"].update({"curves.parquet": digest}))
        with pytest.raises(BadBundle, match=r"distance holds|its columns are"):
            proof.verify(folder)
