"""CREMA-D (Cao et al., IEEE TAC 2014): 91 actors say twelve sentences with six emotions."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake
from tkbench.registry import lazy

DATASET = DataSet(
    name="cremad",
    title="CREMA-D (Cao et al., IEEE TAC 2014)",
    layout="`VideoFlash/1001_DFA_ANG_XX.flv`, with SentenceFilenames.csv and VideoDemographics.csv beside the folder",
    notes="Its makers have no split: use --split-by speaker.",
    example="tkbench prep cremad --root CREMA-D --out shards/cremad",
    read=lazy("tkbench.prep.datasets.cremad.reader:read"),
    check=lazy("tkbench.prep.datasets.cremad.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.cremad.fake:make"), usual=6, least=3),
    published={"VideoFlash": "7442 (lists)"},
    counted_by="folder",
    clustered_by="actors",
)
