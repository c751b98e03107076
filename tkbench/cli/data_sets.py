"""The commands that follow from the registry of data sets: `prep NAME`, `data check | fake | splits NAME`."""

from __future__ import annotations

from tkbench.cli import data, prep
from tkbench.cli.common import add_command
from tkbench.cli.common import prep as prep_group
from tkbench.dataset import DataSet
from tkbench.errors import TkbenchError, UsageError
from tkbench.prep import datasets


def add_data_sets(*, installed: bool) -> None:
    """Add them for the data sets of this package, and with `installed` for those that other packages bring.

    One that cannot be loaded breaks no help text: its command says why when it is used.
    """
    records: dict[str, DataSet] = {}
    for name in datasets.registry.names() if installed else datasets.registry.own():
        try:
            records[name] = datasets.registry.get(name)
        except Exception as error:
            if isinstance(error, TkbenchError):
                raise
            _add_broken(name, error)
    for name, record in records.items():
        if record.door == "own":
            prep.add_data_set(name, record)
    data.add_data_sets(records)


def _add_broken(name: str, error: Exception) -> None:
    why = f"{type(error).__name__}: {error}"

    def command() -> None:
        raise UsageError(
            f"data set {name!r}: the installed package that brings it cannot be loaded ({why}); fix or remove it"
        )

    command.__doc__ = f"Cannot be loaded: {why}.\n\nExample: `tkbench prep {name}`"
    add_command(prep_group, name, command)
