"""The video file behind a clip's pictures, for metrics that start at the file as published scripts do.

    a video of `--videos DIR`    the file itself, as it came
    the true video               the file that the shard keeps (`tkbench prep ... --keep-source`), or the one below
                                 `--sources FOLDER`, whose sha256 must be that of the preparation
    a model that makes arrays    none: there is no file until someone writes one

A clip that is a part of its file has no file of its own either.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tkbench import shards
from tkbench.runtime.storage import sha256_of
from tkbench.types import Generated, Released, Sample

NO_SOURCE = "these shards keep no source file: prepare with --keep-source, or give --sources FOLDER"


class Origin(NamedTuple):
    """Where a clip comes from."""

    path: str
    """Below the root of the preparation."""
    kept: float
    """Share of the file's frames that are in the clip."""


@lru_cache(maxsize=2)
def _origins(folder: Path, token: str) -> dict[str, Origin]:
    """By key; read once per process and run."""
    table = shards.open_shards(folder).manifest(["key", "path", "kept", "status"])
    rows = table[table["status"] == "ok"].itertuples(index=False)
    return {str(row.key): Origin(str(row.path), float(row.kept)) for row in rows}


@contextmanager
def released_file(
    source: shards.Shards, token: str, made: Generated, sample: Sample, sources: Path | None
) -> Iterator[Released]:
    """The file of a generated video, or of the true one where the pictures are its own; valid inside the block.

    token: of the run, see `scoring.clips.Run`. sources: the root of the preparation, if it is at hand.
    """
    if made.file is not None:
        yield Released(made.file)
        return
    if made.video is None or not np.array_equal(made.video, sample.video):
        yield Released(None, "the model answers pictures: write them to files, and score those with --videos")
        return
    origin = _origins(source.folder, token).get(sample.key, Origin("", 0.0))
    about = sample.meta["source"]
    if "interval" in about or origin.kept < 1:
        yield Released(None, "the clip is a part of its source file: there is no file of its own")
    elif "kept" in about:
        with tempfile.TemporaryDirectory(prefix="tkbench-source-") as folder:
            file = Path(folder) / str(about["kept"])
            file.write_bytes(source.members(sample.key, [str(about["kept"])])[str(about["kept"])])
            yield Released(file)
    elif sources is None:
        yield Released(None, NO_SOURCE)
    else:
        yield _below(sources, origin.path, str(about["sha256"]))


def _below(root: Path, path: str, sha256: str) -> Released:
    file = root / path
    if not file.resolve().is_relative_to(root.resolve()) or not file.is_file():
        return Released(None, f"no {path} below --sources; it must be the --root of the preparation")
    if sha256_of(file) != sha256:
        return Released(None, f"{path} below --sources has another sha256 than the file that was prepared")
    return Released(file)
