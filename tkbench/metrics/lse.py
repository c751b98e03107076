"""LSE by a named recipe: the engine behind every row of `tkbench.metrics.lse_recipes`.

One way for all of them: a recipe turns a clip into pieces (crops and sound), the pieces of any number of clips
go through the network together, each gives a curve, and the recipe pools the curves of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tkbench import weights
from tkbench.errors import BadMedia, UnknownName, UsageError
from tkbench.metrics.base import ClipScores, Scored, audio_fault, unscored, video_fault
from tkbench.metrics.lse_pieces import WINDOW, Lossy, Piece, Unusable, pieces
from tkbench.metrics.lse_recipes import RECIPES, LseRecipe
from tkbench.metrics.mfcc import mfcc, to_pcm16
from tkbench.metrics.sync import JUDGES, MAX_SHIFT, MIN_FRAMES, load_judge, lse, sync_curve
from tkbench.registry import suggest
from tkbench.types import Float32, Float64, Metric, Reason, Sample, UInt8

if TYPE_CHECKING:
    from tkbench.metrics.syncnet import Judge

LRS_FRAMES = WINDOW + 1
"""The published loop compares N - 5 windows of N frames, so it needs six."""
Precision = Literal["exact", "bf16"]


@dataclass(frozen=True, slots=True)
class TrackScore:
    """What the network says of one piece of video and its sound."""

    start: int
    """First frame; `end` is the one behind the last, both of the coded video."""
    end: int
    curve: Float64
    """(31,) in the order of `sync_curve`."""

    @property
    def values(self) -> tuple[float, float, int]:
        """(LSE-C, LSE-D, AVOffset)."""
        return lse(self.curve)

    def __str__(self) -> str:
        confidence, distance, offset = self.values
        return f"frames {self.start}-{self.end}: C {confidence:.3f} D {distance:.3f} offset {offset:+d}"


def score_pieces(
    judge: Judge, clips: Sequence[Sequence[Piece]], ends: Literal["valid", "zeros"]
) -> list[list[TrackScore]]:
    """The curves of every piece of every clip; the pictures of all clips go through the network together."""
    flat = [piece for clip in clips for piece in clip]
    lips = judge.lips_of([piece.crops for piece in flat])
    scored = []
    for piece, seen in zip(flat, lips, strict=True):
        heard = judge.voice(mfcc(to_pcm16(piece.audio)))
        n = min(piece.windows, len(seen), len(heard))
        curve = sync_curve(seen[:n], heard[:n], ends=ends)
        scored.append(TrackScore(piece.start, piece.start + len(piece.crops), curve))
    rest = iter(scored)
    return [[next(rest) for _ in clip] for clip in clips]


def pool(rule: LseRecipe, found: Sequence[TrackScore]) -> tuple[float, float, float]:
    """(LSE-C, LSE-D, AVOffset) of a clip from its tracks.

    "mean": means, the offset cut to a whole number as LatentSync does (`int(fmean(...))`). "best": the largest
    confidence, the smallest distance, and the offset of the surest track, as MoChaBench reports.
    """
    confidence, distance, offset = np.array([track.values for track in found], np.float64).T
    if rule.pool == "best":
        return float(confidence.max()), float(distance.min()), float(offset[confidence.argmax()])
    mean = float(offset.mean())
    return float(confidence.mean()), float(distance.mean()), mean if len(found) == 1 else float(int(mean))


class Lse:
    """LSE-C, LSE-D and AVOffset by a named recipe and one judge; give it `attach(tkbench.lossy)` before `score`."""

    def __init__(
        self,
        *,
        recipe: str = "tkbench-v1",
        judge: str = "syncnet-v2",
        precision: Precision = "exact",
        device: str = "cpu",
    ) -> None:
        if recipe not in RECIPES:
            raise UnknownName(f"no LSE recipe is called {recipe!r}: {suggest(recipe, list(RECIPES))}")
        if judge not in JUDGES:
            raise UnknownName(f"no judge is called {judge!r}: {suggest(judge, list(JUDGES))}")
        if precision not in ("exact", "bf16"):
            raise UnknownName(
                f"no precision is called {precision!r}: {suggest(precision, ['exact', 'bf16'])}"
            )
        self.rule, self.judge, self.precision, self.device = RECIPES[recipe], judge, precision, device
        self._path, self._hint = weights.find_or_hint(judge)
        self.weights = {judge: weights.sha256(self._path)} if self._path else {}
        if self.rule.detector == "s3fd":
            path, _ = weights.find_or_hint("s3fd-syncnet")
            self.weights |= {"s3fd-syncnet": weights.sha256(path)} if path else {}
        self.columns = _columns(self.rule, judge, precision, self.weights)
        self._lossy: Lossy | None = None

    def attach(self, lossy: Lossy) -> None:
        """Say who makes the lossy generations; the recipe `tkbench-v1` needs none."""
        self._lossy = lossy

    def score(self, sample: Sample, video: UInt8, audio: Float32) -> ClipScores:
        """The three values; the row's detail lists the tracks; the curve is there where the clip has one track.

        Unscored: shorter than the recipe can compare, no face, no track that is long and large enough, a
        missing network, anything that is not the sample's kind of picture or sound.
        """
        fault = video_fault(sample, video) or audio_fault(sample, audio)
        if fault is not None:
            return unscored(self.columns, *fault)
        least = LRS_FRAMES if self.rule.ends == "zeros" else MIN_FRAMES
        if len(video) < least:
            return unscored(
                self.columns, Reason.TOO_SHORT, f"{len(video)} frames; at least {least} are needed"
            )
        if self.rule.cut != "whole" and not np.isfinite(sample.landmarks).all():
            return unscored(self.columns, Reason.NOT_FINITE, "landmarks hold nan or inf")
        if self._path is None:
            return unscored(self.columns, Reason.WEIGHTS_MISSING, self._hint)
        if self._lossy is None:
            raise UsageError(
                f"{self.rule.name}: nobody makes its lossy generations; call attach(tkbench.lossy)"
            )
        judge = load_judge(self._path, self.device, self.precision)
        try:
            parts = pieces(self.rule, judge.spec, sample, video, audio, self._lossy, self.device)
        except Unusable as error:
            return unscored(self.columns, error.reason, error.detail)
        except BadMedia as error:
            return unscored(self.columns, error.reason, error.detail)
        found = score_pieces(judge, [parts], self.rule.ends)[0]
        if not all(np.isfinite(track.curve).all() for track in found):
            return unscored(self.columns, Reason.NOT_FINITE, "the network answered nan or inf")
        detail = "" if self.rule.cut != "tracks" else "; ".join(str(track) for track in found)
        values = (Scored(value, detail=detail) for value in pool(self.rule, found))
        named = {column.name: value for column, value in zip(self.columns, values, strict=True)}
        # Stored by the lag of the video, as `Sync` does.
        curve = np.ascontiguousarray(found[0].curve[::-1]) if len(found) == 1 else None
        return ClipScores(named, curve)


def _columns(
    rule: LseRecipe, judge: str, precision: str, found: dict[str, str]
) -> tuple[Metric, Metric, Metric]:
    short = "" if precision == "exact" else f"_{precision}"
    end = f"_{rule.name.replace('-', '_')}{JUDGES[judge]}{short}"
    label = ", ".join(filter(None, (rule.name, judge if JUDGES[judge] else "", precision if short else "")))
    networks = "+".join(f"{name}@{found.get(name, 'missing')[:12]}" for name in _networks(rule, judge))
    facts = f"lse[{rule.signature()},net:{networks},precision:{precision},shift:{MAX_SHIFT},mfcc:psf-0.6]"
    return (
        Metric(f"lse_c{end}", f"LSE-C ({label})", "distance", "higher", 3, signature=facts),
        Metric(f"lse_d{end}", f"LSE-D ({label})", "distance", "lower", 3, signature=facts),
        Metric(f"av_offset{end}", f"AVOffset ({label})", "frames", "zero", 2, signature=facts),
    )


def _networks(rule: LseRecipe, judge: str) -> tuple[str, ...]:
    return (judge, "s3fd-syncnet") if rule.detector == "s3fd" else (judge,)
