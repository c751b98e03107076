"""The input of the network for one clip, as an LSE recipe (`lse_recipes`) makes it: crops of faces and their sound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import cv2
import numpy as np

from tkbench.crops import recipes as crop_recipes
from tkbench.metrics import tracks
from tkbench.metrics.base import CodedVideo, LossyCodecs, network_file
from tkbench.metrics.lse_recipes import LseRecipe
from tkbench.metrics.scenes import SceneRule, scenes
from tkbench.metrics.sync import judge_crops
from tkbench.types import SAMPLE_RATE, SAMPLES_PER_FRAME, Float32, Float64, Reason, Released, Sample, UInt8

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


class Codings(ABC):
    """One clip and what was made of it so far: several recipes and judges share codings, boxes and crops."""

    def __init__(self, lossy: LossyCodecs) -> None:
        self.lossy = lossy
        self._jpegs: Sequence[UInt8] | None = None
        self._first: dict[Container, CodedVideo] = {}
        self._scenes: dict[tuple[Container, SceneRule], list[tuple[int, int]]] = {}
        self._boxes: dict[tuple[Container, str, str], list[Float64]] = {}
        self._tracked: dict[str, list[Piece]] = {}

    @abstractmethod
    def _make_jpegs(self) -> Sequence[UInt8]: ...

    @abstractmethod
    def _make_first(self, container: Container) -> CodedVideo: ...

    @abstractmethod
    def sound(self) -> Float32:
        """The voice as it goes with `jpegs`."""

    @abstractmethod
    def voice(self) -> Float32:
        """The voice beside the coded video, where a recipe does not take the coded one."""

    def jpegs(self) -> Sequence[UInt8]:
        """The frames through one JPEG generation."""
        if self._jpegs is None:
            self._jpegs = self._make_jpegs()
        return self._jpegs

    def first_generation(self, container: Container) -> CodedVideo:
        """The video as the detector of the scripts gets it."""
        return _remembered(self._first, container, lambda: self._make_first(container))

    def scenes(self, container: Container, rule: SceneRule) -> list[tuple[int, int]]:
        """The scenes of the coded video."""
        return _remembered(
            self._scenes,
            (container, rule),
            lambda: scenes(self.first_generation(container).frames(), rule),
        )

    def boxes(self, recipe: LseRecipe, device: str) -> list[Float64]:
        """Faces per frame of the coded video, each (n, 4)."""
        key = (recipe.container, recipe.detector, device)
        return _remembered(self._boxes, key, lambda: self._make_boxes(recipe, device))

    def _make_boxes(self, recipe: LseRecipe, device: str) -> list[Float64]:
        return detected(self.first_generation(recipe.container).pictures, device)

    def tracked(self, recipe: LseRecipe, device: str) -> list[Piece]:
        """The crops of each track as they come out of the last encoder, and their sound."""
        return _remembered(self._tracked, recipe.name, lambda: _tracked(recipe, self, device))


class CanvasCodings(Codings):
    """From the canvas of a generated video and the voice of the shard."""

    def __init__(self, sample: Sample, video: UInt8, audio: Float32, lossy: LossyCodecs) -> None:
        super().__init__(lossy)
        self.sample, self.video, self.audio = sample, video, audio

    def _make_jpegs(self) -> Sequence[UInt8]:
        return list(self.lossy.jpegs(self.video))

    def _make_first(self, container: Container) -> CodedVideo:
        return self.lossy.first_generation(self.video, self.audio, container)

    def sound(self) -> Float32:
        return self.audio

    def voice(self) -> Float32:
        return self.audio

    def _make_boxes(self, recipe: LseRecipe, device: str) -> list[Float64]:
        if recipe.detector == "s3fd":
            return super()._make_boxes(recipe, device)
        return track_boxes(self.sample, len(self.first_generation(recipe.container).pictures))


class FileCodings(Codings):
    """From the video file as it was released."""

    def __init__(self, released: Released, lossy: LossyCodecs) -> None:
        super().__init__(lossy)
        if released.video is None:
            raise Unusable(Reason.NO_RELEASED_FILE, released.detail)
        self.released, self._video = released, released.video

    def _make_jpegs(self) -> Sequence[UInt8]:
        return self.lossy.jpegs_of(self._video)

    def _make_first(self, container: Container) -> CodedVideo:
        return self.lossy.first_generation_of(self._video, container)

    def sound(self) -> Float32:
        return self.lossy.sound_of(self._video)

    def voice(self) -> Float32:
        return self.lossy.voice_of(self.released.voice or self._video)


def _remembered(known: dict[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    if key not in known:
        known[key] = make()
    return known[key]


_canvas: list[CanvasCodings] = []
_file: list[FileCodings] = []
"""The codings of the clip that was scored last, and of no other: they are large."""


def canvas_codings(sample: Sample, video: UInt8, audio: Float32, lossy: LossyCodecs) -> CanvasCodings:
    """The codings of these very arrays: those of the call before, or fresh ones."""
    for old in _canvas:
        if old.sample is sample and old.video is video and old.audio is audio and old.lossy is lossy:
            return old
    _canvas[:] = []  # before the next are made
    _canvas.append(CanvasCodings(sample, video, audio, lossy))
    return _canvas[0]


def file_codings(released: Released, lossy: LossyCodecs) -> FileCodings:
    """The codings of this very file: those of the call before, or fresh ones. Raises Unusable without a file."""
    for old in _file:
        if old.released is released and old.lossy is lossy:
            return old
    _file[:] = []
    _file.append(FileCodings(released, lossy))
    return _file[0]


def pieces(recipe: LseRecipe, spec: SyncNetSpec, clip: Codings, device: str) -> list[Piece]:
    """The inputs of the network for one clip; raises Unusable where a recipe has nothing to score."""
    if recipe.cut == "whole":
        return [enough(Piece(0, shrunk(clip.jpegs(), spec), clip.sound()))]
    return [Piece(part.start, shrunk(part.crops, spec), part.audio) for part in clip.tracked(recipe, device)]


def real_piece(sample: Sample, video: UInt8, audio: Float32, spec: SyncNetSpec) -> Piece:
    """The input of the recipe `tkbench-v1`: no coding, and the true video's own track."""
    return Piece(0, judge_crops(video, sample.landmarks, spec), audio)


def enough(piece: Piece) -> Piece:
    """The piece, if the published loop has a window in it; raises Unusable otherwise."""
    if piece.windows < 1:
        seconds = len(piece.audio) / SAMPLE_RATE
        found = f"{len(piece.crops)} frames and {seconds:.2f} s of sound"
        raise Unusable(Reason.TOO_SHORT, f"{found}; at least {WINDOW + 1} frames of both are needed")
    return piece


def _tracked(recipe: LseRecipe, clip: Codings, device: str) -> list[Piece]:
    assert recipe.scenes is not None
    coded = clip.first_generation(recipe.container)
    found, rejected = tracks.link(
        clip.boxes(recipe, device),
        clip.scenes(recipe.container, recipe.scenes),
        min_track=recipe.min_track,
        strict=recipe.strict,
    )
    if not found:
        raise _nothing(recipe, rejected)
    voice = coded.sound if recipe.coded_voice else clip.voice()
    out = []
    for track in found:
        crops = tracks.crop_track(coded.pictures, track)
        sound = voice[track.start * SAMPLES_PER_FRAME : track.end * SAMPLES_PER_FRAME]
        if not len(sound):
            continue
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


def detected(pictures: Sequence[UInt8], device: str) -> list[Float64]:
    """Faces per picture by S3FD, each (n, 4)."""
    from tkbench.metrics.s3fd import WEIGHT, detect, load_s3fd

    file = network_file(WEIGHT)
    if file.path is None:
        raise Unusable(Reason.WEIGHTS_MISSING, file.hint)
    network = load_s3fd(file.path, device)
    return [detect(network, frame) for frame in pictures]


def track_boxes(sample: Sample, count: int) -> list[Float64]:
    """The prepared track's box per frame of a coded video of `count` frames, each (1, 4).

    It is held over the frames that coding repeated at the start.
    """
    x, y, wide, tall = crop_recipes.face_box(sample.landmarks)
    all_boxes = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], axis=1)
    late = count - len(all_boxes)
    order = np.clip(np.arange(count) - max(0, late), 0, len(all_boxes) - 1)
    return [all_boxes[t : t + 1] for t in order]


def shrunk(frames: Sequence[UInt8] | UInt8, spec: SyncNetSpec) -> UInt8:
    """Whole pictures as the network's input: resized as the scripts do, then the part that the judge sees."""
    left, top, right, _ = spec.region
    whole = round(spec.size / (right - left))
    same = (spec.size, spec.size, 3)
    if isinstance(frames, np.ndarray) and frames.shape[1:] == same and whole == spec.size:
        return frames  # resizing to the same size changes nothing
    x, y = round(whole * left), round(whole * top)
    out = np.empty((len(frames), *same), np.uint8)
    for frame, place in zip(frames, out, strict=True):
        small = cv2.resize(np.ascontiguousarray(frame), (whole, whole))
        place[...] = small[y : y + spec.size, x : x + spec.size]
    return out
