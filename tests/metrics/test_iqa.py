"""No-reference quality: what is scored of a clip, what is missing, and pyiqa itself where it is installed."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.talkers import talker

from tkbench import weights
from tkbench.errors import UnknownName, UsageError, WeightsRefused
from tkbench.metrics import iqa
from tkbench.metrics.base import Score
from tkbench.metrics.iqa import MODELS, Iqa
from tkbench.types import Reason, Sample, UInt8


def scored(metric: Iqa, sample: Sample, video: UInt8 | None = None) -> dict[str, Score]:
    return metric.score(sample, sample.video if video is None else video, sample.audio).values


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A package in the place of pyiqa whose models answer the mean of the picture; what it was asked for."""
    asked: list[str] = []

    def create_metric(name: str, device: str, **given: str) -> Callable[[torch.Tensor], torch.Tensor]:
        asked.append(f"{name} {device} {' '.join(f'{k}={Path(v).name}' for k, v in given.items())}".strip())
        return lambda block: 100 * block.mean(dim=(1, 2, 3))[:, None]

    monkeypatch.setitem(sys.modules, "pyiqa", types.SimpleNamespace(create_metric=create_metric))  # type: ignore[arg-type]
    monkeypatch.setattr(iqa, "release", lambda: "9.9")
    iqa.load.cache_clear()  # type: ignore[attr-defined]
    return asked


def test_every_fifth_frame_of_the_generated_video_counts(stand_in: list[str]) -> None:
    sample = talker()
    made = (sample.video // 2).astype(np.uint8)
    found = scored(Iqa(model="piqe", regions=["full", "mouth"]), sample, made)
    assert found["iqa_piqe"].value == pytest.approx(100 * made[::5].mean() / 255, rel=1e-5)
    assert 0 < found["iqa_piqe_mouth"].value != found["iqa_piqe"].value
    assert stand_in == ["piqe cpu"]


def test_a_model_gets_its_checked_file(
    stand_in: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    file = tmp_path / "svm.pth"
    torch.save({"sv": torch.zeros(2)}, file)
    weights.add("iqa-brisque", file)
    metric = Iqa(model="brisque")
    sha = weights.sha256(file)
    assert f"weights:{sha[:12]}" in metric.columns[0].signature
    assert metric.weights == {"iqa-brisque": sha}
    assert scored(metric, talker())["iqa_brisque"].reason is None
    assert stand_in == ["brisque cpu pretrained_model_path=brisque_svm_weights.pth"]


def test_a_file_that_could_run_code_is_refused_before_pyiqa_reads_it(
    stand_in: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    torch.save({"a": print}, tmp_path / "brisque_svm_weights.pth")
    with pytest.raises(WeightsRefused):
        scored(Iqa(model="brisque"), talker())
    assert stand_in == []


@pytest.mark.parametrize("model", list(MODELS))
def test_what_is_missing_is_named_with_the_command(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(iqa, "release", lambda: "")
    metric = Iqa(model=model)
    assert "pyiqa-missing" in metric.columns[0].signature
    found = scored(metric, talker())[f"iqa_{model}"]
    assert found.reason is Reason.EXTRA_MISSING
    assert "pip install" in found.detail
    monkeypatch.setattr(iqa, "release", lambda: "9.9")
    if MODELS[model].weight is not None:
        found = scored(Iqa(model=model), talker())[f"iqa_{model}"]
        assert found.reason is Reason.WEIGHTS_MISSING
        assert f"tkbench weights fetch iqa-{model}" in found.detail


def test_names_and_settings_that_do_not_exist() -> None:
    with pytest.raises(UnknownName, match="niqe"):
        Iqa(model="nique")
    with pytest.raises(UsageError, match="1 or more"):
        Iqa(stride=0)


def test_small_pictures_have_a_reason(stand_in: list[str]) -> None:
    sample = talker()
    found = scored(Iqa(model="piqe", regions=["mouth"], stride=1), sample, sample.video)
    assert found["iqa_piqe_mouth"].reason in (None, Reason.FACE_TOO_SMALL)
    metric = Iqa(model="piqe")
    metric.smallest = 500
    assert scored(metric, sample)["iqa_piqe"].reason is Reason.PICTURE_TOO_SMALL


# -- pyiqa itself ------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_piqe_of_pyiqa_sees_blocks() -> None:
    """It needs no file. Of two made videos the one with the coarser JPEG is worse."""
    pyiqa = pytest.importorskip("pyiqa", reason="needs the extra iqa")
    sample = talker()
    metric = Iqa(model="piqe", stride=20)

    def coded(quality: int) -> UInt8:
        out = []
        for frame in sample.video:
            data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            out.append(cv2.imdecode(data, cv2.IMREAD_COLOR))
        return np.stack(out)

    fine, coarse = (scored(metric, sample, coded(quality))["iqa_piqe"].value for quality in (95, 8))
    assert fine < coarse
    direct = pyiqa.create_metric("piqe", device="cpu")
    frames = torch.from_numpy(sample.video[::20].copy()).permute(0, 3, 1, 2).float() / 255
    assert scored(metric, sample)["iqa_piqe"].value == pytest.approx(
        float(np.mean([float(direct(frame[None])) for frame in frames])), rel=1e-6
    )


@pytest.mark.filterwarnings("ignore")
def test_niqe_of_pyiqa_takes_its_statistics_from_our_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published file is not at hand: seeded statistics of the same shape show that it is the file that is read."""
    pytest.importorskip("pyiqa", reason="needs the extra iqa")
    from scipy.io import savemat

    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    rng = np.random.default_rng(0)
    values = []
    for scale in (1.0, 3.0):
        mix = rng.normal(size=(36, 36))
        file = tmp_path / "niqe_modelparameters.mat"
        savemat(file, {"mu_prisparam": scale * rng.normal(size=(1, 36)), "cov_prisparam": mix @ mix.T})
        metric = Iqa(stride=30)
        values.append(scored(metric, talker())["iqa_niqe"].value)
        assert weights.sha256(file)[:12] in metric.columns[0].signature
    assert values[0] != values[1]
    assert np.isfinite(values).all()
    savemat(file, {"other": np.zeros(2)})
    with pytest.raises(WeightsRefused, match="niqe"):
        scored(Iqa(stride=30), talker())
