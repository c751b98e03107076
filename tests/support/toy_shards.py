"""Shards of toy faces for tests of training: a face whose mouth is as bright as its voice is loud."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tkbench import media, shards
from tkbench.crops.recipes import IBUG_OF_MESH, RECIPES

SIZE = 64
LOWER_LIPS = np.array([55, 56, 57, 58, 59, 65, 66, 67])


def landmarks(level: np.ndarray) -> np.ndarray:
    """Eyes and nose where the steady cut wants them, at the canvas's own scale; lower lips fall by up to 6 pixels."""
    points = np.random.default_rng(0).uniform(18, 46, (478, 2))
    points[list(IBUG_OF_MESH[27:45])] = np.array(RECIPES["steady-172"].template) * SIZE / 172
    moving = np.repeat(points[None], len(level), axis=0)
    moving[:, np.array(IBUG_OF_MESH)[LOWER_LIPS], 1] += 6 * level[:, None]
    return moving.astype(np.float32)


def face(key: str, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, 64, 64, 3), (T * 640,) and (T,): a patch in the lower half shines with the voice, and how much."""
    rng = np.random.default_rng(list(key.encode()))
    level = np.clip(np.convolve(rng.uniform(-0.5, 1.5, frames + 4), np.ones(5) / 5, "valid"), 0, 1)
    picture = np.full((SIZE, SIZE, 3), rng.integers(40, 90), np.uint8)
    picture[:32] += rng.integers(20, 60, dtype=np.uint8)
    video = np.repeat(picture[None], frames, axis=0)
    video[:, 40:54, 22:42] = (50 + 180 * level).astype(np.uint8)[:, None, None, None]
    loud = np.interp(np.arange(frames * 640), np.arange(frames) * 640 + 320, 10 ** (2 * level - 2))
    return video, (rng.normal(0, 0.25, frames * 640) * loud).astype(np.float32), level


def phonemes(level: np.ndarray) -> list[dict[str, float | str]]:
    """What a voice of that loudness says: "a" where it is loud, "m" where it is soft, "s" in between."""
    said = np.where(level > 0.6, "a", np.where(level < 0.4, "m", "s"))
    return [
        {"phone": str(phone), "start": frame / 25, "end": (frame + 1) / 25}
        for frame, phone in enumerate(said)
    ]


def make_shards(
    root: Path,
    clips: dict[str, tuple[str, int]],
    *,
    spoken: bool = False,
    files: Mapping[str, str] | None = None,
) -> Path:
    """`clips`: key -> (split, frames). The folder of shards. spoken: each clip knows its phonemes. files: key -> the
    file that it was prepared from, where that is not called by its key.
    """
    target = root / "shards"
    target.mkdir()
    rows, records = [], []
    for split in sorted({split for split, _ in clips.values()}):
        name = f"{split}-000000.tar"
        with shards.ShardWriter(target / name) as writer:
            for key, (part, frames) in clips.items():
                if part != split:
                    continue
                video, voice, level = face(key, frames)
                media.write_video(root / "one.mp4", video, quality="lossless")
                arrays = {"landmarks": landmarks(level), "score": np.ones(frames, np.float32)}
                meta: dict[str, object] = {"dataset": "toys", "split": split, "speaker": key[0]}
                meta |= {"text": None, "words": []}
                if spoken:
                    meta["extra"] = {"phonemes": phonemes(level)}
                members: dict[str, bytes | Path] = {
                    "mp4": root / "one.mp4",
                    "flac": media.write_flac(voice),
                    "npz": shards.pack_arrays(arrays),
                    "json": shards.pack_json({**meta, "canvas": {"kind": "whole"}, "key": key}),
                }
                row = {
                    "key": key,
                    "clip": key,
                    "path": (files or {}).get(key, f"{key}.mp4"),
                    "dataset": "toys",
                    "split": split,
                    "speaker": key[0],
                }
                place = {
                    "shard": name,
                    "offset": writer.add(key, members),
                    "n_frames": frames,
                    "status": "ok",
                }
                place |= {"width": SIZE, "height": SIZE}
                rows.append(row | place)
            records.append(writer.commit(split))
    ordered = sorted(rows, key=lambda row: str(row["key"]))
    shards.write_index(
        target, records, ordered, dataset="toys", protocol="toys", signature="toys", settings={}
    )
    return target
