"""The contact sheet: one HTML file that shows what a folder of shards holds, and what preparation left out.

    page.py       shards -> what the page shows, and the file
    choose.py     which clips are measured and shown, and which are worth a look first
    measure.py    landmarks -> size and yaw of the face
    lag.py        a judge's word on lips and voice
    card.py       one clip: pictures, landmarks, waveform, facts
    drawing.py    numbers -> coordinates of histograms and bars
    reasons.py    what each reason for skipping means, and what to do

The file needs nothing but itself: its pictures are inside, it runs no script, and its content policy forbids any
request. The same shards give the same bytes.
"""

from __future__ import annotations

from tkbench.sheet.page import write

__all__ = ["write"]
