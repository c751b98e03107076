"""What all objectives share: the batch as they see it, the frozen expert, the switch of the discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from tkbench.errors import UsageError
from tkbench.metrics.mouth import NAMES
from tkbench.models import checkpoint
from tkbench.models.face import pixels, scaled
from tkbench.models.settings import build
from tkbench.models.wav2lip.expert import FRAMES, Expert, windows_of
from tkbench.models.wav2lip.quality import Quality, fool_loss
from tkbench.train.config import Config

Batch = Mapping[str, Any]
Weights = TypeVar("Weights")


@dataclass(slots=True)
class Step:
    """What came of one step."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor]
    """Each term before its weight, detached."""
    real: torch.Tensor | None = None
    """(N, 3, H, W): what the discriminator takes for real."""
    made: tuple[torch.Tensor, ...] = ()
    """The streams of drawn frames, (N, 3, H, W) each, detached."""


class Objective(nn.Module):
    """A network and its losses. `net` is what a checkpoint holds."""

    margin = 2
    """Frames before and behind a window that are loaded with it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.low = checkpoint.LOW[config.model]
        self.net = checkpoint.network(config.model, {"size": config.cut.size, **config.net})
        self.heads = nn.ModuleDict()
        """What only training needs and learns; kept with its state, not in a checkpoint."""
        self.mouths = False
        """Whether batches must have the shapes of the true mouths; see `read_shapes`."""
        self.expert: Expert | None = None

    def needs_expert(self) -> bool:
        """Whether a term of the loss asks for the frozen expert."""
        return True

    def quality(self) -> Quality | None:
        """A fresh discriminator, where a term of the loss asks for one."""
        return None

    def train(self, mode: bool = True) -> Objective:
        """The expert stays as it was trained: its norms do not move."""
        super().train(mode)
        if self.expert is not None:
            self.expert.eval()
        return self

    def forward(self, batch: Batch, step: int, quality: Quality | None = None) -> dict[str, Any]:
        """The step as a dict, the form that distributed training can look through; see `Step`.

        Before `gan_from` of `[loss]` the discriminator neither judges nor learns: faces are too blurred for it.
        """
        if step < self.config.loss.get("gan_from", 0):
            quality = None
        done = self.step(batch, step, quality)
        made = done.made if quality is not None else ()
        return {"total": done.total, "parts": done.parts, "real": done.real, "made": made}

    def step(self, batch: Batch, step: int, quality: Quality | None) -> Step:
        raise NotImplementedError

    def sample(self, batch: Batch) -> torch.Tensor | None:
        """Rows of pictures to look at, (N, 3 columns, H, W, 3) uint8: reference, drawn, true; None if none."""
        return None

    # -- for the objectives ----------------------------------------------------------------------------------

    def weights(self, kind: type[Weights]) -> Weights:
        """The `[loss]` table as `kind`."""
        return build(kind, self.config.loss, "[loss]")

    def scaled(self, faces: torch.Tensor) -> torch.Tensor:
        """uint8 RGB -> the range and order of this network."""
        return scaled(faces, self.low)

    def lit(self, faces: torch.Tensor) -> torch.Tensor:
        """From the range of this network to [0, 1], which the expert, the discriminator and L1 work in."""
        return (faces - self.low) / (1 - self.low)

    def looks(self, clips: torch.Tensor, passes: int, picked: torch.Tensor | None = None) -> torch.Tensor:
        """How the expert sees drawn clips, (B, T, 3, H, W) in [0, 1] -> (B * (T - 4), D), through a slight blur.

        picked: numbers of the windows that are asked for, by default all.
        """
        assert self.expert is not None
        windows = windows_of(softened(clips, passes))
        return self.expert.look(windows if picked is None else windows[picked])

    def read_shapes(self, features: int) -> None:
        """Have a linear layer that reads the 8 lengths of a mouth from `features` numbers (ours)."""
        self.mouths = True
        self.heads["shape"] = nn.Linear(features, len(NAMES))

    def shape_loss(self, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        """How much of what the true mouths do is missing from features (B, T, C) or (B * T, C)."""
        mouth = batch["mouth"]
        return shape_loss(self.heads["shape"](features).reshape(mouth.shape), mouth)

    def inside(self, clips: torch.Tensor) -> torch.Tensor:
        """(B, T, ...) without the margin: the frames that are drawn."""
        return clips[:, self.margin : clips.shape[1] - self.margin]

    def first(self, batch: Batch, windows: int) -> Batch:
        """The first windows of a batch; all of them for 0."""
        return {name: value[:windows] for name, value in batch.items()} if windows else batch

    def rows(self, batch: Batch, drawn: torch.Tensor) -> torch.Tensor:
        """Reference, drawn and true frame of the middle of each window, side by side."""
        inside = self.inside(batch["video"])
        middle = inside.shape[1] // 2
        shown = pixels(drawn.unflatten(0, inside.shape[:2])[:, middle], self.low)
        return torch.stack([batch["reference"][:, middle], shown, inside[:, middle]], dim=1)


@dataclass(frozen=True, slots=True)
class FaceLoss:
    """What the losses of all generators can have."""

    gan: float = 0.2
    warp: float = 0.0
    """Weight of what a moved reference misses, where the network moves it (`[net] warp`; ours); see `moved_loss`."""
    sync_from: int = 0
    """The step from which terms of sync have their share (ours): before, a face is too blurred to be judged."""
    mouth: float = 1.0
    """How many times a pixel of the mouth counts in L1 (ours); see `face_l1`."""
    soft: int = 0
    """Blurs of 1-2-1 before the expert looks at a drawn face (ours); see `softened`."""
    gan_from: int = 0
    """The step from which the discriminator has its share (ours)."""


class FaceObjective(Objective):
    """An objective whose network draws faces."""

    weight: FaceLoss

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.loss.get("warp") and not config.net.get("warp"):
            raise UsageError(
                "[loss] warp: [net] warp is 0, so nothing is moved; set it, or leave the term out"
            )

    def quality(self) -> Quality | None:
        spec: Any = self.net.spec
        return Quality(spec.size, spec.width) if self.weight.gan > 0 else None


def softened(clips: torch.Tensor, passes: int) -> torch.Tensor:
    """(..., 3, H, W) after `passes` blurs of 1-2-1 along both sides; the rim is repeated.

    Ours. What has a period of two pixels is gone after one pass: without it a generator soon draws coloured dots that
    please a small expert and no eye.
    """
    shape = clips.shape
    out = clips.reshape(-1, 1, *shape[-2:])
    for _ in range(passes):
        out = nn.functional.pad(out, (1, 1, 1, 1), mode="replicate")
        out = (out[..., :-2] + 2 * out[..., 1:-1] + out[..., 2:]) / 4
        out = (out[..., :-2, :] + 2 * out[..., 1:-1, :] + out[..., 2:, :]) / 4
    return out.reshape(shape)


SHAPE_UNIT = 0.05
"""Eye distances: what a shape is counted in."""
MOUTH = (0.54, 0.92, 0.28, 0.72)
"""Top, bottom, left, right of where mouths lie in the crops that generators draw, as shares of the side."""


def face_l1(made: torch.Tensor, real: torch.Tensor, mouth: float) -> torch.Tensor:
    """Mean |made - real| of (N, 3, H, W), with `mouth` times the weight on the pixels of MOUTH; 1 is plain L1.

    Ours: a sixth of the picture is what the voice decides, and in few steps the rest hides it.
    """
    gap = (made.float() - real.float()).abs()
    if mouth == 1:
        return gap.mean()
    height, width = gap.shape[-2:]
    weight = gap.new_ones(height, width)
    top, bottom, left, right = mouth_box(height, width)
    weight[top:bottom, left:right] = mouth
    return (gap * (weight / weight.mean())).mean()


def moved_loss(moved: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean |moved - real| of (N, 3, H, W), at full size, a half and a quarter of it, averaged.

    Ours: without it a mover learns late, for what is drawn soon hides what is moved. The small pictures tell it the
    way where things lie apart by more than their own width; and the upper halves, which the network is shown of both,
    teach it to compare, though only the lower one is used.
    """
    gap = moved.float() - real.float()
    scales = [gap, nn.functional.avg_pool2d(gap, 2), nn.functional.avg_pool2d(gap, 4)]
    return torch.stack([scale.abs().mean() for scale in scales]).mean()


def shape_loss(made: torch.Tensor, mouth: torch.Tensor) -> torch.Tensor:
    """The share of the movement of mouths that is missed, (..., 8) lengths: 0 is perfect, 1 a mouth that holds still.

    Ours. `made` is in units of SHAPE_UNIT, which is about how much a length varies.
    """
    wanted = mouth / SHAPE_UNIT
    return (made.float() - wanted).square().mean() / wanted.square().mean().clamp(min=1e-4)


def mouth_box(height: int, width: int) -> tuple[int, int, int, int]:
    """MOUTH in pixels: top, bottom, left, right."""
    top, bottom, left, right = MOUTH
    return round(top * height), round(bottom * height), round(left * width), round(right * width)


def sync_mels(mels: torch.Tensor) -> torch.Tensor:
    """The sound of every run of five frames: (B, T, 80, 16) windows with a lead of one -> (B * (T - 4), 80, 16).

    What begins one frame before frame f + 1 begins with frame f.
    """
    return mels[:, 1 : mels.shape[1] - FRAMES + 2].flatten(0, 1)


def fooled(quality: Quality | None, streams: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The adversarial term over all streams of drawn frames; 0 without a discriminator."""
    if quality is None:
        return streams[0].new_zeros(())
    return torch.stack([fool_loss(quality(frames)) for frames in streams]).sum()


def weighted(weight: object, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The sum of the terms, each times its field of `weight`; `shape_lips` has that of `shape`."""
    return torch.stack([getattr(weight, name.split("_")[0]) * value for name, value in parts.items()]).sum()


def plain(parts: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Terms for the log."""
    return {name: value.detach() for name, value in parts.items()}
