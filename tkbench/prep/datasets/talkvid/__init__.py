"""TalkVid and TalkVid-Bench (Chen et al., 2025): talking people of many countries and ages, from YouTube."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Option, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="talkvid",
    title="TalkVid (Chen et al., arXiv 2508.13618)",
    layout="filtered_video_clips.json over a folder of downloads, and `TalkVid-bench/{age,ethnicity,gender,language}`",
    notes="Splits: train (the clips of the JSON) and test (TalkVid-Bench).",
    example="tkbench prep talkvid --root talkvid --annotations filtered_video_clips.json --split test --out shards/tv",
    read=lazy("tkbench.prep.datasets.talkvid.reader:read"),
    check=lazy("tkbench.prep.datasets.talkvid.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.talkvid.fake:make"), usual=6, least=5),
    options=(
        Option(
            "annotations", "The JSON of the clips; by default filtered_video_clips.json in ROOT or its data."
        ),
    ),
    splits=("train", "test"),
    published={"test": "500 (paper)"},
    usual_findings=frozenset({"available"}),
    clustered_by="persons (the Person ID, or the YouTube id where there is none)",
    terms=Terms(
        licence="CC BY-NC 4.0: non-commercial research only",
        source="https://github.com/FreedomIntelligence/TalkVid README.md at 01f25aa, License",
        cite=(
            "Shunian Chen, Hejin Huang, Yexin Liu, Zihan Ye, Pengcheng Chen and others: TalkVid: A Large-Scale "
            "Diversified Dataset for Audio-Driven Talking Head Synthesis. arXiv 2508.13618, 2025."
        ),
        confirmed=True,
    ),
)
