"""Paired tests, corrections and ranks: exact on small numbers, right as often as they say on many."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import bundles as made

from tkbench.cli import main
from tkbench.errors import BadBundle, BadInput, UnknownName, UsageError
from tkbench.results import bundle, halves, leaderboard, paired
from tkbench.results.compare import compare, probability
from tkbench.results.paired import (
    Split,
    detectable,
    differences,
    holm,
    p_values,
    paired_difference,
    sign_test,
)
from tkbench.results.standing import compared, too_few
from tkbench.types import Column


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=7))
def test_permutation_p_equals_enumeration(sums: list[int]) -> None:
    found = abs(sum(sums))
    every = [abs(sum(s * x for s, x in zip(signs, sums, strict=True))) >= found
             for signs in itertools.product((1, -1), repeat=len(sums))]  # fmt: skip
    p, exact = sign_test(np.array(sums, float))
    assert exact
    assert p == pytest.approx(np.mean(every))


def test_random_permutations_come_close_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(0).normal(0.3, 1, 12)
    expected, _ = sign_test(sums)
    monkeypatch.setattr(halves, "EXACT", 5)
    halves._packed.cache_clear()
    p, exact = sign_test(sums)
    assert not exact
    assert p == pytest.approx(expected, abs=4 * math.sqrt(expected / paired.DRAWS))
    assert sign_test(sums) == (p, False)
    assert sign_test(sums, seed=1)[0] != p
    assert sign_test(np.full(60, 1.0))[0] == 1 / (1 + paired.DRAWS)
    halves._packed.cache_clear()


@given(
    st.integers(2, 20).flatmap(
        lambda k: st.tuples(
            st.lists(st.integers(-4, 6), min_size=k, max_size=k),
            st.lists(st.integers(1, 5), min_size=k, max_size=k),
        )
    ),
    st.sampled_from([0.1, 1 / 3, 1e6]),
)
def test_zero_lies_outside_exactly_where_p_is_at_most_five_percent(
    speakers: tuple[list[int], list[int]], scale: float
) -> None:
    """Ties and all: the interval is the test turned round, with the same splits."""
    sums, counts = (np.array(part, float) for part in speakers)
    (found,) = differences((sums * scale)[None], counts, split=Split(300, 0))
    if math.isnan(found.low):
        assert len(sums) < 6
        assert found.p > 0.05
    else:
        assert (found.p <= 0.05) == (not found.low <= 0 <= found.high)
        # Any other difference is inside or outside by the same test, moved there.
        for end, side in ((found.low, -1), (found.high, 1)):
            width = 1e-3 * (scale + abs(end))
            for true, inside in ((end + side * width, False), (end - side * width, True)):
                if math.isfinite(end) and found.high - found.low > 2 * width:
                    (moved,) = differences((sums * scale - true * counts)[None], counts, split=Split(300, 0))
                    assert (moved.p > 0.05) == inside


def test_all_pairs_of_a_table_share_their_splits() -> None:
    rng = np.random.default_rng(2)
    models = rng.normal(size=(3, 25))
    pairs = [(0, 1), (0, 2), (1, 2)]
    together = p_values(models, pairs, Split(500, 7))
    alone = [sign_test(models[a] - models[b], n_draws=500, seed=7)[0] for a, b in pairs]
    assert together == alone
    assert paired.draws_for(1225) >= 40 * 1225


def test_holm_against_a_worked_example() -> None:
    """Holm 1979's procedure by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03 and 0.04, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    again = holm([0.01, math.nan, 0.02])
    assert again[0] == pytest.approx(0.02)
    assert math.isnan(again[1])
    assert holm([]) == []


def test_pairing_sees_what_two_intervals_do_not() -> None:
    """Clips differ by 3, models by 0.2 with little noise: the intervals overlap, the paired test is sure."""
    rng = np.random.default_rng(0)
    base = np.repeat(rng.normal(0, 3, 20), 5)
    speakers = [str(i // 5) for i in range(100)]
    a, b = base + 0.2 + rng.normal(0, 0.1, 100), base + rng.normal(0, 0.1, 100)
    difference = paired_difference(a, b, speakers)
    assert difference.p < 0.001
    assert difference.low > 0.1
    assert difference.detectable < 0.1
    assert (difference.n, difference.n_clusters, difference.n_unpaired) == (100, 20, 0)
    back = paired_difference(b, a, speakers)
    assert back.mean == pytest.approx(-difference.mean, rel=1e-12)
    assert back.p == difference.p


@given(st.randoms())
def test_order_of_clips_does_not_matter(random) -> None:
    rng = np.random.default_rng(3)
    rows = [(*rng.normal(size=2), str(i % 15)) for i in range(40)]
    first = paired_difference(*map(list, zip(*rows, strict=True)), n_draws=200)
    random.shuffle(rows)
    assert paired_difference(*map(list, zip(*rows, strict=True)), n_draws=200) == first


def test_missing_and_infinite_scores_are_counted() -> None:
    nan, inf = math.nan, math.inf
    difference = paired_difference([1.0, nan, inf, inf, 2.0], [0.0, 1.0, inf, 3.0, 1.0], list("abcde"))
    assert (difference.n, difference.n_unpaired) == (3, 2)
    assert difference.mean == pytest.approx(2 / 3)
    alone = paired_difference([1.0, 2.0], [0.0, 0.0], ["a", "a"])
    assert alone.note == "one speaker gives no test"
    assert math.isnan(alone.p)
    nothing = paired_difference([nan], [1.0], ["a"])
    assert (nothing.n, nothing.note) == (0, "no clip has a score of both")
    with pytest.raises(BadInput, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0], ["a"])


def test_equal_models_do_not_differ() -> None:
    values = np.random.default_rng(0).normal(size=40)
    same = paired_difference(values, values.copy(), [str(i % 9) for i in range(40)])
    assert (same.mean, same.p, same.detectable) == (0.0, 1.0, 0.0)


def test_few_speakers_can_show_no_difference_and_many_questions_need_a_larger_one() -> None:
    """Of 5 speakers the smallest p is 2 / 32; of 6, 2 / 64 is enough for one question and not for two."""
    rng = np.random.default_rng(0)
    counts = np.full(20, 3.0)
    sums = rng.normal(0, 1, 20)
    assert math.isinf(detectable(sums[:5], counts[:5]))
    assert math.isfinite(detectable(sums[:6], counts[:6]))
    assert math.isinf(detectable(sums[:6], counts[:6], pairs=2))
    assert detectable(sums, counts, pairs=15) > 1.2 * detectable(sums, counts)
    assert math.isinf(detectable(sums, counts, pairs=15, n_draws=200))


def ranks_of(
    values: list[np.ndarray], speakers: list[str], better: str = "higher"
) -> list[tuple[int, int] | None]:
    names = [f"m{i}" for i in range(len(values))]
    column = Column("x", "X", "", better, 2)  # type: ignore[arg-type]
    found = compared(column, names, np.stack(values), speakers, seed=0, level=0.95)
    return [found.ranks(name) for name in names]


def test_ranks_spread_as_far_as_the_evidence_is_thin() -> None:
    rng = np.random.default_rng(0)
    speakers = [str(i) for i in range(60)]
    clear = [rng.normal(level, 0.1, 60) for level in (3, 2, 1)]
    assert ranks_of(clear, speakers) == [(1, 1), (2, 2), (3, 3)]
    assert ranks_of(clear, speakers, "lower") == [(3, 3), (2, 2), (1, 1)]
    near = [rng.normal(0, 1, 60) for _ in range(3)]
    assert ranks_of(near, speakers) == [(1, 3)] * 3
    assert ranks_of([*clear[:2], clear[1] + 0.001 * near[0]], speakers) == [(1, 1), (2, 3), (2, 3)]
    assert ranks_of([clear[0], clear[0]], speakers) == [(1, 2), (1, 2)]
    assert ranks_of(clear, ["one"] * 60) == [None] * 3


def test_infinite_scores_count_as_the_best_finite_one_of_any_model() -> None:
    """Copies (PSNR of equal pictures) are clearly better where all clips are; one copied clip changes little."""
    rng = np.random.default_rng(0)
    speakers = [str(i) for i in range(30)]
    finite = rng.normal(30, 1, 30)
    assert ranks_of([np.full(30, math.inf), finite], speakers) == [(1, 1), (2, 2)]
    lucky = finite - 1
    lucky[0] = math.inf
    assert ranks_of([lucky, finite], speakers) == [(2, 2), (1, 1)]


@pytest.mark.parametrize(("models", "needed"), [(2, 6), (5, 9), (10, 11)])
def test_so_many_speakers_are_needed_for_any_order(models: int, needed: int) -> None:
    """One fewer, and even models that differ on every clip are not clearly so; with so many, they are."""
    for speakers in (needed - 1, needed):
        values = [np.full(speakers, -float(i)) for i in range(models)]
        spans = ranks_of(values, [str(i) for i in range(speakers)])
        shown = [(i + 1, i + 1) for i in range(models)] if speakers == needed else [(1, models)] * models
        assert spans == shown
        assert bool(too_few(speakers, models, 0.95)) == (speakers < needed)


# -- bundles -------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [
        made.make(tmp_path, name, level) for name, level in (("good", 3.0), ("middling", 2.9), ("poor", 1.0))
    ]


def test_bundles_are_compared_pair_by_pair(folders: list[Path]) -> None:
    found = compare([bundle.read(folder) for folder in folders])
    assert {item.column.name for item in found} == {"lse_c_synth", "psnr"}
    lse = [item for item in found if item.column.name == "lse_c_synth"]
    assert [(item.first, item.second) for item in lse] == [
        ("good", "middling"), ("good", "poor"), ("middling", "poor"),
    ]  # fmt: skip
    # Three speakers: no two-sided p can be below 2 / 8, and the table says so instead of a winner.
    assert lse[1].difference.p == 0.25
    assert lse[1].holm == 0.75
    assert lse[1].verdict == "3 speakers can show no order of 3 models: that takes 7"
    assert math.isnan(lse[1].difference.low)
    assert lse[1].difference.mean == pytest.approx(2, abs=0.2)
    assert all(item.difference.p == 1 for item in found if item.column.name == "psnr")
    again = compare([bundle.read(folder) for folder in folders])
    assert repr(again) == repr(found)  # from Python 3.13 on a nan within makes them unequal


def test_what_cannot_be_compared_is_said(folders: list[Path], tmp_path: Path) -> None:
    rows = [bundle.read(folder) for folder in folders]
    with pytest.raises(UsageError, match="two folders"):
        compare(rows[:1])
    with pytest.raises(UsageError, match="whole set"):
        compare(rows, metrics=["fid"])
    with pytest.raises(UnknownName, match="psnr"):
        compare(rows, metrics=["psrn"])
    other = made.make(tmp_path / "other", "stranger", 2.0, signature="test-v2|n:9")
    with pytest.raises(BadBundle, match="never share a table"):
        compare([rows[0], bundle.read(other)])


def test_command_prints_every_pair(
    folders: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["tkbench", "compare", *map(str, folders), "--metric", "lse_c_synth"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    out = capsys.readouterr().out
    assert out.count("3 speakers can show no order") == 1
    assert out.count("too few speakers") == 3
    assert "0.750" in out
    assert "3 pairs" in out
    assert probability(math.nan) == "-"


def test_a_pairs_own_interval_and_holm_can_differ_and_it_is_said(tmp_path: Path) -> None:
    """Six speakers show one difference, and none of three pairs; eight clips differ in one direction alone."""
    keys = sorted(made.MANY)
    rng = np.random.default_rng(4)
    noise = {key: float(rng.normal()) for key in keys}
    for name, lift in (("a", 0.0), ("b", 0.43), ("c", 0.25)):
        scores = {key: 3 + 0.5 * noise[key] + lift + float(rng.normal(0, 0.8)) for key in keys}
        folder = made.make(tmp_path, name, 0.0, scores=scores, speakers=made.MANY)
    found = compare(bundle.find(folder.parent), metrics=["lse_c_synth"])
    verdicts = {item.verdict: item for item in found}
    unsure = verdicts["not after Holm's correction"]
    assert unsure.difference.p <= 0.05 < unsure.holm
    assert not unsure.difference.low <= 0 <= unsure.difference.high
    spans = {entry.result.model: entry.ranks for entry in leaderboard.ranked(bundle.find(folder.parent))}
    for item in found:
        clear = item.verdict in (item.first, item.second)
        low = spans[item.first][0] > spans[item.second][1] or spans[item.second][0] > spans[item.first][1]
        assert clear or not low


def test_a_model_with_too_few_scores_is_compared_apart(tmp_path: Path) -> None:
    keys = sorted(made.MANY)
    rng = np.random.default_rng(0)
    for name, lift, missing in (("a", 0.0, []), ("b", 2.0, []), ("half", 4.0, keys[::2])):
        scores = {key: lift + float(rng.normal(0, 0.3)) for key in keys}
        folder = made.make(tmp_path, name, 0.0, scores=scores, missing=missing, speakers=made.MANY)
    rows = bundle.find(folder.parent)
    found = {(x.first, x.second): x for x in compare(rows, metrics=["lse_c_synth"])}
    assert found["a", "b"].difference.n == 36
    assert (
        found["a", "b"].holm
        == found["a", "b"].difference.p
        == leaderboard.ranked(rows)[0].standing.holm["a", "b"]
    )
    assert found["a", "half"].difference.n == 18
    assert found["a", "half"].verdict == "half (half has 50 % of the clips)"
    assert found["a", "half"].holm == pytest.approx(2 * found["a", "half"].difference.p)


def test_leaderboard_shows_rank_intervals(tmp_path: Path) -> None:
    folders = [
        made.make(tmp_path, name, level, speakers=made.MANY)
        for name, level in (("good", 3.0), ("middling", 2.99), ("poor", 1.0))
    ]
    entries = leaderboard.ranked([bundle.read(folder) for folder in folders])
    assert [entry.rank for entry in entries] == [1, 2, 3]
    assert [entry.ranks for entry in entries] == [(1, 2), (1, 2), (3, 3)]
    assert leaderboard.standing(entries[0]) == "1 [1-2]"
    assert leaderboard.standing(entries[2]) == "3"
    text = leaderboard.to_csv(entries)
    assert text.splitlines()[0].startswith("rank,rank_low,rank_high,model,")
    assert text.splitlines()[3].startswith("3,3,3,poor")
    alone = leaderboard.ranked([bundle.read(folders[0])])
    assert alone[0].ranks is None
    assert leaderboard.to_csv(alone).splitlines()[1].startswith("1,,,good")


@pytest.mark.parametrize("clusters", [6, 40])
def test_many_pairs_have_the_p_of_each_alone(clusters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are counted slice by slice; a pair alone is tested on all splits at once. Ties count, too."""
    rng = np.random.default_rng(3)
    models = rng.normal(0, 1, (5, clusters)).round(1)
    models[4] = models[3]
    pairs = [(a, b) for a in range(5) for b in range(a)]
    split = paired.Split(3000, 1)
    monkeypatch.setattr(halves, "AT_ONCE", 7 * clusters)
    found = paired.p_values(models, pairs, split)
    counts = np.ones(clusters)
    alone = [paired.differences((models[a] - models[b])[None], counts, split=split)[0].p for a, b in pairs]
    assert found == alone
    assert found[pairs.index((4, 3))] == 1.0
