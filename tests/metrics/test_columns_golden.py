"""What a column promises stays as it was: name, direction, digits and signature; an old row must find its equals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from golden.make_columns import GOLDEN, columns

ROWS: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['metric']}-{json.dumps(row['settings'])}")
def test_columns_are_what_they_were(
    row: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    found = columns(row["metric"], row["settings"])
    assert found == row["columns"], "if this is meant: tests/metrics/golden/make_columns.py says what to do"
