"""What goes into the network is what the published scripts feed it, to the bit, on released files.

golden/upstream_lse.json holds the answers of the scripts themselves; scripts/upstream_lse.py made it and makes the
table of docs/metrics.md. The files are clips that cannot be passed on, so these tests skip where they are not. Other
releases of ffmpeg or OpenCV give other bits: then they skip, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tkbench import media, weights
from tkbench.media import lossy
from tkbench.metrics.lse_pieces import FileCodings, Unusable, pieces
from tkbench.metrics.lse_recipes import RECIPES
from tkbench.metrics.syncnet import SyncNetSpec
from tkbench.runtime.storage import sha256_of
from tkbench.types import Released

SCRIPTS = Path(__file__).parents[2] / "scripts"
GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden" / "upstream_lse.json").read_text(encoding="utf-8")
)
SHORT = ("LipNet__GRID_bbaf2n.mpg", "Talking-Face_PC-AVS__Input_00002.mp4", "Real3DPortrait__May_5s.mp4")


@pytest.fixture
def video(clips: Path, request: pytest.FixtureRequest) -> Path:
    """The clip of the test's parameter, if this machine can give the golden's bits."""
    file = clips / request.param
    entry = GOLDEN["clips"][request.param]
    if not file.is_file() or sha256_of(file) != entry["sha256"]:
        pytest.skip(f"no {request.param} as it was measured")
    for name in ("ffmpeg", "opencv"):
        if media.stack()[name] != GOLDEN["stack"][name]:
            pytest.skip(f"{name} {media.stack()[name]}; the golden is of {GOLDEN['stack'][name]}")
    return file


def compare(file: Path, clip: str, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    from upstream_lse import hashes

    expected = GOLDEN["clips"][clip]["recipes"][recipe]
    try:
        found = pieces(RECIPES[recipe], SyncNetSpec(), FileCodings(Released(file), lossy), "cpu")
    except Unusable:
        found = []
    assert [hashes(part) for part in found] == [(track["pictures"], track["sound"]) for track in expected]


@pytest.mark.parametrize("video", SHORT, indirect=True)
def test_whole_pictures_are_those_of_wav2lip(
    video: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(video, request.node.callspec.params["video"], "wav2lip-lrs", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["wav2lip-lrs", "syncnet-real", "latentsync", "mocha"])
@pytest.mark.parametrize("video", sorted(GOLDEN["clips"]), indirect=True)
def test_every_recipe_on_every_clip(
    video: Path, recipe: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if RECIPES[recipe].detector and weights.find_or_hint("s3fd-syncnet")[0] is None:
        pytest.skip(weights.find_or_hint("s3fd-syncnet")[1])
    clip = request.node.callspec.params["video"]
    if recipe not in GOLDEN["clips"][clip]["recipes"]:
        pytest.skip("not in the golden")
    compare(video, clip, recipe, monkeypatch)


def test_the_golden_holds_answers_and_no_errors() -> None:
    """An upstream that fails would otherwise agree with a recipe that finds nothing."""
    tracks = [
        track
        for entry in GOLDEN["clips"].values()
        for answer in entry["recipes"].values()
        for track in answer
    ]
    assert all(isinstance(track, dict) for track in tracks)
    assert len({track["pictures"] for track in tracks}) > len(GOLDEN["clips"])
    assert {recipe for entry in GOLDEN["clips"].values() for recipe in entry["recipes"]} >= {
        "wav2lip-lrs",
        "syncnet-real",
        "latentsync",
        "mocha",
    }
    assert sys.getsizeof(json.dumps(GOLDEN)) < 100_000
