"""Every registered data set faces the same questions about its record; none of them needs its data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tkbench import protocol
from tkbench.dataset import Check, DataSet, Ledger, Option
from tkbench.errors import UsageError
from tkbench.prep import datasets
from tkbench.registry import lazy, resolve
from tkbench.runtime.progress import silent

ROOT = Path(__file__).parents[3]
NAMES = datasets.registry.own()
parametrized = pytest.mark.parametrize("name", NAMES)


def functions(record: DataSet) -> Iterator[tuple[str, Callable[..., object], tuple[object, ...]]]:
    """(field, function, what tkbench calls it with) of everything that a record can do."""
    yield "read", record.read, (ROOT,)
    if record.annotate is not None:
        yield "annotate", record.annotate, (None,)
    if record.check is not None:
        yield "check", record.check, (Ledger(record, "x"), ROOT, Check())
    if record.fake is not None:
        yield "fake", record.fake.make, (ROOT, 1, 0, silent)
    if record.split_note is not None:
        yield "split_note", record.split_note, ("test", "0" * 64)
    if record.recognises is not None:
        yield "recognises", record.recognises, (ROOT,)


@parametrized
def test_its_functions_are_there_and_take_what_they_are_given(name: str) -> None:
    record = datasets.find(name)
    for field, function, given in functions(record):
        target = resolve(function.target) if isinstance(function, lazy) else function
        options = {option.name: "x" for option in record.options} if field == "read" else {}
        try:
            inspect.signature(target).bind(*given, **options)
        except TypeError as error:
            pytest.fail(f"{name}.{field}: {error}")


@parametrized
def test_its_facts_are_told_in_sentences(name: str) -> None:
    record = datasets.find(name)
    for text in (record.title, record.layout, record.clustered_by):
        assert text, "help texts put this into a sentence"
        assert not text.endswith("."), f"{text!r}: help texts end the sentence"
    assert all(option.help.endswith(".") for option in record.options)
    command = name if record.prep_command == "own" else "folder"
    assert record.example.startswith(f"tkbench prep {command} --root ")
    for option in record.options:
        assert f"--{option.name}" in record.example
    if record.prep_command == "folder":
        assert record.recognises is not None, "nothing else leads to it"


@parametrized
def test_its_protocol_loads(name: str) -> None:
    wanted = datasets.default_protocol(name)
    assert protocol.load(wanted).name == wanted


@parametrized
def test_its_published_counts_name_their_source(name: str) -> None:
    record = datasets.find(name)
    sources = {text.partition("(")[2] for text in record.published.values()}
    assert sources <= {"lists)", "paper)", "annotations)", "memory)"}
    if record.counted_by == "split":
        assert set(record.published) <= set(record.splits)
    assert not record.published or record.check is not None, "only the check shows them"


@parametrized
def test_the_documents_describe_it(name: str) -> None:
    record = datasets.find(name)
    guide = (ROOT / "docs" / "data-sets.md").read_text(encoding="utf-8")
    if record.prep_command == "own" and name != "folder":
        assert f"## {record.title.partition(' (')[0].partition('-')[0]}\n" in guide
        whom = record.clustered_by.partition(" (")[0].lower()
        assert f"intervals are computed over {whom}" in " ".join(guide.lower().split())


@parametrized
def test_what_it_lacks_is_refused_by_name(name: str, tmp_path: Path) -> None:
    from tkbench.prep.datasets.check import check
    from tkbench.prep.datasets.fake import make_fake
    from tkbench.prep.datasets.splits import splits_of

    record = datasets.find(name)
    calls: dict[str, Callable[..., object]] = {"check": check, "fake": make_fake, "splits": splits_of}
    for what, call in calls.items():
        if not getattr(record, what):
            with pytest.raises(UsageError, match=f"^{name} has no .*lrs2"):
                call(name, tmp_path / "x")
    with pytest.raises(UsageError, match=f"^{name} has no option --colour"):
        list(datasets.read(name, tmp_path, {"colour": "red"}))


def test_a_whole_copy_has_findings_that_are_no_problems() -> None:
    ledger = Ledger(datasets.find("hdtf"), "/data")
    ledger.add("available", "RD", "RD_Radio1", "/data/Radio1.mp4")
    ledger.add("missing-video", "WDA", "WDA_X", "")
    assert ledger.problems == 1
    assert ledger.findings[0].file == "Radio1.mp4"
    assert [row[0] for row in ledger.table()] == ["RD", "WDA", "WRA"]
    assert Ledger(datasets.find("lrs2"), "/data", findings=ledger.findings).problems == 2


@pytest.mark.parametrize("name", ["LRS2", "a b", "-x", "x-fake", "", "ä"])
def test_names_that_no_command_could_have_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="lower case"):
        replace(datasets.find("lrs2"), name=name)


def test_an_option_that_no_command_could_have_is_refused() -> None:
    with pytest.raises(UsageError, match="letters and digits"):
        replace(datasets.find("lrs2"), options=(Option("no-sound", "x"),))


def test_shards_of_a_data_set_that_is_not_installed_have_a_protocol() -> None:
    assert datasets.known("somewhere-else").name == "folder"
    assert datasets.default_protocol("somewhere-else-fake") == "tkbench-v3"
    assert datasets.known("lrs2-fake").name == datasets.find("lrs2-fake").name == "lrs2"
