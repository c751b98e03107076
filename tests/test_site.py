"""The site of the documentation: pages that follow from the code are fresh, drawings too; the site asks for nothing.

Building needs mkdocs: TKBENCH_MKDOCS names the program, or `make docs` has put it into .venv-docs.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from types import ModuleType

import pytest
from support import browser
from test_documents import slug as github_slug

ROOT = Path(__file__).parents[1]
SITE_PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def script(name: str) -> ModuleType:
    """A module of scripts/, which is no package."""
    found = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def mkdocs() -> str | None:
    """The program, or None."""
    own = ROOT / ".venv-docs" / "bin" / "mkdocs"
    return os.environ.get("TKBENCH_MKDOCS") or (str(own) if own.is_file() else shutil.which("mkdocs"))


def test_pages_that_follow_from_the_code_are_fresh() -> None:
    """The metric reference and the table of protocols: `python scripts/metric_reference.py --write docs`."""
    reference = script("metric_reference")
    for path, text in reference.pages(ROOT / "docs").items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale"


def test_every_kind_of_column_has_a_formula_and_no_formula_is_left_over() -> None:
    reference = script("metric_reference")
    kinds = {kind for parts in reference.kinds().values() for kind in parts}
    assert kinds == set(reference.FORMULAS)


def test_the_reference_has_every_metric_with_formula_range_names_and_source() -> None:
    page = (ROOT / "docs" / "metric-reference.md").read_text(encoding="utf-8")
    part = page.split("\n### `lse_c`\n")[1].split("\n### ")[0]
    assert "Sync-C" in part
    assert "median over k of d(k) - min over k of d(k)" in part
    assert "higher is better; 0 to ∞" in part
    assert "Out of time: automated lip sync in the wild (2016)" in page
    from tkbench import metrics

    for name in metrics.registry:
        if metrics.registry.get(name).__module__.startswith("tkbench."):
            assert f"\n## {name}\n" in page, name


def test_links_lead_where_they_led_on_github() -> None:
    site = script("docs_site")
    docs = PurePosixPath("docs")
    assert site.moved("metrics.md#on-a-gpu", docs) == "metrics.md#on-a-gpu"
    assert site.moved("../KNOWN_PROBLEMS.md", docs) == "known-problems.md"
    assert site.moved("docs/speed.md", PurePosixPath()) == "speed.md"
    assert site.moved("../leaderboards", docs).endswith("/tree/main/leaderboards")
    assert site.moved("training/cals_synth.md", docs).endswith("/blob/main/docs/training/cals_synth.md")
    assert site.moved("training/cals_synth.svg", docs) == "training/cals_synth.svg"
    text = "[a](../LICENSE) `[b](../LICENSE)`\n```\n[c](../LICENSE)\n```\n"
    assert site.for_the_site(text, docs).count("../LICENSE") == 2


def test_anchors_are_those_of_github() -> None:
    site = script("docs_site")
    for path in sorted((ROOT / "docs").glob("*.md")):
        for heading in re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M):
            assert site.slug(heading) == github_slug(heading)


def test_every_drawing_has_the_picture_of_its_present_text() -> None:
    site = script("docs_site")
    drawings = 0
    for path in sorted((ROOT / "docs").glob("*.md")):
        for found in site.MERMAID.finditer(path.read_text(encoding="utf-8")):
            drawings += 1
            assert site.picture(found).startswith("![drawing: "), f"{path.name}: {found[1][:60]!r}"
    assert drawings == 2
    stale = site.MERMAID.search("```mermaid\nflowchart TD\n    a --> b\n```")
    assert stale is not None
    assert site.picture(stale) == stale[0]


def test_every_page_is_in_the_navigation_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    named = re.findall(r": ([\w-]+\.md)$", text, re.M)
    site = script("docs_site")
    assert sorted(named) == sorted([*SITE_PAGES, *site.OUTSIDE.values()])


def test_make_docs_reads_its_packages_from_the_extra() -> None:
    line = re.findall(r"^docs = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert len(line) == 1
    assert re.fullmatch(r'"mkdocs>=[\d.]+", "mkdocs-material>=[\d.]+"', line[0])


@pytest.mark.slow
@pytest.mark.skipif(mkdocs() is None, reason="no mkdocs: `make docs` installs it, or TKBENCH_MKDOCS names it")
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    for name in ("docs", "scripts", "leaderboards"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("rows", "*.csv"))
    for name in ("mkdocs.yml", "CHANGELOG.md", "KNOWN_PROBLEMS.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    with (tmp_path / "docs" / "faq.md").open("a", encoding="utf-8") as stream:
        stream.write("\n[nowhere](metrics.md#no-such-heading)\n")
    done = build(tmp_path)
    assert done.returncode != 0
    assert "no-such-heading" in done.stdout + done.stderr


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    program = mkdocs()
    assert program is not None
    own = {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": ""}
    return subprocess.run(
        [program, "build", "--strict", "--site-dir", str(folder / "site"), "--config-file", str(folder / "mkdocs.yml")],
        capture_output=True, text=True, check=False, env={**os.environ, **own}, cwd=folder,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(mkdocs() is None, reason="no mkdocs: `make docs` installs it, or TKBENCH_MKDOCS names it")
@pytest.mark.skipif(browser.find() is None, reason="no Chromium on this machine: set TKBENCH_CHROMIUM to one")
def test_the_site_opens_from_a_folder_and_asks_for_nothing(tmp_path: Path) -> None:
    program = mkdocs()
    assert program is not None
    done = subprocess.run(
        [program, "build", "--strict", "--site-dir", str(tmp_path / "site")],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "site"
    with browser.tab(tmp_path) as tab:
        for width in (1280, 390):
            for name in ("index.html", "architecture.html", "metric-reference.html"):
                tab.open(site / name, width=width)
                beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert tab.js(beyond) <= 0, f"{name} at {width} pixels scrolls sideways"
        tab.open(site / "index.html")
        tab.js("document.querySelector('[data-md-toggle=search]').click()")
        tab.choose(".md-search__input", "Sync-C")
        tab.js(
            "document.querySelector('.md-search__input').dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}))"
        )
        tab.wait("document.querySelectorAll('.md-search-result__item').length", "the search finds pages")
        assert tab.errors == []
        assert tab.outside == []


def test_scripts_of_the_site_run_without_mkdocs() -> None:
    """`draw_diagrams.py` and the tests above import the hooks where mkdocs is not installed."""
    script("docs_site")
    assert "mkdocs" not in sys.modules
