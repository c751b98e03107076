"""Whether a judge is fit for its task: its scores of clips whose truth is known.

The videos are the true one, the true one early or late by up to 5 frames, a still face, a blurred one, and the true
one with another clip's voice. A fit judge finds the shifts, its confidence falls with every further frame of lag, and
it gives no confidence to still faces and wrong voices. The clips must have speakers and sentences that it was not
trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from tkbench.metrics.sync import MAX_SHIFT, confidence_at, embed, lse, sync_curve
from tkbench.metrics.syncnet import Judge
from tkbench.types import Float64, Sample, UInt8

SHIFTS = tuple(range(-5, 6))
MIN_FRAMES = 50
"""Two seconds; shorter clips are left out and counted."""


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """Mean scores for each kind of video over the same clips, and the mean curve of the true ones."""

    n: int
    n_short: int
    rows: dict[str, tuple[float, float, float, float]]
    """Kind -> mean LSE-C, mean LSE-D, mean confidence at zero lag, and the share of clips whose AVOffset is right
    within one frame (nan for kinds that have no right offset)."""
    curve: Float64
    """(31,) confidence at each lag that the true video may be taken to have, -15 to 15 frames: the median minus the
    curve, averaged over clips."""

    @property
    def offset_share(self) -> float:
        """Share of offsets that are right within one frame, over the true and the shifted videos."""
        return float(
            np.mean([row[3] for kind, row in self.rows.items() if kind == "real" or "shift" in kind])
        )

    def falls(self, largest: int = 5) -> bool:
        """Whether the confidence falls with every further frame of lag, to both sides, up to `largest`.

        It must fall both for the true video at a wrong lag and for the shifted videos at none.
        """
        shifted = np.array([self.rows[_shift(k)][2] for k in range(-largest, largest + 1)])
        at_wrong_lag = self.curve[MAX_SHIFT - largest : MAX_SHIFT + largest + 1]
        return all(
            bool((np.diff(side) < 0).all())
            for values in (shifted, at_wrong_lag)
            for side in (values[largest:], values[: largest + 1][::-1])
        )

    def __str__(self) -> str:
        lines = [f"{self.n} clips of 2 s or more ({self.n_short} shorter ones left out)"]
        lines.append(f"{'video':>16}  LSE-C  LSE-D  at lag 0  offset within 1")
        for kind, (c, d, zero, share) in self.rows.items():
            right = "" if np.isnan(share) else f"{share:15.1%}"
            lines.append(f"{kind:>16}  {c:5.3f}  {d:5.3f}  {zero:8.3f}  {right}".rstrip())
        lags = "  ".join(f"{k:+d}: {self.curve[MAX_SHIFT + k]:.3f}" for k in SHIFTS)
        lines.append(f"true video at a wrong lag: {lags}")
        falls = "yes" if self.falls() else "no"
        lines.append(
            f"right offsets {self.offset_share:.1%}; confidence falls with |lag| from 0 to 5: {falls}"
        )
        return "\n".join(lines)


def check_judge(judge: Judge, samples: Iterable[Sample]) -> JudgeReport:
    """Score true, shifted, still, blurred and wrongly voiced videos of `samples` with `judge`."""
    clips = list(samples)
    usable = [sample for sample in clips if len(sample) >= MIN_FRAMES]
    kinds = [_shift(k) for k in SHIFTS] + ["still", "blur", "other voice"]
    found: dict[str, list[tuple[float, float, float, float]]] = {kind: [] for kind in kinds}
    curves = []
    for index, sample in enumerate(usable):
        for k in SHIFTS:
            curve = _curve(judge, sample, late(sample.video, k))
            found[_shift(k)].append(_facts(curve, k))
            if k == 0:
                curves.append([confidence_at(curve, offset) for offset in range(-MAX_SHIFT, MAX_SHIFT + 1)])
        still = np.broadcast_to(sample.video[:1], sample.video.shape)
        soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 4.0) for frame in sample.video])
        found["still"].append(_facts(_curve(judge, sample, still), None))
        found["blur"].append(_facts(_curve(judge, sample, soft), 0))
        voice = usable[(index + len(usable) // 2) % len(usable)].audio
        other = np.resize(voice, len(sample.audio)).astype(np.float32)
        curve = sync_curve(*embed(judge, sample.video, sample.landmarks, other))
        found["other voice"].append(_facts(curve, None))
    rows = {kind: tuple(np.mean(values, axis=0).tolist()) for kind, values in found.items() if values}
    return JudgeReport(len(usable), len(clips) - len(usable), rows, np.mean(curves, axis=0))


def late(video: UInt8, frames: int) -> UInt8:
    """The video delayed by `frames` (negative: early), its end frames held, as the anchor `shift` does it.

    >>> late(np.arange(4, dtype=np.uint8), 1).tolist()
    [0, 0, 1, 2]
    """
    return video[np.clip(np.arange(len(video)) - frames, 0, len(video) - 1)]


def _shift(k: int) -> str:
    return f"shift{k:+d}" if k else "real"


def _curve(judge: Judge, sample: Sample, video: UInt8) -> Float64:
    return sync_curve(*embed(judge, video, sample.landmarks, sample.audio))


def _facts(curve: Float64, lag: int | None) -> tuple[float, float, float, float]:
    confidence, distance, offset = lse(curve)
    right = np.nan if lag is None else float(abs(offset - lag) <= 1)
    return confidence, distance, confidence_at(curve), right
