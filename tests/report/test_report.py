"""The report: true to its bundles, closed to the outside, and safe with strangers' names."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import MANY, make
from support.report_runs import ANCHORS, KINDS, NASTY, make_run

from tkbench import report
from tkbench.errors import BadBundle
from tkbench.report import board, figures, finding, glossary, page
from tkbench.results import bundle, leaderboard
from tkbench.results.compare import compare
from tkbench.types import Column
from tkbench.version import DOCUMENTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]

VOID = {"meta", "link", "br", "wbr", "input", "img"}


class Page(HTMLParser):
    """What a browser would find: elements with attributes, and the text in some of them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[int, str] = {}
        self.open: list[int] = []
        self.feed(text)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for place in self.open:
            self.texts[place] = self.texts.get(place, "") + data

    def all(self, tag: str, **wanted: str) -> list[tuple[dict[str, str], str]]:
        """(attributes, text) of the elements of a kind."""
        return [
            (attrs, re.sub(r"\s+", " ", self.texts.get(place, "")).strip())
            for place, (name, attrs) in enumerate(self.elements)
            if name == tag and all(attrs.get(key) == value for key, value in wanted.items())
        ]

    @property
    def data(self) -> Any:
        return self.json("clip-data")

    def json(self, name: str) -> Any:
        """What a script element of that id holds."""
        place = next(i for i, (_, attrs) in enumerate(self.elements) if attrs.get("id") == name)
        return json.loads(self.texts[place])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One bundle per kind; my-model lacks 2 clips of 24, older-model 5."""
    out = tmp_path_factory.mktemp("runs")
    failed = {"my-model": 2, "older-model": 5}
    return {model: make_run(out, model, failed=failed.get(model, 0)) for model in KINDS}


@pytest.fixture(scope="module")
def html(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    out = report.write(list(runs.values()), tmp_path_factory.mktemp("page") / "deep" / "report.html")
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(html: str) -> Page:
    return Page(html)


def test_nothing_outside_is_asked_for(html: str, parsed: Page) -> None:
    for tag, attrs in parsed.elements:
        for name in ("src", "href", "poster", "action", "srcset", "data"):
            if name in attrs:
                assert attrs[name].startswith(("#", "data:")), (tag, attrs[name][:80])
        assert not any(name.startswith("on") for name in attrs), tag
    assert "url(" not in html
    assert "@import" not in html
    # The name of a kind of element is no address.
    assert not re.search(r"https?://", html.replace("http://www.w3.org/2000/svg", ""))


def test_the_policy_lets_this_script_run_and_no_other(html: str, parsed: Page) -> None:
    (policy,) = [
        attrs["content"]
        for _, attrs in parsed.elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    (script,) = re.finditer(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert {attrs.get("type") for attrs, _ in parsed.all("script")} == {
        None,
        "text/plain",
        "application/json",
    }
    assert len([attrs for attrs, _ in parsed.all("script") if not attrs]) == 1


def test_ids_are_unique_and_every_link_has_its_place(parsed: Page) -> None:
    ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for attrs, _ in parsed.all("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    labels = [attrs["aria-labelledby"] for _, attrs in parsed.elements if "aria-labelledby" in attrs]
    assert set(labels) <= set(ids)


def test_the_same_bundles_give_the_same_bytes_in_one_step(runs: dict[str, Path], tmp_path: Path) -> None:
    folders = [runs["real"], runs["my-model"]]
    out = tmp_path / "report.html"
    out.write_text("old")
    assert report.write(folders, out) == out
    again = report.write(folders[::-1], tmp_path / "again.html")
    assert out.read_bytes() == again.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.html", "report.html"]
    assert str(tmp_path) not in out.read_text(encoding="utf-8")


def table_rows(parsed: Page) -> list[str]:
    """The rows of the ranking: model, then what stands in the row."""
    return [f"{attrs['data-name']} {text}" for attrs, text in parsed.all("tr") if "data-name" in attrs]


def test_the_table_is_in_ranked_order_and_says_everything(runs: dict[str, Path], parsed: Page) -> None:
    entries = leaderboard.ranked([bundle.read(folder) for folder in runs.values()])
    rows = table_rows(parsed)
    assert [row.split()[0] for row in rows] == [entry.result.model for entry in entries]
    for row, entry in zip(rows, entries, strict=True):
        assert ("anchor" in row) == (entry.result.model in ANCHORS)
        for column in entry.result.columns:
            cell = entry.result.summary[column.name]
            assert finding.number(cell.mean, column) in row or "unscored" in row
            assert finding.interval(cell, column) in row
    assert "∞" in rows[0]


def test_an_unscored_column_says_why_and_what_to_do(parsed: Page) -> None:
    assert all(row.count("weights-missing") == 2 for row in table_rows(parsed))
    notes = [text for attrs, text in parsed.all("li") if attrs.get("id", "").startswith("note-")]
    assert any("LPIPS: unscored" in note and "tkbench weights fetch lpips-alex" in note for note in notes)
    assert any("FID: unscored" in note and "tkbench weights fetch inception-fid" in note for note in notes)
    assert len(notes) == len(set(notes))


def test_missing_clips_and_ranks_are_explained_once(parsed: Page) -> None:
    notes = [text for attrs, text in parsed.all("li") if attrs.get("id", "").startswith("note-")]
    assert sum("my-model: 2 of 24 clips have no score" in note for note in notes) == 1
    assert any("older-model is not ranked: coverage 79% is below 90%." in note for note in notes)
    older = next(row for row in table_rows(parsed) if row.startswith("older-model"))
    assert "not ranked" in older
    assert "19 / 24" in older


def test_ranks_stand_with_their_intervals(runs: dict[str, Path], html: str, parsed: Page) -> None:
    entries = leaderboard.ranked([bundle.read(folder) for folder in runs.values()])
    spans = {entry.result.model: entry.ranks for entry in entries if entry.ranks is not None}
    assert len(set(spans.values())) > 1
    assert not set(spans) & set(ANCHORS)
    for row in table_rows(parsed):
        span = spans.get(row.split()[0])
        wide = span is not None and span[0] < span[1]
        assert (f"[{span[0]}–{span[1]}]" in row) if wide else ("–]" not in row)
    (term,) = [text for attrs, text in parsed.all("div") if attrs.get("id") == "term-rank"]
    assert "clearly better" in term
    assert "Holm's correction" in term
    captions = [text for attrs, text in parsed.all("p") if attrs.get("class") == "caption"]
    assert any("Holm's correction for all 28 pairs, p at most 0.05" in text for text in captions)
    assert any("A kind of speaker rarer than 25% may be missing" in text for text in captions)
    assert html.count('href="#term-rank"') == 1


def test_a_lone_model_has_no_rank_interval(tmp_path: Path) -> None:
    html = page.render([bundle.read(make_run(tmp_path, "real"))])
    assert "term-rank" not in html


def test_the_best_value_of_a_model_is_bold_and_anchors_never_are(runs: dict[str, Path], parsed: Page) -> None:
    entries = leaderboard.ranked([bundle.read(folder) for folder in runs.values()])
    result = next(entry.result for entry in entries if entry.result.model == "my-model")
    bold = [text for _, text in parsed.all("strong")]
    shown = [
        finding.number(result.summary[c.name].mean, c) + leaderboard.size(result.summary[c.name], c)
        for c in result.columns
        if result.summary[c.name].n
    ]
    assert bold[: len(shown)] == shown
    assert len(bold) > len(shown)


def test_clip_rows_are_those_of_the_bundles(runs: dict[str, Path], parsed: Page) -> None:
    data = parsed.data
    models = {model["name"]: model for model in data["models"]}
    assert set(models) == set(runs)
    names = [
        "lse_c_synth",
        "lse_d_synth",
        "av_offset_synth",
        "psnr",
        "psnr_mouth",
        "ssim",
        "ssim_mouth",
        "lpips",
    ]
    assert [column["name"] for column in data["columns"]].count("LSE-C / Sync-C") == 1
    for name, folder in runs.items():
        table = bundle.read(folder).clips()
        for row in table[table["key"] != "*"].itertuples():
            column, clip = names.index(row.metric), data["keys"].index(row.key)
            value = models[name]["values"][column][clip]
            reasons = models[name]["reasons"][column]
            reason = data["texts"][reasons if isinstance(reasons, int) else reasons[clip]]
            assert reason == row.reason
            assert data["speakers"][clip] == row.speaker
            if math.isnan(row.value):
                assert value is None
                assert reason
            else:
                assert float(value) == pytest.approx(row.value, abs=1e-4)
    assert data["models"][data["chosen"]]["name"] == "my-model"


def test_players_hold_the_videos_and_their_clips_point_to_them(runs: dict[str, Path], parsed: Page) -> None:
    data, watch = parsed.data, parsed.json("watch-data")
    inside = {attrs["id"]: base64.b64decode(text) for attrs, text in parsed.all("script", type="text/plain")}
    found = {
        (data["models"][int(model)]["name"], clip["key"]): inside[name]
        for clip in watch["clips"]
        for model, name in clip["videos"].items()
    }
    assert found == {
        (model, preview.key): (folder / preview.file).read_bytes()
        for model, folder in runs.items()
        for preview in bundle.read(folder).result.previews
    }
    linked = {(model["name"], data["keys"][i]) for model in data["models"] for i in model["players"]}
    assert linked == set(found)
    assert not parsed.all("video")


def test_lips_and_curves_under_the_players_are_those_of_the_bundles(
    runs: dict[str, Path], parsed: Page
) -> None:
    watch, models = parsed.json("watch-data"), parsed.data["models"]
    for clip in watch["clips"]:
        for model in map(int, clip["videos"]):
            source = bundle.read(runs[models[model]["name"]])
            mouth = source.mouths()[clip["key"]]
            np.testing.assert_allclose(clip["opening"], mouth[:, 0], atol=0.006)
            np.testing.assert_allclose(clip["openings"][str(model)], mouth[:, 1], atol=0.006)
            np.testing.assert_allclose(clip["box"], mouth[:, 2:], atol=1e-4)
            curves = source.curves()
            curve = curves[curves["key"] == clip["key"]].sort_values("shift")["distance"]
            np.testing.assert_allclose(clip["curves"]["syncnet-synth"][str(model)], curve, atol=1e-4)


def test_provenance_lets_a_reader_recompute(runs: dict[str, Path], html: str, parsed: Page) -> None:
    text = " ".join(text for attrs, text in parsed.all("section", id="provenance"))
    for folder in runs.values():
        source = bundle.read(folder)
        assert source.digest in text
        assert f"tkbench verify RUNS/{source.result.table}/{folder.name}" in text
    assert source.result.signature in text
    assert source.result.data_hash in text


def test_strange_names_stay_text(tmp_path: Path) -> None:
    keys = [NASTY, "<!--<script>", *(f"k{i}" for i in range(6))]
    run = make_run(tmp_path, "still", keys=keys, players=8)
    html = report.write([run], tmp_path / "x.html").read_text(encoding="utf-8")
    parsed = Page(html)
    assert not parsed.all("img")
    assert len([attrs for attrs, _ in parsed.all("script") if not attrs]) == 1
    assert set(parsed.data["keys"]) == set(keys)
    assert NASTY in {clip["key"] for clip in parsed.json("watch-data")["clips"]}
    assert "<img" not in html
    assert "onerror=alert(1)>" not in html


def test_names_break_after_their_colon_and_stay_text() -> None:
    html = page.templates().from_string("{{ text|breakable }}")
    assert html.render(text="mute:cals") == "mute:<wbr>cals"
    assert html.render(text="a:<b>") == "a:<wbr>&lt;b&gt;"


def test_commands_in_messages_become_code_and_nothing_else() -> None:
    assert page._commands("run `a <b>` & go") == "run <kbd>a &lt;b&gt;</kbd> &amp; go"
    assert page._commands("a lone ` stays") == "a lone ` stays"


def test_bundles_of_two_tables_never_share_a_page(runs: dict[str, Path], tmp_path: Path) -> None:
    other = make_run(tmp_path, "my-model", signature="synth-v1@other", players=0)
    with pytest.raises(BadBundle, match="never share a table"):
        report.write([runs["real"], other], tmp_path / "x.html")
    with pytest.raises(BadBundle, match="no result bundle"):
        report.write([], tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def change(run: Path, edit: Any) -> None:
    path = run / "result.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    edit(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def test_a_player_outside_the_bundle_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "still")
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    (run / "previews/00.mp4").unlink()
    (run / "previews/00.mp4").symlink_to(secret)
    with pytest.raises(BadBundle, match=r"outside|a link out"):
        report.write([run], tmp_path / "x.html")
    for name in ("../../../secret.mp4", str(secret)):
        change(run, lambda record, name=name: record["previews"][0].update(file=name))
        with pytest.raises(BadBundle):
            report.write([run], tmp_path / "x.html")


def test_a_changed_or_missing_player_is_refused_and_the_old_page_stays(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "still")
    out = tmp_path / "x.html"
    before = report.write([run], out).read_bytes()
    (run / "previews/00.mp4").write_bytes(b"other")
    with pytest.raises(BadBundle, match="not the file that result"):
        report.write([run], out)
    (run / "previews/00.mp4").unlink()
    with pytest.raises(BadBundle, match="cannot be read"):
        report.write([run], out)
    assert out.read_bytes() == before


# The finding


def read(tmp_path: Path, **shift: float) -> finding.Finding:
    """The finding of a table whose models have `shift` added to LSE-C."""
    runs = [make_run(tmp_path, name.replace("_", "-"), players=0, shift_score=s) for name, s in shift.items()]
    entries = leaderboard.ranked([bundle.read(run) for run in runs])
    column = next(c for c in entries[0].result.columns if c.name == "lse_c_synth")
    return finding.find(entries, column)


def test_good_order_is_said(tmp_path: Path) -> None:
    found = read(tmp_path, real=0, still=0, shuffled_audio=0, my_model=0, older_model=0)
    assert found.trusted
    assert "order as they should" in found.anchors
    assert found.lead.startswith("my-model leads on LSE-C (syncnet-synth) with 4.")
    assert "ahead of older-model" in found.lead
    assert "the true video has 5." in found.lead


def test_bad_order_is_said_with_its_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, real=0, blur=3, shuffled_audio=0, still=0)
    assert not found.trusted
    assert "do not order as they should: blur (7." in found.anchors
    assert "is better than real (5." in found.anchors
    low = read(tmp_path / "low", real=0, blur=-4, shuffled_audio=1, still=0)
    assert not low.trusted
    assert "is worse than shuffled-audio (1." in low.anchors


def test_either_floor_may_be_the_lower_one(tmp_path: Path) -> None:
    found = read(tmp_path, real=0, blur=0, shuffled_audio=1, still=0)
    assert found.trusted
    assert "shuffled-audio and still, which fit no voice, are worst" in found.anchors


def test_close_models_are_not_told_apart(tmp_path: Path) -> None:
    found = read(tmp_path, real=0, shuffled_audio=0, my_model=0, older_model=1.2)
    assert "not clearly ahead of" in found.lead


def test_headline_bold_ranks_and_compare_say_one_thing(tmp_path: Path) -> None:
    """A model that leaves out its hardest clips has the highest mean, and the other one leads everywhere."""
    keys = sorted(MANY)
    hard = keys[:3]
    even = {key: 1.0 if key in hard else 5.0 + 0.01 * i for i, key in enumerate(keys)}
    short = {key: value - 0.1 for key, value in even.items()}
    folders = [
        make(tmp_path, "whole", 0.0, scores=even, speakers=MANY),
        make(tmp_path, "picky", 0.0, scores=short, missing=hard, speakers=MANY),
    ]
    rows = [bundle.read(folder) for folder in folders]
    cells = [row.result.summary["lse_c_synth"] for row in rows]
    assert cells[1].mean > cells[0].mean
    entries = leaderboard.ranked(rows)
    assert [entry.result.model for entry in entries] == ["whole", "picky"]
    found = finding.find(entries, entries[0].result.columns[0])
    assert found.lead.startswith("whole leads on LSE-C with")
    assert "clearly ahead of picky" in found.lead
    assert "on the 33 clips that every ranked model has a score for" in found.lead
    parsed = Page(page.render(rows))
    bold = [text for _, text in parsed.all("strong")]
    assert finding.number(cells[0].mean, entries[0].result.columns[0]) in bold
    assert finding.number(cells[1].mean, entries[0].result.columns[0]) not in bold
    (pair,) = compare(rows, metrics=["lse_c_synth"])
    assert (pair.verdict, pair.difference.n, pair.difference.n_unpaired) == ("whole", 33, 3)
    assert pair.holm == entries[0].standing.holm["picky", "whole"]


def test_where_nobody_is_clearly_better_all_of_them_are_bold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = {key: float(rng.normal(5, 1)) for key in sorted(MANY)}
    for name, shift in (("one", 0.0), ("two", 0.0), ("far", -3.0)):
        scores = {key: value + shift + float(rng.normal(0, 0.5)) for key, value in base.items()}
        folder = make(tmp_path, name, 0.0, scores=scores, speakers=MANY)
    rows = bundle.find(folder.parent)
    column = rows[0].result.columns[0]
    bold = [text for _, text in Page(page.render(rows)).all("strong")]
    shown = {row.result.model: finding.number(row.result.summary[column.name].mean, column) for row in rows}
    assert [shown[name] in bold for name in ("one", "two", "far")] == [True, True, False]
    (entry, *_) = leaderboard.ranked(rows)
    lead = finding.find(leaderboard.ranked(rows), column).lead
    other = "two" if entry.result.model == "one" else "one"
    assert f"not clearly ahead of {other};" in lead or lead.endswith(f"not clearly ahead of {other}.")


def test_few_speakers_have_a_reach_and_no_order(tmp_path: Path) -> None:
    """Three speakers: the level stands in the brackets, and no word calls a model clearly better."""
    rows = [bundle.read(make(tmp_path, name, level)) for name, level in (("good", 3.0), ("poor", 1.0))]
    text = page.render(rows).replace("\u00a0", " ")
    assert "; 75 %]" in text
    assert "Fewer than 6 speakers have no 95 % interval" in text
    assert "3 speakers can show no order of 2 models: that takes 6" in text
    assert "clearly ahead" not in text


def test_a_single_model_is_not_called_best(tmp_path: Path) -> None:
    rows = [
        bundle.read(make(tmp_path, "real", 5.0, speakers=MANY, card={"anchor": True})),
        bundle.read(make(tmp_path, "mine", 3.0, speakers=MANY)),
    ]
    parsed = Page(page.render(rows))
    assert next(text for _, text in parsed.all("p", **{"class": "headline"})) == "mine is the only model"
    assert "mine is the only model, so it has no rank; it reaches" in parsed.texts[0]
    rank = next(text for attrs, text in parsed.all("tr") if attrs.get("data-name") == "mine")
    assert not re.match(r"\d", rank)
    (table,) = [text for attrs, text in parsed.all("table", **{"class": "gaps"})][:1]
    assert "the best model" not in table
    assert "model − best" not in table
    assert "model − real, interval" in table
    assert not [text for _, text in parsed.all("strong") if text.startswith(("3.", "2."))]


def test_what_is_missing_leaves_no_gap_in_a_sentence(tmp_path: Path) -> None:
    """One speaker: there is no interval and no p, and no heading speaks of one."""
    one = {f"s0/c{i}": "s0" for i in range(4)}
    rows = [
        bundle.read(make(tmp_path, name, level, speakers=one, card={"anchor": name == "real"}))
        for name, level in (("real", 5.0), ("good", 3.0), ("poor", 2.0))
    ]
    text = page.render(rows)
    parsed = Page(text)
    leads = [text for _, text in parsed.all("p", **{"class": "lead"})]
    assert any("Against the true video −" in lead and lead.endswith(": not tested.") for lead in leads), leads
    assert not [lead for lead in leads if re.search(r" [,:.;]|p [-–:]", lead)]
    heads = " ".join(text for _, text in parsed.all("th"))
    assert "model − best" in heads
    assert "interval" not in heads


def test_intervals_in_sentences_stay_on_a_line_and_documents_are_links() -> None:
    html = page.templates().from_string("{{ text|commands }}")
    bracket = html.render(text="with 0.2 [0.1, 0.3; 87 %], of [a name]")
    assert bracket == "with 0.2 [0.1,\u00a00.3;\u00a087\u00a0%], of [a name]"
    address = f"{DOCUMENTS}/studies.md"
    said = f"More about it ({address})."
    assert html.render(text=said).endswith(f'(<a href="{address}" rel="noreferrer">docs/studies.md</a>).')
    assert (ROOT / "docs" / "studies.md").exists()
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert DOCUMENTS.startswith(tomllib.load(file)["project"]["urls"]["Documentation"])
    assert "<a" not in html.render(text="https://example.org/docs/studies.md <a href=x>")


def test_better_than_reality_and_no_better_than_noise_are_said(tmp_path: Path) -> None:
    found = read(tmp_path, real=0, shuffled_audio=0, my_model=3, older_model=-2.9)
    assert "so the judge rates it above the true video" in found.lead
    near = read(tmp_path / "near", real=0, shuffled_audio=0, my_model=1.15)
    assert "which is not clearly worse, so the score does not prove better lips" in near.lead
    assert "No better than shuffled-audio" in found.anchors
    assert "older-model" in found.anchors


def test_without_anchors_the_question_stays_open(tmp_path: Path) -> None:
    found = read(tmp_path, still=0, my_model=0)
    assert not found.trusted
    assert "real and shuffled-audio have no score" in found.anchors


def test_anchors_alone_crown_no_model(tmp_path: Path) -> None:
    assert read(tmp_path, real=0, still=0).lead.startswith("No model is ranked yet")


def test_a_table_without_any_score_still_has_a_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, "my-model", failed=24)
    html = report.write([run], tmp_path / "x.html").read_text(encoding="utf-8")
    assert "No model has a score on LSE-C (syncnet-synth) (not-generated)" in html
    assert "<h3>Distance against shift</h3>" not in html
    assert 'id="players"' not in html
    Page(html)


def test_a_missing_judge_leaves_the_rest_of_the_page(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, name, field=True, failed=name == "my-model") for name in ("real", "my-model")]
    parsed = Page(report.write(runs, tmp_path / "x.html").read_text(encoding="utf-8"))
    text = " ".join(text for _, text in parsed.all("header"))
    assert "No model has a score on LSE-C (weights-missing), so nothing is ranked." in text
    assert "tkbench weights fetch syncnet-v2" in text
    assert "anchors" not in text
    rows = table_rows(parsed)
    assert "23 / 24" in next(row for row in rows if row.startswith("my-model"))
    notes = [text for attrs, text in parsed.all("li") if attrs.get("id", "").startswith("note-")]
    assert sum("my-model: 1 of 24 clips" in note for note in notes) == 1
    assert not any(note.startswith("my-model, ") for note in notes)
    assert any(note.startswith("LSE-C, LSE-D, AVOffset: unscored (weights-missing).") for note in notes)
    assert any("judge syncnet-synth" in text for _, text in parsed.all("figcaption"))


# Figures and words

LSE = Column("x", "X", "", "higher", 2)


@pytest.mark.parametrize("width", [346.0, 640.0])
@pytest.mark.parametrize("count", [1, 5, 14])
def test_curve_labels_never_touch(width: float, count: int) -> None:
    points = [tuple((s, 9.0 + 0.01 * i + abs(s - i) * 0.1) for s in range(-15, 16)) for i in range(count)]
    drawn = figures.curves(
        [figures.Series(f"m{i}", figures.style(i), p) for i, p in enumerate(points)], width
    )
    places = sorted(line.label for line in drawn.lines)
    assert all(b - a >= figures.LABEL_GAP - 0.2 for a, b in pairwise(places))
    assert drawn.top <= places[0]
    assert places[-1] <= drawn.bottom
    assert [line.best_shift for line in drawn.lines] == ["0", *(f"+{i}" for i in range(1, count))]
    assert drawn.left < drawn.right < width


def test_a_curve_without_any_slope_can_be_drawn() -> None:
    drawn = figures.curves([figures.Series("a", "c0", ((-1, 2.0), (0, 2.0), (1, 2.0)))], 346)
    assert drawn.lines[0].best_shift == "0"
    assert "nan" not in drawn.lines[0].path


def test_intervals_that_do_not_exist_are_not_drawn() -> None:
    nan, inf = math.nan, math.inf
    marks = [
        figures.Mark("a", "c0", False, 1.0, 0.5, 1.5, "1.0", "[0.5, 1.5]"),
        figures.Mark("b", "c1", False, inf, nan, nan, "∞", ""),
        figures.Mark("c", "c2", False, nan, nan, nan, "unscored", ""),
    ]
    drawn = figures.forest(marks, 520, reference=nan)
    assert drawn.reference is None
    assert [strip.x is None for strip in drawn.strips] == [False, True, True]
    assert drawn.strips[0].low < drawn.strips[0].x < drawn.strips[0].high
    assert figures.forest(marks[1:], 346, reference=inf).strips[0].x is None


@pytest.mark.parametrize(
    ("value", "text"), [(1.005, "1.00"), (-0.001, "0.00"), (-2, "−2.00"), (math.inf, "∞"), (math.nan, "–")]
)
def test_numbers(value: float, text: str) -> None:
    assert finding.number(value, LSE) == text


def test_coverage_never_rounds_up_to_all() -> None:
    assert [board._percent(share) for share in (1.0, 0.9999, 0.86, 0)] == ["100%", "99%", "86%", "0%"]


def test_the_glossary_explains_every_column_of_a_table(runs: dict[str, Path]) -> None:
    columns = bundle.read(runs["real"]).result.columns
    terms = {column.name: term for column, term in zip(columns, glossary.terms(columns), strict=True)}
    assert terms["lse_c_synth"].text.startswith("How much better lips and voice fit at their best shift")
    assert terms["lse_c_synth"].text.endswith("never compare with those of syncnet-v2.")
    assert "Sync-C" in terms["lse_c_synth"].also_called
    assert terms["psnr"].text.startswith("Pixel error against the true video")
    assert terms["psnr_mouth"].text == "As PSNR above. In the mouth region alone."
    assert terms["psnr_mouth"].also_called == ""
    assert terms["lpips"].direction == "Lower is better."
    assert terms["av_offset_synth"].direction == "Closer to 0 is better."
    assert terms["fid"].unit == "distance"
    for column in columns:
        assert terms[column.name].signature == column.signature
        assert column.text in terms[column.name].text or terms[column.name].text.startswith("As ")
    (other,) = glossary.terms([LSE])
    assert (other.text, other.also_called, other.direction) == ("", "", "Higher is better.")


def test_the_page_says_what_else_a_metric_is_called(runs: dict[str, Path]) -> None:
    said = " ".join(text for _, text in Page(page.render([bundle.read(runs["real"])])).all("dd"))
    assert "Also called Sync-C, Sync_conf, SyncNet confidence, AVConf." in said
    assert "Also called ." not in said
