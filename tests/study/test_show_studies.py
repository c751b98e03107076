"""scripts/show_studies.py: tables come into docs/studies.md, and what all studies cost is their sum."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "show_studies.py"
sys.path.insert(0, str(SCRIPT.parent))

from show_studies import BUDGET, DOCUMENT, costs, summed  # noqa: E402

PAGE = """# Studies

<!-- study a -->
old
<!-- end of study a -->

<!-- study b, small -->

The study took 0.25 core-hours.

<!-- end of study b, small -->

<!-- study c -->

Not run yet.

<!-- end of study c -->

<!-- study costs -->
<!-- end of study costs -->

The end.
"""


def test_a_table_comes_into_the_page_and_into_the_sum(tmp_path: Path) -> None:
    page, made = tmp_path / "studies.md", tmp_path / "a.md"
    page.write_text(PAGE)
    made.write_text("# A heading\n\nFound. All stages took 1.5 core-hours, the longest 12 minutes.\n")
    command = [sys.executable, str(SCRIPT), "--write", str(page)]
    subprocess.run([*command, f"study a={made}"], check=True)
    text = page.read_text()
    assert "old" not in text
    assert "A heading" not in text
    assert "Found. All" in text
    assert "| a | 1.5 | 12 |" in text
    assert "| b, small | 0.25 |  |" in text
    assert "| all that were run | 1.75 | |" in text
    assert text.endswith("The end.\n")
    subprocess.run(command, check=True)
    assert page.read_text() == text
    lost = subprocess.run([*command, f"study z={made}"], capture_output=True, text=True)
    assert lost.returncode != 0
    assert "study z" in lost.stderr


def test_the_page_of_the_docs_has_its_own_sum_and_keeps_the_budget() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert summed(text) in text
    assert sum(hours for _, hours, _ in costs(text)) <= BUDGET
    assert all(longest is None or longest < 150 for _, _, longest in costs(text))
