"""The trainer: one loop for every network, on a CPU, a GPU or many (Lightning Fabric).

A step: draw a batch of windows, compute the objective's loss, update the network, then update the discriminator where
there is one. At intervals the trainer reports means of the terms, validates, draws sample faces and saves its state; a
run that finds its own state continues from it, and ends with the weights that it would have had without the stop.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol, cast

import torch

from tkbench import data as training_data
from tkbench import shards, weights
from tkbench.data.loader import TensorBatch
from tkbench.errors import UsageError
from tkbench.models import checkpoint
from tkbench.models.network import FaceNetwork
from tkbench.models.wav2lip.quality import Quality
from tkbench.runtime import stops
from tkbench.runtime.parallel import default_workers
from tkbench.runtime.progress import Progress, silent
from tkbench.train import board, state
from tkbench.train.card import card
from tkbench.train.job import LAST, TrainingJob, run_folder
from tkbench.train.objectives import objective
from tkbench.train.objectives.base import Objective, StepTable, first_windows
from tkbench.train.steps import (
    Report,
    channels_last,
    check_finite,
    device_name,
    line_of,
    mirrored,
    on_device,
    quality_loss,
    seed_of,
    set_rates,
)
from tkbench.version import __version__


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


def train(job: TrainingJob, *, stop_after: int | None = None, progress: Progress = silent) -> Trained | None:
    """Train on the split `train` of the shards; write the checkpoint and its card.

    A run that finds its own state in `job.folder` continues from it. `stop_after`: save the state after that many
    steps in all, and return None; ranks other than the first return None, too.

    Raises UsageError, BadShards or WeightsRefused before any work, NotFinite with the batch's keys where a loss is
    nan or infinite.
    """
    job.check()
    trainer = Trainer(job)
    finished = trainer.run(min(job.config.steps, stop_after or job.config.steps), progress)
    return trainer.finish() if finished else None


class Precision(Protocol):
    """What is used of a precision of Lightning Fabric."""

    def state_dict(self) -> dict[str, object]: ...

    def load_state_dict(self, state_dict: dict[str, object]) -> None: ...


class Trainer:
    """A run: the objective, its optimisers and windows, and how far it has come."""

    def __init__(self, job: TrainingJob) -> None:
        import logging

        from lightning_fabric import Fabric

        # It logs which precision it uses, which the card says as well.
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self.job, self.config, config = job, job.config, job.config
        torch.manual_seed(config.seed)
        self.teacher = job.teacher()
        self.goal: Objective = objective(config, self.teacher)
        begun: list[checkpoint.EarlierTraining] = []
        painted: list[checkpoint.EarlierTraining] = []
        if job.start is not None:
            begun = checkpoint.begin_with(self.goal.net, job.start, config.model)
        if job.painter is not None:
            painted = checkpoint.paint_with(cast(FaceNetwork, self.goal.net), job.painter, config.model)
        self.before = [*begun, *painted]
        """The trainings whose weights this one begins with."""
        heads = self._begin_heads()
        self.quality: Quality | None = self.goal.quality()
        for net in (self.goal, self.quality):
            if net is not None:
                channels_last(net)
        kind, _, number = job.accelerator.partition(":")
        try:
            self.fabric = Fabric(
                accelerator=kind,
                devices=[int(number)] if number else job.devices,
                # Losses switch terms by phase and by step, so not every weight has a gradient in each step.
                strategy="ddp_find_unused_parameters_true" if job.devices > 1 else "auto",
                precision=config.run.precision,  # type: ignore[arg-type,unused-ignore]
            )
        except (ValueError, RuntimeError) as error:
            asked = f"--device {job.accelerator}, --devices {job.devices}, precision {config.run.precision!r}"
            raise UsageError(f"{asked}: not possible here ({str(error).splitlines()[0]})") from error
        self.fabric.launch()
        self.folder = job.folder
        self.splits = shards.open_shards(job.source).splits
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
        self.wrapped_quality: torch.nn.Module | None = None
        self.quality_adam: torch.optim.Optimizer | None = None
        if self.quality is not None:
            adam = torch.optim.Adam(self.quality.parameters(), optim.lr_quality, optim.betas)
            self.wrapped_quality, self.quality_adam = self.fabric.setup(self.quality, adam)
        self.average = state.Average(self.goal.net, optim.ema) if optim.ema else None
        start, painter = (history[0]["sha256"] if history else "" for history in (begun, painted))
        self.identity = state.identity(
            config,
            self.windows.shards.data_hash,
            self.fabric.world_size,
            self._expert_hash() or "",
            start,
            painter,
            heads=heads,
        )
        self.done, self.spent, self.waited = 0, 0.0, 0.0
        self.best: state.Best = {}
        self.precision: Precision = self.fabric.strategy.precision
        """It has a state where losses are scaled (16-mixed)."""
        self.means: dict[str, float] = {}
        """The last report: mean of each term, and the speed."""
        if (self.folder / LAST).is_file():
            self._resume()
        self.board: board.Board | None = None
        if self.fabric.is_global_zero:
            self.board = board.Board(self.folder, self.done, project=config.run.wandb)

    @property
    def windows_per_step(self) -> int:
        """Of all devices together."""
        return self.config.data.batch * self.config.optim.accumulate * self.fabric.world_size

    def run(self, last: int, progress: Progress) -> bool:
        """Steps up to `last`; True where the run has come to its end.

        A stop by Ctrl-C is obeyed between two steps, and the state of the last one is written.
        """
        # Several ranks would have to stop at the same step.
        with stops.between_steps() if self.fabric.world_size == 1 else nullcontext():
            return self._run(last, progress)

    def _run(self, last: int, progress: Progress) -> bool:
        batches, report = self.loader.endless(), Report(self.windows_per_step)
        how = self.config.run
        self.wrapped.train()
        clock = time.perf_counter()
        for step in range(self.done, last):
            if stops.asked():
                self.spent += time.perf_counter() - clock
                self._save_state()
                raise KeyboardInterrupt
            begin = time.perf_counter()
            parts = [
                on_device(next(batches), self.fabric.device) for _ in range(self.config.optim.accumulate)
            ]
            report.waited += time.perf_counter() - begin
            report.add(self.step(parts, step))
            self.done = count = step + 1
            if count % how.log_every == 0 or count == last:
                self.waited += report.waited
                self.means = report.close()
                self._write(count, "train", self.means)
            if self.board is not None:
                progress(count, self.config.steps, line_of(self.means))
            if count % how.val_every == 0 or count == self.config.steps:
                found = self.validate()
                self._write(count, "val", found)
                self._compare(count, found)
            if count % how.sample_every == 0 or count == self.config.steps:
                self._faces(count, parts[-1])
            ends = self._tired()
            if count % how.save_every == 0 or count == last or ends:
                self.spent, clock = self.spent + time.perf_counter() - clock, time.perf_counter()
                self._save_state()
            if ends:
                break
        if self.board is not None:
            self.board.close()
        return self.done >= self.config.steps or self._tired()

    def step(self, batches: Sequence[TensorBatch], step: int) -> dict[str, torch.Tensor]:
        """One step of the network, then one of the discriminator; every term, detached, its mean over the batches."""
        config = self.config
        torch.manual_seed(seed_of(config.seed, step, self.fabric.global_rank))
        set_rates(self.adam, self.quality_adam, config, step, gan_from=self.goal.gan_from())
        if self.quality is not None:
            self.quality.requires_grad_(False)
        found: list[dict[str, torch.Tensor]] = []
        drawn: list[StepTable] = []
        self.adam.zero_grad(set_to_none=True)
        for number, given in enumerate(batches):
            batch = mirrored(given, config.data.flip)
            with self.fabric.no_backward_sync(self.wrapped, enabled=number < len(batches) - 1):
                done: StepTable = self.wrapped(batch, step, self.quality)
                parts: dict[str, torch.Tensor] = {"total": done["total"].detach(), **done["parts"]}
                check_finite(parts, batch["key"], step)
                self.fabric.backward(done["total"] / len(batches))
            found.append(parts)
            drawn.append(done)
        self._update(self.wrapped, self.adam)
        self.goal.after(step, self.adam)
        if self.quality is not None and all(done["made"] for done in drawn):
            assert self.wrapped_quality is not None
            assert self.quality_adam is not None
            self.quality.requires_grad_(True)
            self.quality_adam.zero_grad(set_to_none=True)
            for number, (done, parts) in enumerate(zip(drawn, found, strict=True)):
                assert done["real"] is not None
                with self.fabric.no_backward_sync(self.wrapped_quality, enabled=number < len(drawn) - 1):
                    loss = quality_loss(self.wrapped_quality, done["real"], done["made"])
                    parts["quality"] = loss.detach()
                    check_finite(parts, batches[number]["key"], step)
                    self.fabric.backward(loss / len(drawn))
            self._update(self.wrapped_quality, self.quality_adam)
        if self.average is not None:
            self.average.update(self.goal.net, step)
        return {name: torch.stack([parts[name] for parts in found]).mean() for name in found[0]}

    def _update(self, net: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        if self.config.optim.clip:
            self.fabric.clip_gradients(
                net, optimiser, max_norm=self.config.optim.clip, error_if_nonfinite=False
            )
        optimiser.step()

    # -- validation and samples --------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean of each term over windows of the split `val`, the same each time; empty without such a split."""
        if "val" not in self.splits:
            return {}
        windows = self._windows("val")
        sums: dict[str, list[float]] = defaultdict(list)
        self.goal.eval()
        # Validation draws masks by chance, too: the same ones each time.
        torch.manual_seed(self.config.seed)
        with self._averaged():
            for number in range(min(len(windows), self.config.run.val_batches)):
                batch = on_device(windows[number], self.fabric.device)
                for name, value in self.goal(batch, self.done - 1, None)["parts"].items():
                    sums[name].append(float(value))
        self.goal.train()
        return {name: sum(values) / len(values) for name, values in sums.items() if name != "gan"}

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within it the network has the weights that would be written: what is measured is what is kept."""
        if self.average is None:
            yield
            return
        live = {name: value.detach().clone() for name, value in self.goal.net.state_dict().items()}
        self.goal.net.load_state_dict(self.average.state)
        try:
            yield
        finally:
            self.goal.net.load_state_dict(live)

    def _weights(self) -> dict[str, torch.Tensor]:
        """The weights of this step that would be written."""
        return self.average.state if self.average is not None else self.goal.net.state_dict()

    def _compare(self, count: int, found: Mapping[str, float]) -> None:
        """Keep these weights where their validation is the best so far; every rank finds the same."""
        name = self.config.keep.best
        if not name:
            return
        if name not in found:
            known = ", ".join(found) or "none, because the data have no split val"
            raise UsageError(f"[keep] best = {name!r}: validation has no such term; known are {known}")
        if not self.best or found[name] < self.best["value"]:
            kept = {key: value.detach().clone() for key, value in self._weights().items()}
            self.best = {"value": found[name], "step": count, "since": 0, "weights": kept}
        else:
            self.best["since"] += 1

    def _tired(self) -> bool:
        """Whether the last validations brought nothing new."""
        patience = self.config.keep.patience
        return bool(patience and self.best and self.best["since"] >= patience)

    @torch.no_grad()
    def _faces(self, count: int, batch: TensorBatch, most: int = 8) -> None:
        """A grid of faces of the batch, as inference draws them."""
        if self.board is not None:
            self.goal.eval()
            with self._averaged():
                rows = self.goal.sample(first_windows(batch, most))
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
            self.job.source,
            split=split,
            window=training_data.WindowSpec(
                recipe=config.cut.recipe,
                size=(config.cut.size, config.cut.size),
                frames=config.data.frames,
                margin=self.goal.margin,
                sound=self.goal.sound,
                min_reference_gap=config.data.min_reference_gap,
                padded_sound=config.data.padded_sound,
                silent=config.data.silent,
                mouths=self.goal.mouths,
                openings=self.goal.openings,
                camera=config.data.camera if train else 0.0,
            ),
            sampling=training_data.Sampling(
                batch=config.data.batch,
                frames_per_window=config.data.frames_per_window,
                shuffle=train,
                drop_last=train,
                seed=config.seed,
                rank=None if train else 0,
                world=None if train else 1,
            ),
            cache=self.job.cache or self.folder / "crops",
        )

    def _begin_heads(self) -> bool:
        """Go on with the layers that only training uses, where the run that made `--from` still has them."""
        start = self.job.start
        if start is None or "steps" not in self.before[0]:
            return False
        found = state.heads_of(run_folder(start) / LAST, self.before[0]["steps"])
        own = self.goal.heads.state_dict()
        known = {name: v for name, v in found.items() if name in own and own[name].shape == v.shape}
        self.goal.heads.load_state_dict({**own, **known})
        return bool(known)

    def _expert_hash(self) -> str | None:
        """sha256 of the expert's checkpoint, where the objective uses it."""
        if self.teacher is None or self.goal.expert is None:
            return None
        return weights.sha256(self.teacher)

    def _save_state(self) -> None:
        """Write the state; every rank waits for it."""
        if self.fabric.is_global_zero:
            kept: state.State = {
                "identity": self.identity,
                "step": self.done,
                "seconds": self.spent,
                "waited": self.waited,
                "loader": self.loader.state(),
                "net": self.goal.net.state_dict(),
                "heads": self.goal.heads.state_dict(),
                "adam": self.adam.state_dict(),
                "quality": self.quality.state_dict() if self.quality is not None else {},
                "quality_adam": self.quality_adam.state_dict() if self.quality_adam is not None else {},
                "average": self.average.state if self.average is not None else {},
                "precision": self.precision.state_dict(),
                "best": self.best,
            }
            state.save(self.folder / LAST, kept)
        self.fabric.barrier()

    def _resume(self) -> None:
        """Continue from the state in the folder."""
        kept = state.load(self.folder / LAST, self.identity)
        self.done, self.spent, self.waited = kept["step"], kept["seconds"], kept["waited"]
        self.goal.net.load_state_dict(kept["net"])
        self.goal.heads.load_state_dict(kept["heads"])
        self.adam.load_state_dict(kept["adam"])
        if self.quality is not None and self.quality_adam is not None:
            self.quality.load_state_dict(kept["quality"])
            self.quality_adam.load_state_dict(kept["quality_adam"])
        if self.average is not None:
            self.average.state = {k: v.to(self.fabric.device) for k, v in kept["average"].items()}
        if kept.get("precision"):
            self.precision.load_state_dict(kept["precision"])
        self.best = kept.get("best", {})
        self.loader.seek(**kept["loader"])

    def finish(self) -> Trained | None:
        """Write the checkpoint and its card, on the first rank; the others return None."""
        config, opened, out = self.config, self.windows.shards, self.job.out
        batch, steps = self.windows_per_step, self.best.get("step", self.done)
        facts = checkpoint.Facts(
            kind=config.model,
            spec=asdict(self.goal.net.spec),
            cut=config.cut,
            training={
                "tkbench": __version__,
                "dataset": opened.dataset,
                "data": opened.data_hash,
                "n_train": len(self.windows.lengths),
                "steps": steps,
                "batch": batch,
                "seed": config.seed,
                "device": device_name(self.fabric.device),
                "precision": config.run.precision,
                "seconds": round(self.spent, 1),
                "samples_per_second": round(self.done * batch / max(self.spent, 1e-9), 3),
                "wait": round(self.waited / max(self.spent, 1e-9), 4),
                "expert": self._expert_hash(),
                "before": self.before,
                "config": asdict(config),
            },
        )
        if self.board is not None:
            kept = self.best.get("weights", self._weights())
            checkpoint.save(out, kept, facts, half=config.run.half)
            text = card(facts, board.read(self.folder), out.name)
            out.with_suffix(".md").write_text(text, encoding="utf-8")
        self.fabric.barrier()
        return Trained(out, self.folder, facts, self.means, self.board.hint) if self.board else None
