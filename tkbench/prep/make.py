"""The unit of work: make one shard, on any machine that sees its input and output.

Everything is made in a folder of this attempt alone, `.scratch/SHARD.DEATHS.TOKEN`, and renamed out of it. An
attempt whose folder was taken away (another one replaced it, the run was stopped) can therefore finish nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath

from tkbench.errors import BadMedia, Stopped, StorageError, UsageError
from tkbench.prep.isolate import Child, ProcessDied
from tkbench.prep.job import Outcome, first_row, label_columns, skipped
from tkbench.prep.pipeline import prepare_clip
from tkbench.prep.plan import Settings, ShardPlan, relative, software
from tkbench.prep.records import MadeShard, Row
from tkbench.runtime import storage
from tkbench.runtime.parallel import send_message
from tkbench.shards import ShardRecord, ShardWriter
from tkbench.types import Clip, Reason, Skipped

SCRATCH = ".scratch"
ISOLATED_FROM = 2
"""Deaths after which each clip of a shard gets a process of its own."""
_TRIES = 2
"""Times that a clip is tried in a process of its own, and that a stopped ffmpeg is started again."""


def make_shard(plan: ShardPlan) -> MadeShard:
    """Prepare the clips of a shard and write it, then its record in stats/.

    Returns the record without its rows. A clip that cannot be used, for whatever reason, becomes a row. Raises
    StorageError where the disk is full or cannot be written, UsageError on a machine with other software.
    """
    mine = software(plan.settings)
    if plan.signature and mine != plan.signature:
        differing = sorted(set(mine.split("|")) ^ set(plan.signature.split("|")))
        raise UsageError(
            f"host {socket.gethostname()} has other software than the one that planned ({', '.join(differing)}); "
            "install the same versions on all, or the bytes would differ"
        )
    target = storage.place(plan.out)
    try:
        with _attempt(plan, target) as (scratch, deaths):
            return _make(plan, target, scratch, isolated=deaths >= ISOLATED_FROM)
    except StorageError:
        raise
    except OSError as error:
        raise storage.explain(error, target, need=plan.weight) from error


def _make(plan: ShardPlan, target: Path, scratch: Path, *, isolated: bool) -> MadeShard:
    rows: list[Row] = []
    seconds: dict[str, float] = defaultdict(float)
    decoded = 0
    record: ShardRecord | None = None
    source, child = _Source(scratch), Child()
    folder = scratch / "clip"
    try:
        with ShardWriter(target / plan.name, folder=scratch) as writer:
            _say(plan, None)
            for clip in plan.clips:
                if not scratch.is_dir():
                    raise StorageError(f"{plan.name}: another attempt took over, or the run was stopped")
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                outcome = _prepare(clip, plan, folder, source, child if isolated else None)
                offsets = {key: writer.add(key, members) for key, members in outcome.samples}
                for row in outcome.rows:
                    row["path"] = relative(clip.path, plan.root)
                    if row.get("detail"):
                        row["detail"] = without_folders(row["detail"], clip, plan.root, scratch)
                    if row["status"] == "ok":
                        row |= {"shard": plan.name, "offset": offsets[row["key"]]}
                    rows.append(row)
                for stage, value in outcome.seconds.items():
                    seconds[stage] += value
                decoded += outcome.frames
                _say(plan, clip.key, outcome)
            began = time.perf_counter()
            if writer.count:
                record = writer.commit(plan.split)
            elif not scratch.is_dir():
                raise StorageError(f"{plan.name}: another attempt took over, or the run was stopped")
            seconds["commit"] += time.perf_counter() - began
    finally:
        child.close()
    rows.sort(key=lambda row: (row["clip"], row["key"]))
    good = {row["clip"] for row in rows if row["status"] == "ok"}
    bad = {row["clip"]: row["reason"] for row in reversed(rows) if row["clip"] not in good}
    made: MadeShard = {
        "name": plan.name,
        "digest": plan.digest,
        "record": asdict(record) if record is not None else None,
        "clips": len(plan.clips),
        "ok": len(good),
        "skipped": dict(sorted(Counter(bad.values()).items())),
        "decoded": decoded,
        "seconds": {stage: round(value, 3) for stage, value in sorted(seconds.items())},
        "host": socket.gethostname(),
    }
    text = json.dumps({**made, "rows": rows}, ensure_ascii=False, indent=1) + "\n"
    storage.write_file(stats_file(plan, target), text.encode())
    return made


def stats_file(shard: ShardPlan, target: Path) -> Path:
    """Where the record of a shard lies."""
    return target / "stats" / f"{Path(shard.name).stem}.json"


def _say(plan: ShardPlan, clip: str | None, outcome: Outcome | None = None) -> None:
    reason = None
    if outcome is not None and outcome.rows and not outcome.samples:
        reason = outcome.rows[0]["reason"]
    frames = outcome.frames if outcome is not None else 0
    send_message({"run": plan.run, "shard": plan.name, "clip": clip, "frames": frames, "reason": reason})


# -- one clip ------------------------------------------------------------------------------------------------


def _prepare(clip: Clip, plan: ShardPlan, folder: Path, source: _Source, child: Child | None) -> Outcome:
    """A clip's outcome, whatever happens to it; only what is true for every clip that follows is raised."""
    if plan.given_up:
        detail = f"{plan.attempt} processes died while they made its shard, {plan.name}"
        return _failed(clip, Reason.PROCESS_DIED, detail)
    died = ""
    for _ in range(_TRIES):
        began = time.perf_counter()
        try:
            local = source.get(clip)
            fetched = time.perf_counter() - began
            outcome = (prepare_clip if child is None else child.prepare)(local, plan.settings, folder)
        except BadMedia as error:
            return _failed(clip, error.reason, error.detail)
        except (ProcessDied, Stopped) as error:
            died = str(error)
            shutil.rmtree(folder)
            folder.mkdir()
            continue
        except OSError:
            raise  # disk full, permissions: true for every clip that follows
        except Exception as error:  # one clip must not end a run of days; the row says what happened
            return _failed(clip, Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
        _refuse_full_disk(outcome, folder)
        if local is not clip:
            outcome.seconds["fetch"] += fetched
        return outcome
    return _failed(clip, Reason.PROCESS_DIED, died)


def prepare_one(clip: Clip, settings: Settings, scratch: Path) -> Outcome:
    """One clip alone, for a look at what it costs; its files stay in `scratch` until the next one."""
    folder = scratch / "clip"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    plan = ShardPlan("", clip.split, (clip,), "", "", settings, "", 0)
    return _prepare(clip, plan, folder, _Source(scratch), None)


def _refuse_full_disk(outcome: Outcome, folder: Path) -> None:
    """A full disk must not pass for a broken clip: ffmpeg only says that it could not write."""
    for row in outcome.rows:
        if row["status"] != "ok" and any(words in (row.get("detail") or "") for words in storage.FULL_WORDS):
            number = 28 if "space" in row["detail"] else 27
            raise OSError(number, os.strerror(number), str(folder))


def _failed(clip: Clip, reason: Reason, detail: str) -> Outcome:
    return Outcome(rows=[skipped(first_row(clip), reason, detail)])


def skipped_row(item: Skipped, root: Path, dataset: str) -> Row:
    """The row of a clip that the reader could not offer."""
    names = {"key": item.key, "clip": item.key, "path": relative(item.path, root), "dataset": dataset}
    said = {"split": item.split, "speaker": item.speaker, **label_columns(item.labels)}
    return skipped({**names, **said}, item.reason, item.detail)


class _Source:
    """Brings remote files here, one at a time; intervals of one file fetch it once."""

    def __init__(self, scratch: Path) -> None:
        self._folder = scratch / "source"
        self._have = ""

    def get(self, clip: Clip) -> Clip:
        """The clip with local paths that are text: itself where it has them."""
        if not storage.is_remote(clip.path):
            return clip if is_text(clip.path) else self._linked(clip)
        file = self._folder / PurePosixPath(clip.path).name
        try:
            if self._have != clip.path:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder.mkdir()
                storage.fetch(clip.path, self._folder)
                self._have = clip.path
            local = replace(clip, path=str(file))
            if clip.sidecar is not None:
                beside = self._folder / PurePosixPath(clip.sidecar).name
                with suppress(FileNotFoundError):  # it costs its text, never the clip
                    storage.fetch(clip.sidecar, self._folder)
                local = replace(local, sidecar=str(beside))
            if clip.face is not None and clip.face.track is not None:
                with suppress(FileNotFoundError):  # found to be missing when it is read
                    storage.fetch(clip.face.track, self._folder)
                track = self._folder / PurePosixPath(clip.face.track).name
                local = replace(local, face=replace(clip.face, track=str(track)))
        except FileNotFoundError as error:
            self._have = ""
            raise BadMedia(Reason.UNREADABLE, "went away since it was listed") from error
        return local

    def _linked(self, clip: Clip) -> Clip:
        """A link with a plain name, for a name that is no valid UTF-8: containers are opened by text."""
        self._have = ""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        name = PurePosixPath(clip.path).name
        link = self._folder / name.encode("utf-8", "surrogateescape").decode("ascii", "ignore")
        link.symlink_to(clip.path)
        return replace(clip, path=str(link))


def is_text(path: str) -> bool:
    r"""Whether a path is valid UTF-8.

    >>> is_text("a/b.mp4"), is_text("caf\udce9.mp4")
    (True, False)
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def without_folders(text: str, clip: Clip, root: str, scratch: Path) -> str:
    """A message for the manifest, which must not tell where the folders of this machine lie."""
    for folder in (str(scratch / "source"), str(scratch / "clip"), str(scratch), root.rstrip("/")):
        if folder not in ("", "/"):
            text = text.replace(f"{folder}/", "").replace(folder, ".")
    return text.replace(clip.path, PurePosixPath(clip.path).name)


# -- the folder of an attempt --------------------------------------------------------------------------------


@contextmanager
def _attempt(plan: ShardPlan, target: Path) -> Iterator[tuple[Path, int]]:
    """The folder of this attempt, and how many processes died before it. Clears away what they left."""
    parent = scratch_of(target)
    parent.mkdir(parents=True, exist_ok=True)
    deaths = plan.attempt
    stem = Path(plan.name).stem
    if storage.as_remote(target) is None:
        for left in parent.glob(f"{stem}.*"):
            deaths = max(deaths, deaths_of(left) + 1)
            discard(left)
    folder = parent / f"{stem}.{deaths}.{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder, deaths
    finally:
        discard(folder)


def scratch_of(target: Path) -> Path:
    """Where attempts work: below a local output, on its disk; below TMPDIR for a remote one."""
    if storage.as_remote(target) is None:
        return target / SCRATCH
    return Path(tempfile.gettempdir()) / f"tkbench-scratch-{os.getuid() if hasattr(os, 'getuid') else 0}"


def deaths_of(folder: Path) -> int:
    """Deaths before the attempt that a folder was of: SHARD.DEATHS.TOKEN."""
    count = folder.name.split(".")[-2:-1]
    return int(count[0]) if count and count[0].isdigit() else 0


def discard(folder: Path) -> None:
    """Take a folder away, at once for whoever works in it: renamed first, then removed."""
    gone = folder.with_name(f".gone-{secrets.token_hex(6)}")
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone, ignore_errors=True)
