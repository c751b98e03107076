"""AVSpeech (Ephrat et al., SIGGRAPH 2018): speech of one visible person in YouTube videos."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Option, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="avspeech",
    title="AVSpeech (Ephrat et al., SIGGRAPH 2018)",
    layout="avspeech_train.csv and avspeech_test.csv over a folder of downloaded videos or parts of them",
    notes="The face at the published point is followed. Splits: train, test.",
    example="tkbench prep avspeech --root videos --annotations lists --out shards/avspeech --split test",
    read=lazy("tkbench.prep.datasets.avspeech.reader:read"),
    check=lazy("tkbench.prep.datasets.avspeech.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.avspeech.fake:make"), usual=5, least=4),
    options=(Option("annotations", "Folder of avspeech_train.csv and avspeech_test.csv; by default ROOT."),),
    splits=("train", "test"),
    published={"train": "2621845 (memory)", "test": "183273 (memory)"},
    usual_findings=frozenset({"available"}),
    clustered_by="YouTube ids",
    terms=Terms(
        licence="CC BY 4.0 on the tables; the videos belong to their owners",
        source="https://looking-to-listen.github.io/avspeech",
        cite=(
            "Ariel Ephrat, Inbar Mosseri, Oran Lang, Tali Dekel, Kevin Wilson, Avinatan Hassidim, William T. "
            "Freeman, Michael Rubinstein: Looking to Listen at the Cocktail Party. ACM Transactions on Graphics "
            "37(4), 2018."
        ),
    ),
)
