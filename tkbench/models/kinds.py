"""The networks that tkbench trains: one record for each kind.

A record says everything that the rest of tkbench has to know of a kind: how the network is built, what trains it, what
its checkpoints mean and where its configurations are. `tkbench train`, checkpoints, model cards, `tkbench bench train`
and the models that come from checkpoints all follow from it. A new kind is a folder with its network, an objective and
a record, and one line here.

Another package brings a kind by an entry point of the group `tkbench.networks`, whose name is the kind's and whose
value is the record:

    [project.entry-points."tkbench.networks"]
    mynet = "my_package:RECORD"

A record holds no network: what needs PyTorch is named as "module:attribute" and imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tkbench.dataset import FAKE_SUFFIX
from tkbench.models.settings import build
from tkbench.registry import Registry, resolve

if TYPE_CHECKING:
    from tkbench.models.network import Network

CONFIGS = Path(str(resources.files("tkbench") / "configs"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkKind:
    """One kind of network: a generator of faces, or the sync expert that teaches generators."""

    name: str
    """As `--model` and checkpoints call it."""
    network: str
    """"module:class" of the network (`tkbench.models.network`); it is built from its spec alone."""
    spec: str
    """"module:class" of the dataclass that holds its sizes: the table `[net]` of a configuration."""
    objective: str
    """"module:class" of what a training step computes; a subclass of `tkbench.train.objectives.base.Objective`."""
    black: float
    """The value of a black pixel, 0 or -1; white is 1."""
    note: str
    """For the model card: what follows the authors, and what is ours. `{blend}` stands for the options that are on."""
    draws_faces: bool = True
    """Whether it generates (it is then a model, `NAME:CHECKPOINT`), or only teaches."""
    loss: str = "tkbench.train.objectives.terms:FaceLoss"
    """"module:class" of the dataclass that holds the weights of its loss, a subclass of
    `tkbench.train.objectives.terms.Loss`: the table `[loss]` of a configuration."""
    paper: str | None = None
    bundled: str | None = None
    """The weight (`tkbench weights list`) that comes with the package and is used where no checkpoint is given."""
    published: tuple[str, ...] = ()
    """The weights of the authors that are looked for where there is no bundled one, in this order."""
    published_cut: tuple[str, int] | None = None
    """Recipe and size of the authors' cut of a face (`face.Cut`), where their own checkpoints (.pth) can be read; their
    mel windows have a lead of 0."""
    configs: Path = CONFIGS
    """Folder of its configurations, NAME-*.toml; NAME-small is the default."""

    def build(self, sizes: Mapping[str, object]) -> Network:
        """A fresh network from a table of sizes; UsageError for a size that its spec does not have."""
        made: Network = resolve(self.network)(self.sizes(sizes, self.name))
        return made

    def sizes(self, table: Mapping[str, object], where: str) -> Any:
        """The spec from a table of sizes; `where` begins the line of a UsageError."""
        return build(resolve(self.spec), table, where)

    def with_article(self) -> str:
        """The name in a sentence: "a cals", "an expert"."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"


registry: Registry[NetworkKind] = Registry("network", "tkbench.networks", of=NetworkKind)
registry.add("synctalkface", "tkbench.models.synctalkface:RECORD")
registry.add("cals", "tkbench.models.cals:RECORD")
registry.add("wav2lip", "tkbench.models.wav2lip:RECORD")
registry.add("expert", "tkbench.models.wav2lip:EXPERT")


def of_bundled(model: str, dataset: str = "") -> str:
    """What is to be said where a model draws real faces with the checkpoint that comes with tkbench; "" for others.

    >>> of_bundled("mute:cals", "lrs2")[:28], of_bundled("cals:mine.safetensors"), of_bundled("real")
    ('cals: its bundled weights ha', '', '')
    >>> of_bundled("cals", "synth"), of_bundled("cals", "lrs2-fake")
    ('', '')
    """
    if dataset == "synth" or dataset.endswith(FAKE_SUFFIX):
        return ""
    kind = registry.loadable().get(model.rpartition(":")[2])
    if kind is None or not kind.draws_faces or kind.bundled is None:
        return ""
    return (
        f"{kind.name}: its bundled weights have seen synthetic faces alone, and on real ones mouths hardly follow the "
        f"voice; weights of your own are made by `tkbench train --model {kind.name} --from {kind.name}`"
    )


def generators() -> tuple[str, ...]:
    """The kinds that draw faces, those of installed packages included."""
    return tuple(name for name, kind in registry.loadable().items() if kind.draws_faces)
