"""VoxCeleb2 (Chung et al., Interspeech 2018): celebrities in interviews, by identity."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Option, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="voxceleb2",
    title="VoxCeleb2 (Chung et al., Interspeech 2018)",
    layout="`{dev,test}/mp4/id00012/<youtube id>/00001.mp4`, `{dev,test}/txt` beside mp4, and vox2_meta.csv",
    notes="The canvas is the released picture, 224 x 224. Splits: dev, test.",
    example="tkbench prep voxceleb2 --root VoxCeleb2 --lists vox2_meta.csv --out shards/voxceleb2 --split test",
    read=lazy("tkbench.prep.datasets.voxceleb2.reader:read"),
    annotate=lazy("tkbench.prep.datasets.voxceleb2.reader:annotate"),
    check=lazy("tkbench.prep.datasets.voxceleb2.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.voxceleb2.fake:make"), usual=6, least=3),
    options=(Option("lists", "The file vox2_meta.csv; by default in ROOT."),),
    splits=("dev", "test"),
    # The paper's 1,128,246 utterances are the sum of the two.
    published={"dev": "1092009 (paper)", "test": "36237 (paper)"},
    released=True,
    clustered_by="identities",
    terms=Terms(
        licence="CC BY 4.0 on the metadata; the videos belong to their owners",
        source="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox2.html",
        cite=(
            "Joon Son Chung, Arsha Nagrani, Andrew Zisserman: VoxCeleb2: Deep Speaker Recognition. Interspeech "
            "2018."
        ),
    ),
)
