r"""What a table rests on, for the paper that prints it: `tkbench cite runs/<table>`.

First comes a sentence for the methods section, with `\cite` and the hash of the signature. Then come BibTeX entries for
tkbench, the metrics that have a number, the data set, the tracker and the models, out of
`tkbench/assets/references.toml`. What has none there (a plug-in's metric, a stranger's model) is named, so that nobody
believes the list to be whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TypedDict, cast

from tkbench.results.bundle import Bundle, Result
from tkbench.results.latex import signature_hash, tex
from tkbench.results.leaderboard import check_comparable, levels_of
from tkbench.runtime import toml
from tkbench.runtime.words import counted, in_list


class References(TypedDict):
    """references.toml."""

    uses: dict[str, dict[str, list[str]]]
    """columns, datasets, models, tracker: what -> keys of entries."""
    entries: dict[str, str]
    """Key -> BibTeX."""


@dataclass(frozen=True, slots=True)
class Citation:
    """What to paste, and what is missing in it."""

    sentence: str
    bibtex: str
    unknown: tuple[str, ...]
    """Parts of the table that no entry is known for, a line each."""

    def __str__(self) -> str:
        return f"{self.sentence}\n\n{self.bibtex}\n"


@lru_cache(maxsize=1)
def references() -> References:
    """The entries that come with the package."""
    path = Path(str(resources.files("tkbench") / "assets" / "references.toml"))
    return cast(References, toml.parse(path.read_text(encoding="utf-8")))


def cite(bundles: Sequence[Bundle]) -> Citation:
    """The citation of one table, or of one bundle. Raises BadBundle for bundles of several tables."""
    check_comparable(bundles)
    result = bundles[0].result
    uses, unknown = references()["uses"], []
    scored = [
        column for column in result.columns if any(bundle.result.summary[column.name].n for bundle in bundles)
    ]
    metrics: dict[str, list[str]] = {}
    for column in scored:
        keys = keys_of(column.signature)
        if keys is None:
            unknown.append(f"metric {column.label}: no reference is known here; cite that of its package")
        metrics.setdefault(column.label, []).extend(keys or [])
    used = [key for keys in metrics.values() for key in keys]
    name = result.dataset.removesuffix("-fake")
    data = uses["datasets"].get(name, [])
    if not data and name not in ("synth", "folder"):
        unknown.append(f"data set {name}: no reference is known here; cite its paper")
    tracker = uses["tracker"]["mesh"] if "mesh" in result.signature else []
    models: dict[str, list[str]] = {}
    for bundle in bundles:
        card = bundle.result.model_card
        if card.get("anchor"):
            continue
        found = _of_model(bundle.result, uses["models"])
        models[bundle.result.model] = found
        if not found:
            paper = f" (its card says: {card['paper']})" if card.get("paper") else ""
            unknown.append(f"model {bundle.result.model}: no reference is known here; cite its paper{paper}")
    of_models = [key for keys in models.values() for key in keys]
    order = list(dict.fromkeys(["tkbench", *used, *data, *tracker, *of_models]))
    entries = references()["entries"]
    version = result.stack.get("tkbench", "")
    bibtex = "\n".join(entries[key].strip().replace("{VERSION}", f"{{{version}}}") for key in order)
    return Citation(_sentence(result, metrics, data, tracker), bibtex, tuple(unknown))


def keys_of(signature: str) -> list[str] | None:
    """The entries of a column, by its signature; None for a metric that references.toml does not know.

    >>> (
    ...     keys_of("lse[net:syncnet-synth@4ba5798c9040,shift:15]"),
    ...     keys_of("iqa[niqe@pyiqa-1]"),
    ...     keys_of("mine[1]"),
    ... )
    (['chung2016out', 'prajwal2020lip'], ['mittal2013making'], None)
    """
    known = references()["uses"]["columns"]
    name, _, inside = signature.partition("[")
    if name == "iqa":
        name = re.split(r"[@,\]]", inside)[0]
    begin = name if name in known else name.partition("_")[0]
    if begin not in known:
        return None
    return [*known[begin], *(known["soft-dtw"] if "soft-dtw" in inside else [])]


def _of_model(result: Result, known: Mapping[str, list[str]]) -> list[str]:
    """By the card's name, whatever voice it is given (`cross:cals`); by its paper, where it has another name."""
    named = re.split(r"[:\-_ ]", str(result.model_card.get("name") or result.model).casefold())
    paper = str(result.model_card.get("paper") or "")
    arxiv = {"2305.19556": "cals", "2211.00924": "synctalkface"}
    named += [name for number, name in arxiv.items() if number in paper]
    return next((list(known[name]) for name in named if name in known), [])


def _sentence(
    result: Result, metrics: Mapping[str, Sequence[str]], data: Sequence[str], tracker: Sequence[str]
) -> str:
    version = result.stack.get("tkbench", "?")
    levels = levels_of(result)
    tested = f"Intervals are {tex(levels)}; models" if levels else "Models"
    named: dict[tuple[str, ...], list[str]] = {}
    for label, keys in metrics.items():
        named.setdefault(tuple(dict.fromkeys(keys)), []).append(tex(in_list(label)))
    parts = [", ".join(labels) + _cited(keys) for keys, labels in named.items()]
    faces = f" Faces are tracked by Face Mesh{_cited(tracker)}." if tracker else ""
    return (
        f"Scores are those of tkbench {tex(version)}{_cited(['tkbench'])} by the protocol {tex(result.protocol)} on "
        f"{counted(result.n_clips, 'clip')} of {tex(result.data_title)}{_cited(data)}, split {tex(result.split)}: "
        f"{'; '.join(parts)}.{faces} {tested} are compared by a paired sign-flip test with Holm's correction. Every "
        "setting that can move a number is in the signature of the table, "
        rf"whose sha256 begins with \texttt{{{signature_hash(result.signature)}}}."
    )


def _cited(keys: Sequence[str]) -> str:
    return rf"~\cite{{{','.join(dict.fromkeys(keys))}}}" if keys else ""
