"""One clip of a shard: from the bytes of its members to a Sample, or to the one line that says what is damaged.

The bytes may come from anybody. So every part is read within bounds, holds no objects, and is held against the others:
as many landmarks and scores as frames, 640 samples of sound per frame, landmarks in or near the picture.
"""

from __future__ import annotations

import io
import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from types import NoneType
from typing import Any

import numpy as np

from tkbench import media
from tkbench.errors import BadMedia, BadSample
from tkbench.types import POINT_SETS, SAMPLES_PER_FRAME, Array, Float32, Sample, Word

LARGEST_RECORD = 16 << 20
"""Bytes of a clip's JSON."""
LARGEST_ARRAYS = 1 << 29
"""Bytes of all arrays of a clip: 30 minutes of landmarks take a third of it."""
FAR_OUTSIDE = 2.0
"""How far landmarks may lie beyond the picture, in its sides."""


def unpack(key: str, members: Mapping[str, bytes]) -> Sample:
    """A Sample from the raw members of one clip (as `webdataset` gives them, too).

    Raises BadSample where a part is damaged, or the lengths of picture, sound and track do not fit each other.
    """
    meta, words = _unpack_record(key, members["json"])
    arrays = unpack_arrays(key, members["npz"])
    landmarks, score = arrays["landmarks"], arrays["score"]
    audio = unpack_sound(key, members["flac"])
    rows = len(landmarks)
    try:
        video = media.read_video(members["mp4"], expected=rows)
    except BadMedia as error:
        raise BadSample(f"{key}: its picture cannot be read ({error.detail}); prepare again") from error
    n = len(video)
    if not n or len(audio) != n * SAMPLES_PER_FRAME or rows != n or len(score) != n:
        more = "more than " if n > rows else ""
        found = (
            f"{more}{min(n, rows)} frames, {len(audio)} samples, {rows} landmark rows, {len(score)} scores"
        )
        raise BadSample(f"{key}: {found} do not fit each other; prepare again")
    _check_landmarks(key, landmarks, *video.shape[1:3])
    return Sample(
        key=key,
        video=video,
        audio=audio,
        landmarks=landmarks,
        track_score=score,
        dataset=meta["dataset"],
        split=meta["split"],
        speaker=meta["speaker"],
        text=meta["text"],
        words=words,
        canvas=meta["canvas"],
        meta=meta,
    )


def _check_landmarks(key: str, landmarks: Float32, height: int, width: int) -> None:
    """BadSample for landmarks that lie far outside of the picture: what is cut out there would be its border."""
    sides = np.array([width, height], np.float64)
    beyond = np.maximum(-landmarks, landmarks - sides).max(initial=0.0, axis=(0, 1)) / sides
    if beyond.max() > FAR_OUTSIDE:
        raise BadSample(
            f"{key}: landmarks lie up to {beyond.max():.3g} pictures outside of the {width}x{height} canvas; "
            "prepare again"
        )


def _unpack_record(key: str, data: bytes) -> tuple[dict[str, Any], tuple[Word, ...]]:
    """A clip's JSON and its words; BadSample where a part is missing or of another kind."""
    try:
        if len(data) > LARGEST_RECORD:
            raise ValueError(f"{len(data)} bytes, at most {LARGEST_RECORD} are read")
        meta = json.loads(data)
        for name, kinds in _RECORD.items():
            if not isinstance(meta[name], kinds):
                raise TypeError(f"{name} is a {type(meta[name]).__name__}")
        for name, kinds in {"track": dict, "n_faces": int}.items():
            if name in meta and not isinstance(meta[name], kinds):
                raise TypeError(f"{name} is a {type(meta[name]).__name__}")
        words = tuple(Word(str(w["text"]), float(w["start"]), float(w["end"])) for w in meta["words"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        found = f"{type(error).__name__}: {error}"
        raise BadSample(f"{key}: its JSON is not that of a clip ({found:.120}); prepare again") from error
    return meta, words


_RECORD: dict[str, type | tuple[type, ...]] = {
    "dataset": str,
    "split": str,
    "speaker": (str, NoneType),
    "text": (str, NoneType),
    "words": list,
    "canvas": dict,
}


def unpack_sound(key: str, data: bytes) -> Float32:
    """BadSample for what is no sound at 16 kHz on one channel."""
    try:
        return media.read_flac(data)
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        raise BadSample(f"{key}: its sound cannot be read ({error}); prepare again") from error


def unpack_arrays(key: str, data: bytes) -> dict[str, Array]:
    """The arrays of a clip; BadSample for what is none, holds no numbers, or would be larger than `LARGEST_ARRAYS`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if (size := sum(entry.file_size for entry in entries)) > LARGEST_ARRAYS:
                raise ValueError(f"{size} bytes of arrays, at most {LARGEST_ARRAYS}")
            arrays = {entry.filename.removesuffix(".npy"): _array(archive.read(entry)) for entry in entries}
        if fault := _arrays_fault(arrays):
            raise ValueError(fault)
    except _DAMAGE as error:
        found = f"{type(error).__name__}: {error}"
        raise BadSample(f"{key}: its arrays are damaged ({found:.160}); prepare again") from error
    arrays["landmarks"] = np.asarray(arrays["landmarks"], np.float32)
    arrays["score"] = np.asarray(arrays["score"], np.float32)
    return arrays


_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, TypeError, NotImplementedError,
    RuntimeError, SyntaxError, MemoryError, OverflowError, tokenize.TokenError,
)  # fmt: skip
"""What zipfile and numpy raise for damaged bytes."""


def _array(data: bytes) -> Array:
    """The array in the bytes of an .npy file, whose header may not promise more than the bytes hold."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"npy format {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or dtype.kind not in "fiub" or min(shape, default=0) < 0:
        raise ValueError(f"{dtype} {shape} are no numbers")
    if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError(f"{dtype} {shape} in {len(data) - stream.tell()} bytes")
    stream.seek(0)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _arrays_fault(arrays: Mapping[str, Array]) -> str:
    """What is wrong with the landmarks or scores of a clip, or ""."""
    for name in ("landmarks", "score"):
        if name not in arrays:
            return f"no {name}"
        if arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            return f"{name} hold nan, inf or no numbers"
    landmarks, score = arrays["landmarks"], arrays["score"]
    if landmarks.ndim != 3 or landmarks.shape[2] != 2 or landmarks.shape[1] not in POINT_SETS.values():
        counts = ", ".join(map(str, POINT_SETS.values()))
        return f"landmarks are {landmarks.shape}, expected (frames, points, 2) of {counts} points"
    if score.ndim != 1 or score.min(initial=0) < 0 or score.max(initial=0) > 1:
        return f"score is {score.shape} in [{score.min(initial=0):.3g}, {score.max(initial=0):.3g}], expected 0 to 1"
    return ""
