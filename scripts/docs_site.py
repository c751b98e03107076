"""What `make docs` needs beside mkdocs.yml: the pages of docs/ are written for GitHub, and a site is another place.

- Links that leave docs/ lead to a page of the site (`OUTSIDE`: the change log and the like) or to the repository.
- Headings get the anchors that GitHub gives them.
- A drawing in mermaid becomes its picture in docs/pictures: mermaid itself would come from a server, or make each page
  larger by megabytes. `scripts/draw_diagrams.py` draws them; a picture of another text than the page's is a warning,
  and so an error.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/tkbench/tkbench"
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "KNOWN_PROBLEMS.md": "known-problems.md",
    "CONTRIBUTING.md": "contributing.md",
    "leaderboards/README.md": "leaderboards.md",
}
"""Documents of the repository that are pages of the site, too."""
FENCES = re.compile(r"^```.*?^```|`[^`\n]*`", re.M | re.S)
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
MERMAID = re.compile(r"^```mermaid\n(.*?)^```", re.M | re.S)
log = logging.getLogger("mkdocs.hooks.docs_site")


def slug(heading: str, separator: str = "-") -> str:
    """The anchor that GitHub gives a heading.

    >>> slug("How LSE-C is computed")
    'how-lse-c-is-computed'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", separator)


def moved(target: str, home: PurePosixPath) -> str:
    """A link of a document in the folder `home` of the repository, as the site has it.

    >>> moved("../CHANGELOG.md#old", PurePosixPath("docs"))
    'changelog.md#old'
    >>> moved("../LICENSE", PurePosixPath("docs"))
    'https://github.com/tkbench/tkbench/blob/main/LICENSE'
    """
    file, mark, anchor = target.partition("#")
    if "://" in file or file.startswith("mailto:") or not file:
        return target
    place = PurePosixPath(os.path.normpath(home / file))
    if str(place) in OUTSIDE:
        return OUTSIDE[str(place)] + mark + anchor
    if place.parts[0] == "docs" and "training" not in place.parts[1:-1]:
        return str(place.relative_to("docs")) + mark + anchor
    if place.parts[0] == "docs" and place.suffix != ".md":
        return str(place.relative_to("docs"))
    if not (ROOT / place).exists():
        log.warning("%s: %s leads nowhere", home, target)
    kind = "tree" if (ROOT / place).is_dir() else "blob"
    return f"{REPOSITORY}/{kind}/main/{place}{mark}{anchor}"


def text_hash(drawing: str) -> str:
    """What names the picture of a drawing: 12 digits of its text's sha256."""
    return hashlib.sha256(drawing.encode()).hexdigest()[:12]


def picture(found: re.Match[str]) -> str:
    """The picture of a mermaid block, by the hash that stands in it."""
    wanted = text_hash(found[1])
    for file in sorted((ROOT / "docs" / "pictures").glob("*.svg")):
        if wanted in file.read_text(encoding="utf-8")[:400]:
            return f"![drawing: {file.stem.replace('-', ' ')}](pictures/{file.name})"
    log.warning("no picture of a drawing that begins %r: run scripts/draw_diagrams.py", found[1][:60])
    return found[0]


def for_the_site(markdown: str, home: PurePosixPath) -> str:
    """A document of the repository's folder `home` as a page: links and drawings; code stays as it is."""
    drawn = MERMAID.sub(picture, markdown)
    parts = FENCES.split(drawn)
    code = FENCES.findall(drawn)
    changed = [LINK.sub(lambda found: moved(found[1], home), part) for part in parts]
    return "".join(text + after for text, after in zip(changed, [*code, ""], strict=True))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """MkDocs calls this once, first."""
    config.mdx_configs["toc"]["slugify"] = slug
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs calls this when it knows the files of docs/."""
    from mkdocs.structure.files import File

    for source, name in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=for_the_site(text, PurePosixPath(source).parent)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """MkDocs calls this for each page."""
    if page.file.src_uri in OUTSIDE.values():
        return markdown
    return for_the_site(markdown, PurePosixPath("docs"))
