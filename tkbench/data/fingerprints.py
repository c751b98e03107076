"""Fingerprints of a clip's sound and of its face's movement, which survive encoding again, scaling and cutting.

Sound (after Haitsma and Kalker, ISMIR 2002): the energy in 33 bands from 300 to 3000 Hz, in windows of 256 ms every
20 ms. A bit says whether the difference of two neighbouring bands grows from one window to the next: 32 bits every
20 ms. Codecs, level and equalisers turn few of them; another recording turns half of them.

Face: seven lengths and angles of the face in each frame (how far the mouth is open and how wide it is, both eyes, yaw,
pitch and roll), in units of the distance of the eyes, without their slow part. They do not depend on size and place of
the picture or on its colours. Two recordings of one sentence move differently; two encodings of one recording alike.

Both are compared at an offset: clips that overlap in time are found whatever their beginnings are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tkbench.crops.recipes import ibug68
from tkbench.types import FPS, SAMPLE_RATE, Array, Bool, Float32, Float64

STEP = 320
"""Samples from one window to the next: 20 ms."""
WINDOW = 4096
N_BANDS = 33
LOW_HZ, HIGH_HZ = 300.0, 3000.0
QUIET_DB = 35.0
"""Windows that are so far below the loud ones of the clip are not compared: a codec decides their bits."""
AT_ONCE = 512
"""Windows that are transformed together."""
RATE = SAMPLE_RATE // STEP
"""Sub-fingerprints a second."""

FEATURES = 7
UNITS = np.array([0.10, 0.06, 0.04, 0.04, 0.06, 0.06, 0.05])
"""What counts as one in each of the seven: about the spread in speech of real clips."""
SLOW = 12
"""Half width in frames of the running mean that is taken off."""
QUANTUM = 16
"""Steps of a unit in which movement is stored, as int8."""
ANCHOR_EVERY = 4
"""Least frames between two anchors."""
REACH = 10
"""Frames on either side of an anchor that are hashed."""

UInt32 = npt.NDArray[np.uint32]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Print:
    """The fingerprints of one clip."""

    sound: UInt32
    """(n,) 32 bits every 20 ms."""
    loud: Bool
    """(n,) which of them are compared."""
    face: Int8
    """(T, 7) movement in each frame, in steps of 1 / `QUANTUM`."""


def fingerprint(audio: Float32, landmarks: Array) -> Print:
    """(S,) samples at 16 kHz and (T, N, 2) landmarks of either set."""
    sound, loud = sound_print(audio)
    return Print(sound, loud, face_print(landmarks))


@lru_cache(maxsize=1)
def _bands() -> tuple[Float32, Float32]:
    """The window (4096,) and which spectral lines are in which band (2049, 33)."""
    edges = np.geomspace(LOW_HZ, HIGH_HZ, N_BANDS + 1)
    hertz = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)[:, None]
    inside = (hertz >= edges[:-1]) & (hertz < edges[1:])
    return np.hanning(WINDOW).astype(np.float32), inside.astype(np.float32)


def sound_print(audio: Float32) -> tuple[UInt32, Bool]:
    """(S,) samples -> (n,) sub-fingerprints, and (n,) which are loud enough; none for less than 276 ms."""
    from scipy.fft import rfft

    window, bands = _bands()
    count = (len(audio) - WINDOW) // STEP + 1
    if count < 2:
        return np.zeros(0, np.uint32), np.zeros(0, bool)
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(audio, np.float32), WINDOW)[::STEP]
    energy = np.concatenate(
        [
            np.abs(rfft(frames[start : start + AT_ONCE] * window, axis=1)) ** 2 @ bands
            for start in range(0, count, AT_ONCE)
        ]
    ).astype(np.float64)
    slope = energy[:, :-1] - energy[:, 1:]
    bits = slope[1:] - slope[:-1] > 0
    packed = np.packbits(bits, axis=1).view(">u4")[:, 0].astype(np.uint32)
    level = 10 * np.log10(energy.sum(axis=1)[1:] + 1e-9)
    return packed, level > max(float(np.percentile(level, 95)) - QUIET_DB, -20.0)


def face_print(landmarks: Array) -> Int8:
    """(T, N, 2) -> (T, 7) movement of the face, quantised."""
    if len(landmarks) == 0 or not np.isfinite(landmarks).all():
        return np.zeros((len(landmarks), FEATURES), np.int8)
    values = _without_slow(movement(landmarks)) / UNITS
    return np.clip(np.round(values * QUANTUM), -127, 127).astype(np.int8)


def movement(landmarks: Array) -> Float64:
    """(T, N, 2) -> (T, 7): mouth open, mouth width, eyes open (left, right of the picture), yaw, pitch, roll.

    Lengths are in distances of the outer corners of the eyes, yaw and pitch are where the tip of the nose lies along
    and across the line of the eyes, roll is in radians.
    """
    p = np.asarray(ibug68(landmarks), np.float64)
    line = p[:, 45] - p[:, 36]
    length = np.maximum(np.linalg.norm(line, axis=1), 1e-6)
    along = line / length[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    nose = p[:, 30] - (p[:, 36] + p[:, 45]) / 2

    def gap(a: int, b: int) -> Float64:
        return np.asarray(np.linalg.norm(p[:, a] - p[:, b], axis=1) / length)

    return np.stack(
        [
            gap(62, 66),
            gap(60, 64),
            (gap(37, 41) + gap(38, 40)) / 2,
            (gap(43, 47) + gap(44, 46)) / 2,
            (nose * along).sum(axis=1) / length,
            (nose * across).sum(axis=1) / length,
            np.unwrap(np.arctan2(line[:, 1], line[:, 0])),
        ],
        axis=1,
    )


def _without_slow(values: Float64) -> Float64:
    """(T, D) less a running mean; at the ends the mean of what is there."""
    total = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), axis=0)
    at = np.arange(len(values))
    low, high = np.maximum(at - SLOW, 0), np.minimum(at + SLOW + 1, len(values))
    return np.asarray(values - (total[high] - total[low]) / (high - low)[:, None])


def anchors(face: Int8) -> Int32:
    """The frames of a clip at which its movement is hashed: where the mouth is widest open, locally.

    A smoothed curve decides, so that a tracker's noise moves an anchor by a frame at most.
    """
    if len(face) < 2 * REACH + 1:
        return np.zeros(0, np.int32)
    opening = np.convolve(face[:, 0].astype(np.float64), np.hanning(7)[1:-1], "same")
    top = (opening[1:-1] > opening[:-2]) & (opening[1:-1] >= opening[2:])
    places = np.flatnonzero(top) + 1
    places = places[(places >= REACH) & (places < len(face) - REACH)]
    kept: list[int] = []
    for place in places:
        if not kept or place - kept[-1] >= ANCHOR_EVERY:
            kept.append(int(place))
        elif opening[place] > opening[kept[-1]]:
            kept[-1] = int(place)
    return np.array(kept, np.int32)


@lru_cache(maxsize=1)
def _ones() -> Array:
    """How many bits are 1 in each number of 16 bits."""
    return np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16).sum(axis=1)


def sound_errors(a: Print, b: Print, offset: int) -> tuple[float, int]:
    """(share of bits that differ, sub-fingerprints compared): b[i] beside a[i + offset], where both are loud."""
    first, second = _overlap(len(a.sound), len(b.sound), offset)
    both = a.loud[first] & b.loud[second]
    n = int(both.sum())
    if n == 0:
        return 0.5, 0
    differ = a.sound[first][both] ^ b.sound[second][both]
    ones = _ones()
    count = int(ones[differ & 0xFFFF].sum(dtype=np.int64) + ones[differ >> 16].sum(dtype=np.int64))
    return count / (32 * n), n


def face_likeness(a: Print, b: Print, offset: int) -> tuple[float, int]:
    """(correlation of the movements, frames compared): frame i of b beside frame i + offset of a."""
    first, second = _overlap(len(a.face), len(b.face), offset)
    one, two = a.face[first].astype(np.float64), b.face[second].astype(np.float64)
    n = len(one)
    if n < 2:
        return 0.0, n
    one, two = one - one.mean(axis=0), two - two.mean(axis=0)
    size = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return (float((one * two).sum()) / size if size > 0 else 0.0), n


def _overlap(n_a: int, n_b: int, offset: int) -> tuple[slice, slice]:
    begin, end = max(0, offset), min(n_a, n_b + offset)
    end = max(begin, end)
    return slice(begin, end), slice(begin - offset, end - offset)


def seconds_of_sound(n: int) -> float:
    """How long n sub-fingerprints are."""
    return n / RATE


def seconds_of_face(n: int) -> float:
    """How long n frames are."""
    return n / FPS
