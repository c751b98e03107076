"""The whole way of the data, small: corpus, preparation, scores, table, report, and back to files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tkbench import models
from tkbench.data.export import export
from tkbench.errors import UsageError
from tkbench.models import ANCHORS, references
from tkbench.models.talker import FINE, Talker
from tkbench.prep.run import prepare
from tkbench.report import publish
from tkbench.results import bundle, proof
from tkbench.scoring.evaluate import EvalOptions, evaluate
from tkbench.shards import open_shards
from tkbench.types import Array, Batch, Float64, Generated, UInt8

pytest.importorskip("espeakng_loader", reason="the corpus needs speech: pip install 'tkbench[synth]'")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tkbench.synth.corpus import make_corpus

    work = tmp_path_factory.mktemp("way")
    make_corpus(work / "corpus", clips=6, speakers=3, seed=5, split="test")
    prepare(work / "corpus", work / "shards")
    return work / "shards"


@pytest.fixture(scope="module")
def runs(shards: Path) -> Path:
    folders = [evaluate(shards, model, out=shards.parent / "runs") for model in ANCHORS]
    assert len({folder.parent for folder in folders}) == 1
    return folders[0].parent


def test_every_clip_is_prepared_and_keeps_its_truth(shards: Path) -> None:
    source = open_shards(shards)
    assert source.dataset == "synth"
    assert len(source) == 6
    assert (source.manifest()["status"] == "ok").all()
    for sample in source.iter():
        assert len(sample.audio) == len(sample) * 640
        assert np.isfinite(sample.landmarks).all()
        assert sample.speaker
        aperture = sample.meta["extra"]["aperture"]
        assert abs(len(aperture) - len(sample)) <= 1


def test_the_anchors_bracket_the_table(runs: Path) -> None:
    means = {b.result.model: {k: v.mean for k, v in b.result.summary.items()} for b in bundle.find(runs)}
    assert set(means) == set(ANCHORS)
    lse = {model: means[model]["lse_c_synth"] for model in ANCHORS}
    assert max(lse, key=lambda model: lse[model]) == "real"
    assert lse["real"] > 2 * max(lse["still"], lse["shuffled-audio"], 0.01)
    assert means["real"]["psnr"] == np.inf
    assert means["real"]["ssim"] == pytest.approx(1)
    assert means["blur"]["ssim"] < 1
    assert abs(means["real"]["av_offset_synth"]) <= 1
    assert abs(means["shift:5"]["av_offset_synth"] - 5) <= 1


def test_landmarks_of_generated_videos_reach_their_metrics(shards: Path) -> None:
    folder = evaluate(shards, "shift:2", protocol="lips-synth-v2", out=shards.parent / "lips", limit=2)
    found = bundle.read(folder)
    means = {name: summary.mean for name, summary in found.result.summary.items()}
    rows = pd.read_parquet(folder / "clips.parquet")
    lags = rows[rows["metric"] == "voice_lag"]
    assert ((lags["value"] - 2).abs().lt(1) | lags["reason"].eq("unclear")).all()
    assert 0.2 < means["voice_corr"] < 1
    assert 0.2 < means["lip_corr_mesh"] < 0.95
    assert means["lip_corr_truth_mesh"] < 0.95
    assert means["lmd_mouth_mesh"] > 0.3
    assert 0 < means["cpbd"] < 1
    assert 0.8 < means["ms_ssim"] < 1
    assert set(rows[rows["metric"] == "csim_aligned"]["reason"]) <= {"weights-missing", None}


def test_every_bundle_verifies_and_the_page_holds_every_model(runs: Path, tmp_path: Path) -> None:
    for found in bundle.find(runs):
        proof.verify(found.folder)
        assert len(found.result.previews) == 6
        assert set(found.mouths()) == {preview.key for preview in found.result.previews}
    made = publish.publish([found.folder for found in bundle.find(runs)], tmp_path)
    table = pd.read_csv(made.csv)
    assert table["model"][0] == "real"
    page = made.report.read_text(encoding="utf-8")
    for model in ANCHORS:
        assert model in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_what_is_missing_is_unscored_with_what_to_do(runs: Path) -> None:
    for found in bundle.find(runs):
        cell = found.result.summary["fid"]
        if cell.n == 0:
            assert set(cell.reasons) <= {"weights-missing", "too-few-clips"}
            assert cell.detail


def test_scores_do_not_depend_on_workers(shards: Path, tmp_path: Path) -> None:
    one = evaluate(shards, "blur", out=tmp_path / "one", workers=1, limit=5)
    two = evaluate(shards, "blur", out=tmp_path / "two", workers=2, limit=5)
    assert content(one) == content(two)


def content(folder: Path) -> dict[str, bytes]:
    """Every file that a bundle's hash covers."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "cost.json")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.parametrize(("protocol", "limit"), [("synth-v1", 5), ("lips-synth-v2", 1)])
def test_numbers_are_the_same_with_and_without_a_cache(
    shards: Path, tmp_path: Path, protocol: str, limit: int
) -> None:
    """Empty, full and read by two workers, damaged: every file of the bundle has the same bytes."""
    said: list[str] = []

    def run(out: str, *, cache: Path | None = tmp_path / "cache", workers: int = 1) -> dict[str, bytes]:
        folder = evaluate(
            shards,
            "blur",
            protocol=protocol,
            out=tmp_path / out,
            limit=limit,
            workers=workers,
            options=EvalOptions(cache=cache, progress=lambda done, total, message: said.append(message)),
        )
        return content(folder)

    plain = run("plain", cache=None)
    assert run("first") == plain
    assert run("second", workers=2) == plain
    assert not any("damaged" in message for message in said)
    for path in sorted((tmp_path / "cache").glob("*/*.npz"))[::2]:
        path.write_bytes(path.read_bytes()[:-20])
    assert run("mended") == plain
    assert "damaged cache entries computed again" in said[-1]


def test_videos_from_elsewhere_join_by_key_and_gaps_are_reported(shards: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    assert export(shards, clips) == 6
    keys = sorted(open_shards(shards).keys())
    (clips / f"{keys[0]}.mp4").unlink()
    folder = evaluate(shards, f"files:{clips}", out=tmp_path / "runs", options=EvalOptions(name="copied"))
    result = proof.verify(folder).result
    assert result.model == "copied"
    cell = result.summary["lse_c_synth"]
    assert (cell.n, cell.n_unscored) == (5, 1)
    assert cell.reasons == {"not-generated": 1}
    assert result.summary["ssim"].mean == pytest.approx(1)


def test_a_limit_is_part_of_the_signature(shards: Path, tmp_path: Path) -> None:
    folder = evaluate(shards, "real", out=tmp_path, limit=2)
    result = bundle.read(folder).result
    assert result.n_clips == 2
    assert "|n:2(first 2)|" in result.signature


def test_a_model_that_raises_is_a_reason_not_the_end(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tkbench.models.anchors import Real

    works = Real.generate
    (first, *_) = sorted(open_shards(shards).keys())

    def broken(self: Real, batch: Batch, *, seed: int) -> list[Generated]:
        if batch.keys == (first,):
            raise RuntimeError("out of memory")
        return works(self, batch, seed=seed)

    monkeypatch.setattr(Real, "generate", broken)
    result = bundle.read(evaluate(shards, "real", out=tmp_path)).result
    cell = result.summary["psnr"]
    assert (cell.n, cell.reasons) == (5, {"model-error": 1})
    assert "out of memory" in cell.detail


def test_a_metric_that_does_not_know_a_setting_is_refused(shards: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nsummary = ""\nrank_by = "psnr"\n[[metrics]]\nname = "psnr"\nsettings = { crop = 3 }'
    )
    with pytest.raises(UsageError, match="crop"):
        evaluate(shards, "real", protocol=path, out=tmp_path)


def test_the_result_says_which_networks_judged(runs: Path) -> None:
    record = json.loads((runs / "real" / "result.json").read_text())
    assert len(record["weights"]["syncnet-synth"]) == 64
    assert record["weights"]["syncnet-synth"][:8] in record["signature"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", references())
def test_bundled_models_beat_a_still_face_and_their_own_silence(kind: str, tmp_path: Path) -> None:
    """On speakers and sentences that neither they nor the judge have met, with intervals that do not overlap."""
    from tkbench.synth.corpus import make_corpus

    make_corpus(tmp_path / "corpus", clips=96, speakers=48, seed=4242, split="test", workers=2)
    prepare(tmp_path / "corpus", tmp_path / "shards", workers=2)
    rivals = ("still", f"mute:{kind}")
    found = {
        model: bundle.read(
            evaluate(tmp_path / "shards", model, out=tmp_path / "runs", workers=2)
        ).result.summary
        for model in (kind, *rivals)
    }
    mine = found[kind]
    for rival in rivals:
        other = found[rival]
        assert mine["lse_c_synth"].low > other["lse_c_synth"].high, rival
        assert mine["lip_corr_mesh"].low > other["lip_corr_mesh"].high, rival
        assert mine["voice_corr"].low > other["voice_corr"].high, rival
        assert mine["lmd_mouth_mesh"].high < other["lmd_mouth_mesh"].low, rival
    # And they do not blur: the lower face has as much fine detail as the true one, and little that is not there.
    opened, model = open_shards(tmp_path / "shards"), models.create(kind)
    shares = []
    for key in sorted(opened.keys())[::12]:
        sample = opened.get(key)
        (made,) = model.generate(Batch((sample,)), seed=0)
        assert made.video is not None
        shares.append(detail(made.video, sample.landmarks) / detail(sample.video, sample.landmarks))
    assert 0.9 < np.mean(shares) < 1.15, shares


@pytest.mark.slow
@pytest.mark.parametrize("kind", references())
def test_no_seam_where_target_and_reference_meet(kind: str, tmp_path: Path) -> None:
    """The step between the rows at the join is that of the true video, on heads that move."""
    from tkbench.synth.corpus import make_corpus

    make_corpus(tmp_path / "corpus", clips=6, speakers=6, seed=4243, split="test", workers=2)
    check_join(kind, tmp_path / "corpus", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", references())
def test_no_seam_on_real_heads(kind: str, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    for name in ("LatentSync__demo3_video.mp4", "LipNet__GRID_brbk7n.mpg", "LipNet__GRID_pwij3p.mpg"):
        shutil.copy(clips / name, tmp_path / "films")
    check_join(kind, tmp_path / "films", tmp_path)


def check_join(kind: str, source: Path, work: Path) -> None:
    """Halves that met at a line had 2.1 times the true step on real heads, and up to 3.9."""
    prepare(source, work / "shards", workers=2)
    opened, model = open_shards(work / "shards"), models.create(kind)
    assert isinstance(model, Talker)
    steps = {}
    for sample in opened.iter():
        (made,) = model.generate(Batch((sample,)), seed=0)
        assert made.video is not None
        matrices = model.facts.cut.matrices(sample.landmarks)
        true = join_step(sample.video, matrices, model)
        steps[sample.key] = join_step(made.video, matrices, model) / true
    assert np.mean(list(steps.values())) < 1.2, steps
    assert max(steps.values()) < 1.25, steps


def join_step(video: UInt8, matrices: Float64, model: Talker) -> float:
    """Mean difference of the rows above and below the join, in the inner half of the crop at the size of pasting."""
    larger, finer = model.facts.cut.enlarged(matrices, FINE)
    faces = larger.faces(video, finer, cubic=True).astype(np.float64).mean(axis=3)
    half, quarter = larger.size // 2, larger.size // 4
    return float(np.abs(faces[:, half, quarter:-quarter] - faces[:, half - 1, quarter:-quarter]).mean())


def detail(video: UInt8, landmarks: Array) -> float:
    """Mean size of the Laplacian over the lower half of the face."""
    import cv2

    sizes = []
    for frame, points in zip(video, landmarks.astype(int), strict=True):
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        grey = cv2.cvtColor(frame[(top + bottom) // 2 : bottom, left:right], cv2.COLOR_RGB2GRAY)
        sizes.append(np.abs(cv2.Laplacian(grey.astype(np.float32), cv2.CV_32F)).mean())
    return float(np.mean(sizes))
