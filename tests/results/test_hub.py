"""A table as a folder for the Hugging Face hub: its files, its card, and what `datasets` makes of it, offline."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support import bundles
from support.toy_shards import make_shards

from tkbench.errors import UsageError
from tkbench.results import hub
from tkbench.results.bundle import find

OPENED = """
import json, os, sys
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HOME=sys.argv[1])
import datasets
datasets.disable_progress_bars()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    bundles.make(root, "mine", 2.0, missing=["s0/c0"])
    return bundles.make(root, "real", 3.0, card={"anchor": True}).parent


@pytest.fixture(scope="module")
def folder(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hub") / "table"
    hub.write(find(runs), out)
    return out


def with_datasets(code: str, *words: object) -> Any:
    """What code that uses `datasets` prints as JSON, in a process of its own without a network."""
    try:
        version("datasets")  # a folder of the tests has this name, too, and can be imported
    except PackageNotFoundError:
        pytest.skip("Hugging Face's library is not here: pip install 'tkbench[test-slow]'")
    script = OPENED + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_folder_holds_every_row_and_every_score(runs: Path, folder: Path) -> None:
    rows = pd.read_parquet(folder / "data" / "rows.parquet").set_index("model")
    clips = pd.read_parquet(folder / "data" / "clips.parquet")
    known = {row.result.model: row for row in find(runs)}
    assert set(rows.index) == set(known) == set(clips["model"])
    for model, row in known.items():
        assert rows.loc[model, "lse_c_synth"] == pytest.approx(
            row.result.summary["lse_c_synth"].mean, rel=1e-5
        )
        mine = clips[clips["model"] == model].drop(columns="model").reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, row.clips().drop(columns="model"), check_dtype=False)
    gone = clips[(clips["model"] == "mine") & (clips["key"] == "s0/c0")]
    assert gone["value"].isna().all()
    assert set(gone["reason"]) == {"not-generated"}


def test_the_bundles_in_it_can_be_verified(
    folder: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, said = run_cli("verify", folder / "bundles")
    assert code == 0, said
    assert said.count("recomputed means and intervals") == 2


def test_the_card_names_the_files_that_are_there(folder: Path) -> None:
    yaml = pytest.importorskip("yaml")
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(head)
    assert [item["config_name"] for item in facts["configs"]] == ["rows", "clips", "curves"]
    for item in facts["configs"]:
        assert [part["split"] for part in item["data_files"]] == ["test"]
        assert all((folder / part["path"]).is_file() for part in item["data_files"])
    assert find(folder / "bundles")[0].result.signature in text


def test_a_folder_that_holds_something_is_not_written_over(runs: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="is there and not empty; give a new folder"):
        hub.write(find(runs), folder)


def test_the_command_says_how_to_open_it(
    runs: Path, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, said = run_cli("leaderboard", "export", runs, "--hf", tmp_path / "my table")
    assert (code, out) == (0, "")
    assert f"load_dataset('{tmp_path / 'my table'}')" in said
    code, _, said = run_cli("leaderboard", "export", runs, "--hf", tmp_path / "x", "--format", "csv")
    assert code == 2
    assert "--hf" in said


def test_datasets_opens_it_offline(folder: Path, tmp_path: Path) -> None:
    found = with_datasets(
        """
        rows = datasets.load_dataset(sys.argv[2])["test"]
        clips = datasets.load_dataset(sys.argv[2], "clips", split="test")
        curves = datasets.load_dataset(sys.argv[2], "curves", split="test")
        lse = [x["value"] for x in clips if x["metric"] == "lse_c_synth" and x["model"] == "mine"]
        print(json.dumps([rows["model"][:], clips.num_rows, curves.num_rows, lse]))
        """,
        tmp_path,
        folder,
    )
    clips = pd.read_parquet(folder / "data" / "clips.parquet")
    mine = clips[(clips["model"] == "mine") & (clips["metric"] == "lse_c_synth")]["value"]
    assert sorted(found[0]) == ["mine", "real"]
    assert found[1] == len(clips)
    assert found[2] == 31 * 17
    assert [x for x in found[3] if x is not None and not math.isnan(x)] == mine.dropna().tolist()


def test_datasets_opens_shards_as_webdataset(tmp_path: Path) -> None:
    shards = make_shards(tmp_path, {"a/0": ("train", 6), "b/0": ("train", 7), "c/0": ("test", 8)})
    found = with_datasets(
        """
        import hashlib
        from pathlib import Path

        files = {"train": sorted(map(str, Path(sys.argv[2]).glob("train-*.tar")))}
        first = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True)
        as_bytes = {name: datasets.Value("binary") for name in ("mp4", "flac")}
        features = datasets.Features({**first.features, **as_bytes})
        clips = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True, features=features)
        told = [[x["__key__"], x["json"]["speaker"], hashlib.sha256(x["mp4"]).hexdigest()] for x in clips]
        print(json.dumps(told))
        """,
        tmp_path / "home",
        shards,
    )
    import hashlib

    from tkbench import open_shards

    opened = open_shards(shards, split="train")
    expected = [
        [key, key[0], hashlib.sha256(opened.members(key, ["mp4"])["mp4"]).hexdigest()]
        for key in opened.keys()
    ]
    assert sorted(found) == sorted(expected)
