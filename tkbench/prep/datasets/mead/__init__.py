"""MEAD (Wang et al., ECCV 2020): actors with eight emotions at three levels, seen from seven sides."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="mead",
    title="MEAD (Wang et al., ECCV 2020)",
    layout="`M003/video/front/angry/level_1/001.mp4`, and `M003/audio/angry/level_1/001.m4a`, which is not needed",
    notes="All views are read; the split is by actor: use --split-by speaker.",
    example="tkbench prep mead --root MEAD --out shards/mead",
    read=lazy("tkbench.prep.datasets.mead.reader:read"),
    check=lazy("tkbench.prep.datasets.mead.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.mead.fake:make"), usual=6, least=3),
    counted_by="view",
    clustered_by="actors",
    terms=Terms(
        licence=(
            "for non-commercial research only, no copies to others, by its terms of use; the MIT licence of its "
            "repository is of the code"
        ),
        source="https://github.com/uniBruce/Mead, Terms of Use_ Mead.pdf at 9c9f37c",
        cite=(
            "Kaisiyuan Wang, Qianyi Wu, Linsen Song, Zhuoqian Yang, Wayne Wu, Chen Qian, Ran He, Yu Qiao, Chen "
            "Change Loy: MEAD: A Large-scale Audio-visual Dataset for Emotional Talking-face Generation. ECCV "
            "2020."
        ),
        confirmed=True,
    ),
)
