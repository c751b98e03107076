"""`study memory` finds what is in a memory, and nothing where there is nothing."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.cluster.vq import kmeans2
from support.toy_shards import make_shards
from typer.testing import CliRunner

from tkbench.cli import app
from tkbench.errors import TkbenchError, UsageError
from tkbench.models import checkpoint
from tkbench.models.face import Cut
from tkbench.models.synctalkface.model import SyncTalkFace
from tkbench.models.synctalkface.spec import SyncTalkFaceSpec
from tkbench.study import memory_page
from tkbench.study.frames import LETTERS, Frames, Reader, read
from tkbench.study.memory import MemoryStudy, findings, study_memory

SPEC = SyncTalkFaceSpec(size=64, width=0.05, slots=12, dropout=0.0, blend=True, centred=True)
CUT = Cut("steady-172", 64)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    clips = {
        f"{person}/{n}": (split, 60)
        for person, split in (("a", "train"), ("b", "train"), ("c", "test"))
        for n in range(2)
    }
    return make_shards(root, clips, spoken=True)


def saved(net: SyncTalkFace, path: Path) -> Path:
    checkpoint.save(path, net.state_dict(), checkpoint.Facts("synctalkface", asdict(net.spec), CUT))
    return path


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The positive control: keys are centres of what is heard, values the lips that are seen with them."""
    torch.manual_seed(0)
    net = SyncTalkFace(SPEC).eval()
    assert net.memory is not None
    reader = Reader(source, checkpoint.Facts("synctalkface", asdict(SPEC), CUT), split="train")
    with torch.no_grad():
        for layer in (net.memory.ask_by_voice, net.memory.ask_by_lips):
            torch.nn.init.eye_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        for _ in range(2):  # once to centre the queries, once to store them
            [found] = read([net], -1.0, reader, reader.keys)
            frames = found.frames
            centres, labels = kmeans2(frames.heard.astype(float), SPEC.slots, seed=0, minit="++")
            lips = np.stack(
                [
                    frames.seen[labels == slot].mean(axis=0)
                    if (labels == slot).any()
                    else frames.seen.mean(axis=0)
                    for slot in range(SPEC.slots)
                ]
            )
            net.memory.key.copy_(torch.from_numpy(centres))
            net.memory.value.copy_(torch.from_numpy(lips))
            for norm, rows in (
                (net.memory.centre_voice, frames.heard),
                (net.memory.centre_lips, frames.seen),
            ):
                if not bool(norm.running_mean.any()):
                    norm.running_mean.copy_(torch.from_numpy(rows.mean(axis=0)))
                    norm.running_var.copy_(torch.from_numpy(rows.var(axis=0)))
    return saved(net, tmp_path_factory.mktemp("made") / "made.safetensors")


@pytest.fixture(scope="module")
def study(source: Path, made: Path) -> MemoryStudy:
    return study_memory(f"synctalkface:{made}", source)


def test_a_memory_that_holds_sounds_is_found(study: MemoryStudy) -> None:
    found = study.memory
    assert found.used_voice >= 8
    assert found.gain_viseme_voice > 0.3
    assert found.gain_phoneme_voice == pytest.approx(
        found.gain_viseme_voice, abs=0.05
    )  # one letter to a viseme here
    assert study.speakers == 1
    assert study.n_frames == 2 * (60 - 4)
    assert study.counted_frames == 4 * (60 - 4)


def test_nothing_is_found_in_an_untrained_network(study: MemoryStudy) -> None:
    assert study.untrained.used_voice <= 4
    assert study.untrained.gain_viseme_voice < 0.5 * study.memory.gain_viseme_voice
    assert abs(study.untrained.gain_viseme_lips) < 0.1


def test_every_yardstick_on_frames_made_by_hand() -> None:
    """A memory of three letters, each with its own lips: perfect by lips, right in three of four frames by voice."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 6)).astype(np.float32)

    def frames(n: int) -> Frames:
        slot = rng.integers(0, 3, n)
        heard = np.where(rng.uniform(size=n) < 0.75, slot, rng.integers(0, 3, n))
        mouth = np.eye(8, dtype=np.float32)[slot]
        row = np.zeros((n, 6), np.float32)
        return Frames(
            clip=np.zeros(n, int),
            place=np.arange(n),
            letter=np.array([LETTERS.index(letter) for letter in "pfl"])[slot],
            mouth=mouth,
            mel=np.zeros((n, 80), np.float32),
            voice=np.eye(6, dtype=np.float32)[heard],
            heard=row,
            seen=values[slot],
            by_voice=values[heard],
            by_lips=values[slot],
            key=heard,
            value=slot,
            sure=np.ones(n, np.float32),
        )

    found = findings("by hand", values, frames(20000), frames(8000))
    right = 0.75 + 0.25 / 3
    wrong = (1 - right) / 2
    gain = 1 - -(right * np.log(right) + 2 * wrong * np.log(wrong)) / np.log(3)
    assert found.used_lips == found.used_voice == 3
    assert found.perplexity_lips == pytest.approx(3, abs=0.01)
    assert found.explained_lips == found.explained_lips_winner == pytest.approx(1)
    assert found.explained_voice == found.explained_voice_winner < 0.8
    assert found.gain_viseme_lips == pytest.approx(1, abs=0.01)
    assert found.gain_phoneme_lips == pytest.approx(1, abs=0.01)
    assert found.gain_viseme_voice == pytest.approx(gain, abs=0.03)
    assert found.shape_lips == pytest.approx(1, abs=0.01)
    assert found.agree == pytest.approx(right, abs=0.02)


def test_movement_of_a_decoder_that_hears_only_the_memory(source: Path, made: Path, tmp_path: Path) -> None:
    """Without the voice's half of the fusion, a memory held at its mean leaves a still face."""
    net, _ = checkpoint.load(made, "synctalkface")
    assert isinstance(net, SyncTalkFace)
    half = net.fusion[1].weight.shape[1] // 2
    found = {}
    for name, deaf in (("memory alone", slice(0, half)), ("voice alone", slice(half, None))):
        whole = net.fusion[1].weight.detach().clone()
        with torch.no_grad():
            net.fusion[1].weight[:, deaf] = 0
        found[name] = study_memory(f"synctalkface:{saved(net, tmp_path / f'{name}.safetensors')}", source)
        with torch.no_grad():
            net.fusion[1].weight.copy_(whole)
    kept = {name: {item.name: item for item in study.movement} for name, study in found.items()}
    alone, deaf_to_it = kept["memory alone"], kept["voice alone"]
    assert alone["held at its mean"].kept == pytest.approx(0, abs=1e-9)
    assert alone["without the voice beside it"].kept == pytest.approx(1)
    assert deaf_to_it["held at its mean"].kept == deaf_to_it["held at its mean"].size == pytest.approx(1)
    assert deaf_to_it["without the voice beside it"].kept == pytest.approx(0, abs=1e-9)


def test_the_page_and_the_table(study: MemoryStudy, tmp_path: Path) -> None:
    files = memory_page.write(study, tmp_path / "out")
    table = pd.read_csv(files[0])
    assert list(table) == ["measure", "of", "value"]
    row = table[(table.measure == "gain_viseme_voice") & (table.of == "the memory")]
    assert float(row.value.iloc[0]) == pytest.approx(study.memory.gain_viseme_voice)
    page = files[-1].read_text()
    assert study.sentence() in page
    assert page.count("<svg") == 4
    assert page.count("data:image/jpeg") >= 8
    assert "its slots hold sounds" in study.sentence() or "do not hold" in study.sentence()
    assert (tmp_path / "out" / "memory.md").read_text().startswith("# The memory of synctalkface:")


def test_data_without_words_gives_what_needs_none(made: Path, tmp_path: Path) -> None:
    silent = make_shards(tmp_path, {"a/0": ("train", 60), "c/0": ("test", 60)})
    found = study_memory(f"synctalkface:{made}", silent)
    assert np.isnan(found.memory.gain_viseme_voice)
    assert found.memory.used_voice > 0
    assert "viseme" not in found.sentence()
    memory_page.write(found, tmp_path / "out")


def test_what_cannot_be_studied_is_one_line(source: Path, made: Path, tmp_path: Path) -> None:
    for model, says in (
        ("cals", "only synctalkface has a memory"),
        (f"synctalkface:{tmp_path}/none.safetensors", "no such file"),
    ):
        with pytest.raises(UsageError, match=says):
            study_memory(model, source)
    bare = saved(SyncTalkFace(replace(SPEC, memory=False)), tmp_path / "bare.safetensors")
    with pytest.raises(UsageError, match="trained without a memory"):
        study_memory(f"synctalkface:{bare}", source)
    one = make_shards(tmp_path, {"a/0": ("test", 60)})
    with pytest.raises(UsageError, match="Give the training clips with --counted"):
        study_memory(f"synctalkface:{made}", one)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    both = make_shards(mixed, {"a/0": ("train", 60), "a/1": ("test", 60)})
    with pytest.raises(UsageError, match="speaker a is counted and held out"):
        study_memory(f"synctalkface:{made}", both)


def test_the_command(source: Path, made: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        [
            "study",
            "memory",
            "--data",
            str(source),
            "--model",
            f"synctalkface:{made}",
            "--out",
            str(tmp_path / "s"),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "slots are in use by voice" in done.output
    assert (tmp_path / "s" / "memory.html").is_file()


def test_a_refusal_makes_no_folder(source: Path, tmp_path: Path) -> None:
    for more in (["--data", str(tmp_path / "none")], ["--data", str(source), "--model", "callz"]):
        done = CliRunner().invoke(app, ["study", "memory", *more, "--out", str(tmp_path / "s")])
        assert isinstance(done.exception, TkbenchError), done.output
        assert not (tmp_path / "s").exists()
