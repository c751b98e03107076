"""The HTML report: one file with the ranked table, figures, per-clip rows and players of one table's bundles.

    page.py       bundles -> what the page shows, and the file
    finding.py    bundles -> the sentences at the top: which model leads, and whether the anchors order as they should
    board.py      the ranked table and its footnotes
    clips.py      the per-clip table and the players
    figures.py    numbers -> coordinates of the two drawings
    glossary.py   what each metric means and how to read it
    publish.py    after an evaluation: CSV and page, and the tables for the terminal
    sensitivity.py  the page of `tkbench sensitivity`

The file is self-contained: styles, script and videos are inside, and its content policy forbids any request. The same
bundles give the same bytes.
"""

from __future__ import annotations

from tkbench.report.page import write

__all__ = ["write"]
