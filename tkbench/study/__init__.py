"""Studies: what the papers claim of their models, measured on yours. One command per finding.

`tkbench study memory` asks whether the slots of an Audio-Lip Memory hold sounds. Each study writes a table, figures and
a page, with the settings that made them, and ends in a sentence.
"""

from __future__ import annotations
