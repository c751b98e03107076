"""Which windows an epoch has, and what is in a batch.

An epoch visits every clip once and takes from it one window per `every` frames of its length, because a visit
costs the decoding of the clip. Windows of one clip stand beside each other in a batch (they are its hardest
negatives); which clips share a batch changes with the epoch.

A batch is a function of (seed, epoch, number) and the settings alone: neither workers, nor ranks, nor what was
asked for before changes it. Batch b of an epoch belongs to rank b % world; each rank has as many as the others,
and no window is in two batches.
"""

from __future__ import annotations

import io
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tkbench import audio, media, shards
from tkbench.crops import align
from tkbench.data.cache import CropCache
from tkbench.data.cut import cut
from tkbench.data.loader import Loader
from tkbench.errors import BadShards, UsageError
from tkbench.metrics.mouth import lengths
from tkbench.runtime.feature_cache import version_of
from tkbench.shards import Shards
from tkbench.types import Array, Float32, Float64, UInt8
from tkbench.version import __version__

MEMBERS = {"crops": ("mp4", "npz"), "mel": ("flac",), "mouth": ("npz",)}
"""What is made of a clip, and the members of its shard that each is made of: (T, h, w, 3) uint8, (80, n) float32, and
(T, 8) float32, how the mouth differs in each frame from its usual shape."""


def load(
    path: str | Path,
    *,
    split: str | None = None,
    recipe: str = "face-128",
    size: tuple[int, int] | None = None,
    frames: int = 5,
    margin: int = 0,
    apart: int = 1,
    edges: bool = False,
    mouths: bool = False,
    batch: int = 16,
    every: float = 25.0,
    shuffle: bool = True,
    drop_last: bool = True,
    seed: int = 0,
    rank: int | None = None,
    world: int | None = None,
    cache: str | Path | None = None,
    cache_gb: float = 50.0,
) -> Windows:
    """Open shards for training.

    recipe, size: the crop, and its (height, width) if not the recipe's own. frames: length of a window.
    margin: frames before and behind that come with `video`. apart: frames, at least, from the start of a window
    to that of its reference (1 is what Wav2Lip and SyncTalkFace do: any other start). edges: also windows
    whose sound reaches over an end of the clip, with silence there (the sources leave them out; a window as
    long as the clip needs it). mouths: also the shapes of the true mouths, from the landmarks in the shards.
    every: frames of a clip per window and epoch; 0 takes one from each clip.
    shuffle: False gives the same windows, evenly spaced, in key order in each epoch. drop_last: leave out a
    batch that is not full (with several ranks, always, and batches that not all ranks would get).
    rank, world: this process and how many there are; by default what torch.distributed says, else 0 of 1.
    cache, cache_gb: a folder for crops, and its limit in 10^9 bytes.

    Raises BadShards where no clip is long enough, UsageError for settings that leave no batch.
    """
    opened = shards.open_shards(path, split=split)
    rule = align.recipe_of(recipe)
    if min(frames, batch, apart) < 1 or margin < 0 or every < 0:
        raise UsageError("frames, batch and apart must be at least 1, margin and every at least 0")
    if rank is None or world is None:
        rank, world = _place()
    if not 0 <= rank < world:
        raise UsageError(f"rank {rank} of {world}: ranks count from 0")
    kept = None
    if cache is not None:
        tools = {**media.stack(), "librosa": version_of("librosa"), "tkbench": __version__}
        name = f"{opened.data_hash} {rule.signature()} {size} {sorted(tools.items())}"
        kept = CropCache(cache, name, limit=int(cache_gb * 1e9))
    return Windows(
        opened,
        recipe=recipe,
        size=size or rule.size,
        frames=frames,
        margin=margin,
        apart=apart,
        edges=edges,
        mouths=mouths,
        batch=batch,
        every=every,
        shuffle=shuffle,
        drop_last=drop_last or world > 1,
        seed=seed,
        rank=rank,
        world=world,
        cache=kept,
    )


def _place() -> tuple[int, int]:
    """(rank, world) of torch.distributed, if it runs; torch is not loaded to find out."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


class Windows:
    """Batches of windows: `len`, indexing and iteration for the current `epoch`; see `load` for the settings.

    A batch is a dict. B windows of F frames, crops of h x w; all pixels RGB uint8, times in frames of the clip:

        video            (B, margin + F + margin, h, w, 3)
        reference        (B, F, h, w, 3) other frames of the same clip
        mel              (B, 80, 16 * F // 5) float32, the sound of the window, from its first frame on
        mels             (B, F, 80, 16) float32, 0.2 s around each frame, from 40 ms before it on
        mouth            (B, F, 8) float32, with `mouths`: the lengths of `metrics.mouth.NAMES` in eye distances, less
                         their medians over the clip
        reference_mel    as mel, of the reference: sound of the same voice that does not belong to `video`
        frame, reference_frame   (B,) int64, the first of the F frames
        key, speaker     lists of B strings
    """

    def __init__(
        self,
        source: Shards,
        *,
        recipe: str,
        size: tuple[int, int],
        frames: int,
        margin: int,
        apart: int,
        edges: bool,
        mouths: bool,
        batch: int,
        every: float,
        shuffle: bool,
        drop_last: bool,
        seed: int,
        rank: int,
        world: int,
        cache: CropCache | None,
    ) -> None:
        self.shards, self.recipe, self.size = source, recipe, size
        self.frames, self.margin, self.apart, self.edges = frames, margin, apart, edges
        self.mouths = mouths
        self.batch, self.every, self.shuffle, self.drop_last = batch, every, shuffle, drop_last
        self.seed, self.rank, self.world, self.cache = seed, rank, world, cache
        self.epoch = 0
        self._starts: dict[tuple[int, int, int, bool], range] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        """Wall time of this process per stage: read, decode, warp, mel, collect."""
        self._rule = align.recipe_of(recipe)
        own = size == self._rule.size
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
            need = frames + max(2 * margin, apart)
            raise BadShards(
                f"{source.folder}: none of its {len(lengths)} clips has a window of {frames} frames "
                f"(at least {need} needed, and sound around them); ask for fewer frames or less margin"
            )
        self._keys = tuple(self.lengths)
        counts = [self._count(n) for n in self.lengths.values()]
        self._counts = np.array(counts, np.int64)
        self._plan: tuple[int, Array, Array] | None = None
        if len(self) == 0:
            raise UsageError(
                f"{source.folder}: {self._counts.sum()} windows make no batch of {batch} for each of {world} "
                "ranks; ask for smaller batches, or more windows per clip (every)"
            )

    # -- the plan of an epoch --------------------------------------------------------------------------------

    def starts(self, n_frames: int) -> range:
        """Where windows of a clip of so many frames may begin."""
        rule = (n_frames, self.frames, self.margin, self.edges)
        if rule not in self._starts:  # of half a million clips, few differ in length
            self._starts[rule] = self._work_out_starts(n_frames)
        return self._starts[rule]

    def _work_out_starts(self, n_frames: int) -> range:
        low, high = self.margin, n_frames - self.frames - self.margin
        if not self.edges:
            around = audio.whole_windows(n_frames, lead=1)
            along = audio.whole_windows(n_frames, steps=self._steps)
            low = max(low, around.start, along.start)
            high = min(high, around.stop - self.frames, along.stop - 1)
        return range(low, max(low, high + 1))

    @property
    def _steps(self) -> int:
        return audio.WINDOW * self.frames // 5

    def _usable(self, n_frames: int) -> bool:
        last = n_frames - self.frames  # of references, which need no margin
        return any(start - self.apart >= 0 or start + self.apart <= last for start in self.starts(n_frames))

    def _count(self, n_frames: int) -> int:
        most = len(self.starts(n_frames))
        return max(1, min(most, round(n_frames / self.every))) if self.every else 1

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        total = int(self._counts.sum())
        full = total // self.batch if self.drop_last else -(-total // self.batch)
        return full // self.world

    @property
    def n_windows(self) -> int:
        """Windows of an epoch, all ranks together."""
        return int(self._counts.sum())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number in range(len(self)):
            yield self[number]

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        """Batch `number` of the current epoch, or of (epoch, number), as numpy arrays."""
        epoch, number = index if isinstance(index, tuple) else (self.epoch, index)
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number}: this epoch has {len(self)}")
        order, ends = self._epoch_plan(epoch)
        first = (number * self.world + self.rank) * self.batch
        last = min(first + self.batch, int(ends[-1]))
        parts = []
        visit = int(np.searchsorted(ends, first, side="right"))
        while first < last:
            begin = int(ends[visit] - self._counts[order[visit]])
            stop = min(last, int(ends[visit]))
            parts.append(self._visit(self._keys[order[visit]], epoch, first - begin, stop - begin))
            first, visit = stop, visit + 1
        clock = time.perf_counter()
        out: dict[str, Any] = {}
        for name in parts[0]:
            values = [part[name] for part in parts]
            lists = isinstance(values[0], list)
            out[name] = [v for value in values for v in value] if lists else np.concatenate(values)
        self.seconds["collect"] += time.perf_counter() - clock
        return out

    def _epoch_plan(self, epoch: int) -> tuple[Array, Array]:
        """The order of visits, and how many windows there are up to the end of each."""
        if self._plan is None or self._plan[0] != epoch:
            order = np.arange(len(self._keys))
            if self.shuffle:
                order = np.random.default_rng([self.seed, epoch]).permutation(len(self._keys))
            self._plan = (epoch, order, np.cumsum(self._counts[order]))
        return self._plan[1:]

    # -- one clip --------------------------------------------------------------------------------------------

    def draw(self, key: str, epoch: int) -> tuple[Array, Array]:
        """The first frames of a clip's windows in an epoch, and those of their references."""
        n = self.lengths[key]
        count = self._count(n)
        starts = np.array(self.starts(n))
        last = n - self.frames
        starts = starts[(starts - self.apart >= 0) | (starts + self.apart <= last)]
        others = np.arange(last + 1)
        if not self.shuffle:
            picked = starts[np.linspace(0, len(starts) - 1, min(count, len(starts))).round().astype(int)]
            picked = np.resize(picked, count)
            return picked, np.where(picked >= self.apart, 0, last)
        rng = np.random.default_rng([self.seed, epoch, *key.encode()])
        picked = np.resize(rng.permutation(starts), count)
        far = [others[np.abs(others - start) >= self.apart] for start in picked]
        return picked, np.array([rng.choice(choice) for choice in far])

    def _visit(self, key: str, epoch: int, first: int, stop: int) -> dict[str, Any]:
        """Windows first to stop - 1 of a clip."""
        picked, others = (drawn[first:stop] for drawn in self.draw(key, epoch))
        inside = np.arange(self.frames)
        wide = np.arange(-self.margin, self.frames + self.margin)
        wanted = None
        if self.cache is None:
            wanted = np.zeros(self.lengths[key], bool)
            wanted[picked[:, None] + wide] = wanted[others[:, None] + inside] = True
        parts = self._parts(key, ("crops", "mel", "mouth") if self.mouths else ("crops", "mel"), wanted)
        crops, spectrum = parts["crops"], parts["mel"]
        clock = time.perf_counter()
        mels = audio.windows(spectrum, (picked[:, None] + inside).ravel(), lead=1)
        found = {
            "mel": audio.windows(spectrum, picked, steps=self._steps),
            "mels": mels.reshape(len(picked), self.frames, *mels.shape[1:]),
            "reference_mel": audio.windows(spectrum, others, steps=self._steps),
            "frame": picked,
            "reference_frame": others,
            "key": [key] * len(picked),
            "speaker": [self._speakers[key]] * len(picked),
        }
        self.seconds["mel"] += time.perf_counter() - clock
        if self.mouths:
            found["mouth"] = np.asarray(parts["mouth"][picked[:, None] + inside])
        clock = time.perf_counter()
        found["video"] = np.asarray(crops[picked[:, None] + wide])
        found["reference"] = np.asarray(crops[others[:, None] + inside])
        self.seconds["collect"] += time.perf_counter() - clock
        return found

    def clip(self, key: str) -> tuple[UInt8, Float32]:
        """Every crop of a clip, (T, h, w, 3) RGB, and its sound, (T * 640,); the crops from the cache if there."""
        voice = self.shards.get_audio(key)
        crops = self._parts(key, ("crops",))["crops"]
        audio.check_length(len(crops), len(voice), key)
        return crops, voice

    def _parts(self, key: str, kinds: Sequence[str], wanted: Array | None = None) -> dict[str, Array]:
        """What `MEMBERS` names, of a whole clip, each from the cache if there.

        wanted: (T,) bool, frames that are needed; the crops of others may be black.
        """
        clock = time.perf_counter()
        kept: dict[str, Array] = {}
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

    def _make(self, kind: str, key: str, members: Mapping[str, bytes], wanted: Array | None) -> Array:
        """One kind of what `_parts` answers."""
        if kind == "mel":
            clock = time.perf_counter()
            voice = media.read_flac(members["flac"])
            audio.check_length(self.lengths[key], len(voice), key)
            spectrum = audio.mel(voice)
            self.seconds["mel"] += time.perf_counter() - clock
            return spectrum
        if kind == "mouth":
            with np.load(io.BytesIO(members["npz"]), allow_pickle=False) as arrays:
                shape = lengths(arrays["landmarks"])
            return np.asarray(shape - np.median(shape, axis=0), np.float32)
        return cut(
            members["mp4"],
            self._receipts(members["npz"]),
            self.size,
            border=self._rule.border,
            canvas=self._canvas[key],
            seconds=self.seconds,
            wanted=wanted,
        )

    def _receipts(self, packed: bytes) -> Float64:
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            if self._stored and self.recipe in arrays.files:
                return np.asarray(arrays[self.recipe], np.float64)
            return align.matrices(arrays["landmarks"], self.recipe, size=self.size)

    # -- many processes --------------------------------------------------------------------------------------

    def loader(self, *, workers: int = 0, prefetch: int = 2, pin: bool = False) -> Loader:
        """A PyTorch loader over these batches; the same batches in the same order for any number of workers."""
        return Loader(self, workers=workers, prefetch=prefetch, pin=pin)
