"""The ArcFace network of insightface's arcface_torch (backbones/iresnet.py), for its published state dict.

Pictures of 112 x 112 go in as RGB in [-1, 1], 512 numbers come out. With (3, 13, 30, 3) blocks it is r100.
Duta et al. 2020 (iResNet), Deng et al. 2019 (ArcFace).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from tkbench import weights
from tkbench.errors import BadInput, WeightsRefused
from tkbench.runtime.devices import whole_floats
from tkbench.types import Float32, UInt8

SIDE = 112
BLOCKS = (3, 13, 30, 3)
"""r100."""
WIDTHS = (64, 128, 256, 512)
EMBEDDING = 512
EPS = 1e-5


class Block(nn.Module):
    """BatchNorm before the first convolution, after it and after the second; the second may halve the picture."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside, eps=EPS)
        self.conv1 = nn.Conv2d(inside, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out, eps=EPS)
        self.prelu = nn.PReLU(out)
        self.conv2 = nn.Conv2d(out, out, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out, eps=EPS)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inside != out:
            shrink = nn.Conv2d(inside, out, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shrink, nn.BatchNorm2d(out, eps=EPS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inside, H, W) -> (N, out, H / stride, W / stride)."""
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return torch.as_tensor(self.bn3(self.conv2(y)) + self.downsample(x))


class IResNet(nn.Module):
    """(N, 3, 112, 112) RGB in [-1, 1] -> (N, 512). The names of its parts are those of the published files."""

    def __init__(self, blocks: tuple[int, ...] = BLOCKS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0], eps=EPS)
        self.prelu = nn.PReLU(WIDTHS[0])
        inside = WIDTHS[0]
        for number, (count, out) in enumerate(zip(blocks, WIDTHS, strict=True), 1):
            first, *rest = (Block(inside if k == 0 else out, out, 2 if k == 0 else 1) for k in range(count))
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            inside = out
        self.bn2 = nn.BatchNorm2d(inside, eps=EPS)
        self.fc = nn.Linear(inside * 7 * 7, EMBEDDING)
        self.features = nn.BatchNorm1d(EMBEDDING, eps=EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embeddings, not normalised."""
        x = self.prelu(self.bn1(self.conv1(x)))
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return torch.as_tensor(self.features(self.fc(self.bn2(x).flatten(1))))


@weights.once_per_content(1)
def load_arcface(path: Path, device: str = "cpu") -> IResNet:
    """The r100 network with the weights in a checked file; raises WeightsRefused where they are another network's."""
    state = weights.load_state(path)
    network = IResNet()
    missing = sorted(set(network.state_dict()) - set(state))
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise WeightsRefused(f"{path}: not an ArcFace r100 network: {missing[0]} is missing")
    try:
        network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsRefused(
            f"{path}: not an ArcFace r100 network: {str(error).splitlines()[-1].strip()}"
        ) from error
    return network.eval().requires_grad_(False).to(device)


def embeddings(network: IResNet, faces: UInt8, *, batch: int = 16) -> Float32:
    """(T, 112, 112, 3) uint8 RGB -> (T, 512) float32 of length 1."""
    if faces.dtype != np.uint8 or faces.shape[1:] != (SIDE, SIDE, 3):
        raise BadInput(f"faces are {faces.dtype} {faces.shape}; expected uint8 (T, {SIDE}, {SIDE}, 3)")
    device = next(network.parameters()).device
    rows = [np.empty((0, EMBEDDING), np.float32)]
    with torch.inference_mode(), whole_floats():
        for start in range(0, len(faces), batch):
            block = torch.from_numpy(np.ascontiguousarray(faces[start : start + batch])).to(device)
            out = network((block.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5)
            rows.append(nn.functional.normalize(out).cpu().numpy())
    return np.concatenate(rows)
