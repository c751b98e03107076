"""SyncNet's two streams with a quarter of the multiplications, for processors without matrix units.

Convolutions run by the Toom-Cook / Winograd method (Winograd, "Arithmetic Complexity of Computations", SIAM 1980;
Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016): a tile of inputs is transformed,
multiplied point by point, and transformed back. A strided convolution is the sum of stride-1 convolutions over the
picture's phases, so 7x7 and 5x5 with stride 2 become 4x4 and 3x3. The first layer transforms each frame once for all
five windows that contain it, and is pooled tile row by tile row, while it is in the cache; its steps before and after
the products are compiled (`winograd_kernels`).

Larger tiles need fewer products and have larger rounding errors (Barabasz et al., "Error Analysis and Improving the
Accuracy of Winograd Convolution for Deep Neural Networks", ACM TOMS 2020). So `POINTS` were searched for a small
growth of errors, and tiles have at most nine points a side in float32, and six where products are bfloat16; the first
layer has eight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from math import prod

import numpy as np
import torch
from torch import nn

from tkbench.types import Array, Float64, UInt8

POINTS = {
    6: ("0", "1", "-1", "1/2", "-2"),
    7: ("0", "1", "-1", "1/2", "3", "-2/3"),
    8: ("0", "1", "-1", "1/2", "-1/2", "2", "-2"),
    9: ("0", "1", "-1", "1/2", "-1/3", "-3", "3/2", "-4/3"),
}
"""Points of a tile by its side; infinity is the last of each.

Of all sets of 0, 1, -1 and fractions up to 4, the one whose rounding errors grow least for a kernel of three: by
2.6, 3.8, 4.5 and 8.8 along a side (root mean square, and its square in a picture).
"""
MAX_SIDE = {torch.float32: 9, torch.bfloat16: 6}
"""Largest tile, in points along a side, by the type of the products; for all layers but the first, which has eight."""
MIN_SAVING = 0.05
"""A larger tile must save more than this share of the products."""
STEP_WINDOWS = 16
"""Windows per step."""
SECOND_LAYER_WINDOWS = 8
"""Windows per step of the second layer: 3 MB per window pass from one of its stages to the next."""
STEP_VOICES = 32
"""Voice windows per step."""
FIRST_LAYER_WINDOWS = {torch.float32: 4, torch.bfloat16: 8}
"""Windows per step of the first layer's products."""


@lru_cache(maxsize=16)
def transforms(m: int, r: int) -> tuple[Float64, Float64, Float64]:
    """(A^T (m, n), G (n, r), B^T (n, n)) of F(m, r), n = m + r - 1, from exact fractions.

    A correlation of d (n,) with g (r,) is A^T ((G g) * (B^T d)); rows of B^T are scaled to sum to 1 in size.

    >>> at, g, bt = transforms(4, 3)
    >>> bool(np.allclose(at @ ((g @ [1.0, 2, 3]) * (bt @ np.arange(6.0))), [8, 14, 20, 26]))
    True
    """
    n = m + r - 1

    def powers(count: int) -> list[list[Fraction]]:
        last = [Fraction(0)] * (count - 1) + [Fraction(1)]  # the point at infinity
        return [[Fraction(point) ** k for k in range(count)] for point in POINTS[n]] + [last]

    inverse = _inverted(powers(n))
    bt = np.array([[float(inverse[j][i]) for j in range(n)] for i in range(n)])
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


def tile(length: int, r: int, most: int) -> int:
    """Outputs of a tile along a side of this length: few products, and among nearly equals the small tile.

    >>> tile(13, 3, 9), tile(13, 3, 6), tile(109, 4, 9)
    (7, 4, 5)
    """
    sizes = [n + 1 - r for n in sorted(POINTS) if n <= most]
    costs = [-(-length // m) * (m + r - 1) for m in sizes]
    return next(m for m, cost in zip(sizes, costs, strict=True) if cost * (1 - MIN_SAVING) <= min(costs))


class ScratchBuffers:
    """Tensors that are used again at every step: a stream needs some MB of them, and new memory is slow."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def __call__(self, name: str, *shape: int, kind: torch.dtype = torch.float32) -> torch.Tensor:
        """A tensor of this shape with undefined content; the next call by this name overwrites it."""
        held = self._held.get((name, kind))
        if held is None or len(held) < prod(shape):
            held = self._held[name, kind] = torch.empty(prod(shape), dtype=kind)
        return held[: prod(shape)].view(shape)


class Conv:
    """One convolution of pictures (B, *sides, C), its weights transformed.

    most: points along a side of a tile at most. size: outputs along a side, instead of a choice by `tile`. kind: the
    type of the products; transforms are float32.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        sides: Sequence[int],
        *,
        frames: int = 1,
        most: int = 9,
        size: int | None = None,
        kind: torch.dtype = torch.float32,
        scratch: ScratchBuffers | None = None,
    ) -> None:
        self.kernel, self.stride, self.pad = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
        self.sides, self.kind, self.scratch = tuple(sides), kind, scratch or ScratchBuffers()
        self.r = -(-self.kernel // self.stride)
        self.outputs = [(side + 2 * self.pad - self.kernel) // self.stride + 1 for side in sides]
        """Height and width of the output."""
        self.tile = [size or tile(length, self.r, most) for length in self.outputs]
        self.grid = [-(-length // m) for length, m in zip(self.outputs, self.tile, strict=True)]
        """Rows and columns of tiles."""
        self.points = [m + self.r - 1 for m in self.tile]
        (at, g, bt), (at2, g2, bt2) = (transforms(m, self.r) for m in self.tile)
        weight = conv.weight.detach().double().numpy()
        out, channels = weight.shape[:2]
        full = np.zeros((out, channels, self.r * self.stride, self.r * self.stride))
        full[..., : self.kernel, : self.kernel] = weight
        full = full.reshape(out, frames, channels // frames, self.r, self.stride, self.r, self.stride)
        # Points first, then what is summed over: frame, row phase, column phase, colour.
        points = np.einsum("ka,lb,ofcapbq->klfpqco", g, g2, full, optimize=True)
        self.weight = torch.from_numpy(points.reshape(prod(self.points), -1, out)).to(kind).contiguous()
        self.forth = [torch.from_numpy(matrix).float() for matrix in (bt, bt2)]
        self.back = [torch.from_numpy(matrix).float() for matrix in (at, at2)]
        assert conv.bias is not None
        self.bias = conv.bias.detach().float().clone()

    def phases(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) -> (P, Q, B, stride^2 C): the padded picture, its phases side by side as channels."""
        count, channels, s = len(x), x.shape[3], self.stride
        p, q = (tiles * m + self.r - 1 for tiles, m in zip(self.grid, self.tile, strict=True))
        made = self.scratch("phases", p, q, count, s * s * channels)
        split = made.view(p, q, count, s, s, channels)
        for a in range(s):
            for b in range(s):
                y, z = (a - self.pad) % s, (b - self.pad) % s  # the first pixel of this phase
                top, left = (y + self.pad) // s, (z + self.pad) // s
                part = x[:, y::s, z::s].permute(1, 2, 0, 3)[: p - top, : q - left]
                low, right = top + part.shape[0], left + part.shape[1]
                place = split[:, :, :, a, b]
                place[top:low, left:right] = part
                for border in (place[:top], place[low:], place[:, :left], place[:, right:]):
                    border.zero_()
        return made

    def _rows(self, phases: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Tile rows `first` to `last`, transformed along columns alone: (rows, n, Q, B K)."""
        _, q, count, k = phases.shape
        n, m, line = self.points[0], self.tile[0], q * count * k
        views = phases.as_strided((last - first, n, line), (m * line, line, 1), first * m * line)
        made = self.scratch("rows", last - first, n, line)
        torch.bmm(self.forth[0].expand(last - first, n, n), views, out=made)
        return made.view(last - first, n, q, count * k)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) -> (B, whole tiles, whole tiles, out), without bias; beyond `outputs` it has no meaning.

        Rows of points are computed one after the other, so that intermediate results are still in the cache.
        """
        (n, n2), (m, m2), (rows, columns), count = self.points, self.tile, self.grid, len(x)
        mixed = self._rows(self.phases(x), 0, rows)
        _, _, q, spot = mixed.shape
        spots, (k, out) = rows * columns * count, self.weight.shape[1:]
        cut = self.scratch("cut", n2, rows, columns, spot)
        tiles = self.scratch("tiles", n2, spots * k)
        halves = self.scratch("halves", n, m2, spots * out)
        for i in range(n):
            shifts = (spot, n * q * spot, m2 * spot, 1)
            cut.copy_(mixed.as_strided(cut.shape, shifts, i * q * spot))
            torch.mm(self.forth[1], cut.view(n2, -1), out=tiles)
            made = self._times(tiles.view(n2, spots, k), self.weight[i * n2 : (i + 1) * n2])
            torch.mm(self.back[1], made.view(n2, -1), out=halves[i])
        whole = self.scratch("whole", m, m2 * spots * out)
        torch.mm(self.back[0], halves.view(n, -1), out=whole)
        output = self.scratch("output", count, rows, m, columns, m2, out)
        output.copy_(whole.view(m, m2, rows, columns, count, out).permute(4, 2, 0, 3, 1, 5))
        return output.view(count, rows * m, columns * m2, out)

    def _times(self, tiles: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """(points, spots, K) times (points, K, out), in the type of the weights; float32 comes and goes."""
        if tiles.dtype is not self.kind:
            tiles = self.scratch("short tiles", *tiles.shape, kind=self.kind).copy_(tiles)
        made = self._products(tiles, weight)
        return made if self.kind is torch.float32 else self.scratch("long products", *made.shape).copy_(made)

    def _products(self, tiles: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The same from the type of the weights to it."""
        made = self.scratch("products", *tiles.shape[:2], weight.shape[2], kind=self.kind)
        return torch.bmm(tiles, weight, out=made)


class FirstLayer(Conv):
    """The 7x7 convolution over five frames with pooling 3x3, stride 2, bias and ReLU; F(5, 4) whatever its sides are.

    Frames (n + 4, H, W, 3) uint8 -> windows (n, O, O, out). It runs row by row of tiles, for some windows at a time, so
    that intermediate results stay in the cache: three quarters of the layer's 4.6 MB per window are never written.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        sides: Sequence[int],
        *,
        kind: torch.dtype = torch.float32,
        scratch: ScratchBuffers | None = None,
    ) -> None:
        super().__init__(conv, sides, frames=5, size=5, kind=kind, scratch=scratch)
        assert (self.r, self.stride, self.pad) == (4, 2, 0)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        from tkbench.metrics.winograd_kernels import pool_products, tile_frames

        frames, windows, (rows, columns) = len(x), len(x) - 4, self.grid
        out, together = self.weight.shape[2], FIRST_LAYER_WINDOWS[self.kind]
        high, wide = ((length - 3) // 2 + 1 for length in self.outputs)
        made, pixels, bias = torch.empty(windows, high, wide, out), x.numpy(), self.bias.numpy()
        phases = self.scratch("phases", 5 * columns + 3, 8, frames, 12).numpy()
        mixed = self.scratch("mixed", 8, 8, 12 * frames).numpy()
        half, line = (
            self.scratch("half", 5, 8, out).numpy(),
            self.scratch("line", 5, 5 * columns, out).numpy(),
        )
        tiles = self.scratch("tiles", 64, columns, frames, 12, kind=self.kind)
        for row in range(rows):
            tile_frames(pixels, row, phases, mixed, _bits(tiles.view(8, 8, columns, frames, 12)))
            for first in range(0, windows, together):
                count = min(windows, first + together) - first
                products = self._products(self._windows(tiles, first, count), self.weight)
                square = _bits(products.view(8, 8, count, columns, out))
                pool_products(square, bias, row, half, line, made[first : first + count].numpy())
        return made

    def _windows(self, tiles: torch.Tensor, window: int, count: int) -> torch.Tensor:
        """The tiles of `count` windows: (64, count * columns, 60). The frames of a window lie one behind the other."""
        points, columns, frames, k = tiles.shape
        shifts = (columns * frames * k, k, frames * k, 1)
        views = tiles.as_strided((points, count, columns, 5 * k), shifts, window * k)
        copied = self.scratch("windows", points, count * columns, 5 * k, kind=self.kind)
        copied.view_as(views).copy_(views)
        return copied


def _bits(tensor: torch.Tensor) -> Array:
    """As numpy has it: float32, or the 16 bits of a bfloat16 as uint16."""
    return (
        tensor.numpy() if tensor.dtype is torch.float32 else tensor.view(torch.int16).numpy().view(np.uint16)
    )


class LipStream:
    """The folded lip stream of a judge (`syncnet.flat_lip` with batch norm folded in), from frames to embeddings."""

    def __init__(
        self, layers: nn.Sequential, sides: Sequence[int], *, kind: torch.dtype = torch.float32
    ) -> None:
        convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        pools = [layer for layer in layers if isinstance(layer, nn.MaxPool2d)]
        scratch, most = ScratchBuffers(), MAX_SIDE[kind]
        self.first = FirstLayer(_red_first(convs[0]), sides, kind=kind, scratch=scratch)
        self.middle: list[tuple[Conv, nn.MaxPool2d | None]] = []
        sides = [(length - 3) // 2 + 1 for length in self.first.outputs]
        for conv, pool in zip(convs[1:-1], [pools[1], None, None, pools[2]], strict=True):
            self.middle.append((Conv(conv, sides, most=most, kind=kind, scratch=scratch), pool))
            sides = _pooled(self.middle[-1][0].outputs, pool)
        self.last = _head(layers)

    def run(self, clips: Sequence[UInt8], counts: Sequence[int]) -> Iterator[torch.Tensor]:
        """Embeddings of `counts` windows of each clip (T, size, size, 3) RGB, in order, some rows at a time.

        After the first layer, windows of different clips share a step.
        """
        waiting: list[torch.Tensor] = []
        for clip, start, stop in runs(counts):
            waiting.append(self.front(clips[clip][start : stop + 4]))
            if sum(map(len, waiting)) >= STEP_WINDOWS:
                yield self.rest(waiting[0] if len(waiting) == 1 else torch.cat(waiting))
                waiting = []
        if waiting:
            yield self.rest(torch.cat(waiting))

    def front(self, frames: UInt8) -> torch.Tensor:
        """(n + 4, size, size, 3) RGB uint8 -> (n, 54, 54, 96) for 224: the first layer and what follows it."""
        return self.first(torch.from_numpy(np.ascontiguousarray(frames)))

    def rest(self, maps: torch.Tensor) -> torch.Tensor:
        """(n, 54, 54, 96) -> (n, embedding)."""
        conv, pool = self.middle[0]
        maps = torch.cat([_finish(conv(part), conv, pool) for part in maps.split(SECOND_LAYER_WINDOWS)])
        for conv, pool in self.middle[1:]:
            maps = _finish(conv(maps), conv, pool)
        out: torch.Tensor = self.last(maps)
        return out


class VoiceStream:
    """The folded voice stream of a judge: (B, 1, 13, 20) cepstra -> (B, embedding)."""

    def __init__(
        self, layers: nn.Sequential, sides: Sequence[int], *, kind: torch.dtype = torch.float32
    ) -> None:
        convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        pools = [layer for layer in layers if isinstance(layer, nn.MaxPool2d)]
        scratch = ScratchBuffers()
        self.first = convs[0]  # one channel is not worth transforming
        self.middle: list[tuple[Conv, nn.MaxPool2d | None]] = []
        for conv, pool in zip(convs[1:-1], [pools[0], None, None, pools[1]], strict=True):
            self.middle.append((Conv(conv, sides, most=MAX_SIDE[kind], kind=kind, scratch=scratch), pool))
            sides = _pooled(self.middle[-1][0].outputs, pool)
        self.last = _head(layers)

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._step(part) for part in windows.split(STEP_VOICES)])

    def _step(self, windows: torch.Tensor) -> torch.Tensor:
        maps = self.first(windows).relu_().permute(0, 2, 3, 1)
        for conv, pool in self.middle:
            maps = _finish(conv(maps), conv, pool)
        out: torch.Tensor = self.last(maps)
        return out


def _head(layers: nn.Sequential) -> nn.Sequential:
    """From the last convolution on, which covers its whole input (B, H, W, C): a linear layer by another name."""
    start = max(place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    conv = layers[start]
    assert isinstance(conv, nn.Conv2d)
    weight = conv.weight.detach().permute(0, 2, 3, 1).flatten(1)
    linear = nn.Linear(weight.shape[1], weight.shape[0]).requires_grad_(False)
    linear.weight.copy_(weight)
    assert conv.bias is not None
    linear.bias.copy_(conv.bias)
    return nn.Sequential(nn.Flatten(), linear, *layers[start + 1 :])


def _red_first(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution over blue, green, red of five frames as one over red, green, blue."""
    flipped = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride)  # type: ignore[arg-type]
    weight = conv.weight.detach()
    flipped.weight = nn.Parameter(weight.unflatten(1, (5, -1)).flip(2).flatten(1, 2))
    flipped.bias = conv.bias
    return flipped


def _finish(maps: torch.Tensor, conv: Conv, pool: nn.MaxPool2d | None) -> torch.Tensor:
    """Pooling, cutting to size, bias and ReLU after `conv`.

    The maximum of a field is at the same place before and after bias and ReLU. No field that counts reaches beyond the
    convolution's true output, so the rest is cut off after the pooling.
    """
    height, width = _pooled(conv.outputs, pool)
    if pool is not None:
        maps = pool(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return maps[:, :height, :width].add_(conv.bias).relu_()


def _pooled(sides: Sequence[int], pool: nn.MaxPool2d | None) -> list[int]:
    if pool is None:
        return list(sides)
    kernel, stride, pad = map(_pair, (pool.kernel_size, pool.stride, pool.padding))
    made = [(sides[i] + 2 * pad[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)]
    assert all((made[i] - 1) * stride[i] - pad[i] + kernel[i] <= sides[i] for i in (0, 1))
    return made


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else value


def runs(counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """(clip, first window, last window) in steps of at most STEP_WINDOWS.

    >>> runs([STEP_WINDOWS + 2, 0, 3])
    [(0, 0, 16), (0, 16, 18), (2, 0, 3)]
    """
    return [
        (clip, start, min(count, start + STEP_WINDOWS))
        for clip, count in enumerate(counts)
        for start in range(0, count, STEP_WINDOWS)
    ]
