"""A synthetic TalkVid: the JSON, downloads of three kinds and a lost one, and TalkVid-Bench with its sound files."""

from __future__ import annotations

import json
from pathlib import Path

from tkbench.prep.datasets.spoken import LENGTH, SCENE, SPEAKERS, short_talk, write_scene, youtube
from tkbench.prep.datasets.talkvid.reader import BENCH
from tkbench.runtime.progress import Progress

_LANGUAGES, _AGES = ("English", "Polish", "Thai"), ("19-30", "60+")


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """Clips of the JSON: whole video, numbered part, lost, file called by its id; from the fifth on, of the bench."""
    train, bench = [], []
    for index in range(clips):
        tube, inside = youtube(seed, index, 8), index >= 4
        talk = short_talk(seed, index % SPEAKERS, 224)
        start, stop = (100.5, 100.5 + LENGTH[1] - LENGTH[0]) if index else LENGTH
        name = f"videovideo{tube}-scene{index}-scene1"
        entry: dict[str, object] = {
            "id": name, "height": SCENE[1], "width": SCENE[0], "fps": 25.0, "start-time": start, "end-time": stop,
            "info": {
                "Person ID": "" if inside else str(500 + index % SPEAKERS),
                "Ethnicity": ("White", "Asian", "Black")[index % 3],
                "Age Group": _AGES[index % 2],
                "Gender": ("Male", "Female")[index % 2],
                "Video Link": f"https://www.youtube.com/watch?v={tube}",
                "Language": _LANGUAGES[index % 3],
                "Video Category": "Interview",
            },
            "description": "A synthetic face talks.",
        }  # fmt: skip
        if inside:
            file = root / BENCH / "age" / "videos_w_audios" / _AGES[index % 2] / f"{name}.mp4"
            write_scene(file, talk, seed, lead=0.0)
            silent = root / BENCH / "age" / "videos" / f"{name}.mp4"
            silent.parent.mkdir(parents=True, exist_ok=True)
            silent.write_bytes(b"the same without sound; nobody reads this")
            bench.append(entry | {"video-path": f"videos/{name}.mp4"})
        else:
            train.append(entry)
            places = (f"raw/{tube}", f"clips/{tube}/{tube}_001_{start:.3f}_{stop:.3f}", "", f"clips/{name}")
            if index != 2:
                write_scene(root / f"{places[index]}.mp4", talk, seed, lead=0.0 if index else LENGTH[0])
        progress(index + 1, clips, "clips")
    (root / "filtered_video_clips.json").write_text(json.dumps(train, indent=1), encoding="utf-8")
    for subset in ("age", "language"):
        (root / BENCH / subset).mkdir(parents=True, exist_ok=True)
        file = root / BENCH / subset / f"test_{subset}.json"
        file.write_text(json.dumps(bench if subset == "age" else bench[:1]), encoding="utf-8")
