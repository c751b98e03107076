"""A synthetic CelebV-HQ: celebvhq_info.json, downloaded videos, a clip that was cut out, and a video that is lost."""

from __future__ import annotations

import json
from pathlib import Path

from tkbench.prep.datasets.spoken import (
    LENGTH,
    PLACE,
    SCENE,
    SPEAKERS,
    short_talk,
    write_clip,
    write_scene,
    youtube,
)
from tkbench.runtime.progress import Progress

_EMOTIONS = ("neutral", "happy", "sadness")


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """raw/YOUTUBE.mp4, 640 x 360, a face in its right half; the second clip is cut out, the third is not there."""
    entries: dict[str, object] = {}
    for index in range(clips):
        tube, talk = youtube(seed, index, 5), short_talk(seed, index % SPEAKERS, 224)
        key = f"{tube}_0"
        if index == 1:
            write_clip(root / "processed" / key, talk.frames, talk.sound)
        elif index != 2:
            write_scene(root / "raw" / f"{tube}.mp4", talk, seed)
        x, y = PLACE
        flags = [index % 2, 1, 0]
        emotion: dict[str, object] = {"sep_flag": False, "labels": _EMOTIONS[index % 3]}
        if index == 3:
            emotion = {"sep_flag": True, "labels": [{"emotion": "happy", "start_sec": 0, "end_sec": 0.5}]}
        entries[key] = {
            "ytb_id": tube,
            "duration": {"start_sec": LENGTH[0], "end_sec": LENGTH[1]},
            "bbox": {
                "top": round(y / SCENE[1] + 0.02, 4),
                "bottom": round((y + 224) / SCENE[1] - 0.02, 4),
                "left": round(x / SCENE[0] + 0.02, 4),
                "right": round((x + 224) / SCENE[0] - 0.02, 4),
            },
            "attributes": {"appearance": flags, "action": [0, 1], "emotion": emotion},
            "version": "v0.1",
        }
        progress(index + 1, clips, "clips")
    meta = {"appearance_mapping": ["Male", "Young", "Blurry"], "action_mapping": ["blow", "talk"]}
    text = json.dumps({"meta_info": meta, "clips": entries}, indent=1)
    (root / "celebvhq_info.json").write_text(text, encoding="utf-8")
