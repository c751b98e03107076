"""What a score may come from: which clips, which checkpoint, whose voice; and what is left out says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.toy_shards import make_shards

from tkbench import shards
from tkbench.errors import BadBundle, UsageError
from tkbench.metrics.base import Score, SetMetric
from tkbench.models import checkpoint, kinds
from tkbench.models.face import Cut
from tkbench.protocol import MetricSpec, Protocol
from tkbench.results import bundle, proof
from tkbench.scoring.clips import set_rows
from tkbench.scoring.evaluate import evaluate
from tkbench.types import Column, Reason, Sample, UInt8

SPEC = {"size": 64, "width": 0.05}
RULES = Protocol(
    name="toy", summary="", rank_by="psnr", metrics=(MetricSpec(name="psnr"), MetricSpec(name="cpbd"))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = {f"{name}/0": ("train", 30) for name in "ab"} | {"v/0": ("val", 30), "w/0": ("val", 30)}
    return make_shards(tmp_path_factory.mktemp("toys"), clips)


def talker(path: Path, seed: int, **training: str) -> str:
    torch.manual_seed(seed)
    net = kinds.registry.get("wav2lip").build(SPEC)
    facts = checkpoint.Facts("wav2lip", SPEC, Cut("steady-172", 64), training=training)
    checkpoint.save(path, net.state_dict(), facts)
    return f"wav2lip:{path}"


def test_one_split_is_scored_alone_and_says_so(folder: Path, tmp_path: Path) -> None:
    whole = bundle.read(evaluate(folder, "still", protocol=RULES, out=tmp_path))
    part = bundle.read(evaluate(folder, "still", protocol=RULES, out=tmp_path, split="val"))
    assert (whole.result.split, part.result.split) == ("train+val", "val")
    assert set(part.clips()["key"]) == {"v/0", "w/0"}
    assert part.result.signature != whole.result.signature
    with pytest.raises(UsageError, match="has train, val"):
        evaluate(folder, "still", protocol=RULES, out=tmp_path, split="test")


def test_a_checkpoint_is_never_scored_on_the_clips_that_it_learned(folder: Path, tmp_path: Path) -> None:
    seen = shards.open_shards(folder, split="train").data_hash
    model = talker(tmp_path / "m.safetensors", 0, data=seen)
    for split in (None, "train"):
        with pytest.raises(UsageError, match="was trained on its split train; give --split val"):
            evaluate(folder, model, protocol=RULES, out=tmp_path, split=split)
    assert evaluate(folder, model, protocol=RULES, out=tmp_path, split="val").is_dir()


def test_a_checkpoint_that_changed_is_read_again(folder: Path, tmp_path: Path) -> None:
    """In one process, under one name: the new row is the new file's, and not the old one's under the new hash."""
    path = tmp_path / "m.safetensors"
    found = []
    for seed in (0, 1):
        made = bundle.read(
            evaluate(folder, talker(path, seed), protocol=RULES, out=tmp_path / str(seed), split="val")
        )
        found.append((made.result.model_card["weights"], made.result.summary["psnr"].mean))
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]


def test_with_another_voice_the_true_video_is_no_target(folder: Path, tmp_path: Path) -> None:
    model = talker(tmp_path / "m.safetensors", 0)
    own = bundle.read(evaluate(folder, model, protocol=RULES, out=tmp_path))
    cross = bundle.read(evaluate(folder, f"cross:{model}", protocol=RULES, out=tmp_path))
    assert cross.result.table != own.result.table
    assert "drive:other" in cross.result.signature.split("|")
    assert cross.result.summary["psnr"].reasons == {"other-voice": 4}
    assert cross.result.summary["cpbd"].n == own.result.summary["cpbd"].n
    assert own.result.summary["psnr"].n == 4
    # The anchor is the true video itself with a wrong voice: it stays among the others.
    shuffled = bundle.read(evaluate(folder, "shuffled-audio", protocol=RULES, out=tmp_path))
    assert shuffled.result.table == own.result.table


class Count(SetMetric[int]):
    name = "count"
    columns = (Column("fid", "FID", "", "lower", 2, per_clip=False, signature="fid()"),)

    def start(self) -> int:
        return 0

    def update(self, state: int, sample: Sample, video: UInt8) -> None:
        pass

    def merge(self, a: int, b: int) -> int:
        return a + b

    def compute(self, state: int) -> dict[str, Score]:
        return {"fid": Score(float(state), detail=f"{state} frames")}


def test_a_set_that_lacks_clips_has_no_number() -> None:
    """It would be a number of another set: FID moves with the number of frames alone."""
    (whole,) = set_rows([Count()], [[3], [4]], "m", 0, 10)
    assert (whole.value, whole.reason, whole.detail) == (7.0, None, "7 frames")
    (part,) = set_rows([Count()], [[3], [4]], "m", 2, 10)
    assert np.isnan(part.value)
    assert part.reason is Reason.NOT_GENERATED
    assert part.detail.startswith("2 of 10 clips have no video")


def test_what_a_set_was_made_of_stands_beside_its_number(tmp_path: Path) -> None:
    rows = list(set_rows([Count()], [[3]], "m", 0, 1))
    (cell,) = bundle.summarise(rows, {}, Count.columns, n_boot=100, seed=0, level=0.95).values()
    assert cell.note == "one number for the whole set; 3 frames"


def test_a_bundle_whose_rules_or_curves_were_changed_does_not_verify(folder: Path, tmp_path: Path) -> None:
    import hashlib
    import json

    rules = Protocol(
        name="toy-sync", summary="", rank_by="lse_c_synth",
        metrics=(MetricSpec(name="sync", settings={"judge": "syncnet-synth"}),),
    )  # fmt: skip
    made = evaluate(folder, "real", protocol=rules, out=tmp_path, split="val")
    proof.verify(made)
    path = made / "result.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"coverage_min": 0.0}))
    with pytest.raises(BadBundle, match="coverage_min is 0, its signature says"):
        proof.verify(made)
    curves = pd.read_parquet(made / "curves.parquet")
    curves["distance"] += 0.1
    curves.to_parquet(made / "curves.parquet", index=False, compression="zstd")
    record["files"]["curves.parquet"] = hashlib.sha256((made / "curves.parquet").read_bytes()).hexdigest()
    path.write_text(json.dumps(record))
    with pytest.raises(BadBundle, match="curve: its minimum is"):
        proof.verify(made)
