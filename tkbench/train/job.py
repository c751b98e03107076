"""What a training run is asked for, and what can be said about it before torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tkbench import shards, weights
from tkbench.errors import UsageError
from tkbench.models import checkpoint, kinds
from tkbench.runtime.devices import check_device
from tkbench.runtime.parallel import usable_cores
from tkbench.train.config import Config

EXPERT = "expert"
"""The kind of network that generators learn from."""
LAST = "last.pt"
"""The state of a run, in its folder."""


def run_folder(out: Path) -> Path:
    """The folder of the run that writes the checkpoint `out`."""
    return out.with_name(out.stem + ".run")


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What a run reads, what it writes, and on which devices it runs."""

    source: Path
    """Folder of shards with a split train; a split val is validated on."""
    out: Path
    """The checkpoint to write (.safetensors); its card and the folder of the run stand beside it."""
    config: Config
    expert: Path | None = None
    """Checkpoint of the frozen sync expert; None: the bundled one, see `teacher`."""
    start: Path | None = None
    """A checkpoint of the same kind whose weights the run begins with."""
    painter: Path | None = None
    """A checkpoint of any kind that draws in the same way, whose drawing layers the run begins with."""
    cache: Path | None = None
    """Folder where crops are kept; by default in that of the run."""
    devices: int = 1
    accelerator: str = "auto"
    """As Lightning Fabric names it: auto, cpu, cuda or mps; or one GPU by its number: cuda:1."""

    @property
    def folder(self) -> Path:
        """Where the state, the curves and the sample faces of the run are."""
        return run_folder(self.out)

    def teacher(self) -> Path | None:
        """The frozen expert: the one that is given, or the bundled one where it knows this crop recipe, or None."""
        if self.expert is not None or self.config.model == EXPERT:
            return self.expert
        path = weights.find(kinds.registry.get(EXPERT).bundled or "")
        return path if checkpoint.read_facts(path).cut.recipe == self.config.cut.recipe else None

    def check(self) -> None:
        """Raises what would stop the run, as far as files and names tell it, before torch is loaded.

        UsageError where `out` would overwrite a file that is not this run's, or a file or the expert is missing;
        BadShards or WeightsRefused where one is not what it should be.
        """
        out = self.out
        if out.suffix != ".safetensors":
            raise UsageError(f"--out {out}: the file must end in .safetensors")
        if self.expert is not None and self.expert.resolve() == out.resolve():
            raise UsageError(f"--out {out}: is the expert itself; give another name")
        if self.start is not None and self.start.resolve() == out.resolve():
            raise UsageError(f"--out {out}: is the checkpoint of --from itself; give another name")
        if self.painter is not None and self.painter.resolve() == out.resolve():
            raise UsageError(f"--out {out}: is the checkpoint of --painter itself; give another name")
        if out.exists() and not (self.folder / LAST).is_file():
            raise UsageError(f"--out {out}: exists and is not of this run; give another name, or remove it")
        if ":" in self.accelerator and self.devices != 1:
            raise UsageError(
                f"--device {self.accelerator}: is one device, and --devices says {self.devices}; "
                f"--device {self.accelerator.partition(':')[0]} with CUDA_VISIBLE_DEVICES chooses several"
            )
        cores = max(2, usable_cores())
        if self.accelerator in ("auto", "cpu") and self.devices > cores:
            raise UsageError(
                f"--devices {self.devices}: on processors at most {cores} here, one per core; GPUs are asked for by "
                f"--device cuda"
            )
        if self.accelerator != "auto":
            check_device(self.accelerator, self.devices)
        check_split(self.source)
        for path, kind in ((self.expert, "expert"), (self.start, self.config.model)):
            if path is not None:
                checkpoint.facts_of(path, kind)
        if self.painter is not None:
            checkpoint.painter_facts(self.painter, self.config.model)
        if self.teacher() is None:
            self._check_expert()

    def _check_expert(self) -> None:
        """Raises UsageError where the configuration gives weight to a term that learns from the expert."""
        if self.config.terms().needs_expert():
            raise no_expert(self.config)


def check_split(source: Path) -> None:
    """Raises BadShards or UsageError where the shards have no split to train on."""
    splits = shards.open_shards(source).splits
    if "train" not in splits:
        raise UsageError(
            f"{source}: has no split train, only {', '.join(splits)}; prepare training clips, for example "
            f"`tkbench prep synth` with 20 speakers or more, or a data set's own train split"
        )


def no_expert(config: Config) -> UsageError:
    """What is said where a run needs the sync expert, none is given, and the bundled one knows other faces."""
    known = checkpoint.read_facts(weights.find(kinds.registry.get(EXPERT).bundled or "")).cut
    return UsageError(
        f"--model {config.model} learns from a frozen sync expert: give --expert FILE, a checkpoint of "
        f"`tkbench train --model expert` (the judge is not one); the bundled expert is for faces cut as {known}, the "
        f"configuration cuts {config.cut}"
    )
