"""The contact sheet: one HTML file that shows the clips in a folder of shards, and what preparation left out.

    page.py       shards -> what the page shows, and the file
    choose.py     which clips are measured and shown, and which should be checked first
    measure.py    landmarks -> size and yaw of the face
    lag.py        the lag between lips and voice, by a judge
    card.py       one clip: pictures, landmarks, waveform, facts
    drawing.py    numbers -> coordinates of histograms and bars
    reasons.py    what each reason for skipping means, and what to do

The file is self-contained: its pictures are embedded, it runs no script, and its content policy forbids any
request. The same shards give the same bytes.
"""

from __future__ import annotations

from tkbench.sheet.page import write

__all__ = ["write"]
