"""Write i3d.json: what a public implementation of FVD says of made-up clips, with made-up weights.

    git clone https://github.com/JunyaoHu/common_metrics_on_video_quality FVD
    python tests/metrics/golden/make_i3d.py FVD

Its VideoGPT form: `fvd/videogpt/pytorch_i3d.py` (piergiaj/pytorch-i3d) and `fvd.py` beside it, and the Frechet
distance of `fvd/styleganv/fvd.py`. The weights are those of tests/support/seeded_weights.py.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

GOLDEN = Path(__file__).with_name("i3d.json")


def clips() -> list[np.ndarray]:
    """Two clips (T, H, W, 3) uint8: higher than wide, and wider than high."""
    rng = np.random.default_rng(11)
    made = []
    for frames, height, width in ((16, 120, 97), (9, 80, 144)):
        coarse = rng.integers(0, 256, (frames, height // 8, width // 8, 3), dtype=np.uint8)
        made.append(coarse.repeat(8, axis=1).repeat(8, axis=2))
    return made


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Two sets of features (300, 24) with other means and spreads."""
    rng = np.random.default_rng(12)
    mix = rng.normal(size=(24, 24))
    return rng.normal(size=(300, 24)) @ mix, rng.normal(0.3, 1.2, size=(300, 24)) @ mix


def _load(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from support.seeded_weights import seeded_state

    root = Path(sys.argv[1]) / "fvd"
    # einops only brings the axes into another order there.
    sys.modules["einops"] = types.ModuleType("einops")
    sys.modules["einops"].rearrange = lambda x, _: x.permute(0, 2, 3, 4, 1)  # type: ignore[attr-defined]
    i3d = _load(root / "videogpt" / "pytorch_i3d.py", "pytorch_i3d")
    videogpt = _load(root / "videogpt" / "fvd.py", "videogpt_fvd")
    styleganv = _load(root / "styleganv" / "fvd.py", "styleganv_fvd")
    network = i3d.InceptionI3d(400, in_channels=3).eval()
    network.load_state_dict(seeded_state(network.state_dict()))
    answers = []
    for clip in clips():
        video = torch.from_numpy(clip).permute(3, 0, 1, 2)[None].float() / 255
        with torch.no_grad():
            answers.append([float(f"{x:.7g}") for x in network(videogpt.preprocess(video))[0].tolist()])
    a, b = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # It writes into its arguments.
        theirs = videogpt.frechet_distance(torch.from_numpy(a.copy()), torch.from_numpy(b.copy()))
    from tkbench.scoring.reproduce import sqrtm

    styleganv.sqrtm = sqrtm  # scipy no longer takes `disp`
    found = {"features": answers, "videogpt": theirs, "styleganv": styleganv.frechet_distance(a, b)}
    GOLDEN.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
