"""The picture of the report that README.md shows: the top of a real report, in headless Chromium.

    tkbench demo --out demo
    python scripts/picture_report.py demo/runs/*/report.html --out docs/pictures/report.png

It needs Chromium, see tests/support/browser.py. Times and figures in the picture are those of the report that is given.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import browser

WIDTH, HEIGHT = 1160, 1000
MOST_BYTES = 250_000
"""A README should open at once."""


def shot(page: Path, height: int) -> np.ndarray:
    """(H, W, 3) uint8 BGR: the window's content, once its fonts and figures are drawn."""
    with tempfile.TemporaryDirectory() as folder, browser.tab(Path(folder)) as tab:
        tab.open(page, width=WIDTH, height=height)
        tab.js("document.fonts.ready.then(() => 0)")
        tab.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")
        if tab.errors or tab.outside:
            raise SystemExit(f"{page}: the page threw or asked for something: {tab.errors} {tab.outside}")
        data = tab.command("Page.captureScreenshot", format="png")["data"]
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def main() -> None:
    """Write the picture, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="report.html of a folder of bundles")
    parser.add_argument("--out", type=Path, required=True, help="the PNG that is written")
    parser.add_argument(
        "--height", type=int, default=HEIGHT, help=f"pixels from the top, by default {HEIGHT}"
    )
    given = parser.parse_args()
    if not given.report.is_file():
        parser.error(
            f"{given.report} is not a file: `tkbench demo --out demo` writes demo/runs/*/report.html"
        )
    if browser.find() is None:
        parser.error("no Chromium on this machine: set TKBENCH_CHROMIUM to one")
    done, data = cv2.imencode(".png", shot(given.report, given.height), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done or len(data) > MOST_BYTES:
        parser.error(f"the picture has {len(data)} bytes, more than {MOST_BYTES}: give a smaller --height")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(data.tobytes())
    print(f"{given.out}: {len(data)} bytes")


if __name__ == "__main__":
    main()
