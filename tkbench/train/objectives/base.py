"""What all objectives share: ranges of pictures, the frozen expert, the discriminator's first step, common losses.

Faces of a batch are (B, T, H, W, 3) uint8 RGB. Networks take them as (B, T, 3, H, W) BGR in their range, [black, 1];
the expert, the discriminator and L1 work in [0, 1]. Losses that are not the papers' are marked "ours".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict, cast

import torch
from torch import nn

from tkbench.data.loader import TensorBatch
from tkbench.metrics.mouth import NAMES
from tkbench.models import kinds
from tkbench.models.face import pixels, scaled
from tkbench.models.network import FaceNetwork, Network
from tkbench.models.wav2lip.expert import Expert, windows_of
from tkbench.models.wav2lip.quality import Quality, adversarial_loss
from tkbench.models.wav2lip.spec import FRAMES
from tkbench.train.config import Config
from tkbench.train.objectives.reader import OPENING, MouthReader, movement_slope, read_frozen
from tkbench.train.objectives.terms import FaceLoss, Loss


@dataclass(slots=True)
class Step:
    """The result of one step."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor]
    """Each term before its weight, detached."""
    real: torch.Tensor | None = None
    """(N, 3, H, W): the true frames that the discriminator is given."""
    made: tuple[torch.Tensor, ...] = ()
    """The streams of drawn frames, (N, 3, H, W) each, detached."""


class StepTable(TypedDict):
    """A `Step` as a dict: PyTorch's distributed training finds tensors in dicts, not in dataclasses."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor]
    real: torch.Tensor | None
    made: tuple[torch.Tensor, ...]


class Objective(nn.Module):
    """A network and its losses. `net` is what a checkpoint holds."""

    margin = 2
    """Frames before and behind a window that are loaded with it."""
    sound = 0
    """Frames before and behind a window whose sound is loaded with it."""
    net: Network
    weight: Loss

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        kind = kinds.registry.get(config.model)
        self.black = kind.black
        self.net = kind.build(config.sizes())
        self.weight = config.terms()
        self.weight.check(self.net.spec, config.data.frames)
        self.heads = nn.ModuleDict()
        """Layers that only training uses; kept with the state of a run, not in a checkpoint."""
        self.mouths = False
        """Whether batches must have the shapes of the true mouths; see `add_shape_head`."""
        self.openings = False
        """Whether batches must say where the true mouths are open; see `inside_losses`."""
        self.expert: Expert | None = None

    def quality(self) -> Quality | None:
        """A fresh discriminator, where a term of the loss uses one."""
        return None

    def gan_from(self) -> int:
        """The first step in which the discriminator judges and learns."""
        return 0

    def phases(self, steps: int) -> list[int]:
        """The first step of each part of a run whose steps cost about the same, from 0 on."""
        marks = {0, *(int(getattr(self.weight, name, 0)) for name in ("pretrain", "sync_from", "gan_from"))}
        return sorted(mark for mark in marks if mark < steps)

    def train(self, mode: bool = True) -> Objective:
        """As of any module, but the expert stays in inference mode: its norms do not change."""
        super().train(mode)
        if self.expert is not None:
            self.expert.eval()
        return self

    def forward(self, batch: TensorBatch, step: int, quality: Quality | None = None) -> StepTable:
        """One step. Before `gan_from` the discriminator neither judges nor learns: faces are too blurred for it."""
        if step < self.gan_from():
            quality = None
        done = self.step(batch, step, quality)
        made = done.made if quality is not None else ()
        return {"total": done.total, "parts": done.parts, "real": done.real, "made": made}

    def step(self, batch: TensorBatch, step: int, quality: Quality | None) -> Step:
        raise NotImplementedError

    def after(self, step: int, optimiser: torch.optim.Optimizer) -> None:
        """What follows the update of a step; must do the same on every rank."""

    def sample(self, batch: TensorBatch) -> torch.Tensor | None:
        """Rows of pictures for people, (N, 3 columns, H, W, 3) uint8: reference, drawn, true; None if none."""
        return None

    # -- for the objectives ----------------------------------------------------------------------------------

    def scaled(self, faces: torch.Tensor) -> torch.Tensor:
        """uint8 RGB -> the range and order of this network."""
        return scaled(faces, self.black)

    def to_unit_range(self, faces: torch.Tensor) -> torch.Tensor:
        """From the range of this network to [0, 1], in which the expert, the discriminator and L1 work."""
        return (faces - self.black) / (1 - self.black)

    def embed_drawn(
        self, clips: torch.Tensor, passes: int, picked: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The expert's embeddings of drawn clips after `passes` blurs: (B, T, 3, H, W) in [0, 1] -> (B * (T - 4), D).

        picked: numbers of the windows that are wanted, by default all.
        """
        assert self.expert is not None
        windows = windows_of(softened(clips, passes))
        return self.expert.embed_mouths(windows if picked is None else windows[picked])

    def add_shape_head(self, features: int) -> None:
        """Add a linear layer that predicts the 8 lengths of a mouth from `features` numbers (ours)."""
        self.mouths = True
        self.heads["shape"] = nn.Linear(features, len(NAMES))

    def shape_loss(self, features: torch.Tensor, batch: TensorBatch) -> torch.Tensor:
        """`shape_loss` of what the shape head reads from features (B, T, C) or (B * T, C)."""
        mouth = batch["mouth"]
        return shape_loss(self.heads["shape"](features).reshape(mouth.shape), mouth)

    def without_margin(self, clips: torch.Tensor) -> torch.Tensor:
        """(B, T, ...) without the margin: the frames that are drawn."""
        return clips[:, self.margin : clips.shape[1] - self.margin]

    def sample_rows(self, batch: TensorBatch, drawn: torch.Tensor) -> torch.Tensor:
        """Reference, drawn and true frame of the middle of each window, side by side."""
        inside = self.without_margin(batch["video"])
        middle = inside.shape[1] // 2
        shown = pixels(drawn.unflatten(0, inside.shape[:2])[:, middle], self.black)
        return torch.stack([batch["reference"][:, middle], shown, inside[:, middle]], dim=1)


class FaceObjective(Objective):
    """An objective whose network draws faces."""

    net: FaceNetwork
    weight: FaceLoss

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.openings = max(self.weight.inside, self.weight.solid) > 0
        if self.weight.amplitude > 0:
            self.mouths = True
            self.heads["reader"] = MouthReader()

    def quality(self) -> Quality | None:
        spec = self.net.spec
        return Quality(spec.size, spec.width) if self.weight.gan > 0 else None

    def gan_from(self) -> int:
        return self.weight.gan_from

    def reader_loss(self, real: torch.Tensor, mouth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the reader misses of true mouths, and the openings that it reads: (N, 3, H, W) in [0, 1], (N, 8)."""
        shown = self.heads["reader"](self.mouths_of(real))
        return shape_loss(shown, mouth), shown[:, OPENING]

    def amplitude_terms(
        self, made: torch.Tensor, real: torch.Tensor, mouth: torch.Tensor, step: int
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Terms of the loss, and the slope for the log: (N, 3, H, W) drawn and true faces in [0, 1], (N, 8) lengths.

        Both empty without a weight of `amplitude`.
        """
        if self.weight.amplitude <= 0:
            return {}, {}
        missed, shown = self.reader_loss(real, mouth)
        reader = cast(MouthReader, self.heads["reader"])
        read = read_frozen(reader, self.mouths_of(made))[:, OPENING]
        slope = movement_slope(read, shown, mouth[:, OPENING] / SHAPE_UNIT)
        terms = {"amplitude_reader": missed}
        if step >= self.weight.amplitude_from:
            terms["amplitude"] = (1 - slope).square()
        return terms, {"slope": slope}

    def mouths_of(self, faces: torch.Tensor) -> torch.Tensor:
        """The pixels of MOUTH, as soft as the expert is shown them: drawn and true mouths look alike so."""
        top, bottom, left, right = mouth_box(*faces.shape[-2:])
        return softened(faces[..., top:bottom, left:right], self.weight.soft)


def first_windows(batch: TensorBatch, count: int) -> TensorBatch:
    """The first windows of a batch; all of them for 0."""
    if not count:
        return batch
    return cast(TensorBatch, {name: value[:count] for name, value in batch.items()})  # type: ignore[index]


def softened(clips: torch.Tensor, passes: int) -> torch.Tensor:
    """(..., 3, H, W) after `passes` blurs of 1-2-1 along both sides; the rim is repeated.

    Ours. One pass removes everything with a period of two pixels: without it a generator soon draws coloured dots,
    which a small expert takes for a mouth in sync.
    """
    shape = clips.shape
    out = clips.reshape(-1, 1, *shape[-2:])
    for _ in range(passes):
        out = nn.functional.pad(out, (1, 1, 1, 1), mode="replicate")
        out = (out[..., :-2] + 2 * out[..., 1:-1] + out[..., 2:]) / 4
        out = (out[..., :-2, :] + 2 * out[..., 1:-1, :] + out[..., 2:, :]) / 4
    return out.reshape(shape)


SHAPE_UNIT = 0.05
"""The unit of the shape head's answers, in eye distances."""
MOUTH = (0.54, 0.92, 0.28, 0.72)
"""Top, bottom, left, right of where mouths lie in the crops that generators draw, as shares of the side."""


def face_l1(made: torch.Tensor, real: torch.Tensor, mouth: float) -> torch.Tensor:
    """Mean |made - real| of (N, 3, H, W), with `mouth` times the weight on the pixels of MOUTH; 1 is plain L1.

    Ours: the voice decides about a sixth of the picture, and in few steps the error of the rest hides it.
    """
    gap = (made.float() - real.float()).abs()
    if mouth == 1:
        return gap.mean()
    height, width = gap.shape[-2:]
    weight = gap.new_ones(height, width)
    top, bottom, left, right = mouth_box(height, width)
    weight[top:bottom, left:right] = mouth
    return (gap * (weight / weight.mean())).mean()


def inside_losses(
    made: torch.Tensor, real: torch.Tensor, share: torch.Tensor | None, opening: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Within open mouths: the mean |made - real| of (N, 3, H, W), and the mean of what is shown instead of drawn.

    Ours. share: (N, 1, H, W), `Drawn.share`; opening: (N, H, W), 1 where the true mouth is open. Teeth and the dark
    between them are few pixels, and where the reference's closed lips shine through them they turn grey.
    """
    within = opening[:, None].to(made.dtype)
    count = within.sum().clamp(min=1)
    gap = ((made.float() - real.float()).abs().mean(dim=1, keepdim=True) * within).sum() / count
    shown = gap.new_zeros(()) if share is None else ((1 - share.float()) * within).sum() / count
    return gap, shown


def warp_loss(warped: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean |warped - real| of (N, 3, H, W), at full size, a half and a quarter of it, averaged.

    Ours. Without this term the warp trains late: the decoder soon paints over the warped reference. The small pictures
    give a gradient where things lie apart by more than their own width. The upper halves are compared, too, although
    only the lower one is used: the network is shown both, so they teach it to align them.
    """
    gap = warped.float() - real.float()
    scales = [gap, nn.functional.avg_pool2d(gap, 2), nn.functional.avg_pool2d(gap, 4)]
    return torch.stack([scale.abs().mean() for scale in scales]).mean()


def shape_loss(made: torch.Tensor, mouth: torch.Tensor) -> torch.Tensor:
    """The share of the mouths' movement that is missed, (..., 8) lengths: 0 is perfect, 1 a mouth that holds still.

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

    A window with a lead of one that belongs to frame f + 1 begins with frame f.
    """
    return mels[:, 1 : mels.shape[1] - FRAMES + 2].flatten(0, 1)


def gan_term(quality: Quality | None, streams: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The adversarial term over all streams of drawn frames; 0 without a discriminator."""
    if quality is None:
        return streams[0].new_zeros(())
    return torch.stack([adversarial_loss(quality(frames)) for frames in streams]).sum()


def weighted(weight: object, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The sum of the terms, each times its field of `weight`; `shape_lips` has that of `shape`."""
    return torch.stack([getattr(weight, name.split("_")[0]) * value for name, value in parts.items()]).sum()


def detached(parts: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Terms for the log, without their graphs."""
    return {name: value.detach() for name, value in parts.items()}
