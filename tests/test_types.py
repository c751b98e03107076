"""The records: what a column refuses, and names of earlier versions."""

from __future__ import annotations

import math

import pytest

from tkbench import types
from tkbench.types import Column


def test_the_old_name_of_a_column_warns_and_names_the_new_one() -> None:
    with pytest.warns(DeprecationWarning, match=r"tkbench\.types\.Column"):
        old = types.Metric  # type: ignore[attr-defined]
    assert old is Column
    with pytest.raises(AttributeError, match="Metrik"):
        types.Metrik  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "facts", [{"digits": -1}, {"digits": 13}, {"bounds": (1.0, 0.0)}, {"bounds": (math.nan, 0.0)}]
)
def test_facts_that_make_no_sense_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="column 'x'"):
        Column(**{"name": "x", "label": "X", "unit": "px", "better": "lower", "digits": 2, **facts})  # type: ignore[arg-type]
