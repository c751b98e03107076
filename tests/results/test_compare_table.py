"""The table of `tkbench compare` in a terminal: it fits 80 and 60 characters, and says once what is true of all."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from support import bundles

Run = Callable[..., tuple[int, str, str]]
NAMES = {"real": 3.0, "mute:synctalkface": 2.0, "shuffled-audio": 1.0}


def table(run_cli: Run, monkeypatch: pytest.MonkeyPatch, runs: Path, width: int, *more: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, said = run_cli("compare", runs, *more)
    assert code == 0, said
    return out.splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_name_and_no_number_is_folded(
    width: int, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, level in NAMES.items():
        bundles.make(tmp_path, name, level, speakers=bundles.MANY)
    lines = table(run_cli, monkeypatch, tmp_path, width)
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if "+0." in line or "+1." in line or "+2." in line]
    for a, b in [
        ("mute:synctalkface", "real"),
        ("mute:synctalkface", "shuffled-audio"),
        ("real", "shuffled-audio"),
    ]:
        if width == 60:  # the second name stands below the first
            assert any(
                line.split()[:1] == [a] and below.split()[:1] == [b]
                for line, below in itertools.pairwise(lines)
            )
        else:
            (one, *_) = [
                line for line in lines if line.replace("│", "").replace("LSE-C", "").split()[:2] == [a, b]
            ]
            answer = one.replace("│", "").split()[-1]
            assert answer == (
                {a: "a", b: "b"}[max(a, b, key=NAMES.__getitem__)]
                if width == 80
                else max(a, b, key=NAMES.__getitem__)
            )
    assert rows
    assert sum("Holm p" in line for line in lines) <= 3


def test_what_holds_for_all_lines_is_said_once(
    tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, level in NAMES.items():
        bundles.make(tmp_path, name, level)
    for width in (60, 80, 200):
        lines = table(run_cli, monkeypatch, tmp_path, width, "--metric", "lse_c_synth", "--metric", "psnr")
        assert " ".join(lines).count("can show no order") == 1
    assert sum("too few speakers" in line for line in lines) == 6


def test_how_it_was_made_is_told_to_those_who_ask(
    tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, level in NAMES.items():
        bundles.make(tmp_path, name, level, speakers=bundles.MANY)
    short = table(run_cli, monkeypatch, tmp_path, 200)
    long = table(run_cli, monkeypatch, tmp_path, 200, "-v")
    assert not any("sign-flip test over speakers" in line for line in short)
    assert any("sign-flip test over speakers" in line for line in long)
    assert len(long) > len(short)


def test_pairs_that_no_table_compares_stand_in_brackets(
    tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, level in NAMES.items():
        missing = sorted(bundles.MANY)[:12] if name == "shuffled-audio" else ()
        bundles.make(tmp_path, name, level, speakers=bundles.MANY, missing=missing)
    lines = table(run_cli, monkeypatch, tmp_path, 100, "--metric", "lse_c_synth")
    assert sum("(real)" in line for line in lines) == 1
    assert " ".join(" ".join(lines).split()).count("shuffled-audio has 66 % of the clips") == 1
