"""RAVDESS (Livingstone & Russo, PLoS ONE 2018): actors say and sing two sentences with eight emotions."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="ravdess",
    title="RAVDESS (Livingstone & Russo, PLoS ONE 2018)",
    layout="`Actor_01/01-01-01-01-01-01-01.mp4`, in ROOT or in folders below it",
    notes="Files with sound and picture (01-...) are read. Its makers have no split: use --split-by speaker.",
    example="tkbench prep ravdess --root RAVDESS --out shards/ravdess",
    read=lazy("tkbench.prep.datasets.ravdess.reader:read"),
    check=lazy("tkbench.prep.datasets.ravdess.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.ravdess.fake:make"), usual=4, least=2),
    published={"speech": "1440 (paper)", "song": "1012 (paper)"},
    counted_by="channel",
    clustered_by="actors",
    terms=Terms(
        licence="CC BY-NC-SA 4.0; commercial licences from its authors",
        source="https://zenodo.org/record/1188976",
        cite=(
            "Steven R. Livingstone, Frank A. Russo: The Ryerson Audio-Visual Database of Emotional Speech and "
            "Song (RAVDESS). PLoS ONE 13(5): e0196391, 2018."
        ),
        confirmed=True,
    ),
)
