"""What generated mouths show, beside the truth: teeth, how far they open, and the seam where a face is put back.

    tkbench prep synth --out held_corpus --clips 96 --speakers 48 --seed 4242 --split test
    tkbench prep folder --root held_corpus --out held
    python scripts/mouths.py --corpus held_corpus --data held --model synctalkface --model cals

On real faces, of which no corpus knows the teeth, leave --corpus out:

    python scripts/mouths.py --data shards --model synctalkface

teeth    mean luminance within the corpus's own mask of teeth (without a corpus: between the true inner lips), in the
         frames whose true mouth is open above the clip's median; and its share of that of the true video
slope    of the generated lips' aperture on the true one (tracked both), all frames, each clip about its mean: 1 opens
         as far as the truth; and their correlation
colour   mean difference from the true colours of the mouth and the skin around it, in grey levels of 255, after a blur
         of a sixteenth of the crop's side: what is left is another skin, another light or other teeth, and no lips that
         moved by a little
seam     mean step between the two rows of pixels where the generated half joins the filmed one, as a share of the true
         video's step there

`real` is the true video, and has to be 1 everywhere. `redrawn` is the true face, cut and put back as a generator's is:
what is lost there is lost to the cut, its size and its colours, and not to a network.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench import models
from tkbench.metrics.mouth import aperture, filled, rims
from tkbench.models.face import Cut, paste_faces
from tkbench.models.talker import FINE, Talker
from tkbench.scoring.clips import track_face
from tkbench.shards import open_shards
from tkbench.synth.clip import teeth_of
from tkbench.train.objectives.base import mouth_box
from tkbench.types import Array, Batch, Sample, UInt8

LUMA = np.array([0.299, 0.587, 0.114])
SURE = 0.8
"""From this share on a pixel counts as teeth."""
CUT = Cut("steady-172", 96)
"""Where `real` and `redrawn` have their seam: that of the bundled models."""


@dataclass(frozen=True, slots=True)
class Mouths:
    """What one clip shows."""

    teeth: float
    true_teeth: float
    opening: Array
    true_opening: Array
    colour: float
    seam: float


def row_step(video: UInt8, cut: Cut, landmarks: Array) -> float:
    """Mean difference of the rows above and below the join, in the inner half of the crop at the size of pasting."""
    larger, finer = cut.enlarged(cut.matrices(landmarks), FINE)
    faces = larger.faces(video, finer, cubic=True).astype(np.float64).mean(axis=3)
    half, quarter = larger.size // 2, larger.size // 4
    return float(np.abs(faces[:, half, quarter:-quarter] - faces[:, half - 1, quarter:-quarter]).mean())


def redrawn(sample: Sample, cut: Cut = CUT) -> UInt8:
    """The true faces at the network's own size, enlarged and pasted as drawn ones are."""
    import torch

    from tkbench.models.picture import enlarged

    matrices = cut.matrices(sample.landmarks)
    small = torch.from_numpy(cut.faces(sample.video, matrices)).movedim(-1, 1).float()
    larger, finer = cut.enlarged(matrices, FINE)
    faces = enlarged(small, (larger.size, larger.size)).round().clamp(0, 255).byte().movedim(1, -1).numpy()
    return paste_faces(sample.video, faces, finer)


def colour_gap(sample: Sample, video: UInt8, cut: Cut) -> float:
    """Mean difference from the true video of the mouth and what is around it, after a blur."""
    import cv2

    matrices = cut.matrices(sample.landmarks)
    faces, true = (cut.faces(shown, matrices).astype(np.float32) for shown in (video, sample.video))
    top, bottom, left, right = mouth_box(cut.size, cut.size)
    # A blur of the difference is the difference of the blurred.
    soft = [cv2.GaussianBlur(gap, (0, 0), cut.size / 16)[top:bottom, left:right] for gap in faces - true]
    return float(np.abs(np.stack(soft)).mean())


def mouths(sample: Sample, video: UInt8, masks: Array | None, cut: Cut) -> Mouths:
    """One clip's video beside its truth; masks: (T, H, W) of its teeth, None where they are not known."""
    true = aperture(sample.landmarks)
    if masks is None:
        opened, masks = true, filled(rims(sample.landmarks), (video.shape[1], video.shape[2]))
    else:
        opened = np.asarray(sample.meta["extra"]["aperture"], float)
    inside = (masks > SURE) & (opened > np.median(opened))[:, None, None]
    tracked = track_face(sample, video)
    shown = aperture(tracked.landmarks) if len(tracked.landmarks) else np.full(len(true), np.nan)
    return Mouths(
        float((video[inside] @ LUMA).mean()),
        float((sample.video[inside] @ LUMA).mean()),
        shown - shown.mean(),
        true - true.mean(),
        colour_gap(sample, video, cut),
        row_step(video, cut, sample.landmarks) / row_step(sample.video, cut, sample.landmarks),
    )


def summary(found: list[Mouths]) -> dict[str, float]:
    """Over clips: teeth by their mean luminance, the slope over all frames, the seam's mean."""
    shown, true = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("opening", "true_opening")
    )
    teeth, true_teeth = (float(np.nanmean([getattr(m, n) for m in found])) for n in ("teeth", "true_teeth"))
    return {
        "teeth": teeth,
        "share": teeth / true_teeth,
        "slope": float((shown * true).sum() / (true * true).sum()),
        "corr": float(np.corrcoef(shown, true)[0, 1]),
        "colour": float(np.mean([m.colour for m in found])),
        "seam": float(np.mean([m.seam for m in found])),
    }


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, help="folder of tkbench prep synth; none for real faces")
    parser.add_argument("--data", type=Path, required=True, help="shards, of the corpus where there is one")
    parser.add_argument("--model", action="append", default=[], help="repeatable; NAME or NAME:CHECKPOINT")
    parser.add_argument("--clips", type=int, default=24, help="clips, evenly spaced")
    given = parser.parse_args()
    source = open_shards(given.data)
    keys, record = sorted(source.keys()), None
    if given.corpus is not None:
        record = json.loads((given.corpus / "corpus.json").read_text(encoding="utf-8"))
        keys = sorted(set(keys) & {row["key"] for row in record["clips"] if not row["knobs"]})
    keys = [keys[k] for k in np.unique(np.linspace(0, len(keys) - 1, given.clips).round().astype(int))]
    made = {name: models.create(name) for name in given.model}
    found: dict[str, list[Mouths]] = {name: [] for name in ("real", "redrawn", *made)}
    for key in keys:
        sample = source.get(key)
        masks = None
        if record is not None:
            speaker, clip = key.split("/")
            size = sample.video.shape[1]
            masks = teeth_of(seed=record["seed"], speaker=int(speaker[1:]), index=int(clip[1:]), size=size)
        found["real"].append(mouths(sample, sample.video, masks, CUT))
        found["redrawn"].append(mouths(sample, redrawn(sample), masks, CUT))
        for name, model in made.items():
            (answer,) = model.generate(Batch((sample,)), seed=0)
            if answer.video is None:
                raise SystemExit(f"{name}: {key}: {answer.detail}")
            cut = model.facts.cut if isinstance(model, Talker) else CUT
            found[name].append(mouths(sample, answer.video, masks, cut))
    print(f"{len(keys)} clips" + (f" of seed {record['seed']}" if record is not None else ""))
    print("\n| model | teeth | of the true | slope of the opening | correlation | colour | seam |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, rows in found.items():
        s = summary(rows)
        print(
            f"| {name} | {s['teeth']:.1f} | {s['share']:.2f} | {s['slope']:.2f} | {s['corr']:.3f} | {s['colour']:.2f} "
            f"| {s['seam']:.2f} |"
        )


if __name__ == "__main__":
    main()
