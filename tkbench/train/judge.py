"""Training of the bundled judge: a small SyncNet that embeds a mouth near its own sound.

Positives are the five frames and twenty cepstra of the same 0.2 s; negatives are all other windows of the
batch, also those of the same clip at other times. The loss is a softmax over cosines in both directions
(InfoNCE; the published network was trained with a contrastive margin loss on distances). Embeddings have
length 1, so distances lie in [0, 2], and the LSE of this judge is on that scale: it is not comparable with
that of `syncnet_v2`.

For each clip a window of one repeated frame is added as a negative: a still face must fit no voice.
"""

from __future__ import annotations

import copy
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from tkbench import shards
from tkbench.errors import BadShards, UsageError
from tkbench.metrics import augment
from tkbench.metrics.augment import Augment
from tkbench.metrics.judge_check import MIN_FRAMES, JudgeReport, check_judge
from tkbench.metrics.mfcc import mfcc, to_pcm16
from tkbench.metrics.sync import judge_crops, lse, sync_curve
from tkbench.metrics.syncnet import (
    CEPSTRA_PER_FRAME,
    WINDOW_CEPSTRA,
    WINDOW_FRAMES,
    Judge,
    SyncNet,
    SyncNetSpec,
    flat_lip,
    load_flat,
    load_syncnet,
    save_syncnet,
)
from tkbench.models.settings import build
from tkbench.runtime import toml
from tkbench.runtime.progress import Progress, silent
from tkbench.train.config import find_judge_config
from tkbench.types import Float32, Sample, UInt8

MARGIN = 16
"""Pixels around the network's input that are kept in the cache, so that crops can be moved."""
PIXEL_MIDDLE, PIXEL_SCALE = 128.0, 64.0
MOST_CHECKED = 24
"""Test clips, at most, on which a finished judge is checked."""


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """Everything that decides the weights, read from a TOML file of `tkbench/configs`."""

    net: SyncNetSpec = field(default_factory=SyncNetSpec)
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    steps: int = 1600
    clips: int = 8
    windows: int = 20
    threads: int = 2
    lr: float = 2e-3
    warmup: int = 100
    weight_decay: float = 1e-3
    temperature: float = 0.07
    share: float = 0.4
    """At the end of training, the part of a target that is spread over a window and its neighbours; the rest is on the
    window alone."""
    falloff: float = 0.35
    """How fast a neighbour's part of it falls, per frame."""
    copies: int = 4
    """Changed versions of each voice."""
    val_every: int = 200


@dataclass(frozen=True, slots=True)
class TrainClip:
    """One clip as training needs it."""

    key: str
    speaker: str
    crops: UInt8
    """(T, M, M, 3) RGB: the network's input with MARGIN pixels around it."""
    cepstra: tuple[Float32, ...]
    """Each (4 T - 1, 13): the voice as it is, then its changed copies."""


@dataclass(slots=True)
class TrainSummary:
    """A finished training run: its data, losses and checks."""

    out: Path
    rules: JudgeConfig
    n_train: int
    n_val: int
    speakers: int
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    """(step, mean training loss since the last entry)."""
    checks: list[tuple[int, str]] = field(default_factory=list)
    """(step, result on the validation clips)."""
    report: JudgeReport | None = None
    """The finished judge on clips of the split `test`, where there are such clips."""

    def __str__(self) -> str:
        lines = [f"{self.out}: {self.rules.steps} steps in {self.seconds:.0f} s on {self.n_train} clips "
                 f"of {self.speakers} speakers, {self.n_val} for validation"]  # fmt: skip
        found = dict(self.checks)
        lines += [
            f"step {step:6d}  loss {loss:.3f}  {found.get(step, '')}".rstrip() for step, loss in self.losses
        ]
        if self.report is not None:
            lines += ["on test clips:", str(self.report)]
        return "\n".join(lines)


def load_judge_config(config: str | Path) -> JudgeConfig:
    """The configuration called `config`, or the one in that TOML file. An unknown setting is an error."""
    path = find_judge_config(config)
    return build(JudgeConfig, toml.read(path, advice="compare with a file of tkbench/configs"), path.name)


def train_syncnet(
    data: Path,
    out: Path,
    *,
    config: str | Path = "syncnet-synth",
    seed: int | None = None,
    steps: int | None = None,
    progress: Progress = silent,
) -> TrainSummary:
    """Train on the `train` clips of the shards in `data`, validate on `val`, write safetensors to `out`.

    `seed` and `steps` override the configuration's. On one machine, equal arguments give equal bytes. The finished
    judge is then checked on up to `MOST_CHECKED` clips of `test`. Raises BadShards where the split train or val is
    empty or no clip is long enough.
    """
    rules = load_judge_config(config)
    rules = replace(rules, seed=rules.seed if seed is None else seed, steps=steps or rules.steps)
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: the file must end in .safetensors")
    out.parent.mkdir(parents=True, exist_ok=True)
    source = shards.open_shards(data)
    progress(0, rules.steps, "cutting crops")
    held_out: list[str] = []

    def samples() -> Iterator[Sample]:
        for key in sorted(source.keys()):
            sample = source.get(key)
            if sample.split == "test" and len(sample) >= MIN_FRAMES:
                held_out.append(key)
            yield sample

    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".train-") as cache:
        parts = cut_clips(samples(), rules, Path(cache))
        for split in ("train", "val"):
            if not parts[split]:
                raise BadShards(
                    f"{data}: holds no {split} clip of {rules.windows + 6} frames or more to train on"
                )
        facts = {"data": source.data_hash}
        summary = train_on(parts["train"], parts["val"], out, rules, facts=facts, progress=progress)
    if held_out:
        progress(rules.steps, rules.steps, "checking the judge on test clips")
        some = held_out[:: -(-len(held_out) // MOST_CHECKED)]
        summary.report = check_judge(Judge(load_syncnet(out)), (source.get(key) for key in some))
    return summary


def cut_clips(samples: Iterator[Sample], rules: JudgeConfig, cache: Path) -> dict[str, list[TrainClip]]:
    """The clips of the splits train and val; their crops lie in files under `cache`, mapped into memory."""
    parts: dict[str, list[TrainClip]] = {"train": [], "val": []}
    for index, sample in enumerate(samples):
        if sample.split not in parts or len(sample) < rules.windows + 6:
            continue
        crops = wide_crops(sample, rules.net)
        path = cache / f"{index:06d}.npy"
        np.save(path, crops)
        mapped = np.load(path, mmap_mode="r")
        # The copies depend on the clip's key, not on its place among others.
        rng = np.random.default_rng([rules.seed, *sample.key.encode()])
        copies = rules.copies if sample.split == "train" else 0
        cepstra = voices_of(sample.audio, rng, copies, rules.augment.throat)
        clip = TrainClip(sample.key, sample.speaker or sample.key, mapped, cepstra)
        parts[sample.split].append(clip)
    return parts


def wide_crops(sample: Sample, spec: SyncNetSpec) -> UInt8:
    """The judge's crop with MARGIN more pixels on each side, at the same scale."""
    left, top, right, bottom = spec.region
    edge = MARGIN * (right - left) / spec.size
    region = (left - edge, top - edge, right + edge, bottom + edge)
    return judge_crops(
        sample.video, sample.landmarks, replace(spec, size=spec.size + 2 * MARGIN, region=region)
    )


def voices_of(audio: Float32, rng: np.random.Generator, copies: int, throat: float) -> tuple[Float32, ...]:
    """The MFCC of a voice, and of `copies` changed versions: other throats, rooms, noise."""
    # Its own sound backwards, a third of a clip away, stands for another speaker in the room.
    other = np.ascontiguousarray(np.roll(audio[::-1], len(audio) // 3))
    versions = [mfcc(to_pcm16(audio))]
    for _ in range(copies):
        versions.append(
            augment.other_throat(augment.noisy(audio, other, rng), rng.uniform(1 - throat, 1 + throat))
        )
    return tuple(version.astype(np.float32) for version in versions)


def train_on(
    train: Sequence[TrainClip],
    val: Sequence[TrainClip],
    out: Path,
    rules: JudgeConfig,
    *,
    facts: Mapping[str, object],
    progress: Progress = silent,
) -> TrainSummary:
    """The training loop, on clips whose crops are cut."""
    begin = time.perf_counter()
    torch.manual_seed(rules.seed)
    torch.set_num_threads(rules.threads)
    net = SyncNet(rules.net).train()
    lip = flat_lip(net).to(memory_format=torch.channels_last)
    voice = net.netcnnaud.to(memory_format=torch.channels_last)
    stacks = torch.nn.ModuleList([lip, net.netfclip, voice, net.netfcaud])
    optimiser = torch.optim.AdamW(stacks.parameters(), lr=rules.lr, weight_decay=rules.weight_decay)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, rules))
    summary = TrainSummary(out, rules, len(train), len(val), len({clip.speaker for clip in train}))
    recent: list[float] = []
    batches = make_batches(train, rules)
    for step, (pictures, cepstra) in enumerate(batches, 1):
        a = net.finish(net.netfclip(lip(pictures).flatten(1)))
        b = net.finish(net.netfcaud(voice(cepstra).flatten(1)))
        loss = sync_loss(a, b, near_targets(rules, step), rules.temperature)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(stacks.parameters(), 5.0)
        optimiser.step()
        rate.step()
        recent.append(loss.item())
        progress(step, rules.steps, f"loss {np.mean(recent[-50:]):.3f}")
        if step % rules.val_every == 0 or step == rules.steps:
            load_flat(net, lip)
            summary.losses.append((step, float(np.mean(recent))))
            summary.checks.append((step, validate(net, val)))
            recent.clear()
    final = with_pixels(net)
    settings = {name: value for name, value in asdict(rules).items() if name != "net"}
    save_syncnet(final, out, {**facts, "recipe": settings, "n_train": len(train), "n_val": len(val)})
    summary.seconds = time.perf_counter() - begin
    return summary


def _rate(step: int, rules: JudgeConfig) -> float:
    """A linear rise over `warmup` steps, then half a cosine down to 0."""
    if step < rules.warmup:
        return (step + 1) / rules.warmup
    done = (step - rules.warmup) / max(1, rules.steps - rules.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def sync_loss(
    lips: torch.Tensor, voice: torch.Tensor, target: torch.Tensor, temperature: float
) -> torch.Tensor:
    """InfoNCE both ways with shared targets; lips: (n + m, D), voice: (n, D), rows of length 1.

    target: (n, n), rows that sum to 1: how much of voice j belongs to lips i. The m more rows of lips belong
    to none.
    """
    n = len(voice)
    logits = lips @ voice.T / temperature
    still = torch.zeros(n, len(lips) - n)
    entropy = torch.nn.functional.cross_entropy
    return 0.5 * (entropy(logits[:n], target) + entropy(logits.T, torch.cat([target, still], dim=1)))


def near_targets(rules: JudgeConfig, step: int) -> torch.Tensor:
    """(n, n) for n = clips * windows: how much of each voice belongs to each window of lips; rows sum to 1.

    Half a syllable away, mouth and voice fit worse than by chance, so with targets of 0 and 1 the distance
    is largest at three to four frames of lag. Shares for the neighbours, up to five frames away in the same
    clip, make the distance grow with the lag instead. The shares begin at a third of the training and reach their
    full size at two thirds: with shares from the first step on, the network learns only who speaks.
    """
    place = np.arange(rules.clips * rules.windows)
    clip, lag = place // rules.windows, np.abs(place[:, None] - place[None])
    near = (lag <= 5) & (clip[:, None] == clip[None])
    share = np.where(near, np.exp(-rules.falloff * lag), 0.0)
    share *= rules.share * np.clip(3 * step / rules.steps - 1, 0, 1) / share.sum(axis=1, keepdims=True)
    target = share + np.diag(1 - share.sum(axis=1))
    return torch.from_numpy(target.astype(np.float32))


def make_batches(
    clips: Sequence[TrainClip], rules: JudgeConfig
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """`rules.steps` batches, each made from (seed, step) alone while the step before it runs.

    Yields (clips * windows + clips, 5 * channels, size, size) pictures scaled to about [-2, 2], the last
    `clips` of which hold still, and (clips * windows, 1, 13, 20) cepstra.
    """
    order = np.concatenate(
        [
            np.random.default_rng([rules.seed, 1, epoch]).permutation(len(clips))
            for epoch in range(1 + rules.steps * rules.clips // len(clips))
        ]
    )

    def make(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([rules.seed, 2, step])
        picked = order[step * rules.clips : (step + 1) * rules.clips]
        return _batch([clips[i] for i in picked], rng, rules)

    with ThreadPoolExecutor(1) as executor:
        ahead = [executor.submit(make, step) for step in range(min(2, rules.steps))]
        for step in range(rules.steps):
            ready = ahead.pop(0).result()
            if step + 2 < rules.steps:
                ahead.append(executor.submit(make, step + 2))
            yield ready


def _batch(
    clips: Sequence[TrainClip], rng: np.random.Generator, rules: JudgeConfig
) -> tuple[torch.Tensor, torch.Tensor]:

    moving, still, heard = [], [], []
    n = rules.windows
    for clip in clips:
        start = int(rng.integers(0, len(clip.crops) - n - WINDOW_FRAMES + 1))
        run = np.asarray(clip.crops[start : start + n + WINDOW_FRAMES - 1])
        frames = augment.lips(run, rng, rules.augment, rules.net.size, rules.net.channels)
        moving.append(np.concatenate([frames[t : t + n] for t in range(WINDOW_FRAMES)], axis=-1))
        held = frames[int(rng.integers(len(frames)))][None]
        still.append(np.concatenate([held] * WINDOW_FRAMES, axis=-1))
        voice = clip.cepstra[int(rng.integers(len(clip.cepstra)))]
        voice = voice + augment.voice_colour(rng, rules.augment).astype(np.float32)
        first = CEPSTRA_PER_FRAME * start
        views = np.lib.stride_tricks.sliding_window_view(voice[first:], WINDOW_CEPSTRA, axis=0)
        heard.append(views[::CEPSTRA_PER_FRAME][:n])
    pictures = torch.from_numpy(np.concatenate(moving + still)).permute(0, 3, 1, 2)
    cepstra = torch.from_numpy(np.concatenate(heard)[:, None])
    return (pictures.float() - PIXEL_MIDDLE) / PIXEL_SCALE, cepstra.contiguous()


def with_pixels(net: SyncNet) -> SyncNet:
    """A copy of a net in training that takes pixels of 0-255, as the published one does.

    Training scales them first; here the scale goes into the first layer, which is exact because it does not
    pad.
    """
    final = copy.deepcopy(net).eval()
    first = final.netcnnlip[0]
    assert isinstance(first, torch.nn.Conv3d)
    assert first.bias is not None
    with torch.no_grad():
        first.bias -= first.weight.sum(dim=(1, 2, 3, 4)) * (PIXEL_MIDDLE / PIXEL_SCALE)
        first.weight /= PIXEL_SCALE
    return final


def validate(net: SyncNet, clips: Sequence[TrainClip]) -> str:
    """The net in training on validation clips, in one line: offsets found, LSE-C, LSE-D."""
    judge = Judge(with_pixels(net))
    rows = []
    for clip in clips:
        lips = judge.lips(augment.plain(clip.crops, judge.spec.size))
        voice = judge.voice(clip.cepstra[0].astype(np.float64))
        n = min(len(lips), len(voice))
        curve = sync_curve(lips[:n], voice[:n])
        if np.isfinite(curve).all():
            rows.append(lse(curve))
    if not rows:
        return "no validation clip is long enough"
    found = np.array(rows)
    close = float(np.mean(np.abs(found[:, 2]) <= 1))
    confidence, distance = found[:, :2].mean(axis=0)
    return f"val: offset within 1 frame on {close:.0%}, LSE-C {confidence:.3f}, LSE-D {distance:.3f}"
