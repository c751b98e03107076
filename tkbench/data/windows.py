"""Which windows an epoch has, and what is in a batch.

A window is a few frames of one clip with their sound, and as many frames of the same clip for reference. An epoch
visits every clip once and takes from it one window per `frames_per_window` frames of its length, because a visit
costs the decoding of the clip. Windows of one clip are neighbours in a batch (they are its hardest
negatives); which clips share a batch changes with the epoch.

A batch is a function of (seed, epoch, number) and the settings alone: neither workers, nor ranks, nor what was
asked for before changes it. Batch b of an epoch belongs to rank b % world; each rank has as many as the others,
and no window is in two batches.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np

from tkbench import audio, media, shards
from tkbench.crops import align
from tkbench.data import camera
from tkbench.data.cache import CropCache
from tkbench.data.cut import CropRule, cut
from tkbench.data.loader import Loader, WindowBatch
from tkbench.errors import BadShards, UsageError
from tkbench.metrics.mouth import filled, lengths, rims
from tkbench.runtime.feature_cache import version_of
from tkbench.shards import Shards
from tkbench.types import Array, Float32, Float64, UInt8
from tkbench.version import __version__

Part = Literal["crops", "mel", "mouth", "rim"]
MEMBERS: dict[Part, tuple[str, ...]] = {
    "crops": ("mp4", "npz"),
    "mel": ("flac",),
    "mouth": ("npz",),
    "rim": ("npz",),
}
"""What is made of a clip, and the members of its shard that each is made of: (T, h, w, 3) uint8; (80, n) float32;
(T, 8) float32, how the mouth differs in each frame from its usual shape; (T, 8, 2) float32, the rim of its opening in
pixels of the crop."""
CAMERAS = 7
"""Sets what is drawn for cameras apart from what is drawn for the windows themselves."""
CACHE_GB = 50.0
"""Limit of a folder of crops, 10^9 bytes."""


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """What one window holds."""

    recipe: str = "face-128"
    """The crop recipe."""
    size: tuple[int, int] | None = None
    """(height, width) of the crop; None: the recipe's own."""
    frames: int = 5
    margin: int = 0
    """Frames before and behind the window that come with `video`."""
    sound: int = 0
    """Frames before and behind the window that come with `mels`."""
    min_reference_gap: int = 1
    """Least number of frames between the start of a window and that of its reference; 1 is what Wav2Lip and
    SyncTalkFace do: any other start."""
    padded_sound: bool = False
    """Also windows whose sound reaches beyond an end of the clip, with silence there. Wav2Lip and SyncTalkFace leave
    them out; a window as long as the clip needs it."""
    silent: bool = False
    """Silence in the place of every sound: what a network learns from pictures alone."""
    mouths: bool = False
    """Also the shapes of the true mouths, from the landmarks in the shards."""
    openings: bool = False
    """Also where the true mouths are open, from the same landmarks."""
    camera: float = 0.0
    """The share of windows that are shown as another camera would have taken them, with their references; see
    `tkbench.data.camera`."""

    def __post_init__(self) -> None:
        if not 0 <= self.camera <= 1:
            raise UsageError(f"camera = {self.camera:g}: a share of the windows, from 0 to 1")
        if min(self.frames, self.min_reference_gap) < 1 or min(self.margin, self.sound) < 0:
            raise UsageError("frames and min_reference_gap must be at least 1, margin and sound at least 0")

    @property
    def mel_steps(self) -> int:
        """Mel steps of a window's sound."""
        return audio.WINDOW * self.frames // 5


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which windows an epoch has, and how batches are made of them."""

    batch: int = 16
    """Windows in a batch."""
    frames_per_window: float = 25.0
    """An epoch takes one window per so many frames of a clip; 0 takes one per clip."""
    shuffle: bool = True
    """False gives evenly spaced windows, in key order, the same in each epoch."""
    drop_last: bool = True
    """Leave out a batch that is not full. With several ranks that is always so, and batches that not all ranks would
    get are left out as well."""
    seed: int = 0
    rank: int | None = None
    """This process, and how many there are (`world`); None: what torch.distributed says, else 0 of 1."""
    world: int | None = None

    def __post_init__(self) -> None:
        if self.batch < 1 or self.frames_per_window < 0:
            raise UsageError("batch must be at least 1, frames_per_window at least 0")


def load(
    path: str | Path,
    *,
    split: str | None = None,
    recipe: str | None = None,
    frames: int | None = None,
    batch: int | None = None,
    window: WindowSpec | None = None,
    sampling: Sampling | None = None,
    cache: str | Path | None = None,
) -> Windows:
    """Open shards for training.

    recipe, frames, batch: the settings that are changed most, instead of those in `window` and `sampling`. cache: a
    folder where crops are kept, up to `CACHE_GB`.

    Raises BadShards where no clip is long enough, UsageError for settings that leave no batch.
    """
    opened = shards.open_shards(path, split=split)
    spec, how = window or WindowSpec(), sampling or Sampling()
    spec = replace(
        spec,
        recipe=spec.recipe if recipe is None else recipe,
        frames=spec.frames if frames is None else frames,
    )
    how = how if batch is None else replace(how, batch=batch)
    rule = align.recipe_of(spec.recipe)
    kept = None
    if cache is not None:
        tools = {**media.stack(), "librosa": version_of("librosa"), "tkbench": __version__}
        name = f"{opened.data_hash} {rule.signature()} {spec.size} {sorted(tools.items())}"
        kept = CropCache(cache, name, limit=int(CACHE_GB * 1e9))
    return Windows(opened, spec, how, kept)


def _place(sampling: Sampling) -> tuple[int, int]:
    """(rank, world): as given, or of torch.distributed, if it runs; torch is not loaded to find out."""
    rank, world = sampling.rank, sampling.world
    if rank is None or world is None:
        rank, world = 0, 1
        torch = sys.modules.get("torch")
        if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    if not 0 <= rank < world:
        raise UsageError(f"rank {rank} of {world}: ranks count from 0")
    return rank, world


class Windows:
    """Batches of windows: `len`, indexing and iteration for the current `epoch`.

    `WindowBatch` says what is in a batch; `load` opens one.
    """

    def __init__(
        self, source: Shards, window: WindowSpec, sampling: Sampling, cache: CropCache | None = None
    ) -> None:
        self.shards, self.window, self.sampling, self.cache = source, window, sampling, cache
        self.rank, self.world = _place(sampling)
        self.drop_last = sampling.drop_last or self.world > 1
        self._rule = align.recipe_of(window.recipe)
        self.size = window.size or self._rule.size
        """(height, width) of the crops."""
        self.epoch = 0
        self._starts: dict[int, range] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        """Wall time of this process per stage: read, decode, warp, mel, collect, film."""
        own = self.size == self._rule.size
        self._stored = own and self._rule.signature() in source.signature.split("|")
        self._speakers = source.speakers
        table = source.manifest(("key", "status", "n_frames", "height", "width"))
        table = table[table["status"] == "ok"].sort_values("key")
        lengths = dict(zip(table["key"], (int(n) for n in table["n_frames"]), strict=True))
        self.lengths = {key: n for key, n in lengths.items() if self._usable(n)}
        """Frames of each clip that has a window, by key in order."""
        sizes = zip(table["height"], table["width"], strict=True)
        self._canvas = {key: (int(h), int(w)) for key, (h, w) in zip(table["key"], sizes, strict=True)}
        self.too_short = tuple(key for key in lengths if key not in self.lengths)
        if not self.lengths:
            need = window.frames + max(2 * window.margin, window.min_reference_gap)
            raise BadShards(
                f"{source.folder}: none of its {len(lengths)} clips has a window of {window.frames} frames "
                f"(at least {need} needed, and sound around them); ask for fewer frames or less margin"
            )
        self._keys = tuple(self.lengths)
        counts = [self._count(n) for n in self.lengths.values()]
        self._counts = np.array(counts, np.int64)
        self._plan: tuple[int, Array, Array] | None = None
        if len(self) == 0:
            raise UsageError(
                f"{source.folder}: {self._counts.sum()} windows make no batch of {sampling.batch} for each of "
                f"{self.world} ranks; ask for smaller batches, or more windows per clip (frames_per_window)"
            )

    # -- the plan of an epoch --------------------------------------------------------------------------------

    def starts(self, n_frames: int) -> range:
        """Where windows of a clip of so many frames may begin."""
        if n_frames not in self._starts:  # of half a million clips, few differ in length
            self._starts[n_frames] = self._find_starts(n_frames)
        return self._starts[n_frames]

    def _find_starts(self, n_frames: int) -> range:
        frames, margin = self.window.frames, self.window.margin
        low, high = margin, n_frames - frames - margin
        if not self.window.padded_sound:
            around = audio.whole_windows(n_frames, lead=1)
            along = audio.whole_windows(n_frames, steps=self.window.mel_steps)
            low = max(low, around.start + self.window.sound, along.start)
            high = min(high, around.stop - frames - self.window.sound, along.stop - 1)
        return range(low, max(low, high + 1))

    def _usable(self, n_frames: int) -> bool:
        last = n_frames - self.window.frames  # of references, which need no margin
        gap = self.window.min_reference_gap
        return any(start - gap >= 0 or start + gap <= last for start in self.starts(n_frames))

    def _count(self, n_frames: int) -> int:
        """Windows that an epoch takes from a clip of so many frames."""
        per_window, most = self.sampling.frames_per_window, len(self.starts(n_frames))
        return max(1, min(most, round(n_frames / per_window))) if per_window else 1

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        total = int(self._counts.sum())
        batch = self.sampling.batch
        full = total // batch if self.drop_last else -(-total // batch)
        return full // self.world

    @property
    def n_windows(self) -> int:
        """Windows of an epoch, all ranks together."""
        return int(self._counts.sum())

    def __iter__(self) -> Iterator[WindowBatch]:
        for number in range(len(self)):
            yield self[number]

    def __getitem__(self, index: int | tuple[int, int]) -> WindowBatch:
        """Batch `number` of the current epoch, or of (epoch, number), as numpy arrays."""
        epoch, number = index if isinstance(index, tuple) else (self.epoch, index)
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number}: this epoch has {len(self)}")
        order, ends = self._epoch_plan(epoch)
        batch = self.sampling.batch
        first = (number * self.world + self.rank) * batch
        last = min(first + batch, int(ends[-1]))
        parts = []
        visit = int(np.searchsorted(ends, first, side="right"))
        while first < last:
            begin = int(ends[visit] - self._counts[order[visit]])
            stop = min(last, int(ends[visit]))
            parts.append(self._visit(self._keys[order[visit]], epoch, first - begin, stop - begin))
            first, visit = stop, visit + 1
        clock = time.perf_counter()
        together = _together(parts)
        self.seconds["collect"] += time.perf_counter() - clock
        return together

    def _epoch_plan(self, epoch: int) -> tuple[Array, Array]:
        """The order of visits, and how many windows there are up to the end of each."""
        if self._plan is None or self._plan[0] != epoch:
            order = np.arange(len(self._keys))
            if self.sampling.shuffle:
                order = np.random.default_rng([self.sampling.seed, epoch]).permutation(len(self._keys))
            self._plan = (epoch, order, np.cumsum(self._counts[order]))
        return self._plan[1:]

    # -- one clip --------------------------------------------------------------------------------------------

    def draw(self, key: str, epoch: int) -> tuple[Array, Array]:
        """The first frames of a clip's windows in an epoch, and those of their references."""
        n, gap = self.lengths[key], self.window.min_reference_gap
        count = self._count(n)
        starts = np.array(self.starts(n))
        last = n - self.window.frames
        starts = starts[(starts - gap >= 0) | (starts + gap <= last)]
        others = np.arange(last + 1)
        if not self.sampling.shuffle:
            picked = starts[np.linspace(0, len(starts) - 1, min(count, len(starts))).round().astype(int)]
            picked = np.resize(picked, count)
            return picked, np.where(picked >= gap, 0, last)
        rng = np.random.default_rng([self.sampling.seed, epoch, *key.encode()])
        picked = np.resize(rng.permutation(starts), count)
        far = [others[np.abs(others - start) >= gap] for start in picked]
        return picked, np.array([rng.choice(choice) for choice in far])

    def _visit(self, key: str, epoch: int, first: int, stop: int) -> WindowBatch:
        """Windows first to stop - 1 of a clip."""
        window = self.window
        picked, others = (drawn[first:stop] for drawn in self.draw(key, epoch))
        inside = np.arange(window.frames)
        wide = np.arange(-window.margin, window.frames + window.margin)
        heard = np.arange(-window.sound, window.frames + window.sound)
        wanted = None
        if self.cache is None:
            wanted = np.zeros(self.lengths[key], bool)
            wanted[picked[:, None] + wide] = wanted[others[:, None] + inside] = True
        asked: dict[Part, bool] = {"crops": True, "mel": True, "mouth": window.mouths, "rim": window.openings}
        kinds = [kind for kind, wished in asked.items() if wished]
        parts = self._parts(key, kinds, wanted)
        crops, spectrum = parts["crops"], parts["mel"]
        clock = time.perf_counter()
        if window.silent:
            spectrum = np.full_like(spectrum, audio.SILENCE)
        mels = audio.windows(spectrum, (picked[:, None] + heard).ravel(), lead=1)
        found: WindowBatch = {
            "mel": audio.windows(spectrum, picked, steps=window.mel_steps),
            "mels": mels.reshape(len(picked), len(heard), *mels.shape[1:]),
            "reference_mel": audio.windows(spectrum, others, steps=window.mel_steps),
            "frame": picked,
            "reference_frame": others,
            "key": [key] * len(picked),
            "speaker": [self._speakers[key]] * len(picked),
        }
        self.seconds["mel"] += time.perf_counter() - clock
        if window.mouths:
            found["mouth"] = np.asarray(parts["mouth"][picked[:, None] + inside])
        if window.openings:
            rim = parts["rim"][picked[:, None] + inside]
            found["opening"] = filled(rim, self.size)
        clock = time.perf_counter()
        found["video"] = np.asarray(crops[picked[:, None] + wide])
        found["reference"] = np.asarray(crops[others[:, None] + inside])
        self.seconds["collect"] += time.perf_counter() - clock
        if window.camera > 0:
            self._film(found, key, epoch)
        return found

    def _film(self, found: WindowBatch, key: str, epoch: int) -> None:
        """Show windows of a clip as other cameras would have taken them; which, follows from the window alone."""
        clock = time.perf_counter()
        for n, start in enumerate(found["frame"]):
            rng = np.random.default_rng([self.sampling.seed, epoch, int(start), CAMERAS, *key.encode()])
            if rng.random() >= self.window.camera:
                continue
            chosen = camera.drawn(rng)
            for name in ("video", "reference"):
                found[name][n] = camera.film(found[name][n], chosen, rng)
            if "opening" in found:
                found["opening"][n] = camera.place(found["opening"][n], chosen)
        self.seconds["film"] += time.perf_counter() - clock

    def clip(self, key: str) -> tuple[UInt8, Float32]:
        """Every crop of a clip, (T, h, w, 3) RGB, and its sound, (T * 640,); the crops from the cache if there."""
        voice = self.shards.get_audio(key)
        crops = self._parts(key, ("crops",))["crops"]
        audio.check_length(len(crops), len(voice), key)
        return crops, voice

    def _parts(self, key: str, kinds: Sequence[Part], wanted: Array | None = None) -> dict[Part, Array]:
        """What `MEMBERS` names, of a whole clip, each from the cache if there.

        wanted: (T,) bool, frames that are needed; the crops of others may be black.
        """
        clock = time.perf_counter()
        kept: dict[Part, Array] = {}
        for kind in kinds:
            array = self.cache.get(key, kind) if self.cache is not None else None
            if array is not None:
                kept[kind] = array
        missing = [kind for kind in kinds if kind not in kept]
        needed = {name for kind in missing for name in MEMBERS[kind]}
        members = self.shards.members(key, sorted(needed)) if needed else {}
        self.seconds["read"] += time.perf_counter() - clock
        for kind in missing:
            kept[kind] = self._make(kind, key, members, wanted)
            if self.cache is not None and (kind != "crops" or wanted is None):
                self.cache.put(key, kept[kind], kind)
        if len(kept["crops"]) != self.lengths[key]:
            found = f"{len(kept['crops'])} frames, the manifest says {self.lengths[key]}"
            raise BadShards(f"{key}: {found}; prepare it again")
        return kept

    def _make(self, kind: Part, key: str, members: Mapping[str, bytes], wanted: Array | None) -> Array:
        """One part of a clip, from the members of its shard."""
        if kind == "mel":
            clock = time.perf_counter()
            voice = shards.unpack_sound(key, members["flac"])
            audio.check_length(self.lengths[key], len(voice), key)
            spectrum = audio.mel(voice)
            self.seconds["mel"] += time.perf_counter() - clock
            return spectrum
        if kind == "mouth":
            shape = lengths(shards.unpack_arrays(key, members["npz"])["landmarks"])
            return np.asarray(shape - np.median(shape, axis=0), np.float32)
        if kind == "rim":
            rim = rims(shards.unpack_arrays(key, members["npz"])["landmarks"])
            return np.asarray(align.apply(self._receipts(key, members["npz"]), rim), np.float32)
        rule = CropRule(self.size, self._rule.border, self._canvas[key])
        return cut(
            members["mp4"], self._receipts(key, members["npz"]), rule, seconds=self.seconds, wanted=wanted
        )

    def _receipts(self, key: str, packed: bytes) -> Float64:
        arrays = shards.unpack_arrays(key, packed)
        if self._stored and self.window.recipe in arrays:
            return np.asarray(arrays[self.window.recipe], np.float64)
        return align.matrices(arrays["landmarks"], self.window.recipe, size=self.size)

    # -- many processes --------------------------------------------------------------------------------------

    def loader(self, *, workers: int = 0, prefetch: int = 2, pin: bool = False) -> Loader:
        """A PyTorch loader over these batches; the same batches in the same order for any number of workers."""
        return Loader(self, workers=workers, prefetch=prefetch, pin=pin)


def _together(parts: Sequence[WindowBatch]) -> WindowBatch:
    """The batch that is made of these, one behind the other."""
    joined: dict[str, object] = {}
    for name in parts[0]:
        values = [part[name] for part in parts]  # type: ignore[literal-required]
        lists = isinstance(values[0], list)
        joined[name] = [v for value in values for v in value] if lists else np.concatenate(values)
    return cast(WindowBatch, joined)
