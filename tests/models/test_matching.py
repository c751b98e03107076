"""Which video is which clip's: sub-folders, case, other characters for `/`, patterns; and what is never taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tkbench.errors import UsageError
from tkbench.models.matching import VideoFolder, guess, parse_pattern


def folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("s0/c1.mp4", "{key}"),
        ("s0__c1.mp4", "{key}"),
        ("s0_c1.MOV", "{key}"),
        ("S0/C1.MP4", "{key}"),
        ("epoch9/s0/c1.webm", "{key}"),
        ("epoch9/deep/S0_C1.mkv", "{key}"),
        ("s0_c1_result.mp4", "{key}_result.mp4"),
        ("v/C1.out.mp4", "{name}.out.mp4"),
        ("v/c1.avi", "v/{name}"),
    ],
)
def test_a_clips_video_is_found(name: str, pattern: str, tmp_path: Path) -> None:
    found = VideoFolder(folder(tmp_path, name, "other.mp4", "s0/c11.mp4"), pattern)
    assert found.find("s0/c1").path == tmp_path / name
    assert found.find("s0/c2").path is None


def test_the_exact_name_wins_over_others(tmp_path: Path) -> None:
    found = VideoFolder(folder(tmp_path, "old/c1.mp4", "C1.mp4", "c1.mkv", "c1.mp4"))
    assert found.find("c1").path == tmp_path / "c1.mp4"
    (tmp_path / "c1.mp4").unlink()
    assert found.find("c1").path == tmp_path / "c1.mkv"


def test_a_name_that_is_there_twice_is_nobodys(tmp_path: Path) -> None:
    found = VideoFolder(folder(tmp_path, "x/c1.mp4", "y/c1.mp4", "x/c2.mp4"))
    assert found.find("c1").path is None
    assert found.find("c1").why == "x/c1.mp4 and y/c1.mp4 are both called so; give the folder of one of them"
    assert found.check(["c1", "c2"]) == ["c1"]


def test_one_video_is_never_that_of_two_clips(tmp_path: Path) -> None:
    found = VideoFolder(folder(tmp_path, "c1.mp4"), "{name}")
    with pytest.raises(UsageError, match=r"c1\.mp4: would be the video of two clips, a/c1 and b/c1"):
        found.check(["a/c1", "b/c1"])


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = folder(tmp_path / "outside", "c1.mp4", "c2.mp4")
    inside = folder(tmp_path / "inside", "c3.mp4")
    (inside / "c1.mp4").symlink_to(outside / "c1.mp4")
    (inside / "sub").mkdir()
    (inside / "sub" / "c2.mp4").symlink_to(outside / "c2.mp4")
    found = VideoFolder(inside)
    assert found.find("c1").path is None
    assert found.find("c2").path is None
    assert found.check(["c1", "c2", "c3"]) == ["c1", "c2"]


def test_files_that_are_no_videos_or_hidden_are_not_there(tmp_path: Path) -> None:
    found = VideoFolder(folder(tmp_path, "c1.wav", ".cache/c1.mp4", "c1.mp4.part"))
    assert list(found.names()) == []
    with pytest.raises(UsageError, match=r"holds no video; expected one per clip, such as c1\.mp4"):
        found.check(["c1"])


def test_a_video_that_came_later_is_found_by_its_name(tmp_path: Path) -> None:
    found = VideoFolder(folder(tmp_path, "c1.mp4"))
    assert found.find("c2").path is None
    folder(tmp_path, "c2.mp4")
    assert found.find("c2").path == tmp_path / "c2.mp4"


def test_the_guess_is_the_pattern_that_fits_most() -> None:
    keys = [f"s{n}/c{n:03d}" for n in range(12)]
    names = [f"run/{key.replace('/', '_')}_result.mp4" for key in keys[:9]] + ["c001.mp4", "notes_c011.mp4"]
    assert guess(names, keys) == ("{key}_result.mp4", 9)
    assert guess(["take1.mp4", "take2.mp4"], keys) == ("", 0)


@pytest.mark.parametrize(
    "text", ["out.mp4", "{key}{name}.mp4", "{id}.mp4", "{key", "/abs/{key}.mp4", "../{key}.mp4"]
)
def test_a_pattern_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="pattern"):
        parse_pattern(text)
