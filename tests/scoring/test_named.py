"""Files whose names no key can have: what is said of them, and videos of a model that carry these names."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from support.toy_shards import make_shards

from tkbench import shards
from tkbench.errors import UsageError
from tkbench.protocol import MetricSpec, Protocol
from tkbench.results import bundle
from tkbench.scoring import named
from tkbench.scoring.evaluate import EvalOptions, evaluate
from tkbench.shards.originals import originals, told

Run = Callable[..., tuple[int, str, str]]
FILES = {"Anna_Muller/take_1": "Anna Müller/take 1.mp4", "b/x-1f": "b/x.mp4", "c/0": "c/0.mp4"}
RULES = Protocol(name="toy", summary="", rank_by="psnr", metrics=(MetricSpec(name="psnr"),))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = dict.fromkeys(FILES, ("test", 12))
    return make_shards(tmp_path_factory.mktemp("toys"), clips, files=FILES)


@pytest.fixture(scope="module")
def clips(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tkbench.data.export import export

    out = tmp_path_factory.mktemp("exported") / "clips"
    export(data, out)
    return out


def as_made(clips: Path, out: Path, end: str = ".mp4", form: str = "NFC") -> Path:
    """The exported clips as videos of a model that read the files themselves."""
    for key, file in FILES.items():
        name = unicodedata.normalize(form, file).removesuffix(".mp4") + end
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clips / f"{key}.mp4", out / name)
    return out


def test_files_are_known_by_their_clips(data: Path) -> None:
    found = originals(shards.open_shards(data))
    assert found == {key: file for key, file in FILES.items() if key != "c/0"}
    assert told(found, 3) == (
        "2 of 3 clips have other names than their files: Anna Müller/take 1.mp4 is Anna_Muller/take_1, b/x.mp4 is "
        "b/x-1f"
    )
    assert told({}, 3) == ""


def test_export_says_which_clip_is_which_file(data: Path, tmp_path: Path, run_cli: Run) -> None:
    code, _, said = run_cli("data", "export", data, "--out", tmp_path / "clips")
    assert code == 0
    assert "3 clips: " in said
    assert "Anna Müller/take 1.mp4 is Anna_Muller/take_1" in said
    table = pd.read_csv(tmp_path / "clips" / "names.csv")
    assert dict(zip(table["key"], table["file"], strict=True)) == originals(shards.open_shards(data))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_videos_named_like_the_files_are_scored(data: Path, clips: Path, tmp_path: Path, form: str) -> None:
    videos = as_made(clips, tmp_path / "videos", form=form)
    lines: list[str] = []
    options = EvalOptions(tell=lines.append)
    made = evaluate(data, f"files:{videos}", protocol=RULES, out=tmp_path / "runs", options=options)
    result = bundle.read(made).result
    assert result.summary["psnr"].n == 3
    assert len(lines) == 1
    assert "2 videos are named like their clips' files: " in lines[0]
    assert lines[0].endswith("is clip Anna_Muller/take_1")
    hashes = bundle.read(made).videos()
    assert len(set(hashes["sha256"])) == 3
    # The key's own name comes first.
    by_key = evaluate(data, f"files:{clips}", protocol=RULES, out=tmp_path / "runs")
    known = bundle.read(by_key).clips().set_index("key")["value"].to_dict()
    assert bundle.read(made).clips().set_index("key")["value"].to_dict() == known


def test_a_pattern_holds_for_the_names_of_files_and_is_guessed_from_them(
    data: Path, clips: Path, tmp_path: Path
) -> None:
    videos = as_made(clips, tmp_path / "videos", "_result.mp4")
    (videos / "c" / "0_result.mp4").unlink()
    source = shards.open_shards(data)
    with pytest.raises(UsageError, match=r"--pattern '\{name\}_result.mp4' would fit 2 of them"):
        named.create(f"files:{videos}", source).check(source.keys(), {})  # type: ignore[attr-defined]
    fitting = named.create(f"files:{videos}/{{name}}_result.mp4", source)
    said = fitting.check(source.keys(), {})  # type: ignore[attr-defined]
    assert "2 of 3 clips have a video; without one is c/0" in said[0]
    assert "2 videos are named like their clips' files" in said[1]


def test_a_file_of_several_clips_names_none_of_them(tmp_path: Path) -> None:
    files = dict.fromkeys(("my_file/0", "my_file/1"), "my file.mp4")
    data = make_shards(tmp_path, dict.fromkeys(files, ("test", 12)), files=files)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "my file.mp4").write_bytes(b"")
    source = shards.open_shards(data)
    with pytest.raises(UsageError, match="none of them of one of the 2 clips"):
        named.create(f"files:{tmp_path / 'out'}", source).check(source.keys(), {})  # type: ignore[attr-defined]


def test_shards_of_strangers_lead_nowhere_else(clips: Path, tmp_path: Path) -> None:
    shutil.copy(clips / "c" / "0.mp4", tmp_path / "secret 1.mp4")
    files = {"secret_1": "../secret 1.mp4", "b": str(tmp_path / "secret 1.mp4")}
    data = make_shards(tmp_path, dict.fromkeys(files, ("test", 12)), files=files)
    (tmp_path / "out").mkdir()
    shutil.copy(clips / "c" / "0.mp4", tmp_path / "out" / "x.mp4")
    source = shards.open_shards(data)
    model = named.create(f"files:{tmp_path / 'out'}", source)
    assert isinstance(model, named.NamedFiles)
    with pytest.raises(UsageError, match="none of them"):
        model.check(source.keys(), {})
