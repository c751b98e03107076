"""Result bundles: strict, whole, and provable."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from bundles import make
from tkbench import bundle
from tkbench.errors import BadBundle, UsageError


def test_a_bundle_reads_back_and_verifies(tmp_path: Path) -> None:
    folder = make(tmp_path, "shift:5", 3.0, missing=["s0/c0"])
    assert folder.relative_to(tmp_path).as_posix() == "test-v1-e343a5ea/shift-5"
    result = bundle.verify(folder).result
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
    assert bundle.verify(folder).result.summary["psnr"].mean == math.inf


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
        bundle.verify(folder)


def test_an_edited_clip_is_found(tmp_path: Path) -> None:
    folder = make(tmp_path, "m", 5.0)
    table = pd.read_parquet(folder / "clips.parquet")
    table.loc[0, "value"] = 99.0
    table.to_parquet(folder / "clips.parquet", index=False)
    with pytest.raises(BadBundle, match=r"clips\.parquet.*changed"):
        bundle.verify(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no result.json"),
        ("{", "not JSON"),
        ("[]", "format None"),
        ('{"format_version": 99}', "format 99"),
        ('{"format_version": 1}', "model"),
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
        bundle.verify(folder)
