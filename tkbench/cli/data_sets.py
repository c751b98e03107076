"""The commands that follow from the registry of data sets: `prep NAME`, `data check | fake | splits NAME`."""

from __future__ import annotations

import typer

from tkbench.cli import data, prep
from tkbench.cli.common import add_command
from tkbench.cli.common import prep as prep_group
from tkbench.dataset import DataSet
from tkbench.errors import UsageError
from tkbench.prep import datasets


def add_data_sets(*, installed: bool) -> None:
    """Add them for the data sets of this package, and with `installed` for those that other packages bring.

    One that cannot be used breaks no help text: its command says why when it is called.
    """
    records: dict[str, DataSet] = {}
    for name in datasets.registry.names() if installed else datasets.registry.own():
        try:
            record = datasets.find(name)
            _check_options(record)
        except UsageError as error:
            _add_refusal(name, error)
            continue
        records[name] = record
        if record.prep_command == "own":
            prep.add_data_set(name, record)
    data.add_data_sets(records)


def _check_options(record: DataSet) -> None:
    """Raises UsageError for an option that the commands have themselves."""
    taken = prep.PARAMETERS | data.PARAMETERS
    for option in record.options:
        if option.name in taken:
            raise UsageError(
                f"data set {record.name!r}: its option --{option.name} is one of tkbench's own; "
                "its package must give it another name"
            )


def _add_refusal(name: str, error: UsageError) -> None:
    """`tkbench prep NAME`, whatever options are given, ends in the one line that says what is wrong."""

    def command(context: typer.Context) -> None:
        raise error

    command.__doc__ = f"Cannot be used: {error}"
    add_command(prep_group, name, command, any_options=True)
