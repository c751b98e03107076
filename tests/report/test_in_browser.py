"""The report as a reader has it: driven in headless Chromium, by mouse and keys, in light, dark and on a telephone.

Skips where there is no browser (TKBENCH_CHROMIUM names one). The accessibility test needs axe-core, a file of half a
megabyte that is not part of this repository: TKBENCH_AXE names its axe.min.js, or `npm install axe-core` puts it into
node_modules.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from support import browser
from support.browser import Tab
from support.report_runs import ANCHORS, FRAMES, KINDS, NASTY, make_run

from tkbench import report
from tkbench.report import site
from tkbench.results import bundle, leaderboard

pytestmark = pytest.mark.skipif(
    browser.find() is None, reason="no Chromium on this machine: set TKBENCH_CHROMIUM to one"
)
MODELS = [name for name in KINDS if name not in ANCHORS]
NARROW = 390


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    failed = {"my-model": 2, "older-model": 5}
    folders = [make_run(out, model, failed=failed.get(model, 0), players=8) for model in KINDS]
    return folders[0].parent


@pytest.fixture(scope="module")
def page(runs: Path) -> Path:
    return report.write([one.folder for one in bundle.find(runs)], runs / "report.html")


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser.tab(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def tab(window: Tab, page: Path) -> Iterator[Tab]:
    window.open(page)
    window.requests.clear()
    window.errors.clear()
    yield window
    assert window.errors == []
    assert window.outside == []


def names(tab: Tab) -> list[str]:
    """The models of the ranking as they stand there."""
    return list(
        tab.js(
            "[...document.querySelectorAll('#board tbody tr')].filter((row) => !row.hidden)"
            ".map((row) => row.dataset.name)"
        )
    )


def near(tab: Tab, selector: str) -> None:
    """Scroll to a part, as a reader would, so that it is made."""
    tab.js(f"document.querySelector('{selector}').scrollIntoView({{behavior: 'instant'}})")


def stage(tab: Tab) -> None:
    near(tab, "#players")
    tab.wait("document.querySelectorAll('#stage-tiles canvas.picture').length > 1")
    tab.wait("[...document.querySelectorAll('#stage-tiles canvas.picture')].every((one) => one.width > 2)")


def test_the_four_answers_are_on_the_first_screen(tab: Tab, runs: Path) -> None:
    best = next(e.result.model for e in leaderboard.ranked(bundle.find(runs)) if e.rank == 1)
    assert tab.texts(".answer h2") == ["Which is best", "By how much", "Can I trust it", "Where does it fail"]
    assert tab.text(".answer .headline") == best
    assert (
        tab.js(
            "Math.max(...[...document.querySelectorAll('.answer')].map((one) => one.getBoundingClientRect().bottom))"
        )
        < 600
    )


def place(tab: Tab, key: str) -> int:
    """Place of a column among all of the page."""
    return int(tab.js(f"tk.page.columns.findIndex((one) => one.key === '{key}')"))


def test_the_ranking_sorts_and_comes_back(tab: Tab) -> None:
    before = names(tab)
    head = f"#board thead [data-c='{place(tab, 'psnr')}'] button"
    psnr = {name: KINDS[name][3] for name in KINDS}
    tab.click(head)
    found = names(tab)
    finite = [name for name in found if psnr[name] < 90]
    assert set(found[:2]) == {"real", "shuffled-audio"}
    assert all(psnr[a] > psnr[b] - 1.0 for a, b in pairwise(finite))
    assert finite != [name for name in before if psnr[name] < 90]
    assert tab.js("document.querySelector('#board thead [aria-sort]').ariaSort") == "descending"
    tab.click(head)
    assert names(tab)[::-1][:2] == found[:2][::-1] or set(names(tab)[-2:]) == {"real", "shuffled-audio"}
    tab.click(head)
    assert names(tab) == before
    assert tab.js("document.querySelector('#board [aria-sort]')") is None
    tab.click("#board thead .model button")
    assert names(tab) == sorted(KINDS)


def test_the_ranking_filters_and_hides_anchors(tab: Tab) -> None:
    tab.choose("#rank-text", "model")
    assert sorted(names(tab)) == sorted(MODELS)
    assert tab.text("#rank-said") == f"{len(MODELS)} of {len(KINDS)} rows"
    tab.choose("#rank-text", "")
    tab.click("#rank-anchors")
    assert sorted(names(tab)) == sorted(MODELS)
    assert not set(tab.texts("figure svg g .name")) & set(ANCHORS)
    assert set(tab.texts("#board .rank")) >= {"1\n[1–2]", "3"}
    tab.click("#rank-anchors")
    assert sorted(names(tab)) == sorted(KINDS)
    ranks = dict(
        zip(
            names(tab),
            tab.js("[...document.querySelectorAll('#board .rank')].map((one) => one.innerText.trim())"),
            strict=True,
        )
    )
    assert all(not ranks[name] for name in ANCHORS)


def test_columns_are_chosen_for_all_tables(tab: Tab) -> None:
    few = tab.texts("#board thead th .title")
    tab.click("#rank-columns summary")
    tab.click("#columns-all")
    everything = tab.texts("#board thead th .title")
    assert len(everything) > len(few)
    assert any(title.startswith("LPIPS") for title in everything)
    tab.click(f"[data-column='{place(tab, 'psnr')}']")
    assert len(tab.texts("#board thead th .title")) == len(everything) - 1
    tab.press("Escape", 27)
    assert tab.js("document.querySelector('#rank-columns').open") is False
    near(tab, "#clips")
    tab.wait("document.querySelectorAll('#clip-head th').length")
    # The mouth's column of the same name is still there.
    assert sum(text.startswith("PSNR") for text in tab.texts("#clip-head th")) == 1
    assert any(text.startswith("LPIPS") for text in tab.texts("#clip-head th"))


def test_what_is_shown_is_copied(tab: Tab, runs: Path) -> None:
    tab.js("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    tab.click("#rank-anchors")
    tab.click("#copy-markdown")
    tab.wait("window.copied")
    lines = tab.js("copied").splitlines()
    assert len([line for line in lines if line.startswith("|")]) == 2 + len(MODELS)
    result = bundle.find(runs)[0].result
    assert lines[-1] == f"Signature: {result.signature}".replace("|", "\\|")
    entries = leaderboard.ranked(bundle.find(runs))
    first = next(entry for entry in entries if entry.rank == 1)
    cell = first.result.summary[first.result.rank_by]
    assert f"| 1 [1–2] | {first.result.model} | {cell.mean:.3f}" in lines[2]
    tab.js("window.copied = ''")
    tab.click("#copy-csv")
    tab.wait("window.copied")
    rows = list(csv.DictReader(io.StringIO(tab.js("copied"))))
    assert [row["model"] for row in rows] == names(tab)
    assert float(rows[0]["lse_c_synth"]) == pytest.approx(cell.mean, rel=1e-5)
    assert float(rows[0]["lse_c_synth_low"]) == pytest.approx(cell.low, rel=1e-5)


def test_differences_change_with_the_metric(tab: Tab) -> None:
    assert len(tab.texts(".gap-table")) == 1
    assert "Against the true video" in tab.text(".gap-table")
    tab.choose("#gap-metric", "1")
    shown = tab.js(
        "[...document.querySelectorAll('[data-gap]')].filter((one) => !one.hidden).map((one) => one.dataset.gap)"
    )
    assert shown == ["1"]


def test_clips_come_worst_against_the_true_video_first(tab: Tab, runs: Path) -> None:
    near(tab, "#clips")
    tab.wait("document.querySelectorAll('#clip-body tr').length")
    best = tab.text(".answer .headline")
    tables = {one.result.model: one.clips() for one in bundle.find(runs)}
    scores = {
        name: table[table["metric"] == "lse_c_synth"].set_index("key")["value"]
        for name, table in tables.items()
    }
    gaps = (scores[best] - scores["real"]).sort_values(na_position="first")
    shown = tab.js(
        "[...document.querySelectorAll('#clip-body tr')].map((row) => row.cells[0].firstChild.textContent)"
    )
    assert shown == list(gaps.index[: len(shown)])
    last = [text for text in tab.texts("#clip-body tr td:nth-child(3)") if text != "–"]
    assert float(last[0].replace("−", "-")) == pytest.approx(gaps.dropna().iloc[0], abs=1e-3)
    tab.choose("#clip-text", "s03")
    assert tab.text("#clip-count") == "2 rows"
    tab.choose("#clip-text", "")
    tab.choose("#clip-model", "all")
    assert tab.text("#clip-count") == f"{24 * len(KINDS)} rows"
    assert len(tab.texts("#clip-body tr")) <= 15
    before = tab.texts("#clip-body tr")
    tab.click("#clip-next")
    assert tab.texts("#clip-body tr") != before


def times(tab: Tab) -> list[float]:
    return list(tab.js("tk.stageTimes()"))


def bars(tab: Tab) -> list[int]:
    """The frame that each tile shows: the row at the top of the made videos is as long as the frame's number."""
    return list(
        tab.js(
            """[...document.querySelectorAll('#stage-tiles canvas.picture')].map((one) => {
              const row = one.getContext('2d').getImageData(0, 2, one.width, 1).data;
              let n = 0;
              while (n < one.width && row[4 * n] > 140) n += 1;
              return Math.round(n * 64 / one.width) - 1; })"""
        )
    )


def test_two_and_three_models_play_in_step(tab: Tab) -> None:
    stage(tab)
    assert len(tab.texts("#stage-tiles figcaption b")) == 3
    chips = tab.js("[...document.querySelectorAll('.chip')].findIndex((one) => one.ariaPressed === 'false')")
    tab.click(f".chip:nth-child({chips + 1})")
    tab.wait("document.querySelectorAll('#stage-tiles figure').length === 4")
    stage(tab)
    tab.click("#stage-play")
    tab.wait("document.querySelector('#stage-play').textContent === 'Stop'")
    # However busy the machine is: it may show fewer frames, but never two that lie further apart.
    apart, seen = [], set()
    end = time.monotonic() + 30
    while (len(apart) < 15 or len(seen) < 3) and time.monotonic() < end:
        shown = bars(tab)
        apart.append(max(shown) - min(shown))
        seen.add(max(shown))
    assert len(seen) >= 3, seen
    assert max(apart) <= 1, apart
    tab.click("#stage-play")
    tab.wait("document.querySelector('#stage-play').textContent === 'Play'")
    tab.wait(
        "new Set([...document.querySelectorAll('#stage-tiles .picture')].map((one) => one.dataset.frame)).size === 1"
    )
    # The last pictures that were asked for may still be on their way.
    end = time.monotonic() + 5
    while len(set(shown := bars(tab))) > 1 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(set(shown)) == 1, shown


def test_frames_go_one_by_one_and_the_curves_follow(tab: Tab) -> None:
    stage(tab)
    tab.wait("document.querySelector('#stage-opening .hand').hasAttribute('x1')")
    assert tab.text("#stage-time").startswith(f"frame 1 of {FRAMES}")
    hand = "Number(document.querySelector('#stage-opening .hand').getAttribute('x1'))"
    start = tab.js(hand)
    for n in range(1, 4):
        tab.click("#stage-next")
        tab.wait(f"document.querySelector('#stage-time').textContent.startsWith('frame {n + 1} ')")
        assert set(bars(tab)) == {n}
    assert tab.js(hand) > start
    tab.click("#stage-back")
    tab.wait("document.querySelector('#stage-time').textContent.startsWith('frame 3 ')")
    assert set(bars(tab)) == {2}
    tab.js("document.querySelector('#stage').focus()")
    tab.press("ArrowRight", 39)
    tab.wait("document.querySelector('#stage-time').textContent.startsWith('frame 4 ')")
    tab.press(" ", 32, " ")
    tab.wait("document.querySelector('#stage-play').textContent === 'Stop'")
    tab.press(" ", 32, " ")
    tab.wait("document.querySelector('#stage-play').textContent === 'Play'")
    assert len(tab.texts("#stage-shift svg .name")) == 3
    assert len(tab.texts("#stage-opening svg .name")) == 3


def test_a_clip_of_the_table_is_watched_with_slow_motion_and_one_sound(tab: Tab) -> None:
    near(tab, "#clips")
    tab.wait("document.querySelectorAll('#clip-body .play').length")
    key = tab.js("document.querySelector('#clip-body .play').parentElement.firstChild.textContent")
    tab.click("#clip-body .play")
    stage(tab)
    assert tab.js("document.querySelector('#stage-clip').selectedOptions[0].textContent").startswith(
        f"{key} ("
    )
    sounds = tab.js("[...document.querySelector('#stage-sound').options].map((one) => one.textContent)")
    assert sounds == ["none", *tab.texts("#stage-tiles figcaption b")[1:]]
    assert tab.js("tk.stageVideos().map((one) => one.muted)") == [False, True]
    tab.choose("#stage-sound", "")
    assert tab.js("tk.stageVideos().map((one) => one.muted)") == [True, True]
    tab.choose("#stage-speed", "0.25")
    tab.click("#stage-play")
    tab.wait("document.querySelector('#stage-play').textContent === 'Stop'")
    assert all(abs(rate - 0.25) < 0.05 for rate in tab.js("tk.stageVideos().map((one) => one.playbackRate)"))
    tab.click("#stage-play")


def test_metrics_are_drawn_against_each_other(tab: Tab) -> None:
    near(tab, "#scatter")
    tab.wait("document.querySelectorAll('#scatter-view .dot').length")
    assert set(tab.texts("#scatter-view svg g .name")) == set(KINDS) - {
        "real",
        "shuffled-audio",
    }  # PSNR is infinite
    tab.choose("#scatter-x", str(place(tab, "lse_c_synth")))
    tab.choose("#scatter-y", str(place(tab, "lse_d_synth")))
    tab.choose("#scatter-of", "3")
    assert tab.js("document.querySelectorAll('#scatter-view .dot').length") >= 19
    assert "Rank correlation −" in tab.text("#scatter-said")  # LSE-D falls where LSE-C rises


def test_a_figure_is_saved_as_it_is_seen(tab: Tab) -> None:
    tab.js(
        "{ const make = URL.createObjectURL; URL.createObjectURL = (blob) => {"
        " if (blob.type === 'image/svg+xml') blob.text().then((text) => { window.saved = text; });"
        " return make(blob); } }"
    )
    tab.js("HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; }")
    tab.click("[data-save='intervals']")
    root = ET.fromstring(tab.wait("window.saved"))
    assert tab.js("window.savedAs") == "intervals.svg"
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(KINDS) <= set(texts)
    dots = [node.get("fill") for node in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(set(dots)) > 3
    assert not any("var(" in fill for fill in dots)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, NARROW])
def test_nothing_runs_out_of_the_window(tab: Tab, page: Path, width: int, dark: bool) -> None:
    tab.open(page, width=width, height=800, dark=dark)
    for part in ("#clips", "#players", "#scatter"):
        near(tab, part)
    stage(tab)
    tab.wait("document.querySelectorAll('#scatter-view .dot').length")
    assert tab.js("document.documentElement.scrollWidth") <= width
    paper = tab.js("getComputedStyle(document.documentElement).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is not dark
    if width == NARROW:
        tab.click("#rank-columns summary")
        box = "document.querySelector('.menu-box').getBoundingClientRect()"
        assert tab.js(f"{box}.left") >= 0
        assert tab.js(f"{box}.right") <= width


def test_all_controls_are_reached_by_keys(tab: Tab) -> None:
    for part in ("#clips", "#players", "#scatter"):
        near(tab, part)
    stage(tab)
    tab.js("document.activeElement.blur(); window.scrollTo(0, 0); window.reached = new Set()")
    wanted = {
        *("rank-text", "rank-anchors", "copy-markdown", "copy-csv", "gap-metric", "clip-model", "clip-text"),
        *("stage-clip", "stage-back", "stage-play", "stage-next", "stage-seek", "stage-speed", "stage-sound"),
        *("stage-loop", "scatter-x"),
    }
    reached: set[str] = set()
    for _ in range(250):
        tab.press("Tab", 9)
        reached.add(tab.js("document.activeElement.id"))
        if wanted <= reached:
            break
    assert wanted <= reached
    # The focus can be seen, and a heading sorts by a key.
    assert tab.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    before = names(tab)
    tab.js("document.querySelector('#board thead .model button').focus()")
    tab.press("Enter", 13, "\r")
    assert names(tab) != before


def axe() -> str | None:
    root = Path(__file__).parents[2]
    for place in (os.environ.get("TKBENCH_AXE"), root / "node_modules" / "axe-core" / "axe.min.js"):
        if place is not None and Path(place).is_file():
            return Path(place).read_text(encoding="utf-8")
    return None


@pytest.mark.skipif(
    axe() is None, reason="no axe-core here: npm install axe-core, or set TKBENCH_AXE to axe.min.js"
)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, NARROW])
def test_axe_finds_nothing(tab: Tab, page: Path, runs: Path, tmp_path: Path, width: int, dark: bool) -> None:
    pages = [page]
    if width == 1280:
        index = site.write([runs], tmp_path / "site")
        pages += [index, tmp_path / "site" / "models" / "my-model.html"]
    for one in pages:
        tab.open(one, width=width, dark=dark)
        if one is page:
            for part in ("#clips", "#players", "#scatter"):
                near(tab, part)
            stage(tab)
            tab.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        tab.js(axe() or "")
        found = tab.js(
            "axe.run().then((found) => found.violations.map("
            "(one) => [one.id, one.nodes[0].html, one.nodes[0].failureSummary]))"
        )
        assert found == [], json.dumps(found, indent=1)


def test_a_site_works_from_a_disk(window: Tab, runs: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "more", "my-model", signature="synth-v1@other", players=2, seed=3)
    index = site.write([runs.parent, other.parent], tmp_path / "site")
    window.open(index)
    window.requests.clear()
    assert len(window.texts("main section:first-child tbody tr")) == 2
    links = window.js("[...document.querySelectorAll('a')].map((one) => one.href)")
    assert all(Path(link.removeprefix("file://")).is_file() for link in links)
    assert len(list((tmp_path / "site" / "models").iterdir())) == len(KINDS)
    window.open(tmp_path / "site" / runs.name / "index.html")
    stage(window)
    window.click("#stage-next")
    window.wait("document.querySelector('#stage-time').textContent.startsWith('frame 2 ')")
    assert set(window.js("tk.stageTimes().map((time) => Math.floor(time * 25))")) == {1}
    assert window.errors == []
    assert window.outside == []


def test_strange_names_stay_text_in_every_part(window: Tab, tmp_path: Path) -> None:
    keys = [NASTY, "<!--<script>", *(f"k{i}" for i in range(6))]
    folders = [make_run(tmp_path, name, keys=keys, players=8) for name in ("real", "my-model")]
    window.open(report.write(folders, tmp_path / "x.html"))
    for part in ("#clips", "#players", "#scatter"):
        near(window, part)
    stage(window)
    assert NASTY in window.js("document.querySelector('#clip-body').textContent")
    assert NASTY in window.js("document.querySelector('#stage-clip').textContent")
    assert window.js("document.querySelectorAll('img').length") == 0
    assert window.errors == []


def test_large_parts_wait_until_they_are_needed(window: Tab, page: Path) -> None:
    """Opening a page parses neither the clips nor the players, and decodes no video."""
    window.open(page, height=400)
    assert window.js("document.querySelectorAll('#clip-body tr').length") == 0
    assert window.js("document.querySelectorAll('#stage-tiles canvas').length") == 0
    assert window.js("document.querySelectorAll('video').length") == 0
    near(window, "#clips")
    window.wait("document.querySelectorAll('#clip-body tr').length === 15")
