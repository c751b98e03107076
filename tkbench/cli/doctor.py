"""`tkbench doctor`: is everything installed, and does this machine compute the numbers that others compute?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tkbench.cli.common import app, say, show
from tkbench.cli.talking import answer
from tkbench.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from tkbench.doctor import Difference, Examination

MARKS = {"same": "green", "close": "yellow", "different": "red"}


@app.command("doctor")
def doctor_command(
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A.json B.json", help="Compare two files that `--out` wrote, on any machine."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the result to a JSON file, to send or to compare.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            help="With --compare: add what was found to this file, which tables read where rows were scored by other "
            "software, as in leaderboards/stacks.csv.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run every stage on a small clip and compare each with the values that come with the package.

    Prints the machine, the versions, the networks that are here, and for each stage (file, frames, sound, MFCC,
    landmarks, box, crop, SSIM, embeddings, distances) whether its values are the same, close (no printed digit
    changes) or different. Exit code 1 if a stage is different.

    Example: `tkbench doctor --out here.json`

    Two machines: `tkbench doctor --compare here.json there.json --record leaderboards/stacks.csv`
    """
    if record is not None and compare is None:
        raise UsageError("--record goes with --compare A.json B.json")
    from tkbench import doctor
    from tkbench.runtime.progress import bar

    if compare is not None:
        if out is not None:
            raise UsageError("--compare reads two files and writes none; leave out --out")
        one, two = (doctor.read(path) for path in compare)
        names = (compare[0].name, compare[1].name)
    else:
        with bar("doctor") as progress:
            two = doctor.examine(progress=progress)
        if out is not None:
            out.write_text(two.to_json(), encoding="utf-8")
        one, names = doctor.golden(), ("the package's", "here")
        show(_facts(two))
    found = doctor.compare(one, two)
    answer(stages=[asdict(item) for item in found], machine=two.machine, stack=two.stack, weights=two.weights)
    show(_stages(found, names))
    changed = doctor.changed_versions(one, two)
    first = doctor.first_difference(found)
    if first is None:
        same = sum(item.verdict == "same" for item in found)
        say(
            f"{same} of {len(found)} stages the same to the bit, the rest close: no printed digit of a score changes"
        )
    else:
        say(f"first stage that differs: {first.stage} ({first.what}); {first.detail}")
        for what, there, here in changed:
            say(f"  {what}: {names[0]} {there}, {names[1]} {here}")
    if record is not None:
        from tkbench.results import stacks

        stacks.record(record, doctor.stack_of(one), doctor.stack_of(two), doctor.in_short(found))
        say(f"recorded: {record}")
    if out is not None:
        say(f"written: {out}")
    if first is not None:
        raise typer.Exit(1)


def _facts(found: Examination) -> Table:
    from rich.table import Table

    table = Table(show_header=False, title="This machine", title_justify="left")
    for name, value in found.machine.items():
        table.add_row(name, value)
    table.add_row("packages", ", ".join(f"{name} {version}" for name, version in found.stack.items()))
    states: dict[str, list[str]] = {}
    for name, state in found.weights.items():
        states.setdefault(state, []).append(name)
    for state, weights in states.items():
        table.add_row(f"networks: {state}", ", ".join(weights))
    return table


def _stages(found: list[Difference], names: tuple[str, str]) -> Table:
    from rich.table import Table

    table = Table(title=f"Stage by stage: {names[0]} values and those of {names[1]}", title_justify="left")
    for heading in ("stage", "what", "verdict", "detail"):
        table.add_column(heading)
    for item in found:
        color = MARKS[item.verdict]
        table.add_row(item.stage, item.what, f"[{color}]{item.verdict}[/{color}]", item.detail)
    return table
