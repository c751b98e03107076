"""CelebV-HQ (Zhu et al., ECCV 2022): faces of celebrities in YouTube videos, with attributes."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Option
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
)
