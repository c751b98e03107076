"""S3FD and 2DFAN4 of the face-alignment package (Bulat & Tzimiropoulos, ICCV 2017), fed in batches.

The networks are the package's own classes; the weights come from the weights registry, never from a download
on the way. What surrounds the networks is written anew from detection/sfd/ and api.py of face-alignment
1.5.0, over a batch of frames at once; landmarks keep the fractions that the package cuts off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tkbench import weights
from tkbench.errors import UsageError, WeightsRefused
from tkbench.runtime.parallel import one_thread
from tkbench.types import Array, Float32, Float64, UInt8

if TYPE_CHECKING:
    import torch

S3FD, FAN = "s3fd", "fan-2d"
_MEAN = (104.0, 117.0, 123.0)
"""Blue, green, red of the mean picture that S3FD was trained against."""
_CANDIDATE, _FACE, _OVERLAP = 0.05, 0.5, 0.3
"""A box counts from the second score on; of boxes that overlap by the third, the best stays."""
_REFERENCE, _CROP, _RISE = 195.0, 200.0, 0.12
"""A crop's side is 200 * (width + height) / 195, its centre 0.12 heights above that of the detector's box."""
_SEEN, _MAP = 256, 64
"""Pixels of FAN's input and of its heatmaps, per side."""


class FanTracker:
    """68 iBUG points of one face per picture; see `Backend`. device: "cpu" or "cuda"."""

    def __init__(self, *, device: str = "cpu") -> None:
        import torch
        from face_alignment.detection.sfd.net_s3fd import s3fd
        from face_alignment.models import FAN as Fan

        if device == "cuda" and not torch.cuda.is_available():
            raise UsageError(
                "the backend face-alignment-cuda needs a CUDA device and finds none: use face-alignment"
            )
        self._torch, self._device = torch, device
        self._s3fd = _loaded(s3fd(), S3FD, device)
        self._fan = _loaded(Fan(4), FAN, device)
        self._last: Array | None = None

    def restart(self) -> None:
        """Forget the face; see `Backend.restart`."""
        self._last = None

    def track(self, pictures: Sequence[UInt8]) -> list[Float32 | None]:
        """Landmarks of each picture in its pixels, or None; see `Backend.track`.

        Of several faces the one nearest to the face before is followed, at first the largest.
        """
        chosen = [self._choose(boxes) for boxes in self._boxes(pictures)]
        there = [t for t, box in enumerate(chosen) if box is not None]
        out: list[Float32 | None] = [None] * len(chosen)
        if there:
            points = self._points([pictures[t] for t in there], np.array([chosen[t] for t in there]))
            for t, row in zip(there, points, strict=True):
                out[t] = row
        return out

    def detect(self, picture: UInt8, *, far: bool = False) -> Float32:
        """Every face of a single picture, see `Backend.detect`; there is one network for near and far."""
        return self._boxes([picture])[0].astype(np.float32)

    def close(self) -> None:
        """Free the networks; safe to call twice."""
        self._s3fd = self._fan = None

    def _choose(self, boxes: Float64) -> Array | None:
        if not len(boxes):
            return None
        sides = (boxes[:, 2:4] - boxes[:, :2]).max(axis=1)
        if self._last is None:
            best = int(sides.argmax())
        else:
            off = boxes[:, :2] + boxes[:, 2:4] - self._last[:2] - self._last[2:4]
            best = int(np.linalg.norm(off, axis=1).argmin())
        self._last = boxes[best]
        return self._last

    def _boxes(self, pictures: Sequence[UInt8]) -> list[Float64]:
        """Boxes (N, 5) of S3FD in each picture, best score first."""
        torch = self._torch
        with one_thread(), torch.inference_mode():
            batch = torch.from_numpy(np.stack(pictures)).to(self._device)
            blue_first = batch.permute(0, 3, 1, 2).flip(1).float()
            maps = self._s3fd(blue_first - blue_first.new_tensor(_MEAN).view(1, 3, 1, 1))
            return decode_boxes([part.float().cpu() for part in maps], len(pictures))

    def _points(self, pictures: Sequence[UInt8], boxes: Array) -> Float32:
        """(B, 68, 2) pixels: FAN on the crop around each box."""
        from face_alignment.utils import crop

        torch = self._torch
        centres, scales = crop_of(boxes)
        crops = np.stack([crop(*parts) for parts in zip(pictures, centres, scales, strict=True)])
        with one_thread(), torch.inference_mode():
            seen = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255.0
            maps = self._fan(seen)
            last = maps[-1] if isinstance(maps, list | tuple) else maps
            return decode_points(last.float().cpu().numpy(), centres, scales)


def _loaded(net: Any, name: str, device: str) -> Any:
    """The network with the weights of that name. Raises WeightsMissing or WeightsRefused."""
    path = weights.find(name)
    try:
        net.load_state_dict(weights.load_state(path))
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise WeightsRefused(f"{path}: does not fit the network that {name} stands for ({first})") from error
    return net.to(device).eval()


def decode_boxes(maps: Sequence[torch.Tensor], count: int) -> list[Float64]:
    """Boxes (N, 5) for each of `count` pictures from S3FD's pairs of class (B, 2, h, w) and offset (B, 4, h, w)
    maps, one pair per stride from 4 on: x0, y0, x1, y1 in pixels and the score, best first.
    """
    found: list[list[Array]] = [[] for _ in range(count)]
    for level in range(len(maps) // 2):
        stride = 4 << level
        scores = maps[2 * level].softmax(dim=1)[:, 1].numpy()
        offsets = maps[2 * level + 1].numpy()
        for picture in range(count):
            rows, columns = np.nonzero(scores[picture] > _CANDIDATE)
            if not len(rows):
                continue
            # Anchors stand in the middle of their cell and are four cells wide.
            anchor = np.stack([columns, rows], axis=1) * stride + stride / 2
            move = offsets[picture][:, rows, columns].T.astype(np.float64)
            centre = anchor + 0.1 * move[:, :2] * 4 * stride
            size = 4 * stride * np.exp(0.2 * move[:, 2:])
            score = scores[picture][rows, columns, None]
            found[picture].append(np.concatenate([centre - size / 2, centre + size / 2, score], axis=1))
    return [_best(np.concatenate(boxes)) if boxes else np.zeros((0, 5)) for boxes in found]


def _best(boxes: Float64) -> Float64:
    """Boxes that are faces, without those that lie on a better one."""
    boxes = boxes[boxes[:, 4] > _FACE]
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    sides = boxes[:, 2:4] - boxes[:, :2] + 1
    areas = sides.prod(axis=1)
    kept: list[int] = []
    left = np.arange(len(boxes))
    while len(left):
        first, left = left[0], left[1:]
        kept.append(int(first))
        inner = np.minimum(boxes[first, 2:4], boxes[left, 2:4]) - np.maximum(
            boxes[first, :2], boxes[left, :2]
        )
        shared = np.maximum(inner + 1, 0).prod(axis=1)
        left = left[shared / (areas[first] + areas[left] - shared) <= _OVERLAP]
    return boxes[kept]


def crop_of(boxes: Array) -> tuple[Array, Array]:
    """Centres (B, 2) and scales (B,) of FAN's crops from boxes (B, 4+) in pixels; float64."""
    wide = np.asarray(boxes, np.float64)
    size = wide[:, 2:4] - wide[:, :2]
    centres = wide[:, 2:4] - size / 2
    centres[:, 1] -= _RISE * size[:, 1]
    return centres, size.sum(axis=1) / _REFERENCE


def decode_points(maps: Float32, centres: Array, scales: Array) -> Float32:
    """(B, 68, 2) pixels of the picture from heatmaps (B, 68, 64, 64): the highest cell, and a quarter of a cell
    towards the higher neighbour in each direction.
    """
    count, points = maps.shape[:2]
    flat = maps.reshape(count, points, -1)
    best = flat.argmax(axis=2)
    y, x = best // _MAP, best % _MAP
    at = np.stack([x, y], axis=2) + 0.5
    inside = (x > 0) & (x < _MAP - 1) & (y > 0) & (y < _MAP - 1)
    b, p = np.nonzero(inside)
    bx, by = x[b, p], y[b, p]
    at[b, p, 0] += 0.25 * np.sign(maps[b, p, by, bx + 1] - maps[b, p, by, bx - 1])
    at[b, p, 1] += 0.25 * np.sign(maps[b, p, by + 1, bx] - maps[b, p, by - 1, bx])
    side = _CROP * scales[:, None, None]
    return (centres[:, None] + (at / _MAP - 0.5) * side).astype(np.float32)
