"""LSE-C, LSE-D and AVOffset: how well lips and voice fit, judged by a SyncNet. Papers also say Sync-C and Sync-D.

The network gives one embedding of the lips and one of the voice per video frame. They are compared at 31 lags. The
mean distance over the clip at each lag is the curve. LSE-D is its minimum, LSE-C its median minus its minimum, and
AVOffset the lag of the minimum (Chung and Zisserman, "Out of time", ACCV 2016 workshop; named LSE by Prajwal et al.,
ACM MM 2020). Both scores are taken at the best lag, so a video that is late by a constant scores nearly as well as
one on time: read them with AVOffset, which alone shows it.

`ends` says what happens where a lag reaches beyond the clip:
- "valid" (recipe tkbench-v1): only pairs that exist are averaged, so short and long clips that are in sync are
  comparable. Where lips and voice do not belong together the best lag is chance, and chance is kinder to short clips.
- "zeros" (the published calc_pdist, joonson/syncnet_python@6efbb1c): the voice is padded with zero vectors. That raises
  the distance at large lags, and so lowers LSE-C of short clips.

AVOffset has the published sign: positive where the video lags (the mouth comes after the sound), so the anchor
`shift:5` scores +5.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tkbench import weights
from tkbench.crops import align
from tkbench.errors import BadInput, UnknownName
from tkbench.metrics.base import (
    ON_CPU,
    BuildContext,
    ClipScores,
    NetworkFile,
    PerClipMetric,
    Score,
    hashes,
    network_file,
    unscored,
)
from tkbench.metrics.faults import audio_fault, video_fault
from tkbench.metrics.mfcc import mfcc, to_pcm16
from tkbench.registry import suggest
from tkbench.runtime.devices import device_facts
from tkbench.runtime.feature_cache import recall
from tkbench.types import Column, Float32, Float64, Reason, Sample, UInt8

if TYPE_CHECKING:
    from tkbench.metrics.syncnet import Judge, SyncNetSpec

MAX_SHIFT = 15
"""Lags from -15 to 15 frames: 0.6 s to either side."""
MIN_FRAMES = 25
"""One second: 20 windows, of which 5 are left at the largest lag."""
CROP = "syncnet-224"
"""The crop recipe (`tkbench.crops`) whose picture a judge sees, or a part of it."""
Ends = Literal["valid", "zeros"]
JUDGES = {"syncnet-v2": "", "syncnet-synth": "_synth"}
"""Weight name -> what its columns' names end in. Scores of different judges have different scales."""
JUDGE_TEXTS = {
    "syncnet-v2": "Judge: syncnet-v2, the field's network. Its numbers never compare with those of syncnet-synth.",
    "syncnet-synth": "Judge: syncnet-synth, trained on synthetic faces alone. On real faces it is a weak judge, "
    "which can prefer a blurred mouth to a sharp one. Its numbers never compare with those of syncnet-v2.",
}


def sync_curve(lips: Float32, voice: Float32, *, max_shift: int = MAX_SHIFT, ends: Ends = "valid") -> Float64:
    """Mean distance between lips and voice at each lag; entry k compares lips v with voice v + k - max_shift.

    lips, voice: (N, D) float, one row per video frame -> (2 * max_shift + 1,) float64, in the order of
    calc_pdist. With "zeros", 1e-6 is added to each component of a difference, as torch's pairwise_distance
    does. With "valid", a lag that no pair has is nan.

    >>> int(sync_curve(np.eye(4), np.eye(4), max_shift=1).argmin())
    1
    """
    if lips.ndim != 2 or lips.shape != voice.shape or len(lips) == 0:
        raise BadInput(
            f"lips {lips.shape} and voice {voice.shape}; expected two equal shapes (N, D) with N > 0"
        )
    a, b = lips.astype(np.float64), voice.astype(np.float64)
    n = len(a)
    curve = np.full(2 * max_shift + 1, np.nan)
    if ends == "zeros":
        padded = np.pad(b, ((max_shift, max_shift), (0, 0)))
        for k in range(len(curve)):
            curve[k] = np.linalg.norm(a - padded[k : k + n] + 1e-6, axis=1).mean()
        return curve
    for k, shift in enumerate(range(-max_shift, max_shift + 1)):
        first, last = max(0, -shift), min(n, n - shift)
        if first < last:
            curve[k] = np.linalg.norm(a[first:last] - b[first + shift : last + shift], axis=1).mean()
    return curve


def lse(curve: Float64) -> tuple[float, float, int]:
    """(LSE-C, LSE-D, AVOffset in frames) of a curve in the order of `sync_curve`.

    >>> lse(np.array([5.0, 4.0, 5.0, 1.0, 5.0]))
    (4.0, 1.0, -1)
    """
    best = int(np.argmin(curve))
    return float(np.median(curve) - curve[best]), float(curve[best]), len(curve) // 2 - best


def confidence_at(curve: Float64, offset: int = 0) -> float:
    """The curve's median minus its value where the video is taken to lag by `offset` frames.

    At AVOffset this is LSE-C; at 0 it is what LSE-C would be if a constant lag were held against the video.
    """
    return float(np.median(curve) - curve[len(curve) // 2 - offset])


def judge_crops(video: UInt8, landmarks: Float32, spec: SyncNetSpec) -> UInt8:
    """The pictures that a judge sees: the part of the syncnet-224 crop that its spec names, (T, size, size, 3) RGB.

    The crop follows `landmarks`, those of the true video.
    """
    left, top, right, _ = spec.region
    whole = round(spec.size / (right - left))
    matrices = align.matrices(landmarks, CROP, size=(whole, whole))
    matrices[:, 0, 2] -= whole * left
    matrices[:, 1, 2] -= whole * top
    border = align.recipe_of(CROP).border
    return align.warp(video, matrices, (spec.size, spec.size), border=border)


def embed(
    judge: Judge, video: UInt8, landmarks: Float32, audio: Float32, *, named: str = ""
) -> tuple[Float32, Float32]:
    """(lips, voice) of a clip: (N, D) each, N = frames - 5, as many as the published script compares.

    named: all that tells this judge from others, the sha256 of its weights among it. Embeddings of crops and sounds
    that it was given before are then read back (`tkbench.runtime.feature_cache`). Without a name nothing is.
    """
    crops, pcm = judge_crops(video, landmarks, judge.spec), to_pcm16(audio)
    if named:
        (lips,) = recall(f"lips|{named}", crops, make=lambda: (judge.lips(crops),))
        (voice,) = recall(f"voice|{named}", pcm, make=lambda: (judge.voice(mfcc(pcm)),))
    else:
        lips, voice = judge.lips(crops), judge.voice(mfcc(pcm))
    n = min(len(lips), len(voice))
    return lips[:n], voice[:n]


@weights.once_per_content(4)
def load_judge(path: Path, device: str = "cpu", precision: str = "exact") -> Judge:
    """The judge in a checked weight file, built once per process."""
    from tkbench.metrics.syncnet import Judge, load_syncnet

    # The batches that were measured to be fastest.
    batch = 64 if device != "cpu" else 8 if precision == "bf16" else 20
    return Judge(load_syncnet(path), device=device, precision=precision, batch=batch)


class Sync(PerClipMetric):
    """LSE-C, LSE-D and AVOffset by one judge, on the crop of the true video's own track."""

    name = "sync"

    def __init__(
        self, *, judge: str = "syncnet-v2", ends: Ends = "valid", context: BuildContext = ON_CPU
    ) -> None:
        if judge not in JUDGES:
            raise UnknownName(f"no judge is called {judge!r}: {suggest(judge, list(JUDGES))}")
        if ends not in ("valid", "zeros"):
            raise UnknownName(f"no ends are called {ends!r}: {suggest(ends, ['valid', 'zeros'])}")
        self.judge, self.ends = judge, ends
        self._file = network_file(judge)
        super().__init__(context=context)
        self.weights = hashes(self._file)
        self.columns = _columns(self._file, ends)

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """The three values and the curve, whose entry k is for a video taken to lag by k - 15 frames."""
        fault = video_fault(sample, video) or audio_fault(sample, audio)
        if fault is not None:
            return unscored(self.columns, *fault)
        if len(video) < MIN_FRAMES:
            found = f"{len(video)} frames; {MAX_SHIFT} frames of lag need at least {MIN_FRAMES} (1 s)"
            return unscored(self.columns, Reason.TOO_SHORT, found)
        if not np.isfinite(sample.landmarks).all():
            return unscored(self.columns, Reason.NOT_FINITE, "landmarks hold nan or inf")
        if self._file.path is None:
            return unscored(self.columns, Reason.WEIGHTS_MISSING, self._file.hint)
        judge = load_judge(self._file.path, self.device)
        named = f"{self._file.sha256}|exact|{device_facts(self.device)}"
        curve = sync_curve(*embed(judge, video, sample.landmarks, audio, named=named), ends=self.ends)
        if not np.isfinite(curve).all():
            return unscored(self.columns, Reason.NOT_FINITE, "the network answered nan or inf")
        values = (Score(float(value)) for value in lse(curve))
        by_name = {column.name: value for column, value in zip(self.columns, values, strict=True)}
        # Stored by the lag of the video, so that its minimum stands at AVOffset.
        return ClipScores(by_name, np.ascontiguousarray(curve[::-1]))


def _columns(file: NetworkFile, ends: str) -> tuple[Column, Column, Column]:
    suffix = JUDGES[file.name]
    network = f"net:{file.name}@{file.short_hash}"
    return lse_columns(
        suffix,
        f" ({file.name})" if suffix else "",
        signature=f"lse[{network},shift:{MAX_SHIFT},ends:{ends},crop:{CROP},track:real,mfcc:psf-0.6]",
        variant=JUDGE_TEXTS[file.name],
    )


def lse_columns(suffix: str, label: str, *, signature: str, variant: str) -> tuple[Column, Column, Column]:
    """The columns of LSE-C, LSE-D and AVOffset by one judge and recipe; suffix and label end their names and
    headings.
    """
    return (
        Column(
            "lse_c" + suffix,
            "LSE-C" + label,
            "distance",
            "higher",
            3,
            signature=signature,
            bounds=(0.0, math.inf),
            also_called=("Sync-C", "Sync_conf", "SyncNet confidence", "AVConf"),
            near_true=True,
            text="How much better lips and voice fit at their best shift than at a typical one: the median minus the "
            "minimum of the distance over shifts of −15 to 15 frames. It is taken at the best shift, so a constant lag "
            "barely lowers it: read it with AVOffset. Near 0, no shift fits better than another.",
            variant=variant,
        ),
        Column(
            "lse_d" + suffix,
            "LSE-D" + label,
            "distance",
            "lower",
            3,
            signature=signature,
            bounds=(0.0, math.inf),
            also_called=("Sync-D", "SyncNet minimum distance"),
            near_true=True,
            text="The mean distance between lips and voice at their best shift. Like LSE-C it forgives a constant lag: "
            "read it with AVOffset.",
            variant=variant,
        ),
        Column(
            "av_offset" + suffix,
            "AVOffset" + label,
            "frames",
            "zero",
            2,
            signature=signature,
            bounds=(-float(MAX_SHIFT), float(MAX_SHIFT)),
            also_called=("AV offset",),
            text="The shift at which lips and voice fit best, in frames of 40 ms. Positive: the mouth comes after the "
            "sound. Where no shift fits well its mean says nothing, so look at LSE-C first.",
            variant=variant,
        ),
    )
