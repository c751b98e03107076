"""The mermaid drawings of docs/ as pictures for the site, which asks no server for mermaid.

    npm pack mermaid && tar xzf mermaid-*.tgz package/dist/mermaid.min.js
    python scripts/draw_diagrams.py --mermaid package/dist/mermaid.min.js

Each picture is named by the heading that its drawing stands under, and holds the hash of the drawing's text; the
build of the site and tests/test_site.py compare the two. It needs Chromium, see tests/support/browser.py.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

from docs_site import MERMAID, ROOT, slug, text_hash

sys.path.insert(0, str(ROOT / "tests"))

from support import browser

SETTINGS = {
    "startOnLoad": False,
    "htmlLabels": False,
    "flowchart": {"htmlLabels": False, "useMaxWidth": True},
    "theme": "neutral",
    "fontFamily": "sans-serif",
}


def main() -> None:
    """Draw each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mermaid", type=Path, required=True, help="mermaid.min.js of the npm package")
    given = parser.parse_args()
    if browser.find() is None:
        parser.error("no Chromium on this machine: set TKBENCH_CHROMIUM to one")
    with tempfile.TemporaryDirectory() as folder, browser.tab(Path(folder)) as tab:
        page = Path(folder) / "page.html"
        script = given.mermaid.resolve().as_uri()
        page.write_text(f'<!doctype html><meta charset="utf-8"><script src="{script}"></script>')
        tab.open(page)
        tab.js(f"mermaid.initialize({json.dumps(SETTINGS)})")
        for file in sorted((ROOT / "docs").glob("*.md")):
            text = file.read_text(encoding="utf-8")
            for found in MERMAID.finditer(text):
                heading = re.findall(r"^## (.+)$", text[: found.start()], re.M)[-1]
                drawn = tab.js(f"mermaid.render('drawing', {json.dumps(found[1])}).then((made) => made.svg)")
                out = ROOT / "docs" / "pictures" / f"{slug(heading)}.svg"
                mark = f"<!-- drawn from the text {text_hash(found[1])} -->"
                out.write_text(f"{mark}\n{drawn}\n", encoding="utf-8")
                print(f"{out.relative_to(ROOT)}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
