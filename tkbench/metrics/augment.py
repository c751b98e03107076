"""What a sync judge must not react to: colour, light, sharpness, compression, place, size, noise, loudness.

Each function draws one change for a run of frames and applies it to all of them, as one camera or microphone does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tkbench.metrics.mfcc import PREEMPHASIS, STEP, WINDOW, cepstra_of, n_windows, to_pcm16
from tkbench.types import Array, Float32, Float64, UInt8


@dataclass(frozen=True, slots=True)
class Augment:
    """Strengths of the changes: draws are uniform; `p_` is the probability of a change."""

    scale: float = 0.12
    """Crops are zoomed by 1 - scale to 1 + scale."""
    shift: float = 5.0
    """Pixels to either side."""
    turn: float = 5.0
    """Degrees, standard deviation."""
    jitter: float = 0.8
    """Pixels, standard deviation of a trembling track: the judge must not learn from the tracker's noise."""
    gamma: float = 0.5
    contrast: float = 0.4
    brightness: float = 35.0
    colour: float = 0.15
    """Standard deviation of the weights by which red, green and blue become grey."""
    p_blur: float = 0.35
    p_small: float = 0.25
    p_noise: float = 0.3
    p_jpeg: float = 0.3
    p_cutout: float = 0.3
    throat: float = 0.2
    """Pitch and formants are moved by a factor from 1 - throat to 1 + throat in the copies of a voice."""
    loudness: float = 3.0
    """Standard deviation of the log energy that is added."""
    tone: float = 8.0
    """Standard deviation of what is added to the second cepstrum, less to higher ones: a microphone."""


def lips(crops: UInt8, rng: np.random.Generator, settings: Augment, size: int, channels: int) -> UInt8:
    """(n, M, M, 3) RGB crops with a margin -> (n, size, size, channels) of the network, changed alike."""
    picture = _to_channels(crops, rng, settings, channels)
    picture = _move(picture, rng, settings, size)
    picture = _light(picture, rng, settings)
    return _degrade(picture, rng, settings)


def plain(crops: UInt8, size: int) -> UInt8:
    """The middle of crops with a margin, unchanged: the judge's input when it scores."""
    edge = (crops.shape[1] - size) // 2
    return np.ascontiguousarray(crops[:, edge : edge + size, edge : edge + size])


def _to_channels(crops: UInt8, rng: np.random.Generator, settings: Augment, channels: int) -> UInt8:
    n, side = crops.shape[:2]
    if channels == 3:
        gains = 1 + settings.colour * rng.normal(size=3)
        mix = np.diag(gains)[::-1]  # RGB -> BGR
    else:
        weights = 1 / 3 + settings.colour * rng.normal(size=3)
        mix = weights[None] / weights.sum()
    rows = cv2.transform(crops.reshape(n * side, side, 3), mix)
    return np.asarray(rows, np.uint8).reshape(n, side, side, channels)


def _move(picture: UInt8, rng: np.random.Generator, settings: Augment, size: int) -> UInt8:
    """Zoom, turn, shift, squeeze and mirror, with a tremble from frame to frame; cut to size."""
    n, side = picture.shape[:2]
    turn = np.deg2rad(settings.turn * rng.normal())
    zoom = 1 + rng.uniform(-settings.scale, settings.scale)
    # Mirror, width and slant: to first order, the effects of a turned or tilted head.
    shape = np.array([[rng.choice([-1.0, 1.0]) * rng.uniform(0.88, 1.06), 0.06 * rng.normal()], [0, 1]])
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    place = rng.uniform(-settings.shift, settings.shift, 2)
    tremble = _walk(rng, n, 3) * settings.jitter * rng.uniform(0, 1)
    out = np.empty((n, size, size, picture.shape[3]), np.uint8)
    middle, target = (side - 1) / 2, (size - 1) / 2
    for frame, (dx, dy, dz), target_frame in zip(picture, tremble, out, strict=True):
        s = zoom * (1 + 0.01 * dz)
        linear = s * spin @ shape
        offset = target + place + (dx, dy) - linear @ (middle, middle)
        moved = cv2.warpAffine(
            frame, np.column_stack([linear, offset]), (size, size), borderMode=cv2.BORDER_REPLICATE
        )
        target_frame[:] = moved.reshape(target_frame.shape)
    return out


def _walk(rng: np.random.Generator, n: int, width: int) -> Float64:
    """(n, width) of unit variance: noise that is smooth over a few frames, or not at all, by chance."""
    keep = rng.uniform(0, 0.95)
    noise = rng.normal(size=(n, width))
    walk = np.empty_like(noise)
    walk[0] = noise[0]
    for i in range(1, n):
        walk[i] = keep * walk[i - 1] + np.sqrt(1 - keep**2) * noise[i]
    return walk


def _light(picture: UInt8, rng: np.random.Generator, settings: Augment) -> UInt8:
    """Gamma, contrast and brightness through one table, and a cut-out off the mouth."""
    gamma = np.exp(rng.uniform(-settings.gamma, settings.gamma))
    gain = np.exp(rng.uniform(-settings.contrast, settings.contrast))
    level = rng.uniform(-settings.brightness, settings.brightness)
    grey = 255 * (np.arange(256) / 255) ** gamma
    table = np.clip((grey - 128) * gain + 128 + level, 0, 255).astype(np.uint8)
    changed = table[picture]
    if rng.random() < settings.p_cutout:
        size = picture.shape[1]
        width, height = rng.integers(size // 8, size // 3, 2)
        # The mouth lies in the middle third; a patch in the outer quarter leaves it free.
        x, y = rng.integers(0, size, 2)
        if rng.random() < 0.5:
            x = rng.choice([0, size - min(int(width), size // 4)])
        else:
            y = rng.choice([0, size - min(int(height), size // 4)])
        box = changed[:, y : y + height, x : x + width]
        if not (x + width > size // 3 and x < 2 * size // 3 and y + height > size // 3 and y < 2 * size // 3):
            box[:] = rng.integers(0, 256)
    return changed


def _degrade(picture: UInt8, rng: np.random.Generator, settings: Augment) -> UInt8:
    """Blur, loss of resolution, noise and JPEG, each by chance."""
    size, channels = picture.shape[1], picture.shape[3]
    frames = list(picture)
    if rng.random() < settings.p_blur:
        sigma = rng.uniform(0.3, 1.5)
        frames = [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames]
    if rng.random() < settings.p_small:
        small = int(size / rng.uniform(1.2, 2.5))
        frames = [
            cv2.resize(cv2.resize(f, (small, small), interpolation=cv2.INTER_AREA), (size, size))
            for f in frames
        ]
    stack = np.stack(frames).reshape(-1, size, size, channels)
    if rng.random() < settings.p_noise:
        noise = rng.normal(0, rng.uniform(1, 8), stack.shape)
        stack = np.clip(stack + noise, 0, 255).astype(np.uint8)
    if rng.random() < settings.p_jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
        coded = [cv2.imdecode(cv2.imencode(".jpg", frame, quality)[1], flag) for frame in stack]
        whole: UInt8 = np.concatenate([np.asarray(frame, np.uint8)[None] for frame in coded])
        return np.reshape(whole, (-1, size, size, channels))
    return np.asarray(stack, np.uint8)


def voice_colour(rng: np.random.Generator, settings: Augment, count: int = 13) -> Float64:
    """(13,) to add to every cepstrum of a clip: another loudness and another microphone."""
    spread = settings.tone / np.arange(1, count + 1) ** 0.7
    spread[0] = settings.loudness
    return rng.normal(size=count) * spread


def noisy(audio: Float32, other: Float32, rng: np.random.Generator) -> Float32:
    """`audio` in a room, with hiss or another voice under it, 3 to 30 dB below; (S,) float32."""
    sound = audio.astype(np.float64)
    if rng.random() < 0.5:
        sound = in_a_room(sound, rng)
    if rng.random() < 0.3:
        under: Array = np.roll(np.resize(other, len(audio)), int(rng.integers(len(audio)))).astype(np.float64)
    else:
        spectrum = np.fft.rfft(rng.normal(size=len(audio)))
        spectrum /= np.maximum(1, np.arange(len(spectrum))) ** rng.uniform(0, 1)  # white to pink and below
        under = np.fft.irfft(spectrum, len(audio))
    gain = np.sqrt(np.mean(sound**2) / max(float(np.mean(under**2)), 1e-12) / 10 ** (rng.uniform(3, 30) / 10))
    return np.clip(sound + gain * under, -1, 1).astype(np.float32)


def in_a_room(sound: Float64, rng: np.random.Generator) -> Float64:
    """`sound` with an echo that dies away by 60 dB in 0.1 to 0.6 s; the direct sound stays in its place."""
    rate = 16_000
    seconds = rng.uniform(0.1, 0.6)
    t = np.arange(int(seconds * rate)) / rate
    tail = rng.normal(size=len(t)) * 10 ** (-3 * t / seconds)
    tail *= rng.uniform(0.2, 1.0) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    size = len(sound) + len(tail) - 1
    return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)[: len(sound)]


def other_throat(audio: Float32, factor: float) -> Float64:
    """(4 T - 1, 13) MFCC of a voice whose pitch and formants are `factor` times as high, at the same times.

    Each analysis window is read `factor` times faster about its own middle.

    >>> from tkbench.metrics.mfcc import mfcc, to_pcm16
    >>> hum = (0.3 * np.sin(np.arange(6400) / 9)).astype(np.float32)
    >>> bool(np.abs(other_throat(hum, 1.0) - mfcc(to_pcm16(hum)))[2:-2].max() < 0.05)
    True
    """
    pcm = to_pcm16(audio).astype(np.float64)
    starts = np.arange(n_windows(len(pcm)))[:, None] * STEP
    offsets = (WINDOW - 1) / 2 + factor * (np.arange(-1, WINDOW) - (WINDOW - 1) / 2)
    read = np.interp(starts + offsets, np.arange(len(pcm)), pcm, left=0, right=0)
    return cepstra_of(read[:, 1:] - PREEMPHASIS * read[:, :-1])
