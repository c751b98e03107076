"""CREMA-D (Cao et al., IEEE TAC 2014): 91 actors say twelve sentences with six emotions."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Terms
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
    terms=Terms(
        licence="Open Database License 1.0, contents under the Database Contents License 1.0",
        source="https://github.com/CheyneyComputerScience/CREMA-D LICENSE.txt at 54cb286",
        cite=(
            "Houwei Cao, David G. Cooper, Michael K. Keutmann, Ruben C. Gur, Ani Nenkova, Ragini Verma: CREMA-D: "
            "Crowd-sourced Emotional Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4), "
            "pages 377-390, 2014."
        ),
        confirmed=True,
    ),
)
