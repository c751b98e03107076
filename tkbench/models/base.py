"""The Model protocol and the facts that go with a model."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from tkbench.types import Batch, Generated


class ModelCard(BaseModel):
    """What a reader of a table should know of a model; stored in every bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """As tables print it, with its settings: "shift:5"."""
    summary: str
    """One sentence."""
    licence: str = "Apache-2.0"
    paper: str | None = None
    weights: str | None = None
    """sha256 of the checkpoint, None for a model without one."""
    trained_on: tuple[str, ...] = ()
    """Data sets seen in training, so that overlap with a test set can be seen."""
    train_data: tuple[str, ...] = ()
    """`Shards.data_hash` of each split that a checkpoint of ours was trained on; it is never scored on them."""
    anchor: bool = False
    """True for the reference points that bracket a table; they are marked in it."""
    drive: Literal["own", "other"] = "own"
    """Whose voice drives the video, and is used to score it: the clip's own, or that of another clip."""


@runtime_checkable
class Model(Protocol):
    """Anything that makes talking-face videos.

    A sample's `audio` is the voice to speak, and its `video` the reference. What of the video a model may use is up to
    the model; its card says it. The answer holds one Generated per sample, in any order.
    """

    card: ModelCard

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        """Videos of the canvas size at 25 frames/s, (n, H, W, 3) uint8 RGB, n = len(sample) unless it cannot be."""
        ...
