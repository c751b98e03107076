"""HDTF (Zhang et al., CVPR 2021): annotated intervals of YouTube videos in high resolution."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Option, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="hdtf",
    title="HDTF (Zhang et al., CVPR 2021)",
    layout="the published annotation files over a folder of downloaded videos",
    notes="Each annotated interval is a clip; its canvas is the official crop at 512 x 512. Splits: train, val, "
    "test of the identity-disjoint split hdtf-identity-1.",
    example="tkbench prep hdtf --root videos --annotations HDTF_dataset --out shards/hdtf --split test",
    read=lazy("tkbench.prep.datasets.hdtf.reader:read"),
    check=lazy("tkbench.prep.datasets.hdtf.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.hdtf.fake:make"), usual=6, least=5),
    options=(Option("annotations", "Folder of RD_annotion_time.txt and the others; by default in ROOT."),),
    splits=("train", "val", "test"),
    split_note=lazy("tkbench.prep.datasets.hdtf.split:note"),
    # What counts is the annotation files: 66 + 195 + 175 = 436 intervals.
    published={"RD": "66 (annotations)", "WDA": "195 (annotations)", "WRA": "175 (annotations)"},
    counted_by="subset",
    usual_findings=frozenset({"available", "no-crop", "no-interval"}),
    clustered_by="persons (in the subset RD over videos)",
    terms=Terms(
        licence=(
            "CC BY 4.0 on the annotation files (the README names none); the videos belong to their owners"
        ),
        source="https://github.com/MRzzm/HDTF README.md at 0200180",
        cite=(
            "Zhimeng Zhang, Lincheng Li, Yu Ding, Changjie Fan: Flow-Guided One-Shot Talking Face Generation With "
            "a High-Resolution Audio-Visual Dataset. CVPR 2021, pages 3661-3670."
        ),
    ),
)
