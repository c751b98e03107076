"""Preparation as a whole, on small videos of a photographed face that are made here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tkbench import media, shards
from tkbench.crops import align
from tkbench.errors import UsageError
from tkbench.prep import pipeline, run
from tkbench.prep.plan import Settings
from tkbench.prep.run import Run, prepare
from tkbench.types import UInt8

SHORT = Settings(min_frames=12)


@pytest.fixture(scope="session")
def face() -> Callable[..., list[UInt8]]:
    """Frames of one face that moves a little: face(count, size, mirror=, empty=)."""
    import cv2
    from skimage import data

    photo = data.astronaut()[0:288, 80:368]

    def make(count: int, size: int = 128, *, mirror: bool = False) -> list[UInt8]:
        base = photo[:, ::-1] if mirror else photo
        frames = []
        for t in range(count):
            shift = np.array([[1, 0, 6 * np.sin(t / 4)], [0, 1, 4 * np.cos(t / 5)]])
            moved = cv2.warpAffine(base, shift, (288, 288), borderMode=cv2.BORDER_REPLICATE)
            frames.append(cv2.resize(moved, (size, size), interpolation=cv2.INTER_AREA))
        return frames

    return make


def voice(frames: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=frames * 640)).astype(np.float32)


def empty(count: int, size: int = 128) -> list[UInt8]:
    y, x = np.mgrid[0:size, 0:size]
    return [np.stack([x + t, y, x // 2 + y // 2], -1).astype(np.uint8) % 200 for t in range(count)]


@pytest.fixture(scope="session")
def hard(tmp_path_factory: pytest.TempPathFactory, face: Callable[..., list[UInt8]]) -> Path:
    """A folder with a clip of each kind."""
    root = tmp_path_factory.mktemp("hard")
    good = face(16)
    (root / "s1").mkdir()
    media.write_video(root / "s1" / "plain.mp4", good, audio=voice(16))
    (root / "s1" / "plain.txt").write_text("a short sentence")
    media.write_video(root / '-it\'s "ö" 視.mp4', good, audio=voice(16, 1))
    media.write_video(
        root / "fps30.mkv", face(20), fps=30, audio=media.Sound(np.stack([voice(20)] * 2, 1), rate=16000)
    )
    media.write_video(root / "turned.mp4", [np.rot90(f).copy() for f in good], rotation=90, audio=voice(16))
    media.write_video(root / "late.mp4", good, audio=media.Sound(voice(16), offset=0.12))
    cut = [*face(14), *empty(8), *face(14, mirror=True)]
    media.write_video(root / "cut.mp4", cut, audio=voice(36))
    twin = [np.concatenate([a, b[:, ::-1]], axis=1) for a, b in zip(face(16), face(16), strict=True)]
    media.write_video(root / "two.mp4", twin, audio=voice(16))
    media.write_video(root / "noface.mp4", empty(16), audio=voice(16))
    media.write_video(root / "lost.mp4", [*face(8), *empty(20)], audio=voice(28))
    media.write_video(root / "mute.mp4", good)
    media.write_video(root / "silent.mp4", good, audio=np.zeros(16 * 640, np.float32))
    media.write_video(root / "three.mp4", face(3), audio=voice(3))
    (root / "empty.mp4").write_bytes(b"")
    (root / "text.mp4").write_text("this is not a video")
    whole = (root / "s1" / "plain.mp4").read_bytes()
    (root / "half.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    return root


@pytest.fixture(scope="session")
def prepared(hard: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "shards"
    prepare(hard, out, settings=SHORT, run=Run(shard_clips=4))
    return out


def hashes(folder: Path) -> dict[str, str]:
    """Everything that must be equal from two runs: all but times."""
    files = [*sorted(folder.glob("*.tar")), folder / "manifest.parquet", folder / "index.json"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_every_clip_ends_ok_or_with_its_true_reason(prepared: Path) -> None:
    table = pd.read_parquet(prepared / "manifest.parquet")
    got = {row.key: row.reason if row.status == "skipped" else "ok" for row in table.itertuples()}
    assert got == {
        "it_s_o": "ok",
        "cut__s0": "ok",
        "cut__s1": "ok",
        "empty": "empty-file",
        "fps30": "ok",
        "half": "truncated",
        "late": "ok",
        "lost": "face-lost",
        "mute": "no-audio-stream",
        "noface": "no-face",
        "s1/plain": "ok",
        "silent": "silent-audio",
        "text": "not-a-video",
        "three": "too-short",
        "turned": "ok",
        "two": "ok",
    }
    skipped = table[table.status == "skipped"]
    assert skipped.detail.str.len().min() > 10
    assert not skipped.detail.str.contains("\n").any()
    paths = dict(zip(table.key, table.path, strict=True))
    assert paths["it_s_o"] == '-it\'s "ö" 視.mp4'
    assert dict(zip(table.key, table.n_faces, strict=True))["two"] == 2


def test_samples_obey_the_length_law_and_hold_their_receipts(prepared: Path) -> None:
    opened = shards.open_shards(prepared)
    opened.verify()
    for sample in opened.iter():
        height, width = sample.video.shape[1:3]
        assert len(sample.audio) == 640 * len(sample)
        assert len(sample) >= 12
        assert sample.track_score.min() >= 0
        assert 0 < sample.landmarks[..., 0].mean() < width
        assert 0 < sample.landmarks[..., 1].mean() < height
        arrays = opened.get_arrays(sample.key)
        for recipe in ("syncnet-224", "face-128", "wav2lip-96", "atvg-128"):
            assert np.array_equal(arrays[recipe], align.matrices(sample.landmarks, recipe)), recipe
    # The law as decoded is kept as a fact: AAC leaves less than a frame more or less than 640 to each of ours.
    off = (
        opened.manifest(("key", "status", "sound_off")).query("status == 'ok'").set_index("key")["sound_off"]
    )
    assert off.notna().all()
    assert abs(off["s1/plain"]) <= 2 * 1024
    assert opened.get("s1/plain").meta["sound_off"] == off["s1/plain"]
    assert opened.get("s1/plain").text == "a short sentence"
    assert opened.speakers["s1/plain"] == "s1"


def test_a_conforming_source_is_copied_and_others_say_what_was_done(prepared: Path, hard: Path) -> None:
    opened = shards.open_shards(prepared)
    plain = opened.get("s1/plain")
    assert plain.canvas["encoding"] == "copy"
    assert plain.meta["fixes"] == []
    assert np.array_equal(plain.video, media.read_video(hard / "s1" / "plain.mp4"))
    # 16-bit quantisation of the sound is all that happens to it besides AAC.
    assert (
        plain.meta["source"]["sha256"] == hashlib.sha256((hard / "s1" / "plain.mp4").read_bytes()).hexdigest()
    )
    fixes = {key: " ".join(opened.get(key).meta["fixes"]) for key in opened.keys()}
    assert "30.00 fps resampled" in fixes["fps30"]
    assert "turned by 90" in fixes["turned"]
    assert "after the picture: kept" in fixes["late"]
    assert "2 faces, one followed" in fixes["two"]


def test_an_encoded_canvas_has_the_pixels_of_the_source(prepared: Path, hard: Path) -> None:
    turned = shards.open_shards(prepared).get("turned")
    assert turned.canvas["encoding"] == "lossless"
    assert np.array_equal(turned.video, media.read_video(hard / "turned.mp4"))


def test_a_cut_is_never_tracked_through(prepared: Path) -> None:
    opened = shards.open_shards(prepared)
    first, second = opened.get("cut__s0"), opened.get("cut__s1")
    assert first.meta["start_frame"] == 0
    assert 12 <= len(first) <= 15
    assert second.meta["start_frame"] >= 22
    assert first.meta["clip"] == second.meta["clip"] == "cut"


def test_of_two_faces_one_is_followed_throughout(prepared: Path) -> None:
    two = shards.open_shards(prepared).get("two")
    x = two.landmarks[..., 0].mean(axis=1)
    assert np.ptp(x) < 16
    assert (x < 128).all() or (x > 128).all()


def test_the_start_offset_moves_the_sound(prepared: Path) -> None:
    opened = shards.open_shards(prepared)
    late, plain = opened.get_audio("late"), opened.get_audio("s1/plain")
    # Same noise, 0.12 s later: AAC twice of the same signal agrees well away from the ends.
    a, b = late[1920 + 1024 : -1024], plain[1024 : len(plain) - 1920 - 1024]
    assert np.corrcoef(a, b)[0, 1] > 0.9


def test_two_workers_and_a_second_run_make_the_same_bytes(prepared: Path, hard: Path, tmp_path: Path) -> None:
    summary = prepare(hard, tmp_path / "again", settings=SHORT, workers=2, run=Run(shard_clips=4))
    assert hashes(tmp_path / "again") == hashes(prepared)
    assert summary.n_ok == 8 - 1
    assert summary.split_clips == ("cut",)


def test_a_killed_run_goes_on_at_the_next_shard(
    prepared: Path, hard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, made = tmp_path / "out", []
    real = run.make_shard

    def dies(plan: run.ShardPlan) -> dict[str, object]:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(plan.name)
        return real(plan)

    monkeypatch.setattr(run, "make_shard", dies)
    with pytest.raises(KeyboardInterrupt):
        prepare(hard, out, settings=SHORT, run=Run(shard_clips=4))
    assert not (out / "index.json").exists()
    # What a kill in the middle of a shard leaves behind.
    (out / ".test-000009.tar.1.partial").write_bytes(b"half")
    again: list[str] = []
    monkeypatch.setattr(run, "make_shard", lambda plan: again.append(plan.name) or real(plan))
    prepare(hard, out, settings=SHORT, run=Run(shard_clips=4))
    assert not set(again) & set(made)
    assert hashes(out) == hashes(prepared)
    assert not list(out.glob(".*"))


def test_a_finished_run_has_nothing_to_do_and_a_damaged_shard_is_remade(prepared: Path, hard: Path) -> None:
    before = hashes(prepared)
    assert prepare(hard, prepared, settings=SHORT, run=Run(shard_clips=4)).decoded == 0
    victim = sorted(prepared.glob("*.tar"))[0]
    victim.write_bytes(victim.read_bytes()[:1000])
    assert prepare(hard, prepared, settings=SHORT, run=Run(shard_clips=4)).decoded > 0
    assert hashes(prepared) == before


def test_other_settings_or_a_full_folder_are_not_overwritten(
    prepared: Path, hard: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="other settings"):
        prepare(hard, prepared, settings=Settings(min_frames=13))
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(UsageError, match="is not empty"):
        prepare(hard, tmp_path, settings=SHORT)
    with pytest.raises(UsageError, match="not a folder"):
        prepare(tmp_path / "none", tmp_path / "o")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="no video file"):
        prepare(tmp_path / "nothing", tmp_path / "o")


def test_a_bug_in_one_clip_is_a_row_and_not_the_end(
    hard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pipeline.look_at

    def fails(path: str, *rest: object, **named: object) -> object:
        if "plain" in path:
            raise ZeroDivisionError("a bug")
        return real(path, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "look_at", fails)
    root = tmp_path / "in"
    root.mkdir()
    for name in ("s1/plain.mp4", "late.mp4"):
        (root / Path(name).name).write_bytes((hard / name).read_bytes())
    summary = prepare(root, tmp_path / "out", settings=SHORT)
    assert summary.skipped == {"internal-error": ("plain",)}
    assert summary.n_ok == 1
    assert ("skipped: internal-error", "1", "plain") in summary.table()


def test_clips_of_a_finished_folder_are_dropped_on_request_alone(hard: Path, tmp_path: Path) -> None:
    """Another root, or one in which a video is gone, with the same settings: the data of a table would be lost."""
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    (root / "one.mp4").write_bytes((hard / "late.mp4").read_bytes())
    (root / "no.mp4").write_text("no video")
    prepare(root, out, settings=SHORT)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    (root / "one.mp4").rename(root / "two.mp4")
    with pytest.raises(UsageError, match=r"holds one, which this run would drop.*--overwrite"):
        prepare(root, out, settings=SHORT)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    # What was left out is not missed, and more clips may come.
    (root / "no.mp4").unlink()
    (root / "one.mp4").write_bytes((root / "two.mp4").read_bytes())
    assert prepare(root, out, settings=SHORT).n_ok == 2
    (root / "one.mp4").unlink()
    assert prepare(root, out, settings=SHORT, run=Run(overwrite=True)).n_ok == 1
    assert shards.open_shards(out).keys() == ("two",)


def test_a_long_clip_is_divided_and_no_frame_is_lost(
    face: Callable[..., list[UInt8]], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    media.write_video(tmp_path / "in" / "long.mp4", face(44), audio=voice(44))
    prepare(tmp_path / "in", tmp_path / "out", settings=Settings(min_frames=12, max_frames=20))
    opened = shards.open_shards(tmp_path / "out")
    parts = [opened.get(key) for key in opened.keys()]
    assert [len(part) for part in parts] == [15, 15, 14]
    whole = media.read_video(tmp_path / "in" / "long.mp4")
    assert np.array_equal(np.concatenate([part.video for part in parts]), whole)


def test_a_large_picture_is_cut_to_the_head(face: Callable[..., list[UInt8]], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    wide = []
    for frame in face(14, 160):
        canvas = np.full((400, 640, 3), 90, np.uint8)
        canvas[120:280, 400:560] = frame
        wide.append(canvas)
    media.write_video(tmp_path / "in" / "wide.mp4", wide, audio=voice(14))
    prepare(tmp_path / "in", tmp_path / "out", settings=SHORT)
    sample = shards.open_shards(tmp_path / "out").get("wide")
    where = sample.canvas
    assert where["kind"] == "head"
    assert (where["source_width"], where["source_height"]) == (640, 400)
    x, y, side = where["x"], where["y"], where["width"]
    assert x <= 440
    assert x + side >= 520
    source = media.read_video(tmp_path / "in" / "wide.mp4")[:, y : y + side, x : x + side]
    # The colours of a crop are interpolated from its own samples: its rim may differ.
    assert np.abs(source.astype(int) - sample.video)[:, 2:-2, 2:-2].max() <= 1


@pytest.mark.slow
def test_the_real_clips_end_as_they_should(clips: Path, tmp_path: Path) -> None:
    prepare(clips, tmp_path / "out", workers=2)
    table = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    skipped = table[table.status == "skipped"]
    assert dict(zip(skipped.key, skipped.reason, strict=True)) == {
        "LivePortrait__driving_d3": "silent-audio",
        "MuseTalk__sun": "no-audio-stream",
    }
    rows = {row.key: row for row in table.itertuples()}
    assert rows["VisualVoice__test_videos_interview"].n_faces == 2
    assert "variable frame rate" in rows["video-retalking__face_1"].fixes
    assert rows["video-retalking__face_1"].n_frames == pytest.approx(6.1 * 25, abs=1)
    pieces = [row for row in table.itertuples() if row.clip == "face_recognition__short_hamilton_clip"]
    edges = (17, 68, 176)
    for piece in pieces:
        assert not any(piece.start_frame < edge < piece.start_frame + piece.n_frames for edge in edges)
    whole = table[(table.status == "ok") & ~table["clip"].str.contains("hamilton")]
    assert (whole.start_frame == 0).all()
    assert (whole.filled_frames == 0).all()
    opened = shards.open_shards(tmp_path / "out")
    opened.verify()
    known = json.loads((tmp_path / "out" / "index.json").read_text())
    assert known["n_samples"] == len(opened)
