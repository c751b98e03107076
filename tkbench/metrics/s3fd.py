"""S3FD, the face detector of syncnet_python, with its weight `sfd_face.pth` from the registry.

Zhang et al., "S3FD: Single Shot Scale-invariant Face Detector", ICCV 2017; layers, names and numbers are those of
joonson/syncnet_python@cdd20ba, detectors/s3fd (nets.py, box_utils.py, __init__.py), and so is the order of float32
operations from the network's answers to boxes. Its fc6 has padding and dilation 6.
The network of the `face-alignment` package is the same but for padding 3 there, so the two give different boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from tkbench import weights
from tkbench.errors import BadInput, WeightsRefused
from tkbench.runtime.devices import whole_floats
from tkbench.types import Array, Float64, UInt8
from tkbench.weights import load_state

WEIGHT = "s3fd-syncnet"
SCALE = 0.25
"""Pictures are shrunk to a quarter before they are searched: faces below about 60 pixels are not found."""
CONFIDENCE = 0.9
LEAST = 0.05
"""Score that a box needs to take part in the first suppression."""
MEAN = (104.0, 117.0, 123.0)
STEPS = (4, 8, 16, 32, 64, 128)
SIZES = (16, 32, 64, 128, 256, 512)
VARIANCES = (0.1, 0.2)
_VGG: tuple[int | str, ...] = (
    64,
    64,
    "M",
    128,
    128,
    "M",
    256,
    256,
    256,
    "C",
    512,
    512,
    512,
    "M",
    512,
    512,
    512,
    "M",
)


class _L2Norm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norm = x.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10
        return x / norm * self.weight.view(1, -1, 1, 1)


class S3FD(nn.Module):
    """(1, 3, H, W) RGB minus the mean -> (n, 5) x0, y0, x1, y1 as shares of the sides, and the score."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for item in _VGG:
            if isinstance(item, int):
                layers += [nn.Conv2d(before, item, 3, padding=1), nn.ReLU(inplace=True)]
                before = item
            else:
                layers.append(nn.MaxPool2d(2, 2, ceil_mode=item == "C"))
        layers += [nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(1024, 1024, 1), nn.ReLU(inplace=True)]
        self.vgg = nn.ModuleList(layers)
        self.L2Norm3_3, self.L2Norm4_3, self.L2Norm5_3 = _L2Norm(256), _L2Norm(512), _L2Norm(512)
        self.extras = nn.ModuleList(
            [
                nn.Conv2d(1024, 256, 1),
                nn.Conv2d(256, 512, 3, stride=2, padding=1),
                nn.Conv2d(512, 128, 1),
                nn.Conv2d(128, 256, 3, stride=2, padding=1),
            ]
        )
        widths = (256, 512, 512, 1024, 512, 256)
        self.loc = nn.ModuleList(nn.Conv2d(width, 4, 3, padding=1) for width in widths)
        self.conf = nn.ModuleList(
            nn.Conv2d(width, 4 if place == 0 else 2, 3, padding=1) for place, width in enumerate(widths)
        )

    def heads(self, x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """(score logits (1, 2, h, w), offsets (1, 4, h, w)) of the six levels."""
        norms = {15: self.L2Norm3_3, 22: self.L2Norm4_3, 29: self.L2Norm5_3}
        levels = []
        for place, layer in enumerate(self.vgg):
            x = layer(x)
            if place in norms:
                levels.append(norms[place](x))
        levels.append(x)
        for place, layer in enumerate(self.extras):
            x = torch.relu(layer(x))
            if place % 2:
                levels.append(x)
        out = []
        for place, (level, loc, conf) in enumerate(zip(levels, self.loc, self.conf, strict=True)):
            scores = conf(level)
            if place == 0:  # three kinds of background; the strongest counts
                scores = torch.cat([scores[:, :3].amax(dim=1, keepdim=True), scores[:, 3:]], dim=1)
            out.append((scores, loc(level)))
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.heads(x)
        scores, offsets = (
            torch.cat([part[0].flatten(1).T for part in level]).contiguous()
            for level in zip(*heads, strict=True)
        )
        grids = [scores.shape[2:] for scores, _ in heads]
        prior = anchors(x.shape[2:], grids).to(x.device)
        # Float32 in the order of box_utils.decode: a crop's corner is cut to whole pixels, so the last bit counts.
        middle = prior[:, :2] + offsets[:, :2] * VARIANCES[0] * prior[:, 2:]
        spans = prior[:, 2:] * torch.exp(offsets[:, 2:] * VARIANCES[1])
        first = middle - spans / 2
        return torch.cat([first, spans + first, scores.softmax(dim=1)[:, 1:]], dim=1)


def anchors(picture: Sequence[int], grids: Sequence[Sequence[int]]) -> torch.Tensor:
    """Centre x, y and width, height (n, 4) of the boxes that offsets count from, as shares of a picture (H, W).

    `grids` are rows and columns of each level. Taken in float64 and rounded once, as PriorBox does.
    """
    height, width = picture
    found = []
    for (rows, columns), step, size in zip(grids, STEPS, SIZES, strict=True):
        y, x = np.mgrid[:rows, :columns].reshape(2, -1) + 0.5
        found.append(
            np.stack(
                [
                    x / (width / step),
                    y / (height / step),
                    np.full(len(x), size / width),
                    np.full(len(x), size / height),
                ],
                axis=1,
            )
        )
    return torch.from_numpy(np.concatenate(found).astype(np.float32))


def suppress(boxes: Array, threshold: float | np.float32) -> list[int]:
    """Indices of the boxes (n, 5) that stay when weaker ones over `threshold` overlap are dropped, best first."""
    order = np.argsort(boxes[:, 4], kind="stable")[::-1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        width = np.minimum(boxes[best, 2], boxes[rest, 2]) - np.maximum(boxes[best, 0], boxes[rest, 0])
        height = np.minimum(boxes[best, 3], boxes[rest, 3]) - np.maximum(boxes[best, 1], boxes[rest, 1])
        both = np.maximum(0, width) * np.maximum(0, height)
        # In this order, as box_utils.nms does: in float32 it decides the last bit.
        order = rest[both / (area[rest] - both + area[best]) <= threshold]
    return kept


def detect(network: nn.Module, frame: UInt8) -> Float64:
    """Faces of one picture (H, W, 3) RGB: (n, 4) x0, y0, x1, y1 in its pixels, the most confident first."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise BadInput(f"picture is {frame.dtype} {frame.shape}; expected uint8 (H, W, 3)")
    height, width = frame.shape[:2]
    small = cv2.resize(frame, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    # MEAN is in the order blue, green, red; the channels go in as red, green, blue.
    small -= np.array(MEAN[::-1], np.float32)
    device = next(network.parameters()).device
    with torch.inference_mode(), whole_floats():
        found = network(torch.from_numpy(small.transpose(2, 0, 1)[None].copy()).to(device)).cpu().numpy()
    found = found[found[:, 4] > np.float32(LEAST)]
    found = found[np.argsort(found[:, 4], kind="stable")[::-1][:5000]]
    found = found[suppress(found, np.float32(0.3))][:750]
    found = found[found[:, 4] > np.float32(CONFIDENCE)]
    # Pixels in float32, the second suppression in float64: as S3FD.detect_faces does.
    found[:, :4] *= np.array([width, height, width, height], np.float32)
    found = found.astype(np.float64)
    boxes: Float64 = found[suppress(found, 0.1)][:, :4]
    return boxes


@weights.once_per_content(1)
def load_s3fd(path: Path, device: str = "cpu") -> S3FD:
    """The detector with the weights in the checked file `path`; WeightsRefused where they are of another net."""
    network = S3FD()
    try:
        network.load_state_dict(load_state(path))
    except RuntimeError as error:
        raise WeightsRefused(
            f"{path}: not the S3FD of syncnet_python: {str(error).splitlines()[0]}"
        ) from error
    return network.eval().requires_grad_(False).to(device)
