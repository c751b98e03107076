"""The pure parts of preparation: keys, plans, the choice of a face, canvases, runs, gates."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tkbench.errors import BadMedia, UsageError
from tkbench.media import Cut
from tkbench.prep import gates, track
from tkbench.prep.datasets import detect, folder, synth
from tkbench.prep.datasets.keys import make_keys
from tkbench.prep.plan import Settings, default_shard_clips, make_plan
from tkbench.shards import KEY
from tkbench.types import Clip, MediaFacts, Reason, Skipped

names = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=30
)


@given(st.lists(st.tuples(names, names), min_size=1, max_size=8, unique=True))
def test_keys_are_safe_and_unique(pairs: list[tuple[str, str]]) -> None:
    paths = [Path(a) / f"{b}.mp4" for a, b in pairs if a not in (".", "..") and b not in (".", "..")]
    paths = list(dict.fromkeys(path for path in paths if len(path.parts) == 2))
    keys = make_keys(paths)
    assert all(KEY.fullmatch(key) for key in keys)
    assert len({key.lower() for key in keys}) == len(paths)
    assert make_keys(paths[::-1]) == keys[::-1]


@given(
    st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=20).filter(
        lambda s: s.strip("_") == s
    )
)
def test_a_plain_name_is_its_own_key(name: str) -> None:
    assert make_keys([Path(f"{name}.mp4")]) == [name]


def test_folder_reader_finds_videos_texts_and_speakers(tmp_path: Path) -> None:
    for name in (
        "b.mp4",
        "a b.AVI",
        "s1/x.mov",
        ".hidden.mp4",
        ".cache/y.mp4",
        "note.txt",
        "s1/x.txt",
        "c.wav",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("Text:  HELLO  WORLD\nConf: 3\n")
    (tmp_path / "shards" / "stats").mkdir(parents=True)
    (tmp_path / "shards" / "t.mp4").write_text("")
    clips = list(folder.read(tmp_path))
    assert [(c.key, c.speaker, c.text) for c in clips if isinstance(c, Clip)] == [
        ("a_b", None, None),
        ("b", None, None),
        ("s1/x", "s1", "HELLO WORLD"),
    ]


def corpus(root: Path, **clip: object) -> Path:
    root.mkdir(exist_ok=True)
    (root / "v.mp4").write_bytes(b"x")
    (root / "v.json").write_text(
        json.dumps({"words": [{"text": "a", "start": 0, "end": 0.5}], "aperture": [0.1]})
    )
    entry = {"key": "k", "file": "v.mp4", "speaker": "s", "split": "val", "text": "a"} | clip
    (root / "corpus.json").write_text(json.dumps({"format": "tkbench-synth-1", "clips": [entry]}))
    return root


def test_synth_reader_keeps_the_truth(tmp_path: Path) -> None:
    assert detect(corpus(tmp_path)) == "synth"
    assert detect(tmp_path.parent) == "folder"
    (clip,) = synth.read(tmp_path)
    assert isinstance(clip, Clip)
    assert (clip.dataset, clip.split, clip.speaker, clip.words[0].end) == ("synth", "val", "s", 0.5)
    assert clip.extra["aperture"] == [0.1]


@pytest.mark.parametrize("file", ["../secret.mp4", "/etc/hostname", "gone.mp4"])
def test_synth_reader_stays_in_its_folder(tmp_path: Path, file: str) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (skipped,) = synth.read(corpus(tmp_path / "c", file=file))
    assert isinstance(skipped, Skipped)
    assert skipped.reason is Reason.UNREADABLE


def test_synth_reader_refuses_another_format(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text('{"format": "other", "clips": []}')
    with pytest.raises(UsageError, match="format 'other'"):
        list(synth.read(tmp_path))


def clips(count: int, **changes: object) -> list[Clip]:
    return [Clip(key=f"k{i:03d}", path=f"/data/k{i:03d}.mp4", dataset="x", **changes) for i in range(count)]  # type: ignore[arg-type]


def test_a_plan_does_not_depend_on_the_order_of_the_listing() -> None:
    found = [*clips(7), Clip(key="t", path="/data/t.mp4", dataset="x", split="train")]
    one = make_plan(found, Path("/data"), Path("/out"), Settings(), shard_clips=3)
    two = make_plan(found[::-1], Path("/data"), Path("/out"), Settings(), shard_clips=3)
    assert one == two
    assert [(s.name, len(s.clips)) for s in one.shards] == [
        ("test-000000.tar", 3),
        ("test-000001.tar", 3),
        ("test-000002.tar", 1),
        ("train-000000.tar", 1),
    ]


def test_a_plan_changes_with_what_it_is_made_of(tmp_path: Path) -> None:
    def digest(**changes: object) -> str:
        settings = Settings(**changes)  # type: ignore[arg-type]
        return (
            make_plan([Clip("a", str(tmp_path / "a.mp4"), "x")], tmp_path, tmp_path, settings)
            .shards[0]
            .digest
        )

    (tmp_path / "a.mp4").write_bytes(b"1")
    first = digest()
    assert digest() == first
    assert digest(max_gap=6) != first
    (tmp_path / "a.mp4").write_bytes(b"12")
    assert digest() != first


def test_equal_keys_are_refused() -> None:
    with pytest.raises(UsageError, match="is there 2 times"):
        make_plan(clips(1) * 2, Path("/data"), Path("/out"), Settings())


@given(st.integers(1, 10**6))
def test_shards_are_neither_too_many_nor_too_large(count: int) -> None:
    assert 2 <= default_shard_clips(count) <= 256


def box(x: float, y: float, side: float) -> list[float]:
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2, 0.9]


def test_the_large_central_lasting_face_is_followed() -> None:
    large, small = box(300, 200, 100), box(100, 200, 60)
    face = track.choose_face([np.array([small, large])] * 4, 640, 360)
    assert face is not None
    assert face.n_faces == 2
    assert face.union.tolist() == large[:4]
    assert len(face.others) == 4
    # A large face that is there once does not win against one that stays.
    face = track.choose_face(
        [np.array([small]), np.array([small, box(500, 200, 120)])] + [np.array([small])] * 6, 640, 360
    )
    assert face is not None
    assert face.union.tolist() == small[:4]
    assert face.n_faces == 1
    # Of two equal ones, the central one.
    face = track.choose_face([np.array([box(60, 180, 80), box(320, 180, 80)])], 640, 360)
    assert face is not None
    assert face.boxes[0].tolist() == box(320, 180, 80)[:4]
    assert track.choose_face([np.zeros((0, 5))] * 3, 640, 360) is None


@given(st.integers(100, 4000), st.integers(100, 4000), st.floats(0, 1), st.floats(0, 1), st.floats(0.02, 0.9))
def test_a_canvas_is_even_inside_and_never_enlarged(w: int, h: int, x: float, y: float, side: float) -> None:
    face = track.choose_face([np.array([box(x * w, y * h, side * min(w, h))])], w, h)
    found = track.canvas_of(w, h, face, 512)
    assert found is not None
    kind, cut = found
    assert kind == ("whole" if max(w, h) <= 512 else "head")
    assert 0 <= cut.x <= cut.x + cut.width <= w
    assert 0 <= cut.y <= cut.y + cut.height <= h
    assert not any(
        value % 2 for value in (cut.x, cut.y, cut.width, cut.height, cut.out_width, cut.out_height)
    )
    assert cut.out_width <= min(cut.width, 512)
    assert cut.out_height <= min(cut.height, 512)
    if kind == "head":
        assert cut.width == cut.height


def test_a_large_picture_without_a_face_has_no_canvas() -> None:
    assert track.canvas_of(1920, 1080, None, 512) is None


def test_the_window_ends_half_way_to_a_neighbour() -> None:
    face = track.choose_face([np.array([box(150, 150, 80), box(280, 150, 76)])], 400, 300)
    window = track.window_of(face, Cut(0, 0, 400, 300, 400, 300))
    assert window is not None
    x0, y0, x1, y1 = window
    assert x0 < 110
    assert 190 <= x1 <= 242
    assert y0 < 110 < 190 < y1
    alone = track.choose_face([np.array([box(150, 150, 80)])], 400, 300)
    assert track.window_of(alone, Cut(0, 0, 400, 300, 400, 300)) is None


def test_a_cut_is_one_and_motion_is_none() -> None:
    y, x = np.mgrid[0:32, 0:32] / 32 * 2 * np.pi
    detector = track.CutDetector()
    assert not any(detector.is_cut(128 + 60 * np.sin(x + 0.4 * t) + 40 * np.cos(y)) for t in range(8))
    other = 128 + 60 * np.cos(3 * y) + 40 * np.sin(2 * x)
    assert detector.is_cut(other)
    assert not detector.is_cut(other * 0.6 + 30)  # a flash is no cut
    dark, rng = track.CutDetector(), np.random.default_rng(0)
    assert not any(dark.is_cut(10 + rng.normal(size=(32, 32))) for _ in range(5))


def test_a_jump_is_one_and_walking_is_none() -> None:
    jumps = track.JumpDetector()
    assert not any(jumps.is_jump(np.array([x, 0, x + 100, 100])) for x in range(0, 200, 10))
    assert jumps.is_jump(np.array([260, 0, 360, 100]))
    jumps.forget()
    assert not jumps.is_jump(np.array([0, 0, 50, 50]))


found_and_starts = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=80)


@given(found_and_starts, st.integers(0, 4), st.integers(1, 6), st.integers(10, 100))
def test_runs_keep_their_promises(frames: list[tuple[bool, int]], gap: int, least: int, most: int) -> None:
    found = np.array([hit for hit, _ in frames])
    starts = np.array([mark == 0 for _, mark in frames])
    spans = track.runs(found, starts, max_gap=gap, min_frames=least, max_frames=most)
    covered = np.zeros(len(found), int)
    for start, stop in spans:
        covered[start:stop] += 1
        assert found[start]
        assert found[stop - 1]
        assert least <= stop - start <= most
        assert not starts[start + 1 : stop].any()
        lost = "".join("x" if hit else "." for hit in found[start:stop])
        assert "." * (gap + 1) not in lost
    assert covered.max() <= 1
    # What is left out could not have been a run of its own.
    if least == 1 and gap == 0:
        assert (covered == found).all()


def test_gaps_are_filled_on_a_line() -> None:
    points = np.zeros((5, 478, 2), np.float32)
    points[4] = 8
    filled = track.fill(points, np.array([True, False, False, False, True]))
    assert filled[:, 0, 0].tolist() == [0, 2, 4, 6, 8]


FACTS = MediaFacts(64, 48, 0, 25.0, False, 100, 4.0, "h264", "yuv420p", 0.0, 16000, 1, "aac", 4.0)


def reason(function: object, *arguments: object, **named: object) -> Reason:
    with pytest.raises(BadMedia) as caught:
        function(*arguments, **named)  # type: ignore[operator]
    return caught.value.reason


def test_gates_say_what_is_wrong() -> None:
    from dataclasses import replace

    assert reason(gates.check_facts, replace(FACTS, sample_rate=None), min_frames=25) is Reason.NO_AUDIO
    assert (
        reason(gates.check_facts, replace(FACTS, duration=0.12, n_frames=3), min_frames=25)
        is Reason.TOO_SHORT
    )
    assert reason(gates.check_decoded, FACTS, 40, []) is Reason.TRUNCATED
    assert reason(gates.check_decoded, FACTS, 0, ["no"]) is Reason.DECODE_ERROR
    voice = (np.sin(np.arange(64000) / 5) * 9000).astype(np.int16)
    assert gates.check_sound(voice, 100, silence_db=-70) is None
    assert gates.check_sound(voice[:60000], 100, silence_db=-70) == "sound padded with 0.250 s at its end"
    assert gates.check_sound(voice, 90, silence_db=-70) == "sound cut by 0.400 s at its end"
    assert reason(gates.check_sound, voice * 0, 100, silence_db=-70) is Reason.SILENT_AUDIO
    assert reason(gates.check_sound, voice[:9000], 100, silence_db=-70) is Reason.AUDIO_TOO_SHORT
    none = np.zeros(50, bool)
    limits = {"min_frames": 25, "min_height": 40.0}
    assert reason(gates.check_runs, [], none, none, 0.0, **limits) is Reason.NO_FACE
    assert reason(gates.check_runs, [], ~none, none, 90.0, **limits) is Reason.FACE_LOST
    assert reason(gates.check_runs, [(0, 50)], ~none, none, 12.0, **limits) is Reason.FACE_TOO_SMALL
