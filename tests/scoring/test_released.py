"""LSE recipes on the released file: which file that is, for whom, and what is said where there is none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from skimage import data

from tkbench import media, shards
from tkbench.errors import BadMedia
from tkbench.media import lossy
from tkbench.metrics.base import BuildContext
from tkbench.metrics.lse import Lse
from tkbench.prep.plan import Settings
from tkbench.prep.run import prepare
from tkbench.protocol import MetricSpec, Protocol
from tkbench.results import bundle
from tkbench.scoring.evaluate import EvalOptions, evaluate
from tkbench.types import Released

RULES = Protocol(
    name="file",
    summary="",
    rank_by="lse_c_wav2lip_lrs_synth",
    metrics=tuple(
        MetricSpec(name="lse", settings={"recipe": recipe, "judge": "syncnet-synth"})
        for recipe in ("wav2lip-lrs", "wav2lip-lrs-canvas")
    ),
)
COLUMN = "lse_d_wav2lip_lrs_synth"
PLAIN = Settings(min_frames=12)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, 30 fps and 48 kHz stereo, so that the file and the canvas differ in everything."""
    root = tmp_path_factory.mktemp("videos")
    photo, rng = data.astronaut()[0:288, 80:368], np.random.default_rng(0)
    for name, side in (("ann", 160), ("bob", 128)):
        frames = []
        for t in range(45):
            shift = np.array([[1, 0, 6 * np.sin(t / 4)], [0, 1, 4 * np.cos(t / 5)]])
            moved = cv2.warpAffine(photo, shift, (288, 288), borderMode=cv2.BORDER_REPLICATE)
            frames.append(cv2.resize(moved, (side, side), interpolation=cv2.INTER_AREA))
        sound = (0.1 * rng.normal(size=(72_000, 2))).astype(np.float32)
        media.write_video(
            root / f"{name}.mp4", frames, fps=30, quality=20, audio=media.Sound(sound, rate=48_000)
        )
    return root


def made(videos: Path, out: Path, settings: Settings) -> Path:
    prepare(str(videos), str(out), dataset="folder", settings=settings)
    return out


@pytest.fixture(scope="module")
def plain(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(videos, tmp_path_factory.mktemp("plain") / "shards", PLAIN)


@pytest.fixture(scope="module")
def kept(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(videos, tmp_path_factory.mktemp("kept") / "shards", replace(PLAIN, keep_source=True))


def rows_of(data: Path, model: str, out: Path, sources: Path | None = None) -> pd.DataFrame:
    folder = evaluate(data, model, protocol=RULES, out=out, options=EvalOptions(sources=sources))
    table = bundle.read(folder).clips()
    return table[table["metric"] == COLUMN].set_index("key")


def truth(file: Path) -> float:
    metric = Lse(recipe="wav2lip-lrs", judge="syncnet-synth", context=BuildContext(lossy=lossy))
    return metric.score_file(Released(file)).values[COLUMN].value


def test_a_kept_source_is_the_file_byte_for_byte(videos: Path, plain: Path, kept: Path) -> None:
    """It is a member of its own, and changes nothing of the others."""
    before, after = shards.open_shards(plain), shards.open_shards(kept)
    assert "source:kept" in after.signature
    assert "source:kept" not in before.signature
    for key in before.keys():
        assert after.members(key, ["source.mp4"])["source.mp4"] == (videos / f"{key}.mp4").read_bytes()
        np.testing.assert_array_equal(after.get(key).video, before.get(key).video)
        assert after.get(key).meta["source"]["kept"] == "source.mp4"
        assert "kept" not in before.get(key).meta["source"]
        assert set(after.members(key)) == {"mp4", "flac", "npz", "json"}


def test_the_true_video_is_scored_on_the_kept_file(videos: Path, kept: Path, tmp_path: Path) -> None:
    rows = rows_of(kept, "real", tmp_path)
    assert {key: row["value"] for key, row in rows.iterrows()} == {
        key: pytest.approx(truth(videos / f"{key}.mp4"), abs=1e-6) for key in ("ann", "bob")
    }


def test_the_true_video_is_scored_on_the_file_below_sources(
    videos: Path, plain: Path, tmp_path: Path
) -> None:
    rows = rows_of(plain, "real", tmp_path, videos)
    assert rows["value"]["ann"] == pytest.approx(truth(videos / "ann.mp4"), abs=1e-6)
    other = tmp_path / "other"
    other.mkdir()
    (other / "ann.mp4").write_bytes((videos / "bob.mp4").read_bytes())
    rows = rows_of(plain, "real", tmp_path, other)
    assert list(rows["reason"]) == ["no-released-file"] * 2
    assert "another sha256" in rows["detail"]["ann"]
    assert "no bob.mp4 below --sources" in rows["detail"]["bob"]


def test_a_generated_video_is_scored_as_it_came(videos: Path, plain: Path, tmp_path: Path) -> None:
    """At its own rate and with its own sound; and a file without sound says what is missing."""
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "ann.mp4").write_bytes((videos / "ann.mp4").read_bytes())
    frames = media.read_video(videos / "bob.mp4")
    media.write_video(answers / "bob.mp4", frames)
    rows = rows_of(plain, f"files:{answers}", tmp_path)
    assert rows["value"]["ann"] == pytest.approx(truth(videos / "ann.mp4"), abs=1e-6)
    assert rows["reason"]["bob"] == "no-audio-stream"
    assert "bob.mp4 has no sound" in rows["detail"]["bob"]
    with pytest.raises(BadMedia, match=r"bob\.mp4 has no sound"):
        _ = lossy.first_generation_of(answers / "bob.mp4", "avi").sound


def test_where_there_is_no_file_the_row_says_why(plain: Path, kept: Path, tmp_path: Path) -> None:
    for data_folder, model, why in (
        (plain, "real", "prepare with --keep-source, or give --sources"),
        (kept, "still", "write them to files"),
        (kept, "shuffled-audio", "the voice is another clip's"),
    ):
        rows = rows_of(data_folder, model, tmp_path)
        assert rows["value"].map(math.isnan).all()
        assert list(rows["reason"]) == ["no-released-file"] * 2
        assert rows["detail"].str.contains(why).all()


def test_a_part_of_a_file_has_no_file_of_its_own(videos: Path, tmp_path: Path) -> None:
    long = tmp_path / "long"
    long.mkdir()
    media.write_video(
        long / "ann.mp4",
        media.read_video(videos / "ann.mp4", fps=30),
        fps=30,
        audio=media.read_audio(videos / "ann.mp4"),
    )
    data_folder = made(long, tmp_path / "cut", replace(PLAIN, keep_source=True, max_frames=20))
    assert len(shards.open_shards(data_folder)) > 1
    rows = rows_of(data_folder, "real", tmp_path)
    assert rows["detail"].str.contains("a part of its source file").all()
