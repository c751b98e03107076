"""Small parts of a training step: batches on the device, learning rates, the discriminator's loss, checks, reports."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import cast

import torch
from torch import nn

from tkbench.data.loader import TensorBatch, WindowBatch
from tkbench.errors import UsageError
from tkbench.models.wav2lip.quality import discriminator_loss
from tkbench.train.config import Config


class NotFinite(UsageError, FloatingPointError):
    """A loss that is nan or infinite: training stops."""


def on_device(batch: WindowBatch | TensorBatch, device: torch.device) -> TensorBatch:
    """Arrays as tensors on the device; pixels stay uint8 until they are there."""
    out: dict[str, object] = {}
    for name, value in batch.items():
        tensor = torch.from_numpy(value) if hasattr(value, "__array_interface__") else value
        out[name] = tensor.to(device, non_blocking=True) if isinstance(tensor, torch.Tensor) else tensor
    return cast(TensorBatch, out)


def channels_last(net: nn.Module) -> None:
    """Weights of plain convolutions as processors like them: about a fifth less time per step in bf16 on a CPU."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.to(memory_format=torch.channels_last)


def seed_of(seed: int, step: int, rank: int) -> int:
    """The seed of everything that is drawn by chance in one step."""
    return (seed * 1_000_003 + step) * 1_009 + rank


def mirrored(batch: TensorBatch, share: float) -> TensorBatch:
    """`share` of the windows with left and right exchanged, picture and reference alike."""
    if share <= 0:
        return batch
    turn = torch.rand(len(batch["video"])) < share
    turn = turn.to(batch["video"].device)[:, None, None, None, None]
    out = batch.copy()
    out["video"] = torch.where(turn, batch["video"].flip(-2), batch["video"])
    out["reference"] = torch.where(turn, batch["reference"].flip(-2), batch["reference"])
    if "opening" in batch:
        out["opening"] = torch.where(turn[..., 0], batch["opening"].flip(-1), batch["opening"])
    return out


def set_rates(
    adam: torch.optim.Optimizer,
    quality_adam: torch.optim.Optimizer | None,
    config: Config,
    step: int,
    *,
    gan_from: int = 0,
) -> None:
    """A linear rise over the warm-up, then half a cosine down to 0, or level.

    The discriminator's rate rises from its first step, `gan_from`, and stays.
    """
    optim = config.optim
    share = min(1.0, (step + 1) / max(1, optim.warmup))
    if optim.cosine and step >= optim.warmup:
        done = (step - optim.warmup) / max(1, config.steps - optim.warmup)
        share = 0.5 * (1 + math.cos(math.pi * done))
    own = (step + 1 - gan_from) / max(1, optim.warmup)
    quality_share = min(1.0, max(0.0, own))
    for optimiser, rate in ((adam, optim.lr * share), (quality_adam, optim.lr_quality * quality_share)):
        if optimiser is not None:
            for part in optimiser.param_groups:
                part["lr"] = rate


def quality_loss(quality: nn.Module, real: torch.Tensor, made: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The discriminator's loss, all frames in one pass."""
    logits = quality(torch.cat([real, *made])).split(len(real))
    return discriminator_loss(logits[0], *logits[1:])


def check_finite(parts: Mapping[str, torch.Tensor], keys: list[str], step: int) -> None:
    """Raises NotFinite, with the terms at fault and the clips of the batch, where a term is nan or infinite."""
    values = torch.stack([value.float() for value in parts.values()])
    if bool(torch.isfinite(values).all()):
        return
    bad = [f"{name} = {float(v):g}" for name, v in parts.items() if not bool(torch.isfinite(v))]
    raise NotFinite(
        f"step {step + 1}: nan or infinite: {', '.join(bad)}; its clips: {', '.join(dict.fromkeys(keys))}. The last "
        f"state is kept; lower optim.lr, set optim.clip, or check the clips"
    )


class Report:
    """Means of the terms since the last report, and the speed."""

    def __init__(self, per_step: int) -> None:
        self.per_step = per_step
        self._open()

    def _open(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = defaultdict(int)
        self.steps, self.waited, self.begin = 0, 0.0, time.perf_counter()

    def add(self, parts: Mapping[str, torch.Tensor]) -> None:
        self.steps += 1
        for name, value in parts.items():
            self.sums[name] = self.sums[name] + value.float() if name in self.sums else value.float()
            self.counts[name] += 1

    def close(self) -> dict[str, float]:
        """The report; the next one begins."""
        seconds = max(time.perf_counter() - self.begin, 1e-9)
        found = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        found["windows_per_second"] = self.steps * self.per_step / seconds
        found["wait"] = self.waited / seconds
        self._open()
        return found


def line_of(news: Mapping[str, float]) -> str:
    """A report in one line, for the progress bar."""
    if not news:
        return ""
    terms = " ".join(f"{k} {v:.3g}" for k, v in news.items() if k not in ("windows_per_second", "wait"))
    return f"{terms} | {news['windows_per_second']:.1f} windows/s, {news['wait']:.0%} waiting"


def device_name(device: torch.device) -> str:
    """The device as a model card names it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    count = torch.get_num_threads()
    return f"CPU, {count} thread{'s' * (count > 1)}"
