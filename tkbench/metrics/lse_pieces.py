"""The input of the network for one clip, as an LSE recipe (`lse_recipes`) makes it: crops of faces and their sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

import cv2
import numpy as np

from tkbench.crops import recipes as crop_recipes
from tkbench.metrics import tracks
from tkbench.metrics.base import LossyCodecs, network_file
from tkbench.metrics.lse_recipes import LseRecipe
from tkbench.metrics.sync import judge_crops
from tkbench.types import SAMPLES_PER_FRAME, Float32, Float64, Reason, Sample, UInt8

if TYPE_CHECKING:
    from tkbench.metrics.syncnet import SyncNetSpec

WINDOW = 5
"""Frames that one embedding of the lips sees."""
Container = Literal["avi", "mp4"]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Piece:
    """What goes into the network: crops (T, size, size, 3) RGB and their sound (S,)."""

    start: int
    crops: UInt8
    audio: Float32

    @property
    def windows(self) -> int:
        """min(frames, whole frames of sound) - 5, as the published script counts."""
        return min(len(self.crops), len(self.audio) // SAMPLES_PER_FRAME) - WINDOW


class Unusable(Exception):
    """A clip in which a recipe finds nothing to score; `Lse.score` turns it into a row with a reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(eq=False)
class Codings:
    """One clip and what was made of it so far: several recipes and judges share codings, boxes and crops."""

    sample: Sample
    video: UInt8
    audio: Float32
    lossy: LossyCodecs
    _jpegs: UInt8 | None = None
    _first: dict[Container, tuple[UInt8, Float32]] = field(default_factory=dict)
    _scenes: dict[Container, list[int]] = field(default_factory=dict)
    _boxes: dict[tuple[Container, str, str], list[Float64]] = field(default_factory=dict)
    _tracked: dict[str, list[Piece]] = field(default_factory=dict)

    def jpegs(self) -> UInt8:
        """The frames through one JPEG generation."""
        if self._jpegs is None:
            self._jpegs = self.lossy.jpegs(self.video)
        return self._jpegs

    def first_generation(self, container: Container) -> tuple[UInt8, Float32]:
        """Frames and sound as the detector of the scripts gets them."""
        return _remembered(
            self._first, container, lambda: self.lossy.first_generation(self.video, self.audio, container)
        )

    def scene_starts(self, container: Container) -> list[int]:
        """First frames of the scenes of the coded video."""
        return _remembered(
            self._scenes, container, lambda: tracks.scene_starts(self.first_generation(container)[0])
        )

    def boxes(self, recipe: LseRecipe, device: str) -> list[Float64]:
        """Faces per frame of the coded video, each (n, 4)."""
        key = (recipe.container, recipe.detector, device)
        return _remembered(
            self._boxes,
            key,
            lambda: boxes(recipe, self.sample, self.first_generation(recipe.container)[0], device),
        )

    def tracked(self, recipe: LseRecipe, device: str) -> list[Piece]:
        """The crops of each track as they come out of the last encoder, and their sound."""
        return _remembered(self._tracked, recipe.name, lambda: _tracked(recipe, self, device))


def _remembered(known: dict[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    if key not in known:
        known[key] = make()
    return known[key]


_last: list[Codings] = []
"""The codings of the clip that was scored last, and of no other: they are large."""


def codings_of(sample: Sample, video: UInt8, audio: Float32, lossy: LossyCodecs) -> Codings:
    """The codings of these very arrays: those of the call before, or fresh ones."""
    for old in _last:
        if old.sample is sample and old.video is video and old.audio is audio and old.lossy is lossy:
            return old
    _last[:] = [Codings(sample, video, audio, lossy)]
    return _last[0]


def pieces(recipe: LseRecipe, spec: SyncNetSpec, clip: Codings, device: str) -> list[Piece]:
    """The inputs of the network for one clip; raises Unusable where a recipe has nothing to score."""
    if recipe.cut == "real-track":
        return [Piece(0, judge_crops(clip.video, clip.sample.landmarks, spec), clip.audio)]
    if recipe.cut == "whole":
        return [Piece(0, shrunk(clip.jpegs(), spec), clip.audio)]
    return [Piece(part.start, shrunk(part.crops, spec), part.audio) for part in clip.tracked(recipe, device)]


def _tracked(recipe: LseRecipe, clip: Codings, device: str) -> list[Piece]:
    frames, coded_sound = clip.first_generation(recipe.container)
    voice = coded_sound if recipe.coded_voice else clip.audio
    found, rejected = tracks.link(
        clip.boxes(recipe, device),
        clip.scene_starts(recipe.container),
        min_track=recipe.min_track,
        strict=recipe.strict,
    )
    if not found:
        raise _nothing(recipe, rejected)
    out = []
    for track in found:
        crops = tracks.crop_track(frames, track)
        sound = voice[track.start * SAMPLES_PER_FRAME : track.end * SAMPLES_PER_FRAME]
        crops, sound = clip.lossy.second_generation(crops, sound, recipe.container)
        if min(len(crops), len(sound) // SAMPLES_PER_FRAME) > WINDOW:
            out.append(Piece(track.start, crops, sound))
    if not out:
        raise Unusable(Reason.AUDIO_TOO_SHORT, "the sound ends before the first track does")
    return out


def _nothing(recipe: LseRecipe, rejected: Sequence[int]) -> Unusable:
    if not rejected:
        return Unusable(Reason.NO_FACE, f"{recipe.detector} finds no face")
    if max(rejected) == 0:
        return Unusable(Reason.FACE_TOO_SMALL, f"no track with a face of more than {tracks.MIN_FACE} pixels")
    longest = (
        f"the longest track or scene has {max(rejected)} frames, more than {recipe.min_track} are needed"
    )
    return Unusable(Reason.TOO_SHORT, longest)


def boxes(recipe: LseRecipe, sample: Sample, coded: UInt8, device: str) -> list[Float64]:
    """Faces per frame of the coded video, each (n, 4).

    With MediaPipe: the prepared track's box, held over the frames that coding repeated at the start.
    """
    if recipe.detector == "s3fd":
        from tkbench.metrics.s3fd import WEIGHT, detect, load_s3fd

        file = network_file(WEIGHT)
        if file.path is None:
            raise Unusable(Reason.WEIGHTS_MISSING, file.hint)
        network = load_s3fd(file.path, device)
        return [detect(network, frame) for frame in coded]
    x, y, wide, tall = crop_recipes.face_box(sample.landmarks)
    all_boxes = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], axis=1)
    late = len(coded) - len(all_boxes)
    order = np.clip(np.arange(len(coded)) - max(0, late), 0, len(all_boxes) - 1)
    return [all_boxes[t : t + 1] for t in order]


def shrunk(frames: UInt8, spec: SyncNetSpec) -> UInt8:
    """Whole pictures as the network's input: resized as the scripts do, then the part that the judge sees."""
    left, top, right, _ = spec.region
    whole = round(spec.size / (right - left))
    if frames.shape[1:3] == (whole, whole) == (spec.size, spec.size):
        return frames  # resizing to the same size changes nothing
    x, y = round(whole * left), round(whole * top)
    out = np.empty((len(frames), spec.size, spec.size, 3), np.uint8)
    for frame, place in zip(frames, out, strict=True):
        small = cv2.resize(np.ascontiguousarray(frame), (whole, whole))
        place[...] = small[y : y + spec.size, x : x + spec.size]
    return out
