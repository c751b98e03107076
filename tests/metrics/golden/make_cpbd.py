"""Write cpbd.json: what python-cpbd itself says of a few pictures.

It cannot be a dependency of the tests (its last release, 1.0.7, imports `scipy.ndimage.imread`, which is gone), so
its answers are kept here. To make them again, from the top of the checkout:

    pip download --no-deps --no-binary :all: cpbd==1.0.7 -d /tmp/cpbd
    tar xzf /tmp/cpbd/cpbd-1.0.7.tar.gz -C /tmp/cpbd
    python tests/metrics/golden/make_cpbd.py /tmp/cpbd/cpbd-1.0.7
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent


def pictures() -> dict[str, npt.NDArray[np.uint8]]:
    """Grey pictures (H, W) uint8 by name, always the same: no library draws them."""
    rng = np.random.default_rng(20)
    y, x = np.mgrid[0:192, 0:200]
    rings = 128 + 100 * np.sin(np.hypot(x - 90, y - 70) ** 1.5 / 40) * (x > 30)
    shades = rings + 0.25 * (x - y)
    noise = rng.integers(0, 256, (130, 200))
    blocks = np.kron(rng.integers(0, 2, (10, 12)), np.ones((16, 16))) * 180 + rng.integers(0, 9, (160, 192))
    soft = [shades]
    for _ in range(6):
        soft.append((soft[-1] + np.roll(soft[-1], 1, axis=1) + np.roll(soft[-1], 1, axis=0)) / 3)
    named = {
        "rings": shades,
        "noise": noise,
        "blocks": blocks,
        "flat": np.full((70, 90), 7),
        "ramp": x,
        "small": noise[:60],
    }
    named |= {f"soft{k}": soft[k] for k in (1, 3, 6)}
    return {name: np.clip(np.rint(picture), 0, 255).astype(np.uint8) for name, picture in named.items()}


def main(package: Path) -> None:
    """Import python-cpbd from `package` and write its answers beside this file."""
    import scipy.ndimage

    scipy.ndimage.imread = None
    sys.path.insert(0, str(package))
    compute = import_module("cpbd").compute
    answers = {name: float(compute(picture)) for name, picture in pictures().items()}
    (HERE / "cpbd.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
