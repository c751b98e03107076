"""LRW (Chung & Zisserman, ACCV 2016): words of broadcast television."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="lrw",
    title="LRW (Chung & Zisserman, ACCV 2016)",
    layout="`WORD/{train,val,test}/WORD_00001.mp4` and .txt below ROOT (or its `lipread_mp4`)",
    notes="The canvas is the released picture, 256 x 256.",
    example="tkbench prep lrw --root lipread_mp4 --out shards/lrw --split test",
    read=lazy("tkbench.prep.datasets.lrw.reader:read"),
    annotate=lazy("tkbench.prep.datasets.lrw.reader:annotate"),
    check=lazy("tkbench.prep.datasets.lrw.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.lrw.fake:make"), usual=6),
    splits=("train", "val", "test"),
    published={"train": "488766 (memory)", "val": "25000 (memory)", "test": "25000 (lists)"},
    released=True,
    clustered_by="clips (LRW does not say who speaks)",
    terms=Terms(
        licence=(
            "no public licence: for academic research, after an agreement with BBC Research and Development; not for "
            "industrial research labs (arXiv 1809.00496, section 1)"
        ),
        source="https://www.robots.ox.ac.uk/~vgg/data/lip_reading/lrw1.html",
        cite="Joon Son Chung, Andrew Zisserman: Lip Reading in the Wild. ACCV 2016.",
    ),
)
