"""SyncNet's two streams in float32 with a third of the multiplications, for processors without matrix units.

Convolutions by the Toom-Cook / Winograd way (Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks",
CVPR 2016): a tile of 6 x 6 inputs is transformed, multiplied point by point, and transformed back. A strided
convolution is the sum of stride-1 convolutions over the picture's phases, so 7x7 and 5x5 with stride 2 become
4x4 and 3x3. The first layer transforms each frame once for all five windows that it is in.

The points 0, 1, -1, 1/2, -2 keep rounding small: against float64 the first layer is off by 8e-7 of its largest
value, where the direct float32 convolution is off by 1.7e-6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from tkbench.types import Float64, UInt8

N = 6
"""Side of an input tile: outputs per tile and side are 7 minus the kernel's."""
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
ROWS = 3
"""Rows of tiles that the first layer has in hand at once: its products are to stay in the second-level cache."""
GROUP = 8
"""Windows per step behind the first layer."""
VOICES = 16
"""Voice windows per step."""


@lru_cache(maxsize=4)
def transforms(r: int) -> tuple[Float64, Float64, Float64]:
    """(A^T (m, 6), G (6, r), B^T (6, 6)) of F(m, r) with m = 7 - r, from exact fractions.

    A correlation of d (6,) with g (r,) is A^T ((G g) * (B^T d)); rows of B^T are scaled to sum to 1 in size.

    >>> at, g, bt = transforms(3)
    >>> bool(np.allclose(at @ ((g @ [1.0, 2, 3]) * (bt @ np.arange(6.0))), [8, 14, 20, 26]))
    True
    """
    m = N + 1 - r

    def powers(count: int) -> list[list[Fraction]]:
        last = [Fraction(0)] * (count - 1) + [Fraction(1)]  # the point at infinity
        return [[point**k for k in range(count)] for point in POINTS] + [last]

    inverse = _inverted(powers(N))
    bt = np.array([[float(inverse[j][i]) for j in range(N)] for i in range(N)])
    scale = np.abs(bt).sum(axis=1)
    g = np.array(powers(r), dtype=np.float64) * scale[:, None]
    return np.array(powers(m), dtype=np.float64).T, g, bt / scale[:, None]


def _inverted(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    size = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[size:] for row in rows]


class Conv:
    """One convolution, its weights transformed; pictures are (B, H, W, C) float32."""

    def __init__(self, conv: nn.Conv2d, *, frames: int = 1) -> None:
        self.kernel, self.stride, self.pad = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
        self.r = -(-self.kernel // self.stride)
        self.m = N + 1 - self.r
        at, g, bt = transforms(self.r)
        weight = conv.weight.detach().double().numpy()
        out, channels = weight.shape[:2]
        full = np.zeros((out, channels, self.r * self.stride, self.r * self.stride))
        full[..., : self.kernel, : self.kernel] = weight
        full = full.reshape(out, frames, channels // frames, self.r, self.stride, self.r, self.stride)
        # Points first, then what is summed over: frame, row phase, column phase, colour.
        points = np.einsum("ka,lb,ofcapbq->klfpqco", g, g, full, optimize=True)
        self.weight = torch.from_numpy(points.reshape(N * N, -1, out)).float().contiguous()
        self.forth = torch.from_numpy(np.kron(bt, bt)).float()
        self.back = torch.from_numpy(np.kron(at, at)).float()
        assert conv.bias is not None
        self.bias = conv.bias.detach().clone()

    def outputs(self, sides: Sequence[int]) -> tuple[int, int]:
        """(height, width) of the output for an input of this height and width."""
        height, width = ((side + 2 * self.pad - self.kernel) // self.stride + 1 for side in sides)
        return height, width

    def grid(self, sides: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of tiles."""
        rows, columns = (-(-side // self.m) for side in self.outputs(sides))
        return rows, columns

    def phases(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) -> (P, Q, B, stride^2 C): the padded picture, its phases side by side as channels."""
        count, *sides, channels = x.shape
        p, q = (tiles * self.m + self.r - 1 for tiles in self.grid(sides))
        s = self.stride
        room = torch.zeros(count, p * s, q * s, channels)
        rows, columns = (min(side, n * s - self.pad) for side, n in zip(sides, (p, q), strict=True))
        room[:, self.pad : self.pad + rows, self.pad : self.pad + columns] = x[:, :rows, :columns]
        split = room.view(count, p, s, q, s, channels).permute(1, 3, 0, 2, 4, 5)
        return split.reshape(p, q, count, s * s * channels)

    def tiles(self, phases: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Transformed tiles of tile rows `first` to `last`: (36, rows * columns, B, K)."""
        columns = (phases.shape[1] - self.r + 1) // self.m
        rows = last - first
        cut = torch.empty(N * N, rows, columns, *phases.shape[2:])
        for i in range(N):
            for j in range(N):
                y, x = first * self.m + i, j
                cut[i * N + j] = phases[y : y + rows * self.m : self.m, x : x + columns * self.m : self.m]
        made = torch.mm(self.forth, cut.view(N * N, -1))
        return made.view(N * N, rows * columns, *phases.shape[2:])

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) -> (B, whole tiles, whole tiles, out), without bias; beyond `outputs` it has no meaning."""
        count, *sides, _ = x.shape
        rows, columns = self.grid(sides)
        v = self.tiles(self.phases(x), 0, rows).flatten(1, 2)
        y = torch.mm(self.back, torch.bmm(v, self.weight).view(N * N, -1))
        whole = y.view(self.m, self.m, rows, columns, count, -1).permute(4, 2, 0, 3, 1, 5)
        return whole.reshape(count, rows * self.m, columns * self.m, -1)


class FirstLayer(Conv):
    """The 7x7 convolution over five frames: frames (n + 4, H, H, 3) -> windows (n, O, O, out), as `Conv` does.

    The answer lies in memory that the next call writes over: 5 MB a window are dear to ask for each time.
    """

    _room = torch.empty(0)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        frames, *sides, _ = x.shape
        windows, tiles = frames - 4, self.grid(sides)[0]
        phases = self.phases(x)
        width = self.weight.shape[2]
        if len(self._room) < windows or self._room.shape[1] != tiles * self.m:
            self._room = torch.empty(windows, tiles * self.m, tiles * self.m, width)
        whole = self._room[:windows]
        for first in range(0, tiles, ROWS):
            last = min(tiles, first + ROWS)
            v = self.tiles(phases, first, last)
            place = whole[:, first * self.m : last * self.m]
            place = place.view(windows, last - first, self.m, tiles, self.m, width)
            points, spots, _, k = v.shape
            product = torch.empty(points, spots, width)
            for window in range(windows):
                # Five frames lie one behind the other, so a window is a view.
                seen = v.as_strided((points, spots, 5 * k), (v.stride(0), v.stride(1), 1), window * k)
                torch.bmm(seen, self.weight, out=product)
                y = torch.mm(self.back, product.view(points, -1))
                y = y.view(self.m, self.m, last - first, tiles, width)
                place[window].copy_(y.permute(2, 0, 3, 1, 4))
        return whole


class LipStream:
    """The folded lip stream of a judge (`nets.flat_lip` without batch norm), from frames to embeddings."""

    def __init__(self, layers: nn.Sequential) -> None:
        convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        self.first = FirstLayer(convs[0], frames=5)
        self.middle = [Conv(conv) for conv in convs[1:-1]]
        pools = [layer for layer in layers if isinstance(layer, nn.MaxPool2d)]
        self.pools = [pools[0], pools[1], None, None, pools[2]]
        start = next(place for place, layer in enumerate(layers) if layer is convs[-1])
        self.last = layers[start:]

    def run(self, clips: Sequence[UInt8], counts: Sequence[int]) -> Iterator[torch.Tensor]:
        """Embeddings of `counts` windows of each clip (T, size, size, 3) RGB, in order, some rows at a time.

        Behind the first layer, windows of different clips share a step.
        """
        waiting: list[torch.Tensor] = []
        for clip, start, stop in runs(counts):
            waiting.append(self.front(np.ascontiguousarray(clips[clip][start : stop + 4, ..., ::-1])))
            if sum(map(len, waiting)) >= GROUP:
                yield self.rest(waiting[0] if len(waiting) == 1 else torch.cat(waiting))
                waiting = []
        if waiting:
            yield self.rest(torch.cat(waiting))

    def front(self, frames: UInt8) -> torch.Tensor:
        """(n + 4, size, size, 3) BGR uint8 -> (n, 54, 54, 96) for 224: the first layer and what follows it."""
        made = self.first(torch.from_numpy(frames).float())
        return _finish(made, self.first, frames.shape[1:3], self.pools[0])

    def rest(self, maps: torch.Tensor) -> torch.Tensor:
        """(n, 54, 54, 96) -> (n, embedding)."""
        for conv, pool in zip(self.middle, self.pools[1:], strict=True):
            maps = _finish(conv(maps), conv, maps.shape[1:3], pool)
        out: torch.Tensor = self.last(maps.permute(0, 3, 1, 2))
        return out


class VoiceStream:
    """The folded voice stream of a judge: (B, 1, 13, 20) cepstra -> (B, embedding)."""

    def __init__(self, layers: nn.Sequential) -> None:
        convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        pools = [layer for layer in layers if isinstance(layer, nn.MaxPool2d)]
        # One channel is not worth transforming.
        self.first, self.middle = convs[0], [Conv(conv) for conv in convs[1:-1]]
        self.pools = [pools[0], None, None, pools[1]]
        start = next(place for place, layer in enumerate(layers) if layer is convs[-1])
        self.last = layers[start:]

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._step(part) for part in windows.split(VOICES)])

    def _step(self, windows: torch.Tensor) -> torch.Tensor:
        maps = self.first(windows).relu_().permute(0, 2, 3, 1)
        for conv, pool in zip(self.middle, self.pools, strict=True):
            maps = _finish(conv(maps), conv, maps.shape[1:3], pool)
        out: torch.Tensor = self.last(maps.permute(0, 3, 1, 2))
        return out


def _finish(maps: torch.Tensor, conv: Conv, sides: Sequence[int], pool: nn.MaxPool2d | None) -> torch.Tensor:
    """Pooling, cutting to size, bias, ReLU, for a convolution of pictures of this height and width.

    The largest of a field is the same before and after bias and ReLU. No field that counts reaches what lies
    beyond the convolution's true output, so that is cut off behind the pooling.
    """
    made = conv.outputs(sides)
    height, width = made
    if pool is not None:
        kernel, stride, pad = map(_pair, (pool.kernel_size, pool.stride, pool.padding))
        height, width = ((made[i] + 2 * pad[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
        assert (height - 1) * stride[0] - pad[0] + kernel[0] <= made[0]
        assert (width - 1) * stride[1] - pad[1] + kernel[1] <= made[1]
        maps = pool(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return maps[:, :height, :width].add_(conv.bias).relu_()


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else value


def runs(counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """(clip, first window, last window) in steps of at most GROUP.

    >>> runs([10, 0, 3])
    [(0, 0, 8), (0, 8, 10), (2, 0, 3)]
    """
    return [
        (clip, start, min(count, start + GROUP))
        for clip, count in enumerate(counts)
        for start in range(0, count, GROUP)
    ]
