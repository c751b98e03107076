"""Make tkbench/assets/doctor.mp4, the clip of `tkbench doctor`, and the golden values that belong to it.

python scripts/make_doctor.py            both
python scripts/make_doctor.py --values   the values alone, after a change that is meant to move them
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tkbench import doctor, media
from tkbench.synth.corpus import make_corpus

SEED, FIRST, FRAMES, SIDE = 77, 12, 40, 224


def make_clip(target: Path) -> None:
    """1.6 s from the middle of a synthetic clip, at the size that keeps it small."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        make_corpus(corpus, clips=1, speakers=1, seed=SEED, workers=1)
        (source,) = corpus.rglob("*.mp4")
        frames, sound = media.read_video(source), media.read_audio(source)
    some = frames[FIRST : FIRST + FRAMES]
    small = [cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in some]
    voice = np.asarray(sound[FIRST * 640 : (FIRST + FRAMES) * 640])
    media.write_video(target, small, audio=voice, quality=22)


def main() -> None:
    """Make what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--values", action="store_true", help="keep the clip, make the values alone")
    if not parser.parse_args().values:
        make_clip(doctor.golden_clip())
    found = doctor.examine()
    target = doctor.golden_clip().with_suffix(".json")
    target.write_text(found.to_json(), encoding="utf-8")
    for stage in found.stages:
        print(f"{stage.name:10} {stage.shape!s:20} {stage.sha256[:12]} {stage.seconds:.3f} s")


if __name__ == "__main__":
    main()
