"""What a run shows: one line of numbers per report in metrics.jsonl, TensorBoard's files, grids of faces."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tkbench.errors import UsageError
from tkbench.runtime.extras import install_line

if TYPE_CHECKING:
    import torch
    from torch.utils.tensorboard import SummaryWriter

HINT = "TensorBoard is not installed: numbers go to metrics.jsonl alone ({})"


class Board:
    """Writes into one folder; TensorBoard's part is left out where it is not installed."""

    def __init__(self, folder: Path, step: int = 0, *, project: str = "") -> None:
        """`step`: where the run stands; reports after it are removed, because the run will make them again.

        project: of Weights & Biases, which then gets the reports and the faces, too. Raises UsageError without its
        package.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        trim(folder, step)
        self.hint = ""
        self._writer: SummaryWriter | None = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.hint = HINT.format(install_line("train"))
        else:
            self._writer = SummaryWriter(str(folder / "tensorboard"))
        self._wandb = _wandb_run(folder, project) if project else None

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """A report after `step` steps."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **values}) + "\n")
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        if self._wandb is not None:
            self._wandb.log(dict(values), step=step)

    def faces(self, step: int, rows: torch.Tensor) -> Path:
        """(N, columns, H, W, 3) uint8 as one PNG: a row per window, its columns side by side."""
        import cv2

        cells = rows.cpu().numpy()
        grid = np.concatenate([np.concatenate(list(row), axis=1) for row in cells], axis=0)
        path = self.folder / f"faces-{step:07d}.png"
        cv2.imwrite(str(path), grid[..., ::-1])
        if self._writer is not None:
            self._writer.add_image("reference, drawn, true", grid, step, dataformats="HWC")
        if self._wandb is not None:
            import wandb

            self._wandb.log({"reference, drawn, true": wandb.Image(str(path))}, step=step)
        return path

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
        if self._wandb is not None:
            self._wandb.finish()


class Logger(Protocol):
    """What is used of a run of Weights & Biases."""

    def log(self, data: dict[str, object], *, step: int) -> None: ...

    def finish(self) -> None: ...


def _wandb_run(folder: Path, project: str) -> Logger:
    """The run of that folder: the same one again after a stop."""
    try:
        import wandb
    except ImportError as error:
        raise UsageError(
            f"[run] wandb = {project!r}: the package is missing; run `pip install wandb`, or leave the setting out"
        ) from error
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    run: Logger = wandb.init(project=project, name=folder.stem, id=name, resume="allow", dir=str(folder))
    return run


def trim(folder: Path, step: int) -> None:
    """Remove reports after `step`: a run that continues from there will make them again."""
    path = folder / "metrics.jsonl"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _step_of(line) <= step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _step_of(line: str) -> float:
    """The step of a report; infinite for a line that a kill cut short, so that it is removed."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def read(folder: Path) -> list[dict[str, float]]:
    """Every report of a run, in order."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
