"""CelebV-HQ (Zhu et al., ECCV 2022): faces of celebrities in YouTube videos, with attributes."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Option, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="celebvhq",
    title="CelebV-HQ (Zhu et al., ECCV 2022)",
    layout="celebvhq_info.json over a folder of downloaded videos (`M2Ohb0FAaJU.mp4`), or of clips cut out of them",
    notes="The canvas is the published window at 512 x 512. Its makers have no split: use --split-by speaker.",
    example="tkbench prep celebvhq --root videos --annotations celebvhq_info.json --out shards/celebvhq",
    read=lazy("tkbench.prep.datasets.celebvhq.reader:read"),
    check=lazy("tkbench.prep.datasets.celebvhq.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.celebvhq.fake:make"), usual=5, least=4),
    options=(Option("annotations", "The file celebvhq_info.json; by default in ROOT."),),
    published={"clips": "35666 (paper)"},
    counted_by="list",
    usual_findings=frozenset({"available"}),
    clustered_by="YouTube ids (its identities are not published)",
    terms=Terms(
        licence="for non-commercial research only; no copies to others; the videos belong to their owners",
        source="https://github.com/CelebV-HQ/CelebV-HQ README.md at 175491b, Agreement",
        cite=(
            "Hao Zhu, Wayne Wu, Wentao Zhu, Liming Jiang, Siwei Tang, Li Zhang, Ziwei Liu, Chen Change Loy: "
            "CelebV-HQ: A Large-Scale Video Facial Attributes Dataset. ECCV 2022."
        ),
        confirmed=True,
    ),
)
