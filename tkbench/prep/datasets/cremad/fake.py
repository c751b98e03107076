"""A synthetic tree in the layout of CREMA-D."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tkbench.prep.datasets.cremad.reader import EMOTIONS, SENTENCES
from tkbench.prep.datasets.spoken import SPEAKERS, recode, short_talk, write_clip
from tkbench.runtime.progress import Progress


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """`VideoFlash/1001_DFA_ANG_XX.flv`, 480 x 360 in Flash Video, and the two tables; the last .flv is lacking."""
    names = []
    for index in range(clips):
        emotion = list(EMOTIONS)[index % 6]
        names.append(
            f"{1001 + index % SPEAKERS}_{list(SENTENCES)[index % 12]}_{emotion}_{('XX', 'LO', 'HI')[index % 3]}"
        )
        if index < clips - 1:
            talk = short_talk(seed, index, 224)
            frames = [np.pad(frame, ((68, 68), (128, 128), (0, 0)), mode="edge") for frame in talk.frames]
            write_clip(root / "VideoFlash" / names[-1], frames, talk.sound)
            flash = ["-c:v", "flv1", "-q:v", "2", "-c:a", "libmp3lame", "-ar", "44100", "-b:a", "128k"]
            recode(root / "VideoFlash" / f"{names[-1]}.mp4", ".flv", flash)
        progress(index + 1, clips, "clips")
    rows = [f'{number},"{name}"' for number, name in enumerate(names, 1)]
    (root / "SentenceFilenames.csv").write_text("\n".join(['"Stimulus_Number","Filename"', *rows]) + "\n")
    people = [
        f'{1001 + number},{21 + 7 * number},"{("Male", "Female")[number % 2]}","Caucasian","Not Hispanic"'
        for number in range(min(SPEAKERS, clips))
    ]
    head = '"ActorID","Age","Sex","Race","Ethnicity"'
    (root / "VideoDemographics.csv").write_text("\n".join([head, *people]) + "\n", encoding="utf-8")
