"""The contact sheet: true measures, a fair choice of clips, and one file that needs nothing and believes no one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tkbench import media, shards, sheet
from tkbench.cli import app
from tkbench.crops import recipes
from tkbench.crops.yaw import yaw_of
from tkbench.errors import BadShards, UnknownName, UsageError, WeightsMissing
from tkbench.metrics.base import ClipScores, Score
from tkbench.metrics.sync import Sync
from tkbench.sheet import card, choose, drawing, page, reasons
from tkbench.sheet.lag import Lag, lags
from tkbench.sheet.measure import Measure, measure
from tkbench.types import Reason, Sample

EVIL = "<script>alert(1)</script> & \"quotes\" 'too'"


def head(yaw: float, roll: float = 0.0, nod: float = 0.0, scale: float = 20.0) -> np.ndarray:
    """68 points of which eyes and nose are the canonical face's, turned and seen from far away, (1, 68, 2)."""
    y, r, p = np.radians([yaw, roll, nod])
    points = np.zeros((68, 3))
    points[36], points[45] = (-4.4459, -2.664, -3.1734), (4.4459, -2.664, -3.1734)
    points[30] = (0, 0.4632, -7.5866)  # x right, y down, z away: the nose is nearer
    nodding = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    # Towards the right of the picture: what is near (negative z) moves to positive x.
    turning = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    tilting = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    seen = points @ (tilting @ turning @ nodding).T
    return scale * seen[None, :, :2] + 100


@given(st.floats(-70, 70), st.floats(-40, 40))
@settings(max_examples=40, deadline=None)
def test_yaw_of_the_canonical_face_is_exact(yaw: float, roll: float) -> None:
    assert yaw_of(head(yaw, roll))[0] == pytest.approx(yaw, abs=1e-6)


@given(st.floats(-50, 50), st.floats(-15, 15))
@settings(max_examples=40, deadline=None)
def test_a_nod_moves_the_yaw_little(yaw: float, nod: float) -> None:
    """Within 10 degrees for a nod of 15, with the head turned by up to 50; exactly 0 where it looks straight."""
    assert yaw_of(head(yaw, 0, nod))[0] == pytest.approx(yaw, abs=10)
    assert yaw_of(head(0, 0, nod))[0] == pytest.approx(0, abs=1e-6)


def test_mesh_and_68_points_measure_alike() -> None:
    mesh = np.zeros((3, 478, 2))
    mesh[:, list(recipes.IBUG_OF_MESH)] = head(25)
    mesh[:, 10] = (100, 20)
    found = measure(mesh)
    assert found.yaw == pytest.approx(25)
    assert found.widest == pytest.approx(25)
    assert found.height == pytest.approx(mesh[0, :, 1].max() - mesh[0, :, 1].min())


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=60), st.booleans(), st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_every_value_is_in_one_bar(values: list[float], signed: bool, digits: int) -> None:
    if not signed:
        values = [abs(v) for v in values]
    h = drawing.histogram("x", values, "px", note="", digits=digits, signed=signed)
    assert sum(bar.count for bar in h.bars) == len(values)
    assert max(bar.count for bar in h.bars) == h.most
    assert all(0 <= bar.x and bar.x + bar.width <= h.width for bar in h.bars)
    assert all(
        h.top - 0.1 <= bar.y and bar.y + bar.height == pytest.approx(h.bottom, abs=0.11) for bar in h.bars
    )
    assert h.median is not None
    assert 0 <= h.median <= h.width
    assert len(h.ticks) >= 1


def test_a_histogram_says_what_it_shows() -> None:
    h = drawing.histogram("Length", [1.0, 1.1, 2.0, 9.0], "s", note="", digits=1)
    assert h.summary == "median 1.6, 1.0 to 9.0 s"
    assert [bar.count for bar in h.bars] == [2, 1, 1]
    assert h.bars[0].text == "1.0 to 1.5 s: 2 clips"
    assert drawing.histogram("x", [0.0, 0.0], "ms", note="", signed=True).summary == "all 0 ms"
    assert drawing.histogram("x", [], "ms", note="").summary == "nothing measured"
    assert drawing.histogram("x", [float("nan")], "ms", note="").bars == ()


def test_the_envelope_is_the_sound() -> None:
    sound = np.zeros(1000, np.float32)
    sound[500] = 0.5
    path = drawing.envelope(sound, 10, 20.0)
    heights = [float(part.split()[1].rstrip("Z")) for part in path[1:].split("L")]
    assert len(heights) == 22
    assert heights.count(1.0) == 1  # the peak fills the height but for its rim, whatever its level
    assert heights.count(10.0) == 21


def rows_of(*keys: str, **more: Any) -> dict[str, dict[str, Any]]:
    return {key: {"split": key[0], "speaker": key[:2], "n_frames": 50, **more} for key in keys}


def test_every_split_and_speaker_has_its_turn() -> None:
    rows = rows_of(
        *(f"{s}{p}{c}" for s in "ab" for p in "012" for c in range(20)), *(f"c0{c}" for c in range(3))
    )
    found = choose.spread(rows, 12)
    assert len(set(found)) == 12
    assert Counter(key[0] for key in found) == {"a": 5, "b": 4, "c": 3}
    assert {key[:2] for key in found} == {"a0", "a1", "a2", "b0", "b1", "b2", "c0"}
    assert choose.spread(dict(reversed(rows.items())), 12) == found
    assert set(choose.spread(rows, 1000)) == set(rows)


def test_what_is_unusual_comes_first() -> None:
    rows = rows_of("a0x", "a0y", "a0z", "a0v", "a0w", filled_frames=0, n_faces=1, source_start_offset=0.0)
    plain = Measure(height=150, yaw=0, widest=5)
    measures = dict.fromkeys(rows, plain)
    assert choose.worst(rows, measures, 9) == {}
    measures["a0x"] = Measure(height=44, yaw=0, widest=41)
    rows["a0y"]["filled_frames"] = 5
    rows["a0z"]["source_start_offset"] = -0.2
    rows["a0v"]["n_faces"] = 3
    assert choose.worst(rows, measures, 9) == {
        "a0x": ["small face: 44 px", "turned by 41°"],
        "a0y": ["10% of its frames filled"],
        "a0z": ["sound starts 200 ms before"],
        "a0v": ["3 faces"],
    }
    assert len(choose.worst(rows, measures, 2)) == 2


@given(st.integers(40, 300), st.integers(40, 300), st.floats(10, 400))
@settings(max_examples=40, deadline=None)
def test_a_view_shows_the_face_and_stays_on_the_canvas(height: int, width: int, size: float) -> None:
    rng = np.random.default_rng(0)
    face = np.array([width / 2, height / 2]) + size * rng.uniform(-0.5, 0.5, (4, 68, 2))
    corners = np.array([[[-0.5, -0.5], [card.SIDE - 0.5, card.SIDE - 0.5]]]).repeat(4, axis=0)
    from tkbench.crops import align

    seen = align.apply(align.invert(card.view(face, (height, width))), corners)
    assert seen.min() >= -0.5 - 1e-6
    assert (seen[:, 1] <= np.array([width, height]) - 0.5 + 1e-6).all()
    middle = seen.mean(axis=1)
    if size * 1.8 < min(height, width):
        np.testing.assert_allclose(middle, (face.min(axis=1) + face.max(axis=1)) / 2, atol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of five clips in two splits, one with a hostile text, and three clips that were left out."""
    root = tmp_path_factory.mktemp("sheet")
    target = root / "shards"
    target.mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:96, 0:96]
    frames = [np.stack([(x + 3 * t) % 256, y, x], -1).astype(np.uint8) for t in range(12)]
    media.write_video(root / "one.mp4", frames)
    rows, records = [], []
    for split, keys in (("test", ["p/a", "p/b", "q/c"]), ("val", ["r/d", "r/e"])):
        with shards.ShardWriter(target / f"{split}-000000.tar") as writer:
            for key in keys:
                points = head(40 if key == "q/c" else 0, scale=3) - 52 + rng.normal(0, 0.05, (12, 68, 2))
                score = np.ones(12, np.float32)
                score[4:6] = 0 if key == "r/d" else 1
                arrays = {"landmarks": points.astype(np.float32), "score": score}
                meta = {"dataset": "x", "split": split, "speaker": key[0], "key": key}
                members: dict[str, bytes | Path] = {
                    "mp4": root / "one.mp4",
                    "flac": media.write_flac(rng.normal(0, 0.1, 12 * 640)),
                    "npz": shards.pack_arrays(arrays),
                    "json": shards.pack_json({**meta, "text": None, "words": [], "canvas": {}}),
                }
                offset = writer.add(key, members)
                rows.append(
                    meta
                    | {"clip": key, "status": "ok", "shard": f"{split}-000000.tar", "offset": offset}
                    | {
                        "n_frames": 12,
                        "seconds": 0.48,
                        "width": 96,
                        "height": 96,
                        "n_faces": 1,
                        "sound_off": -160,
                    }
                    | {"filled_frames": int((score == 0).sum()), "source_start_offset": 0.0}
                    | {"text": EVIL if key == "p/a" else None}
                    | {"path": f"{EVIL} a.mp4" if key == "p/a" else f"{key}.mp4"}
                    | {"fixes": "30.00 fps resampled to 25 by time stamps; 1 cut" if key == "p/b" else ""}
                )
            records.append(writer.commit(split))
    for key, reason in (("z1", "no-face"), ("z2", "no-face"), (f"z{3}", "some-new-reason")):
        rows.append({"key": key, "clip": key, "split": "test", "status": "skipped", "reason": reason})
        rows[-1]["detail"] = f"found `nothing` {EVIL}"
    rows.sort(key=lambda row: row["key"])
    shards.write_index(target, records, rows, dataset="x", protocol="p", signature="a|b", settings={})
    stats = {
        "seconds": 2.0,
        "workers": 3,
        "decoded": 60,
        "fps": 30.0,
        "stages": {"decode": 1.5, "track": 4.5},
    }
    (target / "stats.json").write_text(json.dumps(stats))
    return target


class Checker(HTMLParser):
    """Collects what a page consists of, and whether its tags close."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "wbr", "path", "rect", "line", "circle"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID or (tag == "rect" and not self.get_starttag_text().endswith("/>")):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def check(text: str) -> Checker:
    found = Checker()
    found.feed(text)
    assert found.open == []
    return found


def test_the_file_needs_nothing_and_closes_its_tags(folder: Path, tmp_path: Path) -> None:
    out = sheet.write(folder, tmp_path / "deep" / "sheet.html")
    text = out.read_text(encoding="utf-8")
    found = check(text)
    for tag, name, value in found.attributes:
        if name in {"src", "href"}:
            assert value.startswith(("data:", "#")), (tag, name, value)
        assert not name.startswith("on")
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text
    assert "<script" not in text
    ids = [value for _, name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for tag, name, value in found.attributes if tag == "a" and name == "href"}
    assert targets <= set(ids)
    assert all(value for tag, name, value in found.attributes if (tag, name) == ("img", "alt"))
    assert text == page.render(shards.open_shards(folder))


def test_every_clip_is_on_it_and_hostile_texts_stay_texts(folder: Path) -> None:
    found = check(page.render(shards.open_shards(folder)))
    for key in ("p/a", "p/b", "q/c", "r/d", "r/e", "z1", "z2", "z3"):
        assert found.said.count(key) == 1, key
    assert EVIL in found.said
    assert f"file {EVIL} a.mp4" in found.said
    assert "p/b.mp4" not in found.said
    assert "5 of 8 clips became 5 samples" in found.said
    assert "3 clips left out: 2 no-face, 1 some-new-reason" in found.said
    assert "No face was found in any frame." in found.said
    assert "See the detail of each clip." in found.said
    assert "turned by 40°" in found.said
    assert "17% of its frames filled" in found.said
    assert "all −10 ms" in found.said
    assert "30.00 fps resampled to 25 by time stamps" in found.said
    assert "60 frames in 2.0 s: 30 frames/s, with 3 workers" in found.said
    assert sum(tag == "img" and name == "src" for tag, name, _ in found.attributes) == 5


def test_fewer_are_shown_where_few_are_wanted(folder: Path) -> None:
    source = shards.open_shards(folder)
    few = check(page.render(source, limit=3, measured=4))
    assert sum(tag == "img" and name == "src" for tag, name, _ in few.attributes) == 3
    assert "4 of 5 clips, drawn evenly" in few.said
    assert "q/c" in few.said  # what is worth a look is among the few
    one = check(page.render(shards.open_shards(folder, split="val")))
    assert "r/d" in one.said
    assert "p/a" not in one.said


def test_shards_without_a_sample_have_a_sheet(tmp_path: Path) -> None:
    bad = {"key": "z", "clip": "z", "split": "test", "status": "skipped", "reason": "no-face", "detail": "x"}
    shards.write_index(tmp_path, [], [bad], dataset="x", protocol="p", signature="s", settings={})
    found = check(page.render(shards.open_shards(tmp_path)))
    assert "0 of 1 clips became 0 samples" in found.said
    assert "nothing measured" in found.said
    assert "There is no stats.json" in found.said
    with pytest.raises(BadShards, match="no such folder"):
        sheet.write(tmp_path / "none", tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def test_a_judge_tells_the_lag(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = shards.open_shards(folder)
    assert lags(source, ["p/a"], "syncnet-synth") == {}  # 12 frames are too few for it
    assert "Lag of the lips" in check(page.render(source, judge="syncnet-synth")).said

    def score(self: Sync, sample: Sample, *_: Any) -> ClipScores:
        late = 3.0 if sample.key == "p/a" else 0.0
        values = zip(self.columns, (4.0, 7.0, late), strict=True)
        return ClipScores({column.name: Score(value) for column, value in values})

    monkeypatch.setattr(Sync, "score", score)
    found = check(page.render(source, judge="syncnet-synth")).said
    assert found.count("lips 3 frames late (LSE-C 4.00)") == 1
    assert found.count("lips on time") == 4
    assert "median 0, 0 to 3 frames" in found
    assert [str(Lag(n, 1.0)) for n in (-1, 2)] == [
        "lips 1 frame early (LSE-C 1.00)",
        "lips 2 frames late (LSE-C 1.00)",
    ]


def test_a_judge_that_is_not_there_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tkbench.sheet.lag.Sync.score", _missing)
    with pytest.raises(WeightsMissing, match="syncnet-v2: fetch it"):
        sheet.write(folder, tmp_path / "x.html", judge="syncnet-v2")
    with pytest.raises(UnknownName, match="no judge is called"):
        sheet.write(folder, tmp_path / "x.html", judge="syncnet-v3")
    assert not (tmp_path / "x.html").exists()


def _missing(self: Sync, *_: Any) -> ClipScores:
    gone = Score(float("nan"), Reason.WEIGHTS_MISSING, "fetch it")
    return ClipScores({column.name: gone for column in self.columns})


def test_reasons_are_ones_that_exist() -> None:
    assert set(reasons.REASONS) <= {reason.value for reason in Reason}
    assert all(all(part) for part in reasons.REASONS.values())


def test_the_command_writes_the_file(
    folder: Path, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run_cli("data", "show", folder, "--out", tmp_path / "s.html", "--limit", "2")
    assert (code, out) == (0, "")
    assert "s.html" in err
    assert check((tmp_path / "s.html").read_text()).said
    code, _, err = run_cli("data", "show", tmp_path / "none")
    assert code == 2
    assert "no such folder" in err


def test_a_sheet_is_a_file(folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "show", str(folder), "--out", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert "is a folder, expected the name of a file" in str(done.exception)
