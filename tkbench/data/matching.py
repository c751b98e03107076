"""Which clips of different groups are the same recording, by their fingerprints, without comparing all pairs.

Sub-fingerprints of the sound, and hashes of the face's movement where the mouth is widest open, are sorted; clips that
share two or more of them at one offset are candidates, and only these are compared whole. A hash that very many
clips share (a jingle's silence, a face at rest) says nothing and is passed over. So time and memory grow with the
number of clips, not with its square.

A pair counts as one recording where, at one offset, at most `MOST_ERRORS` of the bits of `LEAST_SOUND` or more loud
sub-fingerprints differ, or where the movements of `LEAST_FACE` or more frames correlate by `LEAST_LIKENESS`.
docs/data-sets.md has what real clips, their copies and other takes measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tkbench.data.fingerprints import (
    FEATURES,
    REACH,
    Int8,
    Print,
    UInt32,
    anchors,
    face_likeness,
    sound_errors,
)
from tkbench.runtime.progress import Progress, silent
from tkbench.types import Array, Float32

MOST_ERRORS = 0.20
"""Share of bits. Of different clips 0.40 or more differ at the best of all offsets, of copies 0.05 to 0.19."""
LEAST_SOUND = 40
"""Sub-fingerprints: with their windows 1.06 s."""
LEAST_LIKENESS = 0.80
LEAST_FACE = 50
"""Frames. Over 25 of them, two sentences of GRID correlate by 0.72 at the best of all offsets; over 50, no two of 36
clips by more than 0.74."""
MOST_HASHES = 40_000_000
"""Sub-fingerprints that are sorted: 1.6 s of half a million clips. Of more, those whose hash is a multiple of some
number are sorted, which are the same ones in each copy."""
COMMONEST = 64
"""Clips that may share a hash."""
TABLES = 12
"""Hashes of a movement."""
FEWEST_BITS, MOST_BITS = 12, 24
"""Of a hash: as many as make about one movement for each of its values, so that few unrelated ones share any."""
VOTES = 2
_PAIRS_AT_ONCE, _WINDOWS_AT_ONCE = 4_000_000, 20_000


@dataclass(frozen=True, slots=True)
class Match:
    """Two clips that are one recording. Offsets are where clip `b` begins in clip `a`, seconds."""

    a: int
    b: int
    sound: float | None
    """Share of the sound's bits that differ; None where the sounds are not the same."""
    sound_seconds: float
    sound_offset: float
    face: float | None
    """Correlation of the movements; None where they are not the same, or too short to tell."""
    face_seconds: float
    face_offset: float


def find(prints: Sequence[Print], groups: Sequence[int], progress: Progress = silent) -> list[Match]:
    """The pairs of clips of different groups that are one recording, sorted by their places in `prints`."""
    group = np.asarray(groups, np.int64)
    progress(0, 2, "comparing sounds")
    sounds = _matches_of_sound(prints, group)
    progress(1, 2, "comparing faces")
    faces = _matches_of_face(prints, group)
    # A sound that is the same says where to look at the faces, and the other way round.
    for (a, b), (_, _, offset) in sounds.items():
        if (a, b) not in faces and (found := _same_face(prints[a], prints[b], round(offset / 2), reach=3)):
            faces[a, b] = found
    for (a, b), (_, _, offset) in faces.items():
        if (a, b) not in sounds and (found := _same_sound(prints[a], prints[b], 2 * offset, reach=12)):
            sounds[a, b] = found
    progress(2, 2, "compared")
    matches = []
    for pair in sorted({*sounds, *faces}):
        errors, n_sound, at_sound = sounds.get(pair, (None, 0, 0))
        likeness, n_face, at_face = faces.get(pair, (None, 0, 0))
        matches.append(Match(*pair, errors, n_sound / 50, at_sound / 50, likeness, n_face / 25, at_face / 25))
    return matches


_Found = tuple[float, int, int]
"""How alike, how many were compared, at which offset (sub-fingerprints or frames)."""


def _same_sound(a: Print, b: Print, offset: int, reach: int = 1) -> _Found | None:
    best = min(
        ((*sound_errors(a, b, at), at) for at in range(offset - reach, offset + reach + 1)),
        key=lambda found: found[0] if found[1] >= LEAST_SOUND else 1.0,
    )
    return best if best[1] >= LEAST_SOUND and best[0] <= MOST_ERRORS else None


def _same_face(a: Print, b: Print, offset: int, reach: int = 1) -> _Found | None:
    best = max(
        ((*face_likeness(a, b, at), at) for at in range(offset - reach, offset + reach + 1)),
        key=lambda found: found[0] if found[1] >= LEAST_FACE else -1.0,
    )
    return best if best[1] >= LEAST_FACE and best[0] >= LEAST_LIKENESS else None


def _matches_of_sound(prints: Sequence[Print], group: Array) -> dict[tuple[int, int], _Found]:
    hashes, clips, times = [], [], []
    one_in = -(-sum(int(one.loud.sum()) for one in prints) // MOST_HASHES)
    for clip, one in enumerate(prints):
        kept = one.loud
        if one_in > 1:
            # Fibonacci hashing: neighbouring numbers are spread over all.
            kept = kept & ((one.sound * np.uint32(2654435769) >> np.uint32(8)) % np.uint32(one_in) == 0)
        places = np.flatnonzero(kept)
        hashes.append(one.sound[places])
        clips.append(np.full(len(places), clip, np.int32))
        times.append(places.astype(np.int32))
    found: dict[tuple[int, int], _Found] = {}
    for a, b, offset in _candidates(hashes, clips, times, group):
        if (a, b) not in found and (same := _same_sound(prints[a], prints[b], offset)) is not None:
            found[a, b] = same
    return found


def _matches_of_face(prints: Sequence[Print], group: Array) -> dict[tuple[int, int], _Found]:
    windows, clips, times = [], [], []
    for clip, one in enumerate(prints):
        if len(one.face) < LEAST_FACE:
            continue
        places = anchors(one.face)
        windows += [one.face[at - REACH : at + REACH + 1] for at in places]
        clips.append(np.full(len(places) * TABLES, clip, np.int32))
        times.append(np.repeat(places, TABLES))
    if not windows:
        return {}
    bits = int(np.clip(np.ceil(np.log2(len(windows))), FEWEST_BITS, MOST_BITS))
    hashes = [
        _hashes_of(np.stack(windows[at : at + _WINDOWS_AT_ONCE]), bits).ravel()
        for at in range(0, len(windows), _WINDOWS_AT_ONCE)
    ]
    matches: dict[tuple[int, int], _Found] = {}
    for a, b, offset in _candidates(hashes, clips, times, group):
        if (a, b) not in matches and (same := _same_face(prints[a], prints[b], offset)) is not None:
            matches[a, b] = same
    return matches


@lru_cache(maxsize=1)
def _directions() -> Float32:
    """(147, TABLES, 24): random directions, the same everywhere and always."""
    size = (2 * REACH + 1) * FEATURES, TABLES, MOST_BITS
    return np.random.Generator(np.random.PCG64(20)).normal(size=size).astype(np.float32)


def _hashes_of(windows: Int8, bits: int) -> UInt32:
    """(n, 21, 7) movements -> (n, TABLES) hashes: signs of random projections (Charikar, STOC 2002)."""
    moved = windows.astype(np.float32)
    flat = (moved - moved.mean(axis=1, keepdims=True)).reshape(len(windows), -1)
    directions = _directions()[:, :, :bits].reshape(flat.shape[1], -1)
    signs = (flat @ directions > 0).reshape(len(windows), TABLES, bits)
    values = signs @ (1 << np.arange(bits, dtype=np.int64))
    return (values + (np.arange(TABLES) << MOST_BITS)).astype(np.uint32)


def _candidates(
    hashes: Sequence[UInt32], clips: Sequence[Array], times: Sequence[Array], group: Array
) -> Iterator[tuple[int, int, int]]:
    """(a, b, offset) of clips of two groups that share `VOTES` hashes or more at one offset, a < b."""
    if not hashes:
        return
    value, clip, time = (np.concatenate(parts) for parts in (hashes, clips, times))
    order = np.argsort(value, kind="stable")
    value, clip, time = value[order], clip[order], time[order]
    starts = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]]))
    sizes = np.diff(np.concatenate([starts, [len(value)]]))
    keys, offsets = [], []
    for size in range(2, COMMONEST + 1):
        runs = starts[sizes == size]
        rows, columns = np.triu_indices(size, 1)
        for part in np.array_split(runs, max(1, len(runs) * len(rows) // _PAIRS_AT_ONCE)):
            one, two = (part[:, None] + rows).ravel(), (part[:, None] + columns).ravel()
            apart = group[clip[one]] != group[clip[two]]
            one, two = one[apart], two[apart]
            # Sorting was stable: the clip of the first is the smaller one.
            keys.append(clip[one].astype(np.int64) << 32 | clip[two])
            offsets.append(time[one] - time[two])
    if not keys:
        return
    pair, offset = np.concatenate(keys), np.concatenate(offsets).astype(np.int64)
    order = np.lexsort((offset, pair))
    pair, offset = pair[order], offset[order]
    # Neighbours in this order that lie within a step of each other are votes for one offset.
    close = (pair[1:] == pair[:-1]) & (offset[1:] - offset[:-1] <= 1)
    last: tuple[int, int] | None = None
    for place in np.flatnonzero(close):
        found = int(pair[place]), int(offset[place])
        if found != last:
            yield found[0] >> 32, found[0] & 0xFFFFFFFF, found[1]
        last = found
