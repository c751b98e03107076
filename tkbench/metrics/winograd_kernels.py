"""The transforms of SyncNet's first layer, compiled, together with the steps before and after them: pixels and pooling.

F(5, 4) on the points 0, 1, -1, 1/2, -1/2, 2, -2 and infinity. Points of opposite sign share their sums, which saves
half of the operations. As products of matrices the same steps take three times as long: such matrices have too few
rows to be fast, and each product writes what the next one reads again.

numba compiles at the first call; the result is kept beside this file, or in the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tkbench.types import Array

F = TypeVar("F", bound=Callable[..., object])
Float = np.float32


class Builder(Protocol):
    """What the two conversions below use of llvmlite's IRBuilder."""

    def add(self, left: object, right: object) -> object: ...
    def and_(self, left: object, right: object) -> object: ...
    def bitcast(self, value: object, kind: object) -> object: ...
    def lshr(self, value: object, by: object) -> object: ...
    def shl(self, value: object, by: object) -> object: ...
    def trunc(self, value: object, kind: object) -> object: ...
    def zext(self, value: object, kind: object) -> object: ...


Lowering = Callable[[object, Builder, object, Sequence[object]], object]
"""How numba turns a call into instructions: (context, builder, signature, arguments) -> the value."""

_HALF, _QUARTER, _EIGHTH, _SIXTEENTH = map(np.float32, (1 / 2, 1 / 4, 1 / 8, 1 / 16))
_TWO, _FOUR, _EIGHT, _SIXTEEN, _ZERO = map(np.float32, (2, 4, 8, 16, 0))
# What B^T has in its rows of 0 and infinity, of 1 and -1, of the halves and of the twos: polynomials that are zero at
# all other points, their coefficients divided by the sum of their sizes.
_ENDS = tuple(map(np.float32, (1 / 12.5, 5.25 / 12.5)))
_ONES = tuple(map(np.float32, (1 / 12.5, 4.25 / 12.5)))
_HALVES = tuple(map(np.float32, (1 / 15, 5 / 15, 4 / 15)))
_TWOS = tuple(map(np.float32, (4 / 30, 5 / 30, 1 / 30)))


def _compiled(function: F) -> F:
    # Sums may be fused and regrouped, as in a product of matrices.
    options = {"fastmath": {"contract", "nsz", "reassoc"}}
    try:
        return cast("F", numba.njit(cache=True, **options)(function))
    except RuntimeError:  # nowhere to keep what is compiled
        return cast("F", numba.njit(**options)(function))


@intrinsic  # type: ignore[untyped-decorator]
def number(typing: object, value: object) -> tuple[object, Lowering]:
    """A float32 as it is, or one from the 16 bits of a bfloat16."""

    def same(context: object, builder: Builder, signature: object, arguments: Sequence[object]) -> object:
        return arguments[0]

    def wider(context: object, builder: Builder, signature: object, arguments: Sequence[object]) -> object:
        word = ir.IntType(32)
        bits = builder.shl(builder.zext(arguments[0], word), ir.Constant(word, 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(value), wider if value == types.uint16 else same


@intrinsic  # type: ignore[untyped-decorator]
def like(typing: object, value: object, place: object) -> tuple[object, Lowering]:
    """A float32 as what `place` is: itself, or the 16 bits of the nearest bfloat16."""

    def same(context: object, builder: Builder, signature: object, arguments: Sequence[object]) -> object:
        return arguments[0]

    def shorter(context: object, builder: Builder, signature: object, arguments: Sequence[object]) -> object:
        word = ir.IntType(32)
        bits = builder.bitcast(arguments[0], word)
        high = builder.lshr(bits, ir.Constant(word, 16))
        # To the nearest, and to the even one of two.
        odd = builder.and_(high, ir.Constant(word, 1))
        nearest = builder.add(bits, builder.add(odd, ir.Constant(word, 0x7FFF)))
        return builder.trunc(builder.lshr(nearest, ir.Constant(word, 16)), ir.IntType(16))

    short = place == types.uint16
    return (types.uint16 if short else types.float32)(value, place), shorter if short else same


@_compiled
def forth(
    x0: Float, x1: Float, x2: Float, x3: Float, x4: Float, x5: Float, x6: Float, x7: Float
) -> tuple[Float, ...]:
    """B^T x: eight pixels to eight points."""
    a, b = _ENDS
    first, last = a * (x0 - x6) + b * (x4 - x2), a * (x7 - x1) + b * (x3 - x5)
    a, b = _ONES
    e1, o1 = b * x4 - a * (x2 + x6), b * x3 - a * (x1 + x5)
    a, b, c = _HALVES
    e2, o2 = a * x6 - b * x4 + c * x2, _HALF * (a * x5 - b * x3 + c * x1)
    a, b, c = _TWOS
    e3, o3 = a * x6 - b * x4 + c * x2, _TWO * (a * x5 - b * x3 + c * x1)
    return first, e1 + o1, e1 - o1, e2 + o2, e2 - o2, e3 + o3, e3 - o3, last


@_compiled
def back(
    x0: Float, x1: Float, x2: Float, x3: Float, x4: Float, x5: Float, x6: Float, x7: Float
) -> tuple[Float, ...]:
    """A^T x: eight products to five outputs."""
    s1, d1, s2, d2, s3, d3 = x1 + x2, x1 - x2, x3 + x4, x3 - x4, x5 + x6, x5 - x6
    return (
        x0 + s1 + s2 + s3,
        d1 + _HALF * d2 + _TWO * d3,
        s1 + _QUARTER * s2 + _FOUR * s3,
        d1 + _EIGHTH * d2 + _EIGHT * d3,
        s1 + _SIXTEENTH * s2 + _SIXTEEN * s3 + x7,
    )


@_compiled
def _ring(lines: Array, first: int) -> tuple[Array, ...]:
    """The eight lines from `first` on, of which each lies at its number modulo eight."""
    i = first % 8
    a, b, c, d = lines[i], lines[(i + 1) % 8], lines[(i + 2) % 8], lines[(i + 3) % 8]
    return a, b, c, d, lines[(i + 4) % 8], lines[(i + 5) % 8], lines[(i + 6) % 8], lines[(i + 7) % 8]


@_compiled
def tile_frames(frames: Array, row: int, phases: Array, mixed: Array, tiles: Array) -> None:
    """A row of tiles of every frame, from its pixels: B^T d B.

    frames: (T, height, width, 3) uint8. row: rows come in order, from 0. phases (columns of pixel pairs, 8, T, 12)
    and mixed (8, 8, 12 T), float32: room to work in; the last three lines of `phases` are what the next row begins
    with. tiles: (8, 8, columns, T, 12) float32, or uint16 for bfloat16; written to. The 12 are a 2x2 field: row,
    column, colour.
    """
    count, height, width, _ = frames.shape
    columns, across, top = tiles.shape[2], phases.shape[0], 5 * row
    for p in range(top + 3 if row else 0, top + 8):
        for q in range(across):
            for f in range(count):
                cell = phases[q, p % 8, f]
                for a in range(2):
                    for b in range(2):
                        inside = 2 * p + a < height and 2 * q + b < width
                        for colour in range(3):
                            k = 6 * a + 3 * b + colour
                            cell[k] = np.float32(frames[f, 2 * p + a, 2 * q + b, colour]) if inside else _ZERO
    size = 12 * count
    flat, made = phases.reshape(across, 8, size), tiles.reshape(8, 8, columns, size)
    for q in range(across):
        p0, p1, p2, p3, p4, p5, p6, p7 = _ring(flat[q], top)
        i = q % 8
        m0, m1, m2, m3 = mixed[0, i], mixed[1, i], mixed[2, i], mixed[3, i]
        m4, m5, m6, m7 = mixed[4, i], mixed[5, i], mixed[6, i], mixed[7, i]
        for c in range(size):
            m0[c], m1[c], m2[c], m3[c], m4[c], m5[c], m6[c], m7[c] = forth(
                p0[c], p1[c], p2[c], p3[c], p4[c], p5[c], p6[c], p7[c]
            )
        left = q - 7
        if left < 0 or left % 5:
            continue
        column = left // 5
        for k in range(8):
            p0, p1, p2, p3, p4, p5, p6, p7 = _ring(mixed[k], left)
            t0, t1, t2, t3 = made[k, 0, column], made[k, 1, column], made[k, 2, column], made[k, 3, column]
            t4, t5, t6, t7 = made[k, 4, column], made[k, 5, column], made[k, 6, column], made[k, 7, column]
            for c in range(size):
                y0, y1, y2, y3, y4, y5, y6, y7 = forth(p0[c], p1[c], p2[c], p3[c], p4[c], p5[c], p6[c], p7[c])
                t0[c], t1[c] = like(y0, t0[c]), like(y1, t1[c])
                t2[c], t3[c] = like(y2, t2[c]), like(y3, t3[c])
                t4[c], t5[c] = like(y4, t4[c]), like(y5, t5[c])
                t6[c], t7[c] = like(y6, t6[c]), like(y7, t7[c])


@_compiled
def pool_products(products: Array, bias: Array, row: int, half: Array, line: Array, made: Array) -> None:
    """A row of tiles of products to pooled rows: A^T P A, 3x3 maximum with stride 2, bias, ReLU.

    products: (8, 8, windows, columns, channels) float32, or uint16 that hold bfloat16. bias: (channels,). row: rows
    come in order, from 0. half (5, 8, channels) and line (5, 5 columns, channels), float32: room to work in. made:
    (windows, height, width, channels) float32, written to; a pooled row is finished with the last of its lines.
    """
    windows, columns, channels = products.shape[2:]
    height, width = made.shape[1:3]
    for window in range(windows):
        for column in range(columns):
            left = 5 * column
            for j in range(8):
                p0, p1 = products[0, j, window, column], products[1, j, window, column]
                p2, p3 = products[2, j, window, column], products[3, j, window, column]
                p4, p5 = products[4, j, window, column], products[5, j, window, column]
                p6, p7 = products[6, j, window, column], products[7, j, window, column]
                h0, h1, h2, h3, h4 = half[0, j], half[1, j], half[2, j], half[3, j], half[4, j]
                for c in range(channels):
                    x0, x1, x2, x3 = number(p0[c]), number(p1[c]), number(p2[c]), number(p3[c])
                    x4, x5, x6, x7 = number(p4[c]), number(p5[c]), number(p6[c]), number(p7[c])
                    h0[c], h1[c], h2[c], h3[c], h4[c] = back(x0, x1, x2, x3, x4, x5, x6, x7)
            for i in range(5):
                q0, q1, q2, q3 = half[i, 0], half[i, 1], half[i, 2], half[i, 3]
                q4, q5, q6, q7 = half[i, 4], half[i, 5], half[i, 6], half[i, 7]
                l0, l1, l2 = line[i, left], line[i, left + 1], line[i, left + 2]
                l3, l4 = line[i, left + 3], line[i, left + 4]
                for c in range(channels):
                    l0[c], l1[c], l2[c], l3[c], l4[c] = back(
                        q0[c], q1[c], q2[c], q3[c], q4[c], q5[c], q6[c], q7[c]
                    )
        for i in range(5):
            y = 5 * row + i
            # An even line is the last of one field and the first of the next; an odd one lies within.
            within, ends, begins = (y - 1) // 2, y // 2 - 1, y // 2
            for x in range(width):
                a, b, e = line[i, 2 * x], line[i, 2 * x + 1], line[i, 2 * x + 2]
                if y % 2 and within < height:
                    into = made[window, within, x]
                    for c in range(channels):
                        into[c] = max(into[c], max(a[c], max(b[c], e[c])))
                if not y % 2 and 0 <= ends < height:
                    into = made[window, ends, x]
                    for c in range(channels):
                        into[c] = max(max(into[c], max(a[c], max(b[c], e[c]))) + bias[c], _ZERO)
                if not y % 2 and begins < height:
                    into = made[window, begins, x]
                    for c in range(channels):
                        into[c] = max(a[c], max(b[c], e[c]))
