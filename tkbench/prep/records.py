"""The records that a run writes and sends: rows of the manifest, finished shards, and messages of workers."""

from __future__ import annotations

from typing import Any, TypedDict

Row = dict[str, Any]
"""A row of the manifest, by column: texts, numbers and None."""


class MadeShard(TypedDict, total=False):
    """What is known of a finished shard: its record in stats/, without the rows."""

    name: str
    digest: str
    """Of its plan."""
    record: dict[str, Any] | None
    """A `ShardRecord` as a table; None where no clip could be used."""
    clips: int
    ok: int
    skipped: dict[str, int]
    """Reason -> clips."""
    decoded: int
    """Frames."""
    seconds: dict[str, float]
    """By stage."""
    host: str


class ClipNews(TypedDict):
    """What a worker sends to the process that runs the pool, for each clip that it finished."""

    run: str
    """The run that it belongs to: messages of another one are not for it."""
    shard: str
    clip: str | None
    """None: the shard begins (again)."""
    frames: int
    reason: str | None
