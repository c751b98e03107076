"""The HTML report: one file that says which model is best, by how much, whether to trust it, and where it fails.

    page.py       bundles -> what the page shows, and the file
    answers.py    the four answers at the top
    finding.py    bundles -> sentences: which model leads, and whether the anchors order as they should
    board.py      the ranked table and its footnotes
    gaps.py       each model against the best one and against the true video
    trust.py      checks: anchors, coverage, missing networks, what the judge does on these data
    strata.py     records for groups of clips
    clips.py      the per-clip table
    players.py    the videos that are watched side by side
    figures.py    numbers -> coordinates of the two drawings that need no script
    glossary.py   what each metric means and how to read it
    site.py       several tables as a static site, with a page per model
    publish.py    after an evaluation: CSV and page, and the tables for the terminal
    sensitivity.py  the page of `tkbench sensitivity`

The file is self-contained: styles, script and videos are inside, and its content policy forbids any request. The same
bundles give the same bytes. Large parts (clips, videos) are text that a browser does not look at before it is needed.
"""

from __future__ import annotations

from tkbench.report.page import write

__all__ = ["write"]
