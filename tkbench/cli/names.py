"""`tkbench ls`: the names that commands take, and what one of them means."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated

import typer

from tkbench.cli.common import app, say, show
from tkbench.cli.talking import answer
from tkbench.errors import TkbenchError, UnknownName
from tkbench.runtime.words import plain

if TYPE_CHECKING:
    from tkbench.metrics.base import BuildContext
    from tkbench.types import Column

DIRECTIONS = {"higher": "higher is better", "lower": "lower is better"}


@app.command("ls")
def list_names(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A metric, by its own name, that of a column or one of the field: psnr, lse_c, LSE-C, Sync-D.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the names that commands take, with those of plug-ins; or tell of one metric what its numbers are.

    Of a metric: unit, direction, the networks that it needs, its other names, and where it comes from.

    Example: `tkbench ls`

    One metric: `tkbench ls LSE-C`
    """
    if name is None:
        _list_all()
    else:
        _tell(name)


def _list_all() -> None:
    from rich.table import Table

    from tkbench import metrics, models, protocol
    from tkbench.crops import align
    from tkbench.metrics.lse_recipes import RECIPES
    from tkbench.prep import backends, datasets
    from tkbench.scoring.sensitivity import KNOBS

    found: dict[str, list[str]] = {
        "models": list(models.registry),
        "metrics": list(metrics.registry),
        "names in papers": [f"{k}: {', '.join(v)}" for k, v in metrics.FIELD_NAMES.items()],
        "protocols": list(protocol.names()),
        "LSE recipes": list(RECIPES),
        "data sets": list(datasets.registry),
        "trackers": list(backends.BACKENDS),
        "crop recipes": list(align.RECIPES),
        "knobs": list(KNOBS),
    }
    answer(**{kind.replace(" ", "_"): names for kind, names in found.items()})
    table = Table(show_header=False)
    for kind, names in found.items():
        table.add_row(kind, ("\n" if kind == "names in papers" else ", ").join(names))
    show(table)
    for registry in (models.registry, metrics.registry, protocol.installed, datasets.registry):
        for clash in registry.clashes:
            say(clash)


def _tell(name: str) -> None:
    """A table of each metric that goes by a name."""
    from rich.table import Table

    found = {metric: _facts(metric, columns) for metric, columns in _called(name).items()}
    answer(metrics=found)
    for metric, facts in found.items():
        table = Table(title=metric, title_justify="left", show_header=False)
        for what, text in facts.items():
            if text:
                table.add_row(what.replace("_", " "), text)
        show(table)


def _called(name: str) -> dict[str, list[Column]]:
    """The registered metrics that a name means, each with the columns that are meant: all of them for its own name.

    Raises UnknownName, with what is near it.
    """
    from tkbench import metrics
    from tkbench.registry import suggest

    wanted = plain(name)
    found: dict[str, list[Column]] = {}
    known: set[str] = set(metrics.registry)
    for metric in metrics.registry:
        columns = _columns(metric)
        if plain(metric) == wanted:
            found[metric] = columns
            continue
        known |= {text for column in columns for text in (column.label, *column.also_called)}
        mine = [column for column in columns if wanted in _names(column)]
        fields = [text for text, those in metrics.FIELD_NAMES.items() if metric in those]
        if not mine and any(wanted in map(plain, _split(text)) for text in fields):
            mine = columns
        if mine:
            found[metric] = mine
    if not found:
        near = suggest(name, sorted(known))
        advice = near if near.startswith("did you mean") else suggest(name, list(metrics.registry))
        raise UnknownName(f"no metric is called {name!r}: {advice}")
    return found


def _split(text: str) -> list[str]:
    return [part.strip() for piece in text.split(",") for part in piece.split("=")]


def _names(column: Column) -> set[str]:
    """What a column may be called: its own name also without its variant, as lse_c for lse_c_synth."""
    texts = {column.name, column.name.rpartition("_")[0], column.label, column.label.partition(" (")[0]}
    return {plain(text) for text in (*texts, *column.also_called) if text}


def _columns(metric: str) -> list[Column]:
    """The columns of a metric with its usual settings; none where it needs settings, or a plug-in is broken."""
    from tkbench import metrics
    from tkbench.protocol import MetricSpec

    try:
        return list(metrics.build(MetricSpec(name=metric), _context()).columns)
    except (TkbenchError, TypeError):
        return []


def _context() -> BuildContext:
    from tkbench.media import lossy
    from tkbench.metrics.base import BuildContext

    return BuildContext(lossy=lossy)


def _facts(metric: str, columns: list[Column]) -> dict[str, str]:
    """What is to be known of a metric, by words."""
    from tkbench import metrics

    kind = metrics.registry.get(metric)
    lines = []
    for column in columns:
        unit = f" in {column.unit}" if column.unit else ""
        lines.append(f"{column.name}: {column.label}{unit}, {DIRECTIONS.get(column.better, column.better)}")
    also = dict.fromkeys(text for column in columns for text in column.also_called)
    text = next((column.text for column in columns if column.text), "")
    module = inspect.getmodule(kind)
    return {
        "what": text or (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " "),
        "columns": "\n".join(lines),
        "other_names": ", ".join(also),
        "networks": _networks(metric, columns),
        "settings": ", ".join(n for n in inspect.signature(kind).parameters if n != "context"),
        "protocols": ", ".join(_protocols_with(metric)),
        "source": inspect.getdoc(module) or "" if module is not None else "",
        "brought_by": metrics.registry.origin(metric),
    }


def _networks(metric: str, columns: list[Column]) -> str:
    """The networks in a metric's signature, and how to get one that is missing."""
    from tkbench import metrics, weights
    from tkbench.protocol import MetricSpec

    if not columns:
        return ""
    here = metrics.build(MetricSpec(name=metric), _context()).weights
    lines = [f"{name}: is here ({sha[:12]})" for name, sha in here.items()]
    signatures = " ".join(column.signature for column in columns)
    for name in weights.known():
        if name not in here and f"{name}@missing" in signatures:
            lines.append(f"{name}: missing; `tkbench weights fetch {name}`")
    return "\n".join(lines) or "none"


def _protocols_with(metric: str) -> list[str]:
    from tkbench import protocol

    return [n for n in protocol.names() if any(spec.name == metric for spec in protocol.load(n).metrics)]
