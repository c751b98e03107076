"""LRS3 (Afouras et al., 2018): sentences of TED talks."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="lrs3",
    title="LRS3-TED (Afouras et al., 2018)",
    layout="`{pretrain,trainval,test}/<youtube id>/00001.mp4` and .txt below ROOT",
    notes="The canvas is the released picture, 224 x 224.",
    example="tkbench prep lrs3 --root lrs3 --out shards/lrs3 --split test",
    read=lazy("tkbench.prep.datasets.lrs3.reader:read"),
    annotate=lazy("tkbench.prep.datasets.lrs:annotate"),
    check=lazy("tkbench.prep.datasets.lrs3.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.lrs3.fake:make"), usual=6),
    splits=("pretrain", "trainval", "test"),
    published={"pretrain": "119k (paper)", "trainval": "32k (paper)", "test": "1452 (paper)"},
    released=True,
    clustered_by="YouTube ids (each is a talk)",
    terms=Terms(
        licence="CC BY-NC-ND 4.0, that of the TED talks",
        source="https://www.robots.ox.ac.uk/~vgg/data/lip_reading/lrs3.html",
        cite=(
            "Triantafyllos Afouras, Joon Son Chung, Andrew Zisserman: LRS3-TED: a large-scale dataset for visual "
            "speech recognition. arXiv 1809.00496, 2018."
        ),
    ),
)
