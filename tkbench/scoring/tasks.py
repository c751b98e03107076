"""What a worker does in an evaluation: a task is a clip to generate and score.

The record of a clip (`scoring.records`) is written where the task is done, so what is sent back are counts. A task
that is run twice, because its worker died or its evaluation was killed, finds the record of the first time.
"""

from __future__ import annotations

import platform
import socket
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tkbench import media
from tkbench.errors import BadSample, UsageError
from tkbench.metrics.base import NOT_GIVEN
from tkbench.models.base import Model
from tkbench.models.files import files_of
from tkbench.results.bundle import Curve
from tkbench.runtime import feature_cache, storage
from tkbench.runtime.devices import check_device, device_facts, put_on
from tkbench.runtime.parallel import one_thread
from tkbench.scoring import named, players
from tkbench.scoring.clips import (
    Run,
    Tools,
    generate_for,
    is_crossed,
    score_clip,
    start_states,
    tools_of,
    unscored_rows,
)
from tkbench.scoring.meter import Metered
from tkbench.scoring.pairing import sample_of
from tkbench.scoring.records import ClipRecord, read_record, write_record
from tkbench.scoring.released import released_file
from tkbench.scoring.strata import measure
from tkbench.types import Column, Generated, Reason, Released, Row, Sample
from tkbench.version import __version__

GIVE_UP_AFTER = 10
"""Deaths of workers at one clip after which it is a row without a score."""
_ONE_AT_A_TIME = threading.Lock()
"""Models, metrics and feature stores are built once per process and serve one clip at a time, also where a Dask
worker has several threads."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One task: some clips (one, where records are kept), and all that decides their scores."""

    run: Run
    model: str
    keys: tuple[str, ...]
    partners: Mapping[str, str | None]
    """Clip -> the clip whose voice drives it; None where its own does."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Item of a list of pairs -> the clip that is seen; see `scoring.pairing`."""
    cache: str | None = None
    """See `EvalOptions.cache`; None keeps what one clip needs twice, and no more."""
    sources: str | None = None
    """See `EvalOptions.sources`."""
    work: str | None = None
    """Folder for the records of clips; None sends their scores back."""
    deaths: int = 0
    """Workers that died at it."""
    software: Mapping[str, str] = field(default_factory=dict)
    """Versions that a worker must have; none where it is of this machine's own making."""
    players: players.PlayerPlan | None = None
    """Which clips get a player of the report; None for none."""


@dataclass(slots=True)
class ChunkScores:
    """What a task sends back: numbers only, and where records are kept counts only."""

    rows: list[Row] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    states: list[object] = field(default_factory=list)
    """One per set metric, in the protocol's order."""
    videos: dict[str, str] = field(default_factory=dict)
    """Clip -> sha256 of its video's file, for models whose videos are files."""
    without_video: int = 0
    """Clips without a usable video: no set metric has got them."""
    failed: int = 0
    """Clips with a missing score."""
    cache_counts: feature_cache.Counts = field(default_factory=feature_cache.Counts)


def software() -> dict[str, str]:
    """Versions of the software between the files and the numbers, and the instructions that its loops are made for."""
    import torch

    found = {name: version for name in feature_cache.LIBRARIES if (version := feature_cache.version_of(name))}
    cpu = {"cpu": str(torch.backends.cpu.get_cpu_capability())}
    return {"tkbench": __version__, "python": platform.python_version(), **cpu, **media.stack(), **found}


@lru_cache(maxsize=2)
def model_of(run: Run, name: str) -> Metered:
    """The model, on its device: created once per process and run."""
    try:
        check_device(run.device)
    except UsageError as error:  # a worker of a cluster need not be a machine like the one that asked
        raise UsageError(f"host {socket.gethostname()}: {error}") from error
    model: Model = put_on(named.create(name, tools_of(run).source), run.device)
    return Metered(model, run.device)


def score_chunk(chunk: Chunk) -> ChunkScores:
    """Generate and score the clips of one task, on one thread.

    Raises UsageError on a machine with other software, StorageError where a record cannot be written.
    """
    with _ONE_AT_A_TIME, one_thread():
        if chunk.software:
            _check_software(chunk.software)
        tools, model = tools_of(chunk.run), model_of(chunk.run, chunk.model)
        if chunk.work is not None:
            return _keep_records(chunk, tools, model, Path(chunk.work))
        return _score_chunk(chunk, tools, model)


def _check_software(wanted: Mapping[str, str]) -> None:
    here = software()
    # Another processor moves last digits at most, and few clusters have one kind: `cost.json` lists them.
    names = (wanted.keys() | here.keys()) - {"cpu"}
    differing = sorted(name for name in names if wanted.get(name) != here.get(name))
    if differing:
        told = ", ".join(
            f"{name} {here.get(name, 'missing')}, not {wanted.get(name, 'there')}" for name in differing
        )
        raise UsageError(
            f"host {socket.gethostname()} has other software than the one that asked ({told}); install the same "
            "versions on all, or scores would differ"
        )


def _keep_records(chunk: Chunk, tools: Tools, model: Metered, work: Path) -> ChunkScores:
    """Score clips that have no record yet, and write theirs."""
    found = ChunkScores()
    store = feature_cache.open_store(chunk.cache)
    for key in chunk.keys:
        record = read_record(work, key)
        if record is None:
            if chunk.deaths >= GIVE_UP_AFTER:
                record = _given_up(chunk, tools, key)
            else:
                store.next_clip()
                record = score_key(chunk, tools, model, key, start_states(tools.metrics))
            try:
                write_record(work, record)
            except OSError as error:
                raise storage.explain(error, work, kept="finished clips are kept") from error
        found.failed += any(map(is_clips_fault, record.rows))
        found.without_video += not record.has_video
    store.next_clip()
    found.cache_counts = store.take_counts()
    return found


def _given_up(chunk: Chunk, tools: Tools, key: str) -> ClipRecord:
    """The record of a clip at which workers died again and again."""
    detail = f"{chunk.deaths} workers died while they scored it: killed, or out of memory"
    rows = unscored_rows(_per_clip(tools), Generated(key, None, Reason.PROCESS_DIED, detail))
    return ClipRecord(key, rows, [], start_states(tools.metrics), has_video=False)


def _score_chunk(chunk: Chunk, tools: Tools, model: Metered) -> ChunkScores:
    store = feature_cache.open_store(chunk.cache)
    found = ChunkScores(states=start_states(tools.metrics))
    for key in chunk.keys:
        store.next_clip()
        record = score_key(chunk, tools, model, key, found.states)
        found.rows += record.rows
        found.curves += record.curves
        found.without_video += not record.has_video
        found.failed += any(map(is_clips_fault, record.rows))
        if record.video:
            found.videos[key] = record.video
    store.next_clip()
    found.cache_counts = store.take_counts()
    return found


def _per_clip(tools: Tools) -> list[Column]:
    return [column for metric in tools.metrics.per_clip for column in metric.columns]


def score_key(chunk: Chunk, tools: Tools, model: Metered, key: str, states: list[object]) -> ClipRecord:
    """Generate and score one clip; `states` of the set metrics get its frames."""
    device = device_facts(chunk.run.device)
    files = files_of(model.model)
    made_of = files.state_of(key) if files is not None else ""
    record = ClipRecord(key, [], [], states, has_video=False, made_of=made_of, device=device)
    try:
        sample = sample_of(tools.source, key, chunk.pictures, chunk.partners[key])
        record.strata = measure(sample)
        sample, made = generate_for(tools, model, sample, chunk.partners[key])
    except BadSample as error:  # one bad clip is a row, never the end of an evaluation
        bad = Generated(key, None, Reason.OUT_OF_STEP, str(error))
        record.rows = unscored_rows(_per_clip(tools), bad)
        return record
    record.spent = model.spent
    if made.video is None or made.reason is not None:
        record.rows = unscored_rows(_per_clip(tools), made)
        return record
    store = feature_cache.open_store(chunk.cache)
    with feature_cache.using(store), _file(chunk, tools, model, sample, made) as released:
        record.rows, record.curves = score_clip(
            tools.metrics,
            states,
            sample,
            made.video,
            other_voice=is_crossed(model.card),
            note=made.detail,
            released=released,
        )
        if chunk.players is not None:
            seen = players.worst_of(chunk.run.token, chunk.model)
            made_one = players.player(tools, chunk.players, seen, sample, made.video, record.rows)
            record.player = next(iter(made_one), None)
    record.has_video = True
    if made.file is not None:
        record.video = storage.sha256_of(made.file)
    return record


def _file(
    chunk: Chunk, tools: Tools, model: Metered, sample: Sample, made: Generated
) -> AbstractContextManager[Released]:
    """The released file of a video, where a metric asks for one."""
    if not tools.metrics.needs_file:
        return nullcontext(NOT_GIVEN)
    if model.card.drive == "other" and made.file is None:
        return nullcontext(Released(None, "the voice is another clip's: there is no file with both"))
    sources = None if chunk.sources is None else Path(chunk.sources)
    return released_file(tools.source, chunk.run.token, made, sample, sources)


def is_clips_fault(row: Row) -> bool:
    """Whether a score failed: not one whose network or package is missing, nor one that is rightly unclear."""
    return row.reason not in (None, Reason.WEIGHTS_MISSING, Reason.EXTRA_MISSING, Reason.UNCLEAR)
