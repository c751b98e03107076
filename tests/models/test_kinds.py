"""A kind of network is one record: everything else follows from it, also for a package that brings its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from support.toy_shards import make_shards

from tkbench import models, weights
from tkbench.cli.train import OTHERS, trainable
from tkbench.errors import UnknownName, UsageError
from tkbench.models import kinds
from tkbench.models.network import FaceNetwork, Network
from tkbench.registry import resolve
from tkbench.train.config import configs_of, load_config
from tkbench.train.objectives.base import FaceObjective, Objective

PACKAGE = '''
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from tkbench.models.face import generator_input
from tkbench.models.kinds import NetworkKind
from tkbench.models.network import FaceNetwork
from tkbench.models.spec import FaceSpec
from tkbench.models.picture import Drawn
from tkbench.train.objectives.base import FaceObjective, Step, detached, face_l1


@dataclass(frozen=True, slots=True)
class ToySpec(FaceSpec):
    bands: int = 80


class Toy(FaceNetwork):
    """One convolution over the faces, tinted by the voice."""

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        self.tint, self.mix = nn.Linear(spec.bands, 3), nn.Conv2d(6, 3, 3, 1, 1)

    def draw(self, voice, faces, fine=None):
        tint = self.tint(voice.mean(dim=2))[:, :, None, None]
        return Drawn(torch.sigmoid(self.mix(faces) + tint), None)


class ToyObjective(FaceObjective):
    margin = 0

    def step(self, batch, step, quality):
        target = self.scaled(batch["video"])
        faces = generator_input(target, self.scaled(batch["reference"])).flatten(0, 1)
        real, made = target.flatten(0, 1), self.net(batch["mels"].flatten(0, 1), faces)
        parts = {"recon": face_l1(made, real, self.weight.mouth)}
        return Step(parts["recon"], detached(parts), real.detach(), (made.detach(),))


RECORD = NetworkKind(
    name="toy",
    network="toy_package:Toy",
    spec="toy_package:ToySpec",
    objective="toy_package:ToyObjective",
    black=0.0,
    note="All of it is a toy, {blend} included.",
    configs=Path(__file__).parent,
)
'''
CONFIG = """
model = "toy"
steps = 2
[cut]
recipe = "steady-172"
size = 64
[loss]
gan = 0.0
[data]
batch = 2
"""
USE = """
import sys
from pathlib import Path

from tkbench import cli, models, shards
from tkbench.errors import UsageError
from tkbench.models import checkpoint, kinds
from tkbench.types import Batch

data = sys.argv[1]
assert "toy" in kinds.generators() and "toy" in models.registry and "toy" not in models.references()
sys.argv = ["tkbench", "train", "--model", "toy", "--data", data, "--out", "toy.safetensors"]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code, stop.code
out = Path("toy.safetensors")
assert checkpoint.read_facts(out).spec == {"size": 64, "width": 1.0, "blend": False, "warp": 0.0, "bands": 80}
assert "All of it is a toy, blend included." in out.with_suffix(".md").read_text()
sample = shards.open_shards(data).get("t/0")
(made,) = models.create("toy:toy.safetensors").generate(Batch((sample,)), seed=0)
assert made.video.shape == sample.video.shape and (made.video != sample.video).any()
try:
    models.create("toy")
except UsageError as error:
    assert str(error).endswith("`tkbench train --model toy` makes one"), error
"""


def test_a_package_brings_a_generator_by_one_entry_point(tmp_path: Path) -> None:
    """Listed, trained by the command line, stored, described on its card, and used as a model."""
    packages, work = tmp_path / "packages", tmp_path / "work"
    (packages / "toy_package").mkdir(parents=True)
    (packages / "toy_package" / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    (packages / "toy_package" / "toy-small.toml").write_text(CONFIG, encoding="utf-8")
    info = packages / "toy_package-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-package\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[tkbench.networks]\ntoy = toy_package:RECORD\n", encoding="utf-8")
    work.mkdir()
    shards = make_shards(work, {"a/0": ("train", 30), "b/0": ("train", 30), "t/0": ("test", 30)})
    path = os.pathsep.join([str(packages), *(entry for entry in sys.path if entry)])
    done = subprocess.run(
        [sys.executable, "-c", USE, str(shards)],
        cwd=work,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 steps" in done.stderr


@pytest.mark.parametrize("name", list(kinds.registry))
def test_every_record_names_what_is_there(name: str) -> None:
    """Its network takes its spec alone, its objective is one, and a configuration of its name is the default."""
    kind = kinds.registry.get(name)
    assert kind.name == name
    with torch.device("meta"):
        net = kind.build({"size": 64, "width": 0.25})
    assert isinstance(net, FaceNetwork if kind.draws_faces else Network)
    assert type(net.spec) is resolve(kind.spec)
    assert {"size", "width"} <= {field.name for field in fields(net.spec)}
    assert issubclass(resolve(kind.objective), FaceObjective if kind.draws_faces else Objective)
    assert kind.black in (0.0, -1.0)
    assert f"{name}-small" in [path.stem for path in configs_of(name)]
    assert load_config(None, name).model == name
    assert (kind.paper is not None) == kind.draws_faces
    for weight in (*kind.published, *([kind.bundled] if kind.bundled else [])):
        assert weight in weights.known()
    with pytest.raises(UsageError, match="sise is not a setting: did you mean size"):
        kind.build({"sise": 64})


def test_lists_follow_from_the_records() -> None:
    assert trainable() == (*kinds.registry, *OTHERS)
    assert set(kinds.generators()) == {n for n in kinds.registry if kinds.registry.get(n).draws_faces}
    assert set(kinds.generators()) <= set(models.registry)
    assert "expert" not in models.registry
    assert models.references() == ("synctalkface", "cals")
    with pytest.raises(UnknownName, match="no network is called 'calls': did you mean cals"):
        kinds.registry.get("calls")


@pytest.mark.parametrize(
    ("name", "black", "published"),
    [("wav2lip", 0.0, ("wav2lip-96", 96)), ("expert", 0.0, ("wav2lip-96", 96)), ("cals", -1.0, None),
     ("synctalkface", -1.0, None)],
)  # fmt: skip
def test_records_hold_the_scale_that_their_weights_were_trained_on(
    name: str, black: float, published: tuple[str, int] | None
) -> None:
    """Another black level or side of the crop would load the same weights and draw other pictures."""
    kind = kinds.registry.get(name)
    assert kind.black == black
    assert kind.published_cut == published
