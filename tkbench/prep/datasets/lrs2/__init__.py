"""LRS2 (Afouras et al., TPAMI 2018): sentences of BBC television."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="lrs2",
    title="LRS2 (Afouras et al., TPAMI 2018)",
    layout="`mvlrs_v1/{main,pretrain}` with train.txt, val.txt, test.txt and pretrain.txt beside them",
    notes="The canvas is the released picture, 160 x 160. Splits: train, val, test, pretrain.",
    example="tkbench prep lrs2 --root mvlrs_v1 --out shards/lrs2 --split test",
    read=lazy("tkbench.prep.datasets.lrs2.reader:read"),
    annotate=lazy("tkbench.prep.datasets.lrs:annotate"),
    check=lazy("tkbench.prep.datasets.lrs2.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.lrs2.fake:make"), usual=8),
    splits=("train", "val", "test", "pretrain"),
    published={
        "train": "45839 (lists)",
        "val": "1082 (memory)",
        "test": "1243 (lists)",
        "pretrain": "96318 (memory)",
    },
    released=True,
    clustered_by="the 19-digit ids (each is a broadcast, not a person)",
    terms=Terms(
        licence=(
            "no public licence: for academic research, after an agreement with BBC Research and Development; not for "
            "industrial research labs (arXiv 1809.00496, section 1)"
        ),
        source="https://www.robots.ox.ac.uk/~vgg/data/lip_reading/lrs2.html",
        cite=(
            "Triantafyllos Afouras, Joon Son Chung, Andrew Senior, Oriol Vinyals, Andrew Zisserman: Deep Audio- "
            "Visual Speech Recognition. IEEE TPAMI, 2018."
        ),
    ),
)
