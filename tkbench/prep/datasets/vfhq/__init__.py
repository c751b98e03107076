"""VFHQ (Xie et al., CVPRW 2022): faces in interviews on YouTube, in high quality."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Option, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="vfhq",
    title="VFHQ (Xie et al., CVPRW 2022)",
    layout="`meta_info/Clip+<youtube id>+P0+C0+F100-200.txt` over a folder of downloaded videos with sound",
    notes="The canvas is the published window at 512 x 512. There is no split of its clips with sound: use --split-by.",
    example="tkbench prep vfhq --root videos --annotations meta_info --out shards/vfhq",
    read=lazy("tkbench.prep.datasets.vfhq.reader:read"),
    annotate=lazy("tkbench.prep.datasets.vfhq.reader:annotate"),
    check=lazy("tkbench.prep.datasets.vfhq.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.vfhq.fake:make"), usual=4, least=3),
    options=(
        Option("annotations", "Folder of the Clip+...txt files; by default meta_info in ROOT, or ROOT."),
    ),
    published={"clips": "16k (paper)"},
    counted_by="list",
    usual_findings=frozenset({"available"}),
    clustered_by="persons of a video (the P of a clip's name)",
    terms=Terms(
        licence="for non-commercial research; the videos belong to their owners",
        source="https://liangbinxie.github.io/projects/vfhq",
        cite=(
            "Liangbin Xie, Xintao Wang, Honglun Zhang, Chao Dong, Ying Shan: VFHQ: A High-Quality Dataset and "
            "Benchmark for Video Face Super-Resolution. CVPR Workshops 2022."
        ),
    ),
)
