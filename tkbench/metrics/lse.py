"""LSE-C, LSE-D and AVOffset by a named recipe of the field: what runs the recipes of `lse_recipes`.

All recipes run the same way. A recipe turns a clip into pieces: crops of a face and their sound. The pieces of any
number of clips go through the network together, each gives a curve of distances (`sync.sync_curve`), and the recipe
pools the curves of a clip into its three values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tkbench.errors import BadMedia, UnknownName, UsageError
from tkbench.metrics.base import (
    NOT_GIVEN,
    ON_CPU,
    BuildContext,
    ClipScores,
    FileMetric,
    LossyCodecs,
    NetworkFile,
    Score,
    hashes,
    network_file,
    unscored,
)
from tkbench.metrics.faults import audio_fault, video_fault
from tkbench.metrics.lse_pieces import (
    WINDOW,
    Piece,
    Unusable,
    canvas_codings,
    file_codings,
    pieces,
    real_piece,
)
from tkbench.metrics.lse_recipes import RECIPES, LseRecipe
from tkbench.metrics.mfcc import mfcc, to_pcm16
from tkbench.metrics.sync import (
    JUDGE_TEXTS,
    JUDGES,
    MAX_SHIFT,
    MIN_FRAMES,
    load_judge,
    lse,
    lse_columns,
    sync_curve,
)
from tkbench.registry import suggest
from tkbench.types import Column, Float32, Float64, Reason, Released, Sample, UInt8

if TYPE_CHECKING:
    from tkbench.metrics.syncnet import Judge

LRS_FRAMES = WINDOW + 1
"""The published loop compares N - 5 windows of N frames, so it needs six."""
Precision = Literal["exact", "bf16"]
STARTS = {"file": "from the released file on", "canvas": "from the prepared canvas on"}


@dataclass(frozen=True, slots=True)
class TrackScore:
    """The network's answer to one piece of video and its sound."""

    start: int
    """First frame; `end` is the one after the last, both of the coded video."""
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
    for piece, lip_rows in zip(flat, lips, strict=True):
        voice_rows = judge.voice(mfcc(to_pcm16(piece.audio)))
        n = min(piece.windows, len(lip_rows), len(voice_rows))
        curve = sync_curve(lip_rows[:n], voice_rows[:n], ends=ends)
        scored.append(TrackScore(piece.start, piece.start + len(piece.crops), curve))
    rest = iter(scored)
    return [[next(rest) for _ in clip] for clip in clips]


def pool(recipe: LseRecipe, found: Sequence[TrackScore]) -> tuple[float, float, float]:
    """(LSE-C, LSE-D, AVOffset) of a clip from its tracks.

    "mean": means, the offset cut to a whole number as LatentSync does (`int(fmean(...))`). "best": the largest
    confidence, the smallest distance, and the offset of the surest track, as MoChaBench reports.
    """
    confidence, distance, offset = np.array([track.values for track in found], np.float64).T
    if recipe.pool == "best":
        return float(confidence.max()), float(distance.min()), float(offset[confidence.argmax()])
    mean = float(offset.mean())
    return float(confidence.mean()), float(distance.mean()), mean if len(found) == 1 else float(int(mean))


class Lse(FileMetric):
    """LSE-C, LSE-D and AVOffset by a named recipe and one judge.

    Every recipe but `tkbench-v1` codes the video first: it needs `BuildContext.lossy`. Recipes that start at the
    released file look at neither `video` nor `audio`.
    """

    name = "lse"

    def __init__(
        self,
        *,
        recipe: str = "tkbench-v1",
        judge: str = "syncnet-v2",
        precision: Precision = "exact",
        context: BuildContext = ON_CPU,
    ) -> None:
        if recipe not in RECIPES:
            raise UnknownName(f"no LSE recipe is called {recipe!r}: {suggest(recipe, list(RECIPES))}")
        if judge not in JUDGES:
            raise UnknownName(f"no judge is called {judge!r}: {suggest(judge, list(JUDGES))}")
        if precision not in ("exact", "bf16"):
            raise UnknownName(
                f"no precision is called {precision!r}: {suggest(precision, ['exact', 'bf16'])}"
            )
        self.recipe, self.precision = RECIPES[recipe], precision
        self._judge = network_file(judge)
        files = [self._judge, *([network_file("s3fd-syncnet")] if self.recipe.detector == "s3fd" else [])]
        super().__init__(context=context)
        self.weights = hashes(*files)
        self.columns = _columns(self.recipe, precision, files)

    @property
    def needs_file(self) -> bool:
        return self.recipe.source == "file"

    def score(
        self, sample: Sample, video: UInt8, audio: Float32, released: Released = NOT_GIVEN
    ) -> ClipScores:
        """The three values; the row's detail lists the tracks; the curve is there where the clip has one track.

        Unscored: shorter than the recipe can compare, no face, no track that is long and large enough, a
        missing network, no released file, anything that is not the sample's kind of picture or sound.
        """
        if self.needs_file:
            return self.score_file(released)
        fault = self._fault(sample, video, audio)
        if fault is not None:
            return unscored(self.columns, *fault)
        if self.recipe.cut == "real-track":
            return self._scored(lambda judge: [real_piece(sample, video, audio, judge.spec)])
        lossy = self._lossy()
        return self._scored(
            lambda judge: pieces(
                self.recipe, judge.spec, canvas_codings(sample, video, audio, lossy), self.device
            )
        )

    def score_file(self, released: Released) -> ClipScores:
        """The same of a video file, for recipes that start there."""
        lossy = self._lossy()
        return self._scored(
            lambda judge: pieces(self.recipe, judge.spec, file_codings(released, lossy), self.device)
        )

    def _scored(self, cut: Callable[[Judge], list[Piece]]) -> ClipScores:
        if self._judge.path is None:
            return unscored(self.columns, Reason.WEIGHTS_MISSING, self._judge.hint)
        judge = load_judge(self._judge.path, self.device, self.precision)
        try:
            found = score_pieces(judge, [cut(judge)], self.recipe.ends)[0]
        except (Unusable, BadMedia) as error:
            return unscored(self.columns, error.reason, error.detail)
        if not all(np.isfinite(track.curve).all() for track in found):
            return unscored(self.columns, Reason.NOT_FINITE, "the network answered nan or inf")
        detail = "" if self.recipe.cut != "tracks" else "; ".join(str(track) for track in found)
        values = (Score(value, detail=detail) for value in pool(self.recipe, found))
        named = {column.name: value for column, value in zip(self.columns, values, strict=True)}
        # Stored by the lag of the video, as `Sync` does.
        curve = np.ascontiguousarray(found[0].curve[::-1]) if len(found) == 1 else None
        return ClipScores(named, curve)

    def _fault(self, sample: Sample, video: UInt8, audio: Float32) -> tuple[Reason, str] | None:
        """What is wrong with the arrays, for recipes that start at them."""
        fault = video_fault(sample, video) or audio_fault(sample, audio)
        if fault is not None:
            return fault
        least = LRS_FRAMES if self.recipe.ends == "zeros" else MIN_FRAMES
        if len(video) < least:
            return Reason.TOO_SHORT, f"{len(video)} frames; at least {least} are needed"
        if self.recipe.cut != "whole" and not np.isfinite(sample.landmarks).all():
            return Reason.NOT_FINITE, "landmarks hold nan or inf"
        return None

    def _lossy(self) -> LossyCodecs:
        if self.context.lossy is None:
            raise UsageError(
                f"{self.recipe.name}: it codes the video first; build it with BuildContext(lossy=tkbench.media.lossy)"
            )
        return self.context.lossy


def _columns(
    recipe: LseRecipe, precision: str, files: Sequence[NetworkFile]
) -> tuple[Column, Column, Column]:
    judge = files[0].name
    short = "" if precision == "exact" else f"_{precision}"
    label = ", ".join(filter(None, (recipe.name, judge if JUDGES[judge] else "", precision if short else "")))
    networks = "+".join(f"{file.name}@{file.short_hash}" for file in files)
    return lse_columns(
        f"_{recipe.name.replace('-', '_')}{JUDGES[judge]}{short}",
        f" ({label})",
        signature=f"lse[{recipe.signature()},net:{networks},precision:{precision},shift:{MAX_SHIFT},mfcc:psf-0.6]",
        variant=f"By the recipe {recipe.name}, {STARTS[recipe.source]}. {JUDGE_TEXTS[judge]}",
    )
