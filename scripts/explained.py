"""How much of the movement of a mouth the voice explains, in pixels and in lengths: the figures of docs/models.md.

    python scripts/explained.py --data models/shards --crops models/crops

Ridge regression on half a second of mel, fitted on training clips, judged on validation clips; R^2 of the movement
about a clip's rest. "pixels": the mouth's box of the crop that generators draw, grey, 12 x 14. "lengths": those of
`metrics.mouth`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tkbench import audio, data
from tkbench.metrics.mouth import lengths
from tkbench.train.objectives.base import mouth_box

SIDE, CELL = 96, 3
AROUND = range(-6, 7, 2)
"""Offsets in frames of the mel windows that the regression is given."""


def features(
    folder: Path, split: str, clips: int, cache: Path | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voice (N, 560), pixels (N, 168) and lengths (N, 8) of every frame of the first clips of a split."""
    spec = data.WindowSpec(recipe="steady-172", size=(SIDE, SIDE))
    windows = data.load(folder, split=split, window=spec, batch=1, cache=cache)
    top, bottom, left, right = mouth_box(SIDE, SIDE)
    parts = []
    for key in list(windows.lengths)[:clips]:
        crops, voice = windows.clip(key)
        count = len(crops)
        mel = audio.windows(audio.mel(voice), np.arange(count), lead=1)
        heard = mel.reshape(count, 20, 4, 4, 4).mean(axis=(2, 4)).reshape(count, -1)
        near = [np.clip(np.arange(count) + step, 0, count - 1) for step in AROUND]
        box = crops[:, top:bottom, left:right].astype(np.float32).mean(axis=-1) / 255
        rows, columns = (bottom - top) // CELL, (right - left) // CELL
        small = box.reshape(count, rows, CELL, columns, CELL).mean(axis=(2, 4)).reshape(count, -1)
        rest = small.mean(axis=0)
        shape = lengths(windows.shards.get_arrays(key)["landmarks"])
        parts.append(
            (
                np.concatenate([heard[place] for place in near], axis=1),
                (small - rest) / max(float(rest.mean()), 0.02),
                shape - np.median(shape, axis=0),
            )
        )
    voices, pixels, mouths = (np.concatenate(column) for column in zip(*parts, strict=True))
    return voices, pixels, mouths


def explained(seen: np.ndarray, wanted: np.ndarray, seen_v: np.ndarray, wanted_v: np.ndarray) -> float:
    """R^2 on the second pair of a ridge fitted on the first."""
    middle, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    a, b = (np.c_[(part - middle) / spread, np.ones(len(part))] for part in (seen, seen_v))
    fit = np.linalg.solve(a.T @ a + 0.01 * len(a) * np.eye(a.shape[1]), a.T @ wanted)
    return float(1 - ((b @ fit - wanted_v) ** 2).sum() / (wanted_v**2).sum())


def main() -> None:
    """Print the three shares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="shards with the splits train and val")
    parser.add_argument("--crops", type=Path, help="folder where crops are kept")
    given = parser.parse_args()
    voice, pixels, mouth = features(given.data, "train", 200, given.crops)
    voice_v, pixels_v, mouth_v = features(given.data, "val", 40, given.crops)
    print(f"voice -> pixels   {explained(voice, pixels, voice_v, pixels_v):.2f}")
    print(f"lengths -> pixels {explained(mouth, pixels, mouth_v, pixels_v):.2f}")
    print(f"voice -> lengths  {explained(voice, mouth, voice_v, mouth_v):.2f}")


if __name__ == "__main__":
    main()
