"""What every data set is asked: exact layout, damage, missing files, resumed runs, commands of the documents."""

from __future__ import annotations

import hashlib
import random
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tkbench.errors import BadMedia, UsageError
from tkbench.prep import datasets
from tkbench.prep.datasets import check
from tkbench.prep.datasets.folder import SUFFIXES
from tkbench.prep.datasets.tree import FAKE
from tkbench.prep.pipeline import prepare_clip
from tkbench.prep.plan import Settings
from tkbench.prep.run import Run, prepare
from tkbench.types import Clip, Skipped

FAKES = [name for name in datasets.registry.own() if datasets.find(name).fake is not None]
every = pytest.mark.parametrize("dataset", FAKES)
ID = r"[\w-]{11}"
LAYOUTS = {
    "lrw": [r"lipread_mp4/([A-Z]+)/(train|val|test)/\1_\d{5}\.(mp4|txt)"],
    "lrs2": [r"mvlrs_v1/(main|pretrain)/\d{19}/\d{5}\.(mp4|txt)", r"mvlrs_v1/(train|val|test|pretrain)\.txt"],
    "lrs3": [rf"(pretrain|trainval|test)/{ID}/\d{{5}}\.(mp4|txt)"],
    "hdtf": [
        r"videos/\w+\.mp4",
        r"HDTF_dataset/(RD|WDA|WRA)_(video_url|resolution|annotion_time|crop_wh|crop_ratio)\.txt",
    ],
    "celebvhq": [rf"raw/{ID}\.mp4", rf"processed/{ID}_\d\.mp4", r"celebvhq_info\.json"],
    "vfhq": [rf"videos/{ID}\.mp4", rf"meta_info/Clip\+{ID}\+P\d\+C\d\+F\d+-\d+\.txt"],
    "talkvid": [
        rf"raw/{ID}\.mp4",
        rf"clips/({ID})/\1_\d{{3}}_\d+\.\d{{3}}_\d+\.\d{{3}}\.mp4",
        r"clips/videovideo[\w-]+\.mp4",
        r"filtered_video_clips\.json",
        r"TalkVid-bench/(age|language)/test_\1\.json",
        r"TalkVid-bench/age/(videos|videos_w_audios/[\w+-]+)/videovideo[\w-]+\.mp4",
    ],
    "avspeech": [rf"videos/{ID}(_\d{{3}}\.\d{{6}}-\d{{3}}\.\d{{6}})?\.mp4", r"avspeech_(train|test)\.csv"],
    "voxceleb2": [
        rf"(dev|test)/mp4/id\d{{5}}/{ID}/\d{{5}}\.mp4",
        rf"(dev|test)/txt/id\d{{5}}/{ID}/\d{{5}}\.txt",
        r"vox2_meta\.csv",
    ],
    "grid": [r"s\d+/[bpls][bgrw][abiw][a-z][z1-9][anps]\.mpg", r"s\d+/align/[a-z0-9]{6}\.align"],
    "ravdess": [r"Video_Speech_Actor_(\d\d)/Actor_\1/0[12]-01-0\d-0[12]-0[12]-0[12]-\1\.mp4"],
    "cremad": [
        r"VideoFlash/1\d{3}_[A-Z]{3}_[A-Z]{3}_(LO|MD|HI|XX)\.flv",
        r"SentenceFilenames\.csv",
        r"VideoDemographics\.csv",
    ],
    "mead": [
        r"[MW]\d{3}/video/(front|left_30)/\w+/level_[123]/\d{3}\.mp4",
        r"[MW]\d{3}/audio/\w+/level_[123]/\d{3}\.m4a",
    ],
    "mochabench": [
        r"(mocha|other)-generation/[12]p_\w+/\d+_\w+\.mp4",
        r"eval-viescore/example_results/\w+/\d\d\.mp4",
    ],
}


def files_of(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != FAKE]


def lists_of(dataset: str, root: Path) -> list[Path]:
    """Files that are neither videos nor of one clip."""
    sidecars = {str(item.sidecar) for item in datasets.read(dataset, root) if isinstance(item, Clip)}
    return [
        path
        for path in files_of(root)
        if path.suffix not in SUFFIXES and str(path) not in sidecars and path.suffix not in (".m4a", ".align")
    ]


@every
def test_a_tree_has_the_names_of_the_data_set_and_no_others(trees: Path, dataset: str) -> None:
    patterns = [re.compile(pattern) for pattern in LAYOUTS[dataset]]
    names = [path.relative_to(trees / dataset).as_posix() for path in files_of(trees / dataset)]
    assert [name for name in names if not any(pattern.fullmatch(name) for pattern in patterns)] == []
    unused = [p.pattern for p in patterns if not any(p.fullmatch(name) for name in names)]
    assert unused == []


@every
def test_a_missing_and_an_empty_video_are_told(trees: Path, dataset: str, tmp_path: Path) -> None:
    """The first video loses its bytes, the last one its name: a row for each, and the check counts them."""
    root = tmp_path / "t"
    shutil.copytree(trees / dataset, root)
    before = {item.key: item for item in datasets.read(dataset, root)}
    there = [item for item in before.values() if isinstance(item, Clip)]
    paths = list(dict.fromkeys(clip.path for clip in there))
    first, last = Path(paths[0]), Path(paths[-1])
    first.write_bytes(b"")
    alone = len(paths) == 1
    if not alone:
        last.unlink()
    after = {item.key: item for item in datasets.read(dataset, root)}
    lost = [clip.key for clip in there if clip.path == str(last) and not alone]
    # Nothing but the file says that the clip was there: without it, nobody misses it.
    listed = [key for key in lost if key in after]
    assert all(isinstance(after[key], Skipped) for key in listed)
    if dataset not in ("lrw", "lrs3", "mead", "mochabench"):
        assert listed == lost, "the lists of this data set name every clip"
    for key in listed:
        assert after[key].split == before[key].split
        assert after[key].labels == before[key].labels
    empty = next(clip for clip in there if clip.path == str(first))
    (tmp_path / "scratch").mkdir()
    outcome = prepare_clip(empty, Settings(), tmp_path / "scratch")
    assert [row["reason"] for row in outcome.rows] == ["empty-file"]
    try:
        ledger = check.check(dataset, root)
    except UsageError as error:
        assert "none of the" in str(error)  # a data set of two videos  # noqa: PT017
        return
    kinds = {item.kind for item in ledger.findings}
    assert "empty-file" in kinds
    assert ledger.there.total() < len(there)


@every
def test_no_damage_of_a_list_ends_in_a_traceback(trees: Path, dataset: str, tmp_path: Path) -> None:
    """Each list cut in half, emptied, shuffled byte by byte: read as far as it goes, or refused in one line."""
    root = tmp_path / "t"
    shutil.copytree(trees / dataset, root)
    rng = random.Random(5)
    for file in lists_of(dataset, root):
        whole = file.read_bytes()
        noise = bytes(rng.randrange(256) for _ in range(300))
        lines = whole.split(b"\n")
        for data in (
            whole[: len(whole) // 2],
            b"",
            noise,
            b"\n".join(lines[::-1]),
            whole.replace(b"0", b"\xff"),
            b"[]",
        ):
            file.write_bytes(data)
            for call in (
                lambda: list(datasets.read(dataset, root)),
                lambda: check.check(dataset, root, fast=True),
            ):
                try:
                    call()  # type: ignore[no-untyped-call]
                except UsageError as error:
                    said = str(error)
                    assert len(said.splitlines()) == 1
        file.write_bytes(whole)
    assert list(datasets.read(dataset, root))


@every
def test_a_damaged_text_costs_its_facts_or_its_clip(trees: Path, dataset: str, tmp_path: Path) -> None:
    clips = [
        item for item in datasets.read(dataset, trees / dataset) if isinstance(item, Clip) and item.sidecar
    ]
    if not clips:
        assert datasets.find(dataset).annotate is None
        return
    told, notes = datasets.annotate(clips[0])
    assert notes == []
    assert told != clips[0]
    assert clips[0].sidecar is not None
    bad = tmp_path / Path(clips[0].sidecar).name
    bad.write_bytes(b"\xff\xfe\x00 nothing\n1 2\n")
    from dataclasses import replace

    for sidecar in (bad, tmp_path / "gone.txt"):
        try:
            _, notes = datasets.annotate(replace(clips[0], sidecar=str(sidecar)))
        except BadMedia as error:
            assert dataset == "vfhq", "elsewhere the text is not needed"
            assert error.reason.value == "unreadable"  # noqa: PT017
        else:
            assert notes, "what was wrong is told"


@every
def test_labels_are_named_texts(trees: Path, dataset: str) -> None:
    for item in datasets.read(dataset, trees / dataset):
        for name, text in item.labels.items():
            assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
            assert isinstance(text, str)
            assert text == text.strip() != ""


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "stats.json" and path.parent.name != "stats"
    }


@pytest.mark.slow
@every
def test_the_bytes_are_the_same_for_two_workers_and_a_resumed_run(
    trees: Path, prepared: Path, dataset: str, tmp_path: Path
) -> None:
    prepare(trees / dataset, tmp_path / "o", dataset=dataset, workers=2)
    assert hashes(tmp_path / "o") == hashes(prepared / dataset)
    (first, *rest) = sorted((tmp_path / "o").glob("*.tar"))
    first.unlink()
    (tmp_path / "o" / "stats" / f"{first.stem}.json").unlink()
    (tmp_path / "o" / "index.json").unlink()
    times = {path: path.stat().st_mtime_ns for path in rest}
    prepare(trees / dataset, tmp_path / "o", dataset=dataset, run=Run())
    assert hashes(tmp_path / "o") == hashes(prepared / dataset)
    assert {path: path.stat().st_mtime_ns for path in rest} == times, "finished shards are kept"


# -- the commands of docs/data-sets.md -----------------------------------------------------------------------

GUIDE = Path(__file__).parents[3] / "docs" / "data-sets.md"


def lines() -> list[str]:
    # Protocols refuse synthetic trees; tests/test_protocol.py and tests/cli run their commands.
    guide = GUIDE.read_text(encoding="utf-8").split("\n## Protocols of the data sets\n")[0]
    blocks = re.findall(r"^```\n(.*?)^```", guide, re.M | re.S)
    found = [re.sub(r"\s#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    # `data check` of shards has tests of its own.
    ours = [line for line in found if line.startswith("tkbench ") and " folder " not in line]
    return [line for line in ours if not line.startswith("tkbench data check shards/")]


def of(line: str) -> tuple[str, str]:
    """(data set, its root as the line calls it)"""
    words = shlex.split(line)
    name = next((word for word in words if word in FAKES), "mochabench")
    return name, words[words.index("--root") + 1] if "--root" in words else ""


@pytest.mark.parametrize("line", [line for line in lines() if " data check " in line])
def test_each_check_of_the_guide_runs(
    line: str,
    trees: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_cli: Callable[..., tuple[int, str, str]],
) -> None:
    name, root = of(line)
    (tmp_path / root).symlink_to(trees / name)
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_cli(*shlex.split(line)[1:])
    assert code == 0
    assert all(split in out for split in datasets.find(name).published)


def test_the_guide_has_commands_for_every_data_set_that_came_with_it() -> None:
    """tests/test_document_commands.py runs them, in the order of the guide."""
    for command in ("data check", "prep"):
        assert {of(line)[0] for line in lines() if f"tkbench {command} " in line} >= set(FAKES), command
