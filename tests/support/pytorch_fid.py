"""pytorch-fid as a reference, with scipy releases that it does not know."""

from __future__ import annotations

import inspect
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import linalg

from tkbench.types import Float64


def sqrtm(matrix: Float64, disp: bool = True) -> object:
    """scipy's root as it was called up to 1.17: without `disp` an estimate of the error comes with it."""
    return linalg.sqrtm(matrix) if disp else (linalg.sqrtm(matrix), 0.0)


def frechet_distance(mean: Float64, cov: Float64, other_mean: Float64, other_cov: Float64) -> float:
    """What pytorch-fid's own function says. It passes `disp`, which scipy 1.18 removed."""
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy retires `disp` from 1.17 on
        if "disp" not in inspect.signature(linalg.sqrtm).parameters:
            patch.setattr(fid_score, "linalg", SimpleNamespace(sqrtm=sqrtm))
        found = fid_score.calculate_frechet_distance(mean, cov, other_mean, other_cov)
    return float(np.real(found))
