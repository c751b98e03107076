"""Tables as files: built from bundles, checked against them, extended and shortened by commands.

    leaderboards/<table>.csv           one table; always written as a whole, never by hand
    leaderboards/rows/<table>/<model>/ what each row was made from (`tkbench.results.rows`)
    leaderboards/claimed.csv           numbers that papers print (`tkbench.results.claimed`)

`build` takes bundles from any number of folders, `submit` one from a stranger, `publish` those of an evaluation. Each
holds the folder's lock, adds its rows, and writes the table anew from all rows that are kept. So a bundle from a second
folder, or a second evaluation at the same moment, takes no row away. A table that has a row whose bundle is nowhere is
left as it is, and named. Only `remove` takes rows out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tkbench.errors import BadBundle, TkbenchError, UnknownName, UsageError
from tkbench.registry import suggest
from tkbench.results import bundle as bundles
from tkbench.results import claimed, leaderboard, proof, rows
from tkbench.results.rows import Tier
from tkbench.runtime.storage import write_file

SCORED_HERE = "scored here by tkbench eval"
UNSEEN = "bundle verified, its videos not seen"


@dataclass(slots=True)
class Changed:
    """What a command did to the tables of a folder."""

    tables: list[Path] = field(default_factory=list)
    """CSV files that were written."""
    added: list[str] = field(default_factory=list)
    """Models whose row is new or another one."""
    same: int = 0
    """Bundles that were rows already."""
    faults: list[str] = field(default_factory=list)
    """A line per bundle or table that could not be used; the others were."""


def bundles_below(places: Iterable[Path]) -> list[Path]:
    """Folders of bundles: each place itself, or up to three levels below it, so that `runs` and `leaderboards` serve.

    Raises UsageError for a place that is not there or holds none.
    """
    found: dict[Path, None] = {}
    for place in places:
        if not place.exists():
            raise UsageError(f"{place}: no such folder; give a folder of result bundles, such as runs")
        here = [place] if (place / "result.json").is_file() else []
        for pattern in ("*/result.json", "*/*/result.json", "*/*/*/result.json"):
            if here:
                break
            here = [
                path.parent
                for path in sorted(place.glob(pattern))
                if not any(part.startswith(".") for part in path.relative_to(place).parts)
            ]
        if not here:
            raise BadBundle(
                f"{place}: no result bundle in it; expected a folder that `tkbench eval --out` wrote"
            )
        found |= dict.fromkeys(here)
    return list(found)


def build(runs: Sequence[Path], boards: Path, *, tier: Tier = "reported", replace: bool = False) -> Changed:
    """Add the bundles below `runs` to the tables of a folder and write these anew; without any, write all tables anew.

    Every bundle is verified first. tier: `measured` is the caller's word that the videos of all of them were scored by
    those who keep the tables. replace: a row of the same model and another bundle gives way.
    """
    places = bundles_below(runs)
    how = "scored by those who keep this table" if tier == "measured" else UNSEEN
    changed = Changed()
    with rows.locked(boards):
        touched = {} if places else dict.fromkeys(_tables(boards))
        for place in places:
            _try(changed, partial(_add, changed, touched, place, boards, tier, how, replace=replace))
        _write_all(changed, touched, boards)
    return changed


def submit(
    folder: Path, boards: Path, *, tier: Tier = "reported", how: str = UNSEEN, replace: bool = False
) -> Changed:
    """Verify one bundle, add it to its table, and write that anew. Raises BadBundle where it does not hold together."""
    changed = Changed()
    with rows.locked(boards):
        touched: dict[str, None] = {}
        _add(changed, touched, folder, boards, tier, how, replace=replace)
        _write_all(changed, touched, boards)
    if changed.faults:
        raise BadBundle(changed.faults[0])
    return changed


def publish(fresh: Sequence[Path], boards: Path) -> Changed:
    """After an evaluation: its bundles become measured rows, and their table is written anew.

    A new table begins with what lies beside them as well. So does a table of an older version, whose rows are not kept
    yet: they are looked for there.
    """
    changed = Changed()
    table = bundles.read(fresh[0]).result.table
    with rows.locked(boards):
        for place in fresh:
            rows.keep(bundles.read(place), boards, "measured", SCORED_HERE)
        path = boards / f"{table}.csv"
        wanted = set(_models_of(path)) if path.exists() else None
        own = {place.resolve() for place in fresh}
        kept = {row.result.model for row in rows.kept(boards, table)}
        for place in bundles_below([fresh[0].parent]):
            if place.resolve() in own:
                continue

            def adopt(place: Path = place) -> None:
                beside = bundles.read(place)
                model = beside.result.model
                if model in kept or (wanted is not None and leaderboard.safe(model) not in wanted):
                    return
                rows.keep(proof.verify(place).bundle, boards, "reported", UNSEEN)

            _try(changed, adopt)
        _write(changed, table, boards)
    return changed


def remove(table: str, models: Sequence[str], boards: Path) -> Changed:
    """Take rows out of a table; with its last row the table goes. Raises UnknownName for a row that it has not."""
    name = table.removesuffix(".csv")
    changed = Changed()
    with rows.locked(boards):
        if name not in _tables(boards):
            raise UnknownName(f"{boards} has no table {name!r}: {suggest(name, _tables(boards))}")
        path = boards / f"{name}.csv"
        there = _models_of(path) if path.exists() else []
        known = {*there, *(leaderboard.safe(row.result.model) for row in rows.kept(boards, name))}
        for model in models:
            if leaderboard.safe(model) not in known:
                raise UnknownName(f"{name} has no row {model!r}: {suggest(model, sorted(known))}")
        for model in models:
            rows.discard(boards, name, model)
        if known == {leaderboard.safe(model) for model in models}:
            path.unlink(missing_ok=True)
            _remove_if_empty(rows.place_of(boards, name))
        else:
            _write(changed, name, boards, without=models)
    return changed


def check(boards: Path) -> tuple[list[str], list[str]]:
    """Hold every table of a folder against its rows: (a line per table that holds, a line per fault)."""
    if not boards.is_dir():
        raise UsageError(f"{boards}: no such folder; give the folder of the tables, such as leaderboards")
    good: list[str] = []
    faults: list[str] = []
    tables = _tables(boards)
    for table in tables:
        try:
            cells = _check(table, boards)
            good.append(f"{boards / table}.csv: {cells} cells are those of its rows")
        except TkbenchError as error:
            faults.append(str(error))
    if (path := boards / claimed.FILE).exists():
        try:
            good.append(f"{path}: {len(claimed.read(path))} numbers of papers, each with its place")
        except TkbenchError as error:
            faults.append(str(error))
    if not good and not faults:
        raise UsageError(f"{boards}: no table in it; make one with `tkbench leaderboard build RUNS`")
    return good, faults


def _check(table: str, boards: Path) -> int:
    path, folder = boards / f"{table}.csv", rows.place_of(boards, table)
    if not path.exists():
        raise BadBundle(f"{path}: missing, but {folder} keeps its rows; run `tkbench leaderboard build`")
    kept = rows.kept(boards, table)
    stored = proof.read_csv(path)
    if not kept:
        raise BadBundle(
            f"{path}: {folder} keeps none of its rows, so nothing shows that its numbers are true; give their bundles "
            "to `tkbench leaderboard build RUNS`"
        )
    for row in kept:
        proof.verify(row.folder, players=False)
        if rows.seen(row.folder) is None:
            raise BadBundle(
                f"{row.folder}: has no {rows.FACTS}; `tkbench leaderboard submit` its bundle again"
            )
        if row.result.table != table:
            raise BadBundle(f"{row.folder}: is a row of {row.result.table}, not of {table}")
    return proof.compare_tables(path, stored, leaderboard.ranked(kept), str(folder))


def _add(
    changed: Changed,
    touched: dict[str, None],
    place: Path,
    boards: Path,
    tier: Tier,
    how: str,
    *,
    replace: bool,
) -> None:
    """Verify one bundle and keep it as a row; its table has to be written then."""
    known = rows.seen(place)  # a folder of tables given as runs: its rows have no players
    bundle = proof.verify(place, players=known is None).bundle
    if known is not None and tier == "reported":
        tier, how = known.tier, known.how
    table, model = bundle.result.table, bundle.result.model
    kept = rows.kept(boards, table)
    before = next((row for row in kept if row.result.model == model), None)
    others = [row for row in kept if row is not before]
    if others:
        leaderboard.check_comparable([others[0], bundle])
    touched[table] = None
    if before is not None:
        facts = rows.seen(before.folder)
        same = before.digest == bundle.digest
        if same and facts is not None and (facts.tier == tier or facts.tier == "measured"):
            changed.same += 1
            return
        if not same and not replace:
            raise UsageError(
                f"{place}: {table} has another bundle of {model!r} ({before.digest[:12]}); give --replace to put this "
                f"one ({bundle.digest[:12]}) in its place, or score it under another --name"
            )
    rows.keep(bundle, boards, tier, how)
    changed.added.append(model)


def _write_all(changed: Changed, touched: Iterable[str], boards: Path) -> None:
    for table in touched:
        _try(changed, partial(_write, changed, table, boards))


def _write(changed: Changed, table: str, boards: Path, without: Sequence[str] = ()) -> None:
    """Write a table anew from the rows that are kept; BadBundle where it would lose one."""
    path, kept = boards / f"{table}.csv", rows.kept(boards, table)
    if path.exists():
        there = {leaderboard.safe(row.result.model) for row in kept}
        gone = {leaderboard.safe(model) for model in without}
        if lost := [model for model in _models_of(path) if model not in there | gone]:
            names = ", ".join(repr(model)[:80] for model in lost[:6])
            raise BadBundle(
                f"{path}: left as it is: the bundles of {names} are not at hand, and their rows would be lost. "
                "Bring them with `tkbench leaderboard build RUNS`, or take the rows out with "
                f"`tkbench leaderboard remove {table} MODEL`"
            )
    if not kept:
        raise BadBundle(f"{path}: no row of it is kept in {rows.place_of(boards, table)}")
    write_file(path, leaderboard.to_csv(leaderboard.ranked(kept)).encode())
    changed.tables.append(path)


def _try(changed: Changed, step: Callable[[], None]) -> None:
    """One bundle or table that cannot be used is a line; the others go on."""
    try:
        step()
    except TkbenchError as error:
        changed.faults.append(str(error))


def _models_of(path: Path) -> list[str]:
    stored = proof.read_csv(path)
    place = stored[0].index("model")
    return [row[place] for row in stored[1:]]


def _tables(boards: Path) -> list[str]:
    """Names of the tables of a folder, by their CSV files and by their rows."""
    named = {
        path.stem for path in boards.glob("*.csv") if path.name not in (claimed.FILE, leaderboard.STACKS)
    }
    kept = {path.parent.parent.name for path in (boards / rows.FOLDER).glob("*/*/result.json")}
    return sorted(named | kept)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # something else lies in it
