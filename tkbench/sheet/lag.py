"""The lag between lips and voice in a recording, as a judge measures it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tkbench.errors import WeightsMissing
from tkbench.metrics.sync import Sync
from tkbench.runtime.progress import Progress, silent
from tkbench.shards import Shards
from tkbench.types import Reason


@dataclass(frozen=True, slots=True)
class Lag:
    """A judge's AVOffset of a clip."""

    frames: int
    """Positive where the picture is late."""
    confidence: float
    """Its LSE-C: near 0, no lag fits and `frames` means nothing. The scale is the judge's own."""

    def __str__(self) -> str:
        plural = "" if abs(self.frames) == 1 else "s"
        side = "late" if self.frames > 0 else "early"
        lag = f"lips {abs(self.frames)} frame{plural} {side}" if self.frames else "lips on time"
        return f"{lag} (LSE-C {self.confidence:.2f})"


def lags(source: Shards, keys: Sequence[str], judge: str, progress: Progress = silent) -> dict[str, Lag]:
    """Key -> lag, without the clips that the judge cannot score. Raises WeightsMissing, UnknownName."""
    metric = Sync(judge=judge)
    confidence, _, offset = (column.name for column in metric.columns)
    found: dict[str, Lag] = {}
    for done, key in enumerate(keys):
        progress(done, len(keys), f"{judge}: {key}")
        sample = source.get(key)
        values = metric.score(sample, sample.video, sample.audio).values
        if values[offset].reason is Reason.WEIGHTS_MISSING:
            raise WeightsMissing(f"{judge}: {values[offset].detail}")
        if values[offset].reason is None:
            found[key] = Lag(round(values[offset].value), values[confidence].value)
    return found
