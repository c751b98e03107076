"""GRID (Cooke et al., JASA 2006): commands like "bin blue at f two now", said by 34 people before a camera."""

from __future__ import annotations

from tkbench.dataset import DataSet, Fake, Terms
from tkbench.registry import lazy

DATASET = DataSet(
    name="grid",
    title="GRID (Cooke et al., JASA 2006)",
    layout="`s1/bbaf2n.mpg` (or `s1/video/mpg_6000/`, `s1/video/`), and `s1/align/` or `align/s1/` with bbaf2n.align",
    notes="Its makers have no split: use --split-by speaker.",
    example="tkbench prep grid --root GRID --out shards/grid",
    read=lazy("tkbench.prep.datasets.grid.reader:read"),
    annotate=lazy("tkbench.prep.datasets.grid.reader:annotate"),
    check=lazy("tkbench.prep.datasets.grid.check:check"),
    fake=Fake(lazy("tkbench.prep.datasets.grid.fake:make"), usual=6, least=3),
    # 34 people said 1000 sentences each; there is no video of s21.
    published={"video": "33000 (memory)"},
    counted_by="part",
    clustered_by="speakers",
    terms=Terms(
        licence="for research use (abstract of the paper)",
        source="https://doi.org/10.1121/1.2229005",
        cite=(
            "Martin Cooke, Jon Barker, Stuart Cunningham, Xu Shao: An audio-visual corpus for speech perception "
            "and automatic speech recognition. JASA 120, pages 2421-2424, 2006."
        ),
        confirmed=True,
    ),
)
