"""I3D, the video network of FVD, in the two forms in which its Kinetics-400 weights go round.

    i3d-styleganv   i3d_torchscript.pt, a TorchScript program (universome/fvd-comparison, StyleGAN-V). It is run as it
                    is, after its sha256 was checked: the program is as fixed as its numbers. It takes whole frames of
                    0 to 255 and brings them to [-1, 1] and 224 x 224 itself.
    i3d-videogpt    i3d_pretrained_400.pt, a table of weights in the layout of piergiaj/pytorch-i3d (VideoGPT's FVD).
                    The network is built here. Frames are brought to a shorter side of 224 (bilinear, no anti-aliasing),
                    cut to their middle square, and scaled to [-1, 1] before it.

Both answer 400 numbers for a clip: the values before the softmax. Carreira and Zisserman, "Quo Vadis, Action
Recognition?", CVPR 2017. Clips are (T, H, W, 3) uint8 RGB with 9 frames or more.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tkbench import weights
from tkbench.errors import BadInput, WeightsRefused
from tkbench.runtime.devices import whole_floats
from tkbench.types import Float32, UInt8

SIDE = 224
CLASSES = 400
SHORTEST = 9
"""Frames: the network halves time three times, and then averages over two."""
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
"""Channels of the six convolutions of each mixed block."""


def padded(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Zeros around (..., T, H, W) as TensorFlow's "same" padding has them: the odd one comes last."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[-3:], kernel, stride, strict=True):
        total = max(k - (s if size % s == 0 else size % s), 0)
        pads = [total // 2, total - total // 2, *pads]
    return functional.pad(x, pads)


class Unit(nn.Module):
    """Convolution with "same" padding, batch norm and ReLU; the last one of the network is the convolution alone."""

    def __init__(
        self, inside: int, out: int, kernel: int = 1, stride: int = 1, *, last: bool = False
    ) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(inside, out, kernel, stride, bias=last)
        self.bn = nn.Identity() if last else nn.BatchNorm3d(out, eps=1e-5)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(self.conv3d(padded(x, self.kernel, self.stride)))
        return y if self.last else y.relu()


class Pool(nn.Module):
    """Largest value in windows of (time, side, side), with zeros around."""

    def __init__(self, time: int, side: int, time_stride: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = (time, side, side), (time_stride, stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool3d(padded(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches side by side; names of the parts are those of the published weights."""

    def __init__(self, inside: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.b0 = Unit(inside, widths[0])
        self.b1a, self.b1b = Unit(inside, widths[1]), Unit(widths[1], widths[2], 3)
        self.b2a, self.b2b = Unit(inside, widths[3]), Unit(widths[3], widths[4], 3)
        self.b3a, self.b3b = Pool(3, 3, 1, 1), Unit(inside, widths[5])

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(parts, dim=1)


class I3d(nn.Module):
    """(B, 3, T, 224, 224) in [-1, 1] -> (B, 400); the state dict is that of piergiaj/pytorch-i3d@05783d1."""

    def __init__(self) -> None:
        super().__init__()
        order: list[tuple[str, nn.Module]] = [
            ("Conv3d_1a_7x7", Unit(3, 64, 7, 2)),
            ("MaxPool3d_2a_3x3", Pool(1, 3, 1, 2)),
            ("Conv3d_2b_1x1", Unit(64, 64)),
            ("Conv3d_2c_3x3", Unit(64, 192, 3)),
            ("MaxPool3d_3a_3x3", Pool(1, 3, 1, 2)),
        ]
        inside = 192
        for name, widths in MIXED.items():
            if name in ("4b", "5b"):
                kernel = 3 if name == "4b" else 2
                order.append((f"MaxPool3d_{name[0]}a_{kernel}x{kernel}", Pool(kernel, kernel, 2, 2)))
            order.append((f"Mixed_{name}", Mixed(inside, widths)))
            inside = widths[0] + widths[2] + widths[4] + widths[5]
        self.order = [name for name, _ in order]
        for name, part in order:
            self.add_module(name, part)
        self.logits = Unit(inside, CLASSES, last=True)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.order:
            x = getattr(self, name)(x)
        seen: Tensor = self.logits(functional.avg_pool3d(x, (2, 7, 7), 1))
        return seen.mean(dim=(2, 3, 4))


def check_clip(clip: UInt8) -> None:
    """BadInput unless (T, H, W, 3) uint8 with enough frames."""
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or len(clip) < SHORTEST:
        raise BadInput(
            f"a clip is {clip.dtype} {clip.shape}; expected uint8 (T, H, W, 3), T of {SHORTEST} or more"
        )


def cropped(clip: UInt8) -> Tensor:
    """(T, H, W, 3) uint8 -> (3, T, 224, 224) in [-1, 1]: shorter side to 224, then the middle square."""
    frames = torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2).float() / 255
    height, width = frames.shape[2:]
    scale = SIDE / min(height, width)
    size = (SIDE, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), SIDE)
    frames = functional.interpolate(frames, size=size, mode="bilinear", align_corners=False)
    top, left = (frames.shape[2] - SIDE) // 2, (frames.shape[3] - SIDE) // 2
    return (frames[:, :, top : top + SIDE, left : left + SIDE].permute(1, 0, 2, 3) - 0.5) * 2


Features = Callable[[UInt8], Float32]
"""(T, H, W, 3) uint8 -> (400,) float32."""


@weights.once_per_content(1)
def load_videogpt(path: Path, device: str = "cpu") -> Features:
    """The network built here with the weights in a checked file; WeightsRefused where they are another network's."""
    network = I3d()
    state = weights.load_state(path)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise WeightsRefused(
            f"{path}: not an I3D of 400 classes: {lines[min(1, len(lines) - 1)].strip()}"
        ) from error
    network.eval().requires_grad_(False).to(device)

    def features(clip: UInt8) -> Float32:
        check_clip(clip)
        with torch.inference_mode(), whole_floats():
            return np.asarray(network(cropped(clip)[None].to(device))[0].cpu().numpy(), np.float32)

    return features


@weights.once_per_content(1)
def load_styleganv(path: Path, device: str = "cpu") -> Features:
    """The TorchScript program in a checked file, called as StyleGAN-V calls it."""
    try:
        with warnings.catch_warnings():
            # torch calls its format old from 2.10 on; the published file is in it.
            warnings.simplefilter("ignore")
            network = torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise WeightsRefused(f"{path}: no TorchScript program ({str(error).splitlines()[0]})") from error

    def features(clip: UInt8) -> Float32:
        check_clip(clip)
        frames = torch.from_numpy(np.ascontiguousarray(clip)).permute(3, 0, 1, 2).float()[None].to(device)
        with torch.inference_mode(), whole_floats():
            found = network(frames, rescale=True, resize=True, return_features=True)
        return np.asarray(found.reshape(-1).cpu().numpy(), np.float32)

    return features
