"""MoChaBench (Wei et al., 2025): videos that several models generated for the same prompts and voices."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="mochabench",
    title="MoChaBench (Wei et al., arXiv 2503.23307)",
    layout="`MODEL-generation/CATEGORY/1_name.mp4` and `eval-viescore/example_results/MODEL/01.mp4`",
    notes="There is no true video: every video is one that a model made, and the label model says which.",
    example="tkbench prep mochabench --root MoChaBench --out shards/mochabench",
    read=lazy("tkbench.prep.datasets.mochabench.reader:read"),
    check=lazy("tkbench.prep.datasets.mochabench.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.mochabench.fake:make"), usual=6, least=4),
    published={
        "1p_camera_movement": "18 (lists)",
        "1p_closeup_facingcamera": "27 (lists)",
        "1p_emotion": "34 (lists)",
        "1p_generalize_chinese": "4 (lists)",
        "1p_mediumshot_actioncontrol": "52 (lists)",
        "1p_protrait": "38 (lists)",
        "2p_1clip_1talk": "30 (lists)",
        "2p_2clip_2talk": "15 (lists)",
    },
    counted_by="category",
    clustered_by="prompts (the videos of all models for one prompt are one group)",
    terms=Terms(
        licence="its repository names no licence",
        source="https://github.com/congwei1230/MoChaBench README.md at 018d403",
        cite=(
            "Cong Wei and others: MoCha: Towards Movie-Grade Talking Character Synthesis. arXiv 2503.23307, 2025."
        ),
        confirmed=True,
    ),
)
