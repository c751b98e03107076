"""What a model's videos cost to make: seconds per second of video, and peak memory. The file `cost.json` of a bundle.

Times and memory differ from run to run, so the file stands beside the hashed ones: no hash, no signature and no
comparison of bundles knows it, and CSV files do not hold it. It is there for models that tkbench runs itself (`cmd:`
and registered ones); videos that were made elsewhere (`files:`) have none.

    seconds_per_second    seconds of generating, by seconds of video; without the first clip of each process, which
                          loads the model, where there are others
    first_clip_seconds    seconds of such a first clip, loading included (median over the processes)
    memory                bytes: the most that was resident while a video was made; of the command and its children for
                          `cmd:`, otherwise of the process, whose metrics' networks count with it
    gpu_memory            bytes: the most that torch had allocated on the GPU; for `cmd:` what nvidia-smi says of the
                          command's processes; null where no GPU was used or nobody could tell
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tkbench.errors import printable
from tkbench.results.bundle import Bundle, Summary
from tkbench.runtime import storage
from tkbench.types import Column

FILE = "cost.json"
LARGEST = 1 << 16
"""Bytes of a cost.json that is read."""


class Cost(BaseModel):
    """cost.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = Field(default=1, ge=1, le=1)
    clips: int = Field(ge=1)
    """Clips that were measured."""
    video_seconds: float = Field(gt=0, allow_inf_nan=False)
    seconds_per_second: float = Field(ge=0, allow_inf_nan=False)
    first_clip_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    memory: int = Field(ge=0)
    gpu_memory: int | None = Field(default=None, ge=0)
    where: list[str] = Field(max_length=1000)
    """Processors and devices that the videos were made on."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one clip took."""

    seconds: float
    video_seconds: float
    first: bool
    """Whether it was the first of its process."""
    memory: int
    gpu_memory: int | None
    where: str


COLUMNS = (
    Column("cost_time", "time per second of video", "s/s", "lower", 2, per_clip=False, signature="cost",
           text="Seconds that the model took to make a second of video, on the machine that scored it."),
    Column("cost_memory", "memory", "GB", "lower", 2, per_clip=False, signature="cost",
           text="The most memory that was in use while a video was made."),
    Column("cost_gpu_memory", "GPU memory", "GB", "lower", 2, per_clip=False, signature="cost",
           text="The most memory of the GPU that was in use while a video was made."),
)  # fmt: skip
"""Columns that tables have on request, and that CSV files and ranks do not know."""


def sum_up(spent: Sequence[Spent]) -> Cost | None:
    """The cost of a model from that of its clips; None where nothing was measured."""
    made = [one for one in spent if one.video_seconds > 0]
    if not made:
        return None
    later = [one for one in made if not one.first] or made
    firsts = sorted(one.seconds for one in made if one.first)
    gpu = [one.gpu_memory for one in made if one.gpu_memory is not None]
    return Cost(
        clips=len(made),
        video_seconds=round(sum(one.video_seconds for one in made), 3),
        seconds_per_second=round(sum(s.seconds for s in later) / sum(s.video_seconds for s in later), 5),
        first_clip_seconds=round(firsts[len(firsts) // 2], 3) if firsts else None,
        memory=max(one.memory for one in made),
        gpu_memory=max(gpu) if gpu else None,
        where=sorted({one.where for one in made})[:1000],
    )


def to_bytes(cost: Cost) -> bytes:
    """The content of cost.json."""
    return (json.dumps(cost.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def read(folder: Path) -> Cost | None:
    """The cost in a bundle's folder; None where there is none, or a file that says nothing that can be used."""
    path = folder / FILE
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
            return None
        return Cost.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, ValueError, RecursionError):
        return None


def numbers(cost: Cost | None) -> dict[str, float] | None:
    """Column -> value, of those that are known; None where nothing was measured."""
    if cost is None:
        return None
    return {name: value for name, (value, _) in _values(cost).items() if math.isfinite(value)}


def in_words(cost: Cost | None) -> str:
    """A cost in one phrase; "" where nothing was measured.

    >>> in_words(Cost(clips=1, video_seconds=2, seconds_per_second=0.4, memory=2_100_000_000, where=["Xeon"]))
    '0.40 s per second of video and 2.1 GB of memory, on Xeon'
    """
    if cost is None:
        return ""
    gpu = "" if cost.gpu_memory is None else f", {storage.in_words(cost.gpu_memory)} of the GPU"
    return (
        f"{cost.seconds_per_second:.2f} s per second of video and {storage.in_words(cost.memory)} of memory{gpu}, on "
        f"{', '.join(map(printable, cost.where[:3]))}"
    )


def with_costs(bundles: Sequence[Bundle], names: Sequence[str]) -> list[Bundle]:
    """The bundles with those columns of `COLUMNS` that are named, at their end."""
    columns = [column for column in COLUMNS if column.name in names]
    return [_extended(one, read(one.folder), columns) for one in bundles] if columns else list(bundles)


def _extended(one: Bundle, cost: Cost | None, columns: Sequence[Column]) -> Bundle:
    values = _values(cost)
    cells = {column.name: _cell(*values[column.name]) for column in columns}
    result = one.result.model_copy(
        update={
            "columns": [*one.result.columns, *columns],
            "summary": {**one.result.summary, **cells},
        }
    )
    return changed(one, result=result)


def _values(cost: Cost | None) -> Mapping[str, tuple[float, str]]:
    """Column -> value, and why there is none."""
    if cost is None:
        return {column.name: (math.nan, "not measured") for column in COLUMNS}
    gpu = math.nan if cost.gpu_memory is None else cost.gpu_memory / 1e9
    return {
        "cost_time": (cost.seconds_per_second, ""),
        "cost_memory": (cost.memory / 1e9, ""),
        "cost_gpu_memory": (gpu, "no GPU"),
    }


def _cell(value: float, why: str) -> Summary:
    known = not math.isnan(value)
    return Summary(
        mean=value,
        low=math.nan,
        high=math.nan,
        n=int(known),
        n_unscored=int(not known),
        n_clusters=int(known),
        coverage=float(known),
        mean_size=abs(value),
        reasons={} if known else {why.replace(" ", "-"): 1},
        detail=""
        if known
        else "videos that were made elsewhere have no cost"
        if why == "not measured"
        else why,
    )
