"""Exported clips: H.264 at exactly 25/1 with the voice in it, whatever codec the canvas has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.toy_shards import make_shards

from tkbench import media, shards
from tkbench.data.export import export
from tkbench.errors import UsageError


def test_every_file_is_read_alike(tmp_path: Path) -> None:
    source = make_shards(tmp_path, {"a": ("train", 30), "b/c": ("test", 26), "d": ("test", 26)})
    assert export(source, tmp_path / "out") == 3
    opened = shards.open_shards(source)
    for key in opened.keys():
        sample, file = opened.get(key), tmp_path / "out" / f"{key}.mp4"
        facts = media.probe(file)
        assert (facts.video_codec, facts.pix_fmt, facts.fps, facts.audio_codec) == (
            "h264",
            "yuv420p",
            25.0,
            "aac",
        )
        assert cv2.VideoCapture(str(file)).get(cv2.CAP_PROP_FPS) == 25.0
        assert np.array_equal(media.read_video(file), sample.video)
        voice = media.read_audio(file.with_suffix(".wav"))
        assert np.array_equal(voice, sample.audio)
        heard = media.read_audio(file)[: len(voice)]
        assert np.corrcoef(heard, voice[: len(heard)])[0, 1] > 0.9


def test_another_codec_is_coded_anew_without_loss(tmp_path: Path) -> None:
    frames = (
        np.random.default_rng(0).integers(0, 255, (30, 8, 8, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    )
    media.write_video(tmp_path / "a.mp4", frames)
    canvas = tmp_path / "mpeg1.mp4"
    command = [
        media.ffmpeg_exe(),
        "-loglevel",
        "error",
        "-i",
        tmp_path / "a.mp4",
        "-c:v",
        "mpeg1video",
        "-q:v",
        "2",
    ]
    subprocess.run([*command, canvas], check=True)
    media.write_playable(tmp_path / "out.mp4", canvas.read_bytes(), np.zeros(30 * 640, np.float32))
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FPS) == 25.0
    assert np.array_equal(media.read_video(tmp_path / "out.mp4"), media.read_video(canvas))


def test_a_part_is_exported_and_the_rest_later(tmp_path: Path) -> None:
    source = make_shards(tmp_path, {"a": ("train", 26), "b": ("test", 26), "c": ("test", 26)})
    out = tmp_path / "out"
    assert export(source, out, split="test", limit=1) == 1
    first = (out / "b.mp4").stat().st_mtime_ns
    assert not (out / "a.mp4").exists()
    (out / "b.wav").unlink()  # as if the run had been stopped
    assert export(source, out, split="test", workers=2) == 2
    assert (out / "b.wav").is_file()
    again = (out / "b.mp4").stat().st_mtime_ns
    assert again > first
    assert export(source, out) == 3
    assert (out / "b.mp4").stat().st_mtime_ns == again
    (tmp_path / "others").mkdir()
    others = make_shards(tmp_path / "others", {"a": ("train", 27)})
    with pytest.raises(UsageError, match="other shards"):
        export(others, out)


def test_clips_are_not_written_among_shards(tmp_path: Path) -> None:
    source = make_shards(tmp_path, {"a": ("train", 26)})
    before = sorted(source.iterdir())
    with pytest.raises(UsageError, match="holds shards; give another folder"):
        export(source, source)
    assert sorted(source.iterdir()) == before


def test_shards_made_anew_under_the_same_name_are_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, as in a notebook: the second folder has another clip at another place."""
    for name, clips in (("one", {"a": ("test", 26)}), ("two", {"a": ("test", 40), "b": ("test", 26)})):
        (tmp_path / name).mkdir()
        make_shards(tmp_path / name, clips)
        monkeypatch.chdir(tmp_path / name)
        assert export("shards", "clips") == len(clips)
        frames = len(media.read_video(tmp_path / name / "clips" / "a.mp4"))
        assert frames == clips["a"][1]
