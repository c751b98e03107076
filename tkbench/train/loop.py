"""The trainer: one loop for every model, on a CPU, a GPU or many (Lightning Fabric)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from tkbench import data as training_data
from tkbench import shards, weights
from tkbench.errors import UsageError
from tkbench.models import checkpoint
from tkbench.runtime.parallel import default_workers
from tkbench.runtime.progress import Progress, silent
from tkbench.train import board, state
from tkbench.train.card import card
from tkbench.train.config import Config
from tkbench.train.objectives import objective
from tkbench.train.objectives.base import Objective
from tkbench.train.steps import (
    Report,
    chance,
    channels_last,
    check_finite,
    device_name,
    line_of,
    mirrored,
    on_device,
    quality_loss,
    set_rates,
)
from tkbench.version import __version__

LAST = "last.pt"


@dataclass(slots=True)
class Trained:
    """What a finished run was."""

    out: Path
    folder: Path
    facts: checkpoint.Facts
    parts: dict[str, float] = field(default_factory=dict)
    """Mean of each term over the last report."""
    hint: str = ""

    def __str__(self) -> str:
        run = self.facts.training
        lines = [
            f"{self.out}: {run['steps']} steps in {run['seconds']:.0f} s, {run['samples_per_second']:.1f} windows/s, "
            f"{run['wait']:.0%} of the time waiting for data",
            f"last report: {line_of(self.parts)}" if self.parts else "",
            f"card: {self.out.with_suffix('.md')}; curves and faces: {self.folder}",
        ]
        return "\n".join(filter(None, [*lines, self.hint]))


def train(
    source: Path,
    out: Path,
    config: Config,
    *,
    expert: Path | None = None,
    start: Path | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    cache: Path | None = None,
    stop_after: int | None = None,
    progress: Progress = silent,
) -> Trained | None:
    """Train on the split `train` of the shards in `source`; write the checkpoint `out` and its card.

    The folder `out` without its suffix, plus `.run`, holds the state, curves and faces; a run that finds its own
    state there goes on, and ends with the weights it would have had. `cache`: where crops are kept (by default in
    that folder). `start`: a checkpoint of the same kind whose weights the run begins with. `stop_after`: keep the state
    after that many steps in all, and return None; so do ranks but the first.

    Raises UsageError, BadShards or WeightsRefused before any work, NotFinite with the batch's keys where a loss is
    no number.
    """
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: the file must end in .safetensors")
    if expert is not None and expert.resolve() == out.resolve():
        raise UsageError(f"--out {out}: is the expert itself; give another name")
    if start is not None and start.resolve() == out.resolve():
        raise UsageError(f"--out {out}: is the checkpoint of --from itself; give another name")
    if out.exists() and not (out.with_name(out.stem + ".run") / LAST).is_file():
        raise UsageError(f"--out {out}: exists and is not of this run; give another name, or remove it")
    trainer = Trainer(source, out, config, expert, devices, accelerator, cache, start)
    finished = trainer.run(min(config.steps, stop_after or config.steps), progress)
    return trainer.finish() if finished else None


class Trainer:
    """A run: what it learns, where it stands, what it has shown."""

    def __init__(
        self,
        source: Path,
        out: Path,
        config: Config,
        expert: Path | None,
        devices: int,
        accelerator: str,
        cache: Path | None,
        start: Path | None = None,
    ) -> None:
        import logging

        from lightning_fabric import Fabric

        # It says which precision it uses, which the card says as well.
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self.source, self.out, self.config, self.expert = source, out, config, expert
        torch.manual_seed(config.seed)
        self.goal: Objective = objective(config, expert)
        self.before = [] if start is None else checkpoint.begin(self.goal.net, start, config.model)
        """The trainings whose weights this one begins with."""
        self.quality = self.goal.quality()
        for net in (self.goal, self.quality):
            if net is not None:
                channels_last(net)
        try:
            self.fabric = Fabric(
                accelerator=accelerator,
                devices=devices,
                # Losses switch terms by phase and by step, so not every weight has a part in each step.
                strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto",
                precision=config.run.precision,  # type: ignore[arg-type,unused-ignore]
            )
        except (ValueError, RuntimeError) as error:
            asked = f"--accelerator {accelerator}, --devices {devices}, precision {config.run.precision!r}"
            raise UsageError(f"{asked}: not possible here ({str(error).splitlines()[0]})") from error
        self.fabric.launch()
        self.folder = out.with_name(out.stem + ".run")
        self.cache = cache or self.folder / "crops"
        self.splits = shards.open_shards(source).splits
        if "train" not in self.splits:
            raise UsageError(
                f"{source}: has no split train, only {', '.join(self.splits)}; prepare training clips, for example "
                f"`tkbench prep synth` with 20 speakers or more, or a data set's own train split"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.windows = self._windows("train")
        on_gpu = self.fabric.device.type == "cuda"
        workers = config.data.workers
        if workers < 0:
            workers = default_workers() if on_gpu else 0
        self.loader = self.windows.loader(workers=workers, pin=on_gpu)

        optim = config.optim
        own = [value for value in self.goal.parameters() if value.requires_grad]
        self.wrapped, self.adam = self.fabric.setup(self.goal, torch.optim.Adam(own, optim.lr, optim.betas))
        self.judged: Any = None
        self.adam_q: Any = None
        if self.quality is not None:
            adam_q = torch.optim.Adam(self.quality.parameters(), optim.lr_quality, optim.betas)
            self.judged, self.adam_q = self.fabric.setup(self.quality, adam_q)
        self.average = state.Average(self.goal.net, optim.ema) if optim.ema else None
        teacher = weights.sha256(expert) if expert is not None and self.goal.expert is not None else ""
        begun = self.before[0]["sha256"] if self.before else ""
        self.identity = state.identity(
            config, self.windows.shards.data_hash, self.fabric.world_size, teacher, begun
        )
        self.done, self.spent, self.waited = 0, 0.0, 0.0
        self.news: dict[str, float] = {}
        if (self.folder / LAST).is_file():
            self._go_on()
        self.board = board.Board(self.folder, self.done) if self.fabric.is_global_zero else None

    def run(self, last: int, progress: Progress) -> bool:
        """Steps up to `last`; True where that is the configuration's last one."""
        batches, report = self.loader.endless(), Report(self.config.data.batch * self.fabric.world_size)
        how = self.config.run
        self.wrapped.train()
        clock = time.perf_counter()
        for step in range(self.done, last):
            begin = time.perf_counter()
            batch = on_device(next(batches), self.fabric.device)
            report.waited += time.perf_counter() - begin
            report.add(self._step(batch, step))
            self.done = count = step + 1
            if count % how.log_every == 0 or count == last:
                self.waited += report.waited
                self.news = report.close()
                self._write(count, "train", self.news)
            if self.board is not None:
                progress(count, self.config.steps, line_of(self.news))
            if count % how.val_every == 0 or count == self.config.steps:
                self._write(count, "val", self.validate())
            if count % how.sample_every == 0 or count == self.config.steps:
                self._faces(count, batch)
            if count % how.save_every == 0 or count == last:
                self.spent, clock = self.spent + time.perf_counter() - clock, time.perf_counter()
                self._keep()
        if self.board is not None:
            self.board.close()
        return self.done >= self.config.steps

    def _step(self, batch: Mapping[str, Any], step: int) -> dict[str, torch.Tensor]:
        """One step of the network, then one of the discriminator; every term, detached."""
        config, keys = self.config, batch["key"]
        torch.manual_seed(chance(config.seed, step, self.fabric.global_rank))
        batch = mirrored(batch, config.data.flip)
        set_rates(self.adam, self.adam_q, config, step)
        if self.quality is not None:
            self.quality.requires_grad_(False)
        done = self.wrapped(batch, step, self.quality)
        parts: dict[str, torch.Tensor] = {"total": done["total"].detach(), **done["parts"]}
        check_finite(parts, keys, step)
        self._move(self.wrapped, self.adam, done["total"])
        if self.quality is not None and done["made"]:
            self.quality.requires_grad_(True)
            loss = quality_loss(self.judged, done["real"], done["made"])
            parts["quality"] = loss.detach()
            check_finite(parts, keys, step)
            self._move(self.judged, self.adam_q, loss)
        if self.average is not None:
            self.average.update(self.goal.net, step)
        return parts

    def _move(self, net: Any, optimiser: Any, loss: torch.Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if self.config.optim.clip:
            self.fabric.clip_gradients(
                net, optimiser, max_norm=self.config.optim.clip, error_if_nonfinite=False
            )
        optimiser.step()

    # -- looking at it -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean of each term over windows of the split `val`, the same each time; empty without such a split."""
        if "val" not in self.splits:
            return {}
        windows = self._windows("val")
        sums: dict[str, list[float]] = defaultdict(list)
        self.goal.eval()
        # Masks are drawn in validation, too: the same ones each time.
        torch.manual_seed(self.config.seed)
        for number in range(min(len(windows), self.config.run.val_batches)):
            batch = on_device(windows[number], self.fabric.device)
            for name, value in self.goal(batch, self.done - 1, None)["parts"].items():
                sums[name].append(float(value))
        self.goal.train()
        return {name: sum(values) / len(values) for name, values in sums.items() if name != "gan"}

    @torch.no_grad()
    def _faces(self, count: int, batch: Mapping[str, Any], most: int = 8) -> None:
        """A grid of faces of the batch, as inference draws them."""
        if self.board is not None:
            self.goal.eval()
            rows = self.goal.sample({name: value[:most] for name, value in batch.items()})
            self.goal.train()
            if rows is not None:
                self.board.faces(count, rows)

    def _write(self, count: int, split: str, values: Mapping[str, float]) -> None:
        if self.board is not None and values:
            self.board.numbers(count, {f"{split}/{name}": value for name, value in values.items()})

    # -- files -------------------------------------------------------------------------------------------------

    def _windows(self, split: str) -> training_data.Windows:
        """The windows of a split, as the configuration cuts them."""
        config, train = self.config, split == "train"
        return training_data.load(
            self.source,
            split=split,
            recipe=config.cut.recipe,
            size=(config.cut.size, config.cut.size),
            frames=config.data.frames,
            margin=self.goal.margin,
            apart=config.data.apart,
            edges=config.data.edges,
            mouths=self.goal.mouths,
            batch=config.data.batch,
            every=config.data.every,
            shuffle=train,
            drop_last=train,
            seed=config.seed,
            rank=None if train else 0,
            world=None if train else 1,
            cache=self.cache,
        )

    def _keep(self) -> None:
        """Write the state; every rank waits for it."""
        if self.fabric.is_global_zero:
            kept = {
                "identity": self.identity,
                "step": self.done,
                "seconds": self.spent,
                "waited": self.waited,
                "loader": self.loader.state(),
                "net": self.goal.net.state_dict(),
                "heads": self.goal.heads.state_dict(),
                "adam": self.adam.state_dict(),
                "quality": self.quality.state_dict() if self.quality is not None else {},
                "adam_q": self.adam_q.state_dict() if self.adam_q is not None else {},
                "average": self.average.state if self.average is not None else {},
            }
            state.save(self.folder / LAST, kept)
        self.fabric.barrier()

    def _go_on(self) -> None:
        """Stand where the state in the folder stood."""
        kept = state.load(self.folder / LAST, self.identity)
        self.done, self.spent, self.waited = kept["step"], kept["seconds"], kept["waited"]
        self.goal.net.load_state_dict(kept["net"])
        self.goal.heads.load_state_dict(kept["heads"])
        self.adam.load_state_dict(kept["adam"])
        if self.quality is not None:
            self.quality.load_state_dict(kept["quality"])
            self.adam_q.load_state_dict(kept["adam_q"])
        if self.average is not None:
            self.average.state = {k: v.to(self.fabric.device) for k, v in kept["average"].items()}
        self.loader.seek(**kept["loader"])

    def finish(self) -> Trained | None:
        """The checkpoint and its card, from the first rank; the others answer None."""
        config, opened = self.config, self.windows.shards
        batch = config.data.batch * self.fabric.world_size
        spec: Any = self.goal.net.spec
        teacher = self.expert if self.goal.expert is not None else None
        facts = checkpoint.Facts(
            kind=config.model,
            spec=asdict(spec),
            cut=config.cut,
            training={
                "tkbench": __version__,
                "dataset": opened.dataset,
                "data": opened.data_hash,
                "n_train": len(self.windows.lengths),
                "steps": config.steps,
                "batch": batch,
                "seed": config.seed,
                "device": device_name(self.fabric.device),
                "precision": config.run.precision,
                "seconds": round(self.spent, 1),
                "samples_per_second": round(config.steps * batch / max(self.spent, 1e-9), 3),
                "wait": round(self.waited / max(self.spent, 1e-9), 4),
                "expert": weights.sha256(teacher) if teacher is not None else None,
                "before": self.before,
                "config": asdict(config),
            },
        )
        if self.board is not None:
            kept = self.average.state if self.average is not None else self.goal.net.state_dict()
            checkpoint.save(self.out, kept, facts, half=config.run.half)
            text = card(facts, board.read(self.folder), self.out.name)
            self.out.with_suffix(".md").write_text(text, encoding="utf-8")
        self.fabric.barrier()
        return Trained(self.out, self.folder, facts, self.news, self.board.hint) if self.board else None
