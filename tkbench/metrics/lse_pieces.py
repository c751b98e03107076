"""From a clip to what goes into the network, as a recipe of `tkbench.metrics.lse_recipes` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import cv2
import numpy as np

from tkbench import weights
from tkbench.crops import recipes
from tkbench.metrics import tracks
from tkbench.metrics.lse_recipes import LseRecipe
from tkbench.metrics.sync import judge_crops
from tkbench.types import SAMPLES_PER_FRAME, Float32, Float64, Reason, Sample, UInt8

if TYPE_CHECKING:
    from tkbench.metrics.syncnet import SyncNetSpec

WINDOW = 5


class Lossy(Protocol):
    """Who makes the lossy generations; `tkbench.media.lossy` is one. Metrics run no encoder of their own."""

    def jpegs(self, frames: UInt8) -> UInt8: ...

    def first_generation(
        self, frames: UInt8, audio: Float32, container: Literal["avi", "mp4"]
    ) -> tuple[UInt8, Float32]: ...

    def second_generation(
        self, crops: UInt8, audio: Float32, container: Literal["avi", "mp4"]
    ) -> tuple[UInt8, Float32]: ...


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
    """A clip that a recipe finds nothing in; caught by `Lse.score`, which turns it into a row with a reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


Once = Callable[[tuple[str, ...], Callable[[], Any]], Any]


class _Desk:
    """What was made of the clip at hand: recipes and judges share codings, boxes and crops, and pay for them once."""

    def __init__(self) -> None:
        self._clip: tuple[object, ...] = ()
        self._made: dict[tuple[str, ...], Any] = {}

    def of(self, *clip: object) -> Once:
        """A store for these very objects; another clip clears the desk."""
        if len(clip) != len(self._clip) or any(a is not b for a, b in zip(clip, self._clip, strict=True)):
            self._clip, self._made = clip, {}
        return self._once

    def _once(self, name: tuple[str, ...], make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


_desk = _Desk()


def pieces(
    rule: LseRecipe,
    spec: SyncNetSpec,
    sample: Sample,
    video: UInt8,
    audio: Float32,
    lossy: Lossy,
    device: str,
) -> list[Piece]:
    """The inputs of the network for one clip; raises Unusable where a recipe has nothing to score."""
    if rule.cut == "real-track":
        return [Piece(0, judge_crops(video, sample.landmarks, spec), audio)]
    once = _desk.of(sample, video, audio, lossy)
    if rule.cut == "whole":
        return [Piece(0, shrunk(once(("jpegs",), lambda: lossy.jpegs(video)), spec), audio)]
    made = once(("pieces", rule.name), lambda: _tracked(rule, sample, video, audio, lossy, device, once))
    return [Piece(part.start, shrunk(part.crops, spec), part.audio) for part in made]


def _tracked(
    rule: LseRecipe, sample: Sample, video: UInt8, audio: Float32, lossy: Lossy, device: str, once: Once
) -> list[Piece]:
    """The crops of each track as they come out of the last encoder."""
    coding = rule.container
    seen, heard = once(("first", coding), lambda: lossy.first_generation(video, audio, coding))
    heard = heard if rule.coded_voice else audio
    found, rejected = tracks.link(
        once(("boxes", coding, rule.detector, device), lambda: boxes(rule, sample, seen, device)),
        once(("scenes", coding), lambda: tracks.scene_starts(seen)),
        min_track=rule.min_track,
        strict=rule.strict,
    )
    if not found:
        raise _nothing(rule, rejected)
    out = []
    for track in found:
        crops = tracks.crop_track(seen, track)
        sound = heard[track.start * SAMPLES_PER_FRAME : track.end * SAMPLES_PER_FRAME]
        crops, sound = lossy.second_generation(crops, sound, rule.container)
        if min(len(crops), len(sound) // SAMPLES_PER_FRAME) > WINDOW:
            out.append(Piece(track.start, crops, sound))
    if not out:
        raise Unusable(Reason.AUDIO_TOO_SHORT, "the sound ends before the first track does")
    return out


def _nothing(rule: LseRecipe, rejected: Sequence[int]) -> Unusable:
    if not rejected:
        return Unusable(Reason.NO_FACE, f"{rule.detector} finds no face")
    if max(rejected) == 0:
        return Unusable(Reason.FACE_TOO_SMALL, f"no track with a face of more than {tracks.MIN_FACE} pixels")
    longest = f"the longest track or scene has {max(rejected)} frames, more than {rule.min_track} are needed"
    return Unusable(Reason.TOO_SHORT, longest)


def boxes(rule: LseRecipe, sample: Sample, seen: UInt8, device: str) -> list[Float64]:
    """Faces per frame of the coded video `seen`, each (n, 4).

    With MediaPipe: the prepared track's box, held over the frames that coding repeated at the start.
    """
    if rule.detector == "s3fd":
        from tkbench.metrics.s3fd import WEIGHT, detect, load_s3fd

        path, hint = weights.find_or_hint(WEIGHT)
        if path is None:
            raise Unusable(Reason.WEIGHTS_MISSING, hint)
        network = load_s3fd(path, device)
        return [detect(network, frame) for frame in seen]
    x, y, wide, tall = recipes.face_box(sample.landmarks)
    all_boxes = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], axis=1)
    late = len(seen) - len(all_boxes)
    order = np.clip(np.arange(len(seen)) - max(0, late), 0, len(all_boxes) - 1)
    return [all_boxes[t : t + 1] for t in order]


def shrunk(frames: UInt8, spec: SyncNetSpec) -> UInt8:
    """Whole pictures as the network's input: resized as the scripts do, then the part that the judge looks at."""
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
