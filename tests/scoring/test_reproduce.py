"""Published numbers made again: what is reached, what differs, what is missing, and the exit code of each."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_perceptual import backbone, give, inception_state  # noqa: F401 (a fixture)

from tkbench.errors import UnknownName
from tkbench.metrics import frechet
from tkbench.metrics.base import ClipScores, Score, unscored
from tkbench.metrics.lse import Lse
from tkbench.scoring import reproduce
from tkbench.scoring.reproduce import CLAIMS, Figure, Line, PublicFiles, exit_code
from tkbench.types import Reason, Released

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path / "none"))


def mochabench(root: Path, rows: list[tuple[str, float, float, bool]]) -> Path:
    """A checkout with a table of scores: category, confidence, distance, face."""
    folder = root / "eval-lipsync" / "mocha-eval-results"
    folder.mkdir(parents=True)
    lines = ["idx,category,video,audio,offsets,best_conf,min_dist,has_face,runtime_s"]
    lines += [
        f"{n},{category},{category}\\{n}.mp4,x,[0],{conf},{dist},{face},1"
        for n, (category, conf, dist, face) in enumerate(rows)
    ]
    (folder / "sync_scores.csv").write_text("\n".join(lines) + "\n")
    return root


def test_without_any_file_each_line_says_what_to_get() -> None:
    lines = {line.name: line for line in reproduce.reproduce(PublicFiles())}
    assert set(lines) == set(CLAIMS)
    assert lines["fid-distance"].state == "reached"
    assert all(line.state == "missing" for name, line in lines.items() if name != "fid-distance")
    assert "--syncnet-example FILE" in lines["syncnet-example"].detail
    assert "tkbench weights fetch inception-fid" in lines["fid-network"].detail
    assert exit_code(list(lines.values())) == 3


def test_a_wrong_distance_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "frechet", lambda *_: 1.0)
    (line,) = reproduce.reproduce(PublicFiles(), ["fid-distance"])
    assert line.state == "differs"
    assert exit_code([line]) == 1


def test_mochas_row_is_the_mean_of_clips_with_a_face(tmp_path: Path) -> None:
    """201 clips, two of them without a face; the mean of the others is the row, and other categories do not count."""
    kinds = reproduce.MOCHA_CATEGORIES
    clips = [(kinds[n % 6], 6.333 + (-1) ** n * (n % 199 != 198), 8.185, True) for n in range(199)]
    lost = [(kinds[0], 0.0, 0.0, False)] * 2
    root = mochabench(tmp_path / "m", [*clips, *lost, ("2p_2clip_2talk", 99.0, 99.0, True)])
    (line,) = reproduce.reproduce(PublicFiles(mochabench=root), ["mocha-row-clips"])
    assert {figure.name: figure.reached for figure in line.figures} == {
        "clips": True,
        "clips with a face": True,
        "Sync-Conf.": True,
        "Sync-Dist.": True,
    }
    assert line.state == "reached"
    fewer = mochabench(tmp_path / "f", clips)
    (line,) = reproduce.reproduce(PublicFiles(mochabench=fewer), ["mocha-row-clips"])
    assert line.state == "differs"


def test_another_file_under_the_name_of_a_public_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "example.avi"
    file.write_bytes(b"RIFF")
    (line,) = reproduce.reproduce(PublicFiles(syncnet_example=file), ["syncnet-example"])
    assert line.state == "missing"
    assert "is not the public file" in line.detail


def test_the_public_example_needs_the_published_network_alone(clips: Path) -> None:
    file = clips / "syncnet_python__example.avi"
    if not file.is_file():
        pytest.skip(f"no {file}")
    (line,) = reproduce.reproduce(PublicFiles(syncnet_example=file), ["syncnet-example"])
    assert line.state == "missing"
    assert "tkbench weights fetch syncnet-v2" in line.detail


@pytest.mark.parametrize(
    ("answer", "state"),
    [((10.021, 5.353, 3.0), "reached"), ((10.081, 5.348, 3.0), "reached"), ((10.021, 5.353, 2.0), "differs"),
     ((9.9, 5.353, 3.0), "differs"), ((10.021, 5.38, 3.0), "differs")],
)  # fmt: skip
def test_the_readmes_numbers_decide(
    answer: tuple[float, float, float], state: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the numbers of the README, with those that MoChaBench's authors print for the same file, and with others."""
    monkeypatch.setattr(reproduce, "_lse", lambda *_: answer)
    monkeypatch.setattr(reproduce, "_checked", lambda path, _: path)
    (line,) = reproduce.reproduce(PublicFiles(syncnet_example=tmp_path / "x.avi"), ["syncnet-example"])
    assert line.state == state


def test_a_name_that_there_is_not_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="mocha-row"):
        reproduce.reproduce(PublicFiles(), ["mocha-rwo"])


def test_lpips_line_is_the_packages_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded weights and other pictures: every step but the published numbers, which it therefore misses."""
    import cv2
    import lpips

    give(monkeypatch, tmp_path, "lpips-alex", backbone("alex"))
    monkeypatch.setattr(reproduce, "_checked", lambda path, _: path)
    pictures = {name: np.random.default_rng(n).integers(0, 256, (64, 64, 3), np.uint8)
                for n, name in enumerate(reproduce.PICTURES)}  # fmt: skip
    for name, picture in pictures.items():
        cv2.imwrite(str(tmp_path / name), picture[..., ::-1])
    (line,) = reproduce.reproduce(PublicFiles(lpips_images=tmp_path), ["lpips-example"])
    assert line.state == "differs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = lpips.LPIPS(net="alex", spatial=True, pnet_rand=True, verbose=False).eval()
    names = [name for name in module.net.state_dict()]
    state = {name: backbone("alex")["features." + name.split(".", 1)[1]] for name in names}
    module.net.load_state_dict(state)
    ref, *others = (lpips.im2tensor(picture) for picture in pictures.values())
    with torch.no_grad():
        expected = [float(module(ref, other).mean()) for other in others]
    assert [figure.found for figure in line.figures] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_fid_line_is_reached_with_any_network(
    inception_state: dict[str, torch.Tensor],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From files by the package, from arrays by us; the root of the package, a minute long, is that of fid-distance."""
    give(monkeypatch, tmp_path, "inception-fid", inception_state)
    monkeypatch.setattr(reproduce, "_of_the_package", frechet.frechet)
    (line,) = reproduce.reproduce(PublicFiles(), ["fid-network"])
    assert line.state == "reached", line
    assert line.figures[0].published > 0


def test_mochas_row_is_scored_by_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two clips against their own published numbers, each with the voice that lies beside it."""
    root = mochabench(tmp_path, [("1p_emotion", 6.0, 8.0, True), ("1p_emotion", 0.0, 0.0, False)])
    for folder, ending in (("mocha-generation", ".mp4"), ("benchmark/speeches", "_speech.wav")):
        (root / folder / "1p_emotion").mkdir(parents=True)
        for n in range(2):
            (root / folder / "1p_emotion" / f"{n}{ending}").write_bytes(b"x")
    asked: list[Released] = []

    def score_file(metric: Lse, released: Released) -> ClipScores:
        asked.append(released)
        if len(asked) == 2:
            return unscored(metric.columns, Reason.NO_FACE, "s3fd finds no face")
        values = zip(metric.columns, (6.01, 8.02, 5.0), strict=True)
        return ClipScores({column.name: Score(value) for column, value in values})

    monkeypatch.setattr(Lse, "score_file", score_file)
    for name in ("syncnet-v2", "s3fd-syncnet"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(reproduce.weights, "find", lambda name: tmp_path / name)
    (line,) = reproduce.reproduce(PublicFiles(mochabench=root, limit=2), ["mocha-row"])
    assert line.state == "reached"
    assert [figure.found for figure in line.figures] == [1, 6.01, 8.02]
    assert asked[1].video == root / "mocha-generation" / "1p_emotion" / "1.mp4"
    assert asked[1].voice == root / "benchmark" / "speeches" / "1p_emotion" / "1_speech.wav"


def test_exit_codes() -> None:
    good, wrong, lost = (Line("x", state) for state in ("reached", "differs", "missing"))  # type: ignore[arg-type]
    assert [exit_code(lines) for lines in ([good], [good, lost], [lost, wrong])] == [0, 3, 1]
    assert not Figure("x", 1.0, 0.5, np.nan).reached


def test_the_command(run_cli: Cli, tmp_path: Path) -> None:
    code, out, err = run_cli("reproduce", "fid-distance", "--json")
    assert code == 0
    (record,) = json.loads(out)
    assert record["state"] == "reached"
    assert record["figures"][0]["found"] == pytest.approx(record["figures"][0]["published"], rel=1e-6)
    code, out, err = run_cli("reproduce", "fid-distance", "syncnet-example")
    assert code == 3
    assert "missing" in out
    assert "--syncnet-example FILE" in err
    code, out, err = run_cli("reproduce", "--mochabench", tmp_path / "nowhere")
    assert code == 2
    assert "no such folder" in err
