"""Tables as files: no row is lost, an edit is found, what is bad is named and the rest goes on."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from support.bundles import make

from tkbench.errors import BadBundle, UnknownName, UsageError
from tkbench.results import board, bundle, proof, rows
from tkbench.results.export import export

PARENT = Path(__file__).parents[1]


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    return tmp_path / "leaderboards"


def cells_of(path: Path, column: str) -> dict[str, str]:
    with path.open(newline="") as stream:
        return {row["model"]: row[column] for row in csv.DictReader(stream)}


def test_a_bundle_from_a_second_folder_takes_no_row_away(tmp_path: Path, boards: Path) -> None:
    first = [make(tmp_path / "one", name, level) for name, level in (("a", 5.0), ("b", 6.0))]
    path = board.publish(first, boards).tables[0]
    board.publish([make(tmp_path / "two", "c", 7.0)], boards)
    assert sorted(cells_of(path, "tier")) == ["a", "b", "c"]
    assert set(cells_of(path, "tier").values()) == {"measured"}
    lines = list(csv.reader(path.read_text().splitlines()))
    cells = sum(len(line) for line in lines[1:])
    assert board.check(boards) == ([f"{path}: {cells} cells are those of its rows"], [])


def test_the_rows_outlive_their_runs(tmp_path: Path, boards: Path) -> None:
    made = make(tmp_path / "one", "a", 5.0)
    path = board.publish([made], boards).tables[0]
    made.rename(tmp_path / "gone")
    before = cells_of(path, "lse_c_synth")
    board.publish([make(tmp_path / "two", "b", 6.0)], boards)
    assert cells_of(path, "lse_c_synth")["a"] == before["a"]
    assert not board.check(boards)[1]


def test_two_evaluations_at_the_same_moment_lose_no_row(tmp_path: Path, boards: Path) -> None:
    """Three processes publish into one table; each waits until all are ready, so that they meet."""
    names = [f"m{i}" for i in range(3)]
    folders = [make(tmp_path / name, name, 5.0 + i) for i, name in enumerate(names)]
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tkbench.results import board\nimport pandas\n"
        "ready = Path(sys.argv[3])\nready.touch()\n"
        f"while len(list(ready.parent.glob('*.ready'))) < {len(names)}:\n    time.sleep(0.001)\n"
        "board.publish([Path(sys.argv[1])], Path(sys.argv[2]))\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(boards), str(tmp_path / f"{name}.ready")],
            stderr=subprocess.PIPE,
        )
        for name, folder in zip(names, folders, strict=True)
    ]
    for process in running:
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()
    table = bundle.read(folders[0]).result.table
    assert sorted(cells_of(boards / f"{table}.csv", "tier")) == names
    assert not board.check(boards)[1]


def test_a_lock_without_the_kernel_is_one_as_well(boards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "kernel_lock", lambda handle: None)
    monkeypatch.setattr(rows, "PATIENCE", 0.2)
    with rows.locked(boards), pytest.raises(OSError, match="another tkbench"), rows.locked(boards):
        pass
    (boards / ".lock.held").touch()
    monkeypatch.setattr(rows, "STALE", -1.0)
    with rows.locked(boards):  # left behind by a process that died
        pass


def test_a_table_that_would_lose_a_row_is_left_as_it_is(tmp_path: Path, boards: Path) -> None:
    """As one of an older version, whose rows were not kept."""
    path = board.publish([make(tmp_path / "one", "a", 5.0), make(tmp_path / "one", "b", 6.0)], boards).tables[
        0
    ]
    text = path.read_text()
    for kept in rows.place_of(boards, path.stem).iterdir():
        rows.discard(boards, path.stem, kept.name)
    with pytest.raises(BadBundle, match=r"the bundles of 'b', 'a' are not at hand.*leaderboard remove"):
        board.publish([make(tmp_path / "two", "c", 7.0)], boards)
    assert path.read_text() == text
    changed = board.build([tmp_path / "one"], boards)
    assert not changed.faults
    assert sorted(cells_of(path, "tier")) == ["a", "b", "c"]


def test_an_older_table_finds_its_rows_beside_the_new_bundle(tmp_path: Path, boards: Path) -> None:
    made = [make(tmp_path / "one", name, 5.0) for name in ("a", "b")]
    path = board.publish(made, boards).tables[0]
    for name in ("a", "b"):
        rows.discard(boards, path.stem, name)
    board.publish([make(tmp_path / "one", "c", 7.0)], boards)
    assert cells_of(path, "tier") == {"a": "reported", "b": "reported", "c": "measured"}


def test_removed_rows_stay_away(tmp_path: Path, boards: Path) -> None:
    made = [make(tmp_path / "one", name, 5.0) for name in ("a", "b", "=b")]
    path = board.publish(made, boards).tables[0]
    with pytest.raises(UnknownName, match="no row 'c'"):
        board.remove(path.name, ["a", "c"], boards)
    board.remove(path.name, ["b", "=b"], boards)
    assert list(cells_of(path, "tier")) == ["a"]
    board.publish([make(tmp_path / "one", "d", 6.0)], boards)
    assert sorted(cells_of(path, "tier")) == ["a", "d"]
    assert board.remove(path.stem, ["a", "d"], boards).tables == []
    assert not path.exists()
    assert not rows.place_of(boards, path.stem).exists()
    with pytest.raises(UnknownName, match="no table"):
        board.remove(path.stem, ["a"], boards)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path, row: path.write_text(path.read_text().replace("30,30", "31,30", 1)), "psnr: '31'"),
        (lambda path, row: path.write_text("\n".join(path.read_text().splitlines()[:-1])), "has no row"),
        (
            lambda path, row: path.write_text(path.read_text().replace("reported", "measured")),
            "tier: 'measured'",
        ),
        (lambda path, row: path.unlink(), "missing, but"),
        (lambda path, row: rows.discard(path.parent, path.stem, "a"), "has no bundle"),
        (lambda path, row: (row / "row.json").unlink(), "has no row.json"),
        (lambda path, row: (row / "row.json").write_text("{"), "row.json: cannot be read"),
        (lambda path, row: (row / "clips.parquet").write_bytes(b"PAR1"), "the file was changed"),
        (
            lambda path, row: (row / "result.json").write_text(
                (row / "result.json").read_text().replace('"n": 9', '"n": 8', 1)
            ),
            "n is 8",
        ),
    ],
)
def test_check_finds_what_was_edited(tmp_path: Path, boards: Path, change: object, said: str) -> None:
    board.build([make(tmp_path, "a", 5.0), make(tmp_path, "b", 6.0)], boards)
    (path,) = boards.glob("*.csv")
    assert not board.check(boards)[1]
    change(path, rows.place_of(boards, path.stem) / "a")  # type: ignore[operator]
    good, faults = board.check(boards)
    assert not good
    assert len(faults) == 1
    assert said in faults[0]
    assert "\n" not in faults[0]


def test_a_row_whose_bundle_was_exchanged_keeps_no_tier(tmp_path: Path, boards: Path) -> None:
    """A keeper's word is about one bundle: another one in its place is not measured for that."""
    path = board.publish([make(tmp_path / "one", "a", 5.0)], boards).tables[0]
    other = make(tmp_path / "two", "a", 8.0)
    row = rows.place_of(boards, path.stem) / "a"
    for name in ("result.json", "clips.parquet", "curves.parquet"):
        (row / name).write_bytes((other / name).read_bytes())
    assert "is of the bundle" in board.check(boards)[1][0]


def test_a_stale_table_is_written_anew(tmp_path: Path, boards: Path) -> None:
    path = board.publish([make(tmp_path, "a", 5.0)], boards).tables[0]
    right = path.read_bytes()
    path.write_text(path.read_text().replace("30,30", "31,30", 1))
    assert board.build([], boards).tables == [path]
    assert path.read_bytes() == right


def test_one_bad_bundle_stops_no_table(tmp_path: Path, boards: Path) -> None:
    good = make(tmp_path, "good", 5.0)
    for name, damage in (("cut", b"{"), ("other", b"")):
        (make(tmp_path, name, 6.0) / ("result.json" if damage else "clips.parquet")).write_bytes(damage)
    changed = board.build([tmp_path], boards)
    assert changed.added == ["good"]
    assert len(changed.faults) == 2
    assert list(cells_of(changed.tables[0], "tier")) == ["good"]
    bad: list[str] = []
    assert "| good |" in export(good.parent, "markdown", bad=bad)
    assert [line.split(":")[0].split("/")[-2] for line in bad] == ["cut", "other"]
    with pytest.raises(BadBundle):
        export(good.parent, "markdown")


def test_a_bundle_of_other_columns_does_not_enter(tmp_path: Path, boards: Path) -> None:
    board.publish([make(tmp_path / "one", "a", 5.0)], boards)
    other = make(tmp_path / "two", "b", 5.0)
    record = json.loads((other / "result.json").read_text())
    record["columns"][1]["better"] = "lower"
    (other / "result.json").write_text(json.dumps(record))
    changed = board.build([other], boards)
    assert "directions of columns" in changed.faults[0]
    assert not board.check(boards)[1]


def test_submitting_says_what_was_seen(tmp_path: Path, boards: Path) -> None:
    one = make(tmp_path / "one", "a", 5.0)
    path = board.submit(one, boards).tables[0]
    assert cells_of(path, "tier") == {"a": "reported"}
    board.submit(one, boards, tier="measured", how="9 of 9 clips scored again")
    assert cells_of(path, "tier") == {"a": "measured"}
    assert board.submit(one, boards).same == 1  # nothing that was seen is forgotten
    assert cells_of(path, "tier") == {"a": "measured"}
    other = make(tmp_path / "two", "a", 6.0)
    with pytest.raises(UsageError, match=r"another bundle of 'a'.*--replace"):
        board.submit(other, boards)
    board.submit(other, boards, replace=True)
    assert cells_of(path, "tier") == {"a": "reported"}
    (other / "clips.parquet").write_bytes(b"")
    with pytest.raises(BadBundle):
        board.submit(other, boards, replace=True)
    assert not board.check(boards)[1]


def test_a_folder_of_tables_is_a_folder_of_bundles(tmp_path: Path, boards: Path) -> None:
    """So tables are merged; what was seen there is not seen here, but the keepers' word goes along."""
    board.publish([make(tmp_path / "one", "a", 5.0)], boards)
    again = board.build([boards], tmp_path / "again")
    assert cells_of(again.tables[0], "tier") == {"a": "measured"}
    assert again.tables[0].read_bytes() == (boards / again.tables[0].name).read_bytes()


def test_places_that_hold_nothing_are_named(tmp_path: Path, boards: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        board.build([tmp_path / "nowhere"], boards)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadBundle, match="empty: no result bundle"):
        board.build([tmp_path / "empty"], boards)
    with pytest.raises(UsageError, match="no table in it"):
        board.check(tmp_path / "empty")
    table = make(tmp_path / "runs", "a", 5.0).parent
    # A folder of one table is that table.
    assert export(tmp_path / "runs", "csv") == export(table, "csv")
    with pytest.raises(BadBundle, match=f"nothing: no such folder.*holds {table.name}"):
        export(tmp_path / "runs" / "nothing", "csv")


def test_a_links_file_is_not_kept(tmp_path: Path, boards: Path) -> None:
    made = make(tmp_path, "a", math.e)
    (made / "curves.parquet").rename(tmp_path / "curves.parquet")
    (made / "curves.parquet").symlink_to(tmp_path / "curves.parquet")
    with pytest.raises(BadBundle, match="is a link"):
        board.submit(made, boards)
    assert not list(boards.glob("*.csv"))


def test_the_tables_of_this_repository_hold() -> None:
    """An edited or stale CSV in leaderboards/ fails here, and in `tkbench leaderboard check`."""
    good, faults = board.check(PARENT.parent / "leaderboards")
    assert not faults
    assert good


def test_other_software_is_marked(tmp_path: Path, boards: Path) -> None:
    usual = {"numpy": "2.4.6", "opencv": "5.1.0", "opencv-contrib-python": "5.1.0.95", "python": "3.11"}
    made = [make(tmp_path, name, 5.0, stack=usual) for name in ("a", "b")]
    made.append(make(tmp_path, "old", 6.0, stack={**usual, "numpy": "1.26.4", "python": "3.10"}))
    path = board.publish(made, boards).tables[0]
    assert cells_of(path, "other_software") == {"a": "", "b": "", "old": "numpy 1.26.4 (most rows: 2.4.6)"}
    assert cells_of(path, "stack")["a"] == "numpy 2.4.6; opencv 5.1.0"
    text = export(made[0].parent, "markdown")
    assert "old†" in text
    assert "old: numpy 1.26.4 (most rows: 2.4.6); its effect was not measured" in text
    assert proof.verify_table(path, boards / "rows") > 0
