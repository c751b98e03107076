"""Training of the judge: it learns what can be learned, the same way each time; and the bundled judge judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tkbench import shards, weights
from tkbench.errors import BadShards, UnknownName, UsageError
from tkbench.metrics import augment
from tkbench.metrics.judge_check import JudgeReport, check_judge, late
from tkbench.metrics.sync import judge_crops, lse, sync_curve
from tkbench.metrics.syncnet import Judge, SyncNet, SyncNetSpec, load_syncnet, read_facts
from tkbench.train import judge as train
from tkbench.types import Sample

TINY = SyncNetSpec(
    size=80, channels=1, lip=(4, 8, 8, 8, 8, 16), voice=(8, 8, 8, 8, 8, 16), hidden=16, embedding=8, unit=True,
    region=(0.25, 0.3125, 0.75, 0.8125),
)  # fmt: skip
RECIPE = train.JudgeConfig(
    net=TINY,
    augment=augment.Augment(),
    steps=6,
    clips=2,
    windows=8,
    threads=1,
    warmup=2,
    copies=1,
    val_every=3,
)


def shining(key: str, frames: int = 40, split: str = "train") -> Sample:
    """A face that is as bright as its voice is loud."""
    rng = np.random.default_rng(list(key.encode()))
    level = np.convolve(rng.uniform(0, 1, frames + 2), np.ones(3) / 3, "valid")
    points = rng.uniform(30, 66, (478, 2)).astype(np.float32)
    picture = rng.integers(0, 60, (96, 96, 3))
    video = (picture + 180 * level[:, None, None, None]).astype(np.uint8)
    audio = rng.normal(0, 0.3, frames * 640) * np.repeat(10 ** (2 * level - 2), 640)
    return Sample(
        key=key,
        video=video,
        audio=np.clip(audio, -1, 1).astype(np.float32),
        landmarks=np.repeat(points[None], frames, axis=0),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split=split,
        speaker=key[:1],
    )


class Folder:
    """In the place of prepared shards."""

    data_hash = "0" * 64

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = {sample.key: sample for sample in samples}

    def keys(self) -> tuple[str, ...]:
        return tuple(self.samples)

    def get(self, key: str) -> Sample:
        return self.samples[key]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Folder:
    samples = [shining(f"{i}/c") for i in range(4)] + [shining("v/c", 50, "val"), shining("t/c", 50, "test")]
    folder = Folder(samples)
    monkeypatch.setattr(shards, "open_shards", lambda path: folder)
    monkeypatch.setattr(train, "load_judge_config", lambda config: RECIPE)
    return folder


def test_training_writes_the_same_file_each_time(data: Folder, tmp_path: Path) -> None:
    news: list[int] = []
    for name in ("a", "b"):
        summary = train.train_syncnet(
            tmp_path,
            tmp_path / f"{name}.safetensors",
            progress=lambda done, total, message: news.append(done),
        )
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert news[: RECIPE.steps + 1] == list(range(RECIPE.steps + 1))
    assert (summary.n_train, summary.n_val, summary.speakers) == (4, 1, 4)
    assert [step for step, _ in summary.losses] == [3, 6]
    assert "offset within 1 frame" in str(summary)
    # The finished judge was checked on the clip that it was not trained on.
    assert summary.report is not None
    assert (summary.report.n, summary.report.n_short) == (1, 0)
    assert "on test clips:" in str(summary)
    facts = read_facts(tmp_path / "a.safetensors")
    assert facts["recipe"]["steps"] == RECIPE.steps
    assert facts["data"] == Folder.data_hash
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]
    train.train_syncnet(tmp_path, tmp_path / "c.safetensors", seed=1)
    assert (tmp_path / "c.safetensors").read_bytes() != (tmp_path / "a.safetensors").read_bytes()


def test_training_refuses_what_it_cannot_use(data: Folder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.safetensors"):
        train.train_syncnet(tmp_path, tmp_path / "judge.pth")
    data.samples = {key: replace(sample, split="test") for key, sample in data.samples.items()}
    with pytest.raises(BadShards, match="no train clip"):
        train.train_syncnet(tmp_path, tmp_path / "judge.safetensors")


def test_loss_falls_on_what_can_be_learned(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=60, val_every=20, augment=still_augment(), clips=4, copies=0, lr=5e-3)
    samples = [shining(f"{i}/c") for i in range(6)] + [shining("v/c", 60, "val")]
    parts = train.cut_clips(iter(samples), recipe, tmp_path)
    summary = train.train_on(parts["train"], parts["val"], tmp_path / "j.safetensors", recipe, facts={})
    losses = [loss for _, loss in summary.losses]
    assert losses[-1] < losses[0] - 0.3
    judge = Judge(load_syncnet(tmp_path / "j.safetensors"))
    offsets = []
    for sample in samples[:6]:
        lips = judge.lips(judge_crops(sample.video, sample.landmarks, TINY))
        cepstra = train.voices_of(sample.audio, np.random.default_rng(0), 0, 0.0)[0]
        voice = judge.voice(cepstra.astype(np.float64))
        offsets.append(lse(sync_curve(lips[: len(voice)], voice))[2])
    assert abs(np.median(offsets)) <= 1


def still_augment() -> augment.Augment:
    """No change at all."""
    return augment.Augment(
        scale=0, shift=0, turn=0, jitter=0, gamma=0, contrast=0, brightness=0, colour=0, p_blur=0, p_small=0,
        p_noise=0, p_jpeg=0, p_cutout=0, loudness=0, tone=0,
    )  # fmt: skip


def test_splits_are_kept_apart(tmp_path: Path) -> None:
    samples = [shining("a/c"), shining("b/c", split="val"), shining("c/c", split="test"), shining("d/c", 13)]
    parts = train.cut_clips(iter(samples), RECIPE, tmp_path)
    assert [clip.key for clip in parts["train"]] == ["a/c"]  # d is too short
    assert [clip.key for clip in parts["val"]] == ["b/c"]
    assert len(parts["train"][0].cepstra) == 1 + RECIPE.copies
    assert len(parts["val"][0].cepstra) == 1
    assert parts["train"][0].cepstra[1].shape == (4 * 40 - 1, 13)


def test_cached_crops_are_the_judges_crops_with_a_margin() -> None:
    sample = shining("a/c", 8)
    wide = train.wide_crops(sample, TINY)
    narrow = judge_crops(sample.video, sample.landmarks, TINY)
    assert wide.shape[1] == TINY.size + 2 * train.MARGIN
    np.testing.assert_allclose(augment.plain(wide, TINY.size).astype(int), narrow.astype(int), atol=2)


def test_net_for_use_takes_pixels_as_they_are() -> None:
    torch.manual_seed(0)
    net = SyncNet(TINY).eval()
    pixels = torch.randint(0, 256, (2, 1, 5, 80, 80)).float()
    scaled = (pixels - train.PIXEL_MIDDLE) / train.PIXEL_SCALE
    with torch.no_grad():
        expected, found = net.forward_lip(scaled), train.with_pixels(net).forward_lip(pixels)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_targets_are_shares_within_a_clip() -> None:
    target = train.near_targets(RECIPE, RECIPE.steps).numpy()
    np.testing.assert_allclose(target.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(target.argmax(axis=1), np.arange(16))
    assert (target[:8, 8:] == 0).all()
    middle = target[0, :6]
    assert (np.diff(middle) < 0).all()
    assert (target[0, 6:8] == 0).all()
    np.testing.assert_array_equal(train.near_targets(RECIPE, RECIPE.steps // 3).numpy(), np.eye(16))


@pytest.mark.parametrize("channels", [1, 3])
def test_changes_keep_form_and_depend_on_the_generator_alone(channels: int) -> None:
    crops = train.wide_crops(shining("a/c", 12), TINY)
    settings = augment.Augment(p_blur=1, p_small=1, p_noise=1, p_jpeg=1, p_cutout=1)
    first, again, other = (
        augment.lips(crops, np.random.default_rng(seed), settings, 80, channels) for seed in (1, 1, 2)
    )
    assert first.shape == (12, 80, 80, channels)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_no_change_is_the_plain_crop() -> None:
    crops = train.wide_crops(shining("a/c", 3), TINY)
    settings = still_augment()
    for seed in range(4):
        made = augment.lips(crops, np.random.default_rng(seed), settings, 80, 1)[..., 0].astype(int)
        grey = augment.plain(crops, 80).astype(int).mean(axis=-1)
        # A mirror and a squeeze remain; brightness does not move.
        assert abs(made.mean() - grey.mean()) < 3


def test_room_and_noise_keep_the_time_of_a_click() -> None:
    click = np.zeros(8000)
    click[2000] = 0.9
    for seed in range(5):
        heard = augment.in_a_room(click, np.random.default_rng(seed))
        assert np.abs(heard).argmax() == 2000
        assert np.abs(heard[:1990]).max() < 1e-9


def test_recipes_are_read_strictly(tmp_path: Path) -> None:
    recipe = train.load_judge_config("syncnet-synth")
    assert recipe.net.last_kernel == 1
    assert recipe.net.unit
    own = tmp_path / "own.toml"
    own.write_text("steps = 5\n[net]\nsize = 96\n[augment]\nscale = 0.0\n", encoding="utf-8")
    assert (train.load_judge_config(own).steps, train.load_judge_config(own).net.size) == (5, 96)
    own.write_text("step = 5\n", encoding="utf-8")
    with pytest.raises(UsageError, match="did you mean steps"):
        train.load_judge_config(own)
    own.write_text("[augment]\nscael = 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"augment: scael is not a setting: did you mean scale"):
        train.load_judge_config(own)
    own.write_text("steps: 5", encoding="utf-8")
    with pytest.raises(UsageError, match="not a TOML file"):
        train.load_judge_config(own)
    with pytest.raises(UnknownName, match="syncnet-synth"):
        train.load_judge_config("syncnet-sinth")


def test_report_reads_a_fall() -> None:
    kinds = {f"shift{k:+d}" if k else "real": (1.0, 1.0, 1 - 0.1 * abs(k), 1.0) for k in range(-5, 6)}
    curve = 1 - np.abs(np.arange(-15, 16)) / 15
    report = JudgeReport(3, 0, kinds, curve)
    assert report.falls()
    assert report.offset_share == 1
    assert "falls with |lag| from 0 to 5: yes" in str(report)
    dented = curve.copy()
    dented[18] = dented[17]
    assert not JudgeReport(3, 0, kinds, dented).falls()
    kinds["shift+4"] = kinds["shift+3"]
    assert not JudgeReport(3, 0, kinds, curve).falls()


def test_late_holds_the_end() -> None:
    frames = np.arange(6)
    assert late(frames, 2).tolist() == [0, 0, 0, 1, 2, 3]
    assert late(frames, -2).tolist() == [2, 3, 4, 5, 5, 5]


def test_bundled_judge_is_pinned_and_small() -> None:
    path = weights.find("syncnet-synth")
    assert path.stat().st_size < 6_000_000
    facts = read_facts(path)
    assert load_syncnet(path).spec.unit
    assert facts["n_train"] > 100


@pytest.mark.slow
def test_bundled_judge_on_speakers_it_has_not_seen(tmp_path: Path) -> None:
    """The acceptance of the bundled judge, on a small corpus of a seed that it was not trained on."""
    pytest.importorskip("espeakng_loader")
    from tkbench.prep.run import prepare
    from tkbench.synth import make_corpus

    make_corpus(tmp_path / "corpus", clips=24, speakers=24, seed=4242, split="test")
    prepare(tmp_path / "corpus", tmp_path / "shards")
    source = shards.open_shards(tmp_path / "shards")
    judge = Judge(load_syncnet(weights.find("syncnet-synth")))
    report = check_judge(judge, source.iter())
    assert report.offset_share >= 0.95, str(report)
    assert report.falls(), str(report)
    assert report.rows["still"][0] < 0.3 * report.rows["real"][0], str(report)
    assert report.rows["other voice"][0] < 0.5 * report.rows["real"][0], str(report)
