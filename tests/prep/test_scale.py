"""Preparation at scale: what is killed, stopped, full, retried or far away ends in the same bytes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tkbench import media, shards
from tkbench.errors import StorageError, UsageError
from tkbench.prep import job, make, pipeline
from tkbench.prep.estimate import estimate
from tkbench.prep.live import Live
from tkbench.prep.lock import RunLock
from tkbench.prep.plan import Settings, ShardPlan, make_plan
from tkbench.prep.run import Run, prepare
from tkbench.runtime import storage
from tkbench.runtime.parallel import Pool, pool, send_message
from tkbench.types import Clip

SHORT = Settings(min_frames=12)


def make_videos(root: Path, count: int, length: int) -> Path:
    """Clips of a photographed face; the fourth has no sound."""
    import cv2
    from skimage import data

    photo = cv2.resize(data.astronaut()[0:288, 80:368], (128, 128), interpolation=cv2.INTER_AREA)
    (root / "s1").mkdir(parents=True)
    for number in range(count):
        frames = [np.roll(photo, (t + number) // 4 % 3, axis=1) for t in range(length)]
        sound = (0.1 * np.random.default_rng(number).normal(size=length * 640)).astype(np.float32)
        media.write_video(root / "s1" / f"c{number}.mp4", frames, audio=None if number == 3 else sound)
    (root / "s1" / "c0.txt").write_text("a word")
    return root


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of half a second."""
    return make_videos(tmp_path_factory.mktemp("videos") / "in", 6, 13)


@pytest.fixture(scope="module")
def peace(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("peace") / "shards"
    prepare(videos, out, settings=SHORT, run=Run(shard_clips=2))
    return out


def hashes(folder: Path) -> dict[str, str]:
    """Every file but those that hold times; leftovers of any kind would show."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "stats.json" and path.parent.name != "stats"
    }


def first_shard(videos: Path, out: Path) -> ShardPlan:
    clips = [Clip(f"c{n}", str(videos / "s1" / f"c{n}.mp4"), "folder") for n in range(2)]
    return make_plan(clips, videos, out, SHORT, shard_clips=2).shards[0]


# -- one run at a time ---------------------------------------------------------------------------------------


def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    with RunLock(tmp_path) as first:
        with (
            pytest.raises(StorageError, match=rf"another run writes here .*process {os.getpid()}"),
            RunLock(tmp_path),
        ):
            pass
        assert not first.unclean
    assert not list(tmp_path.iterdir())
    with RunLock(tmp_path) as again:
        assert not again.unclean


@pytest.mark.parametrize(
    ("host", "age", "taken"), [("elsewhere", 5, True), ("elsewhere", 3600, False), ("", 5, False)]
)
def test_the_lock_of_a_dead_run_is_taken_over(tmp_path: Path, host: str, age: float, taken: bool) -> None:
    left = {"run": "x", "host": host or socket.gethostname(), "pid": 999_999_999, "time": time.time() - age}
    (tmp_path / ".lock").write_text(json.dumps(left))
    if taken:
        with pytest.raises(StorageError, match=r"host elsewhere.*remove"), RunLock(tmp_path):
            pass
        assert json.loads((tmp_path / ".lock").read_text()) == left
    else:
        with RunLock(tmp_path) as lock:
            assert lock.unclean


# -- what dies -----------------------------------------------------------------------------------------------


def test_an_attempt_clears_what_dead_ones_left_and_counts_them(videos: Path, tmp_path: Path) -> None:
    plan = first_shard(videos, tmp_path)
    (tmp_path / ".scratch" / "test-000000.0.77-aa").mkdir(parents=True)
    (tmp_path / ".scratch" / "test-000000.0.77-aa" / "half").write_bytes(b"x")
    (tmp_path / ".scratch" / "test-000001.0.78-bb").mkdir()
    with make._attempt(plan, tmp_path) as (folder, deaths):
        assert deaths == 1
        assert sorted(p.name for p in (tmp_path / ".scratch").iterdir()) == [
            folder.name,
            "test-000001.0.78-bb",
        ]
    assert [p.name for p in (tmp_path / ".scratch").iterdir()] == ["test-000001.0.78-bb"]


@pytest.mark.parametrize("when", [0, 1])
def test_an_attempt_that_lost_its_folder_finishes_nothing(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    plan = first_shard(videos, tmp_path)
    (tmp_path / "stats").mkdir()
    real, calls = make.prepare_clip, []

    def robbed(clip: Clip, settings: Settings, folder: Path) -> job.Outcome:
        calls.append(clip.key)
        if len(calls) == when + 1:
            make.discard(tmp_path / ".scratch")
            return job.Outcome(
                rows=[{"key": clip.key, "clip": clip.key, "status": "skipped", "reason": "no-face"}]
            )
        return real(clip, settings, folder)

    monkeypatch.setattr(make, "prepare_clip", robbed)
    with pytest.raises(StorageError):
        make.make_shard(plan)
    assert not list(tmp_path.glob("*.tar"))
    assert not list((tmp_path / "stats").iterdir())


def test_a_shard_that_was_fatal_twice_is_made_in_a_process_of_its_own(
    videos: Path, tmp_path: Path, peace: Path
) -> None:
    (tmp_path / "stats").mkdir(parents=True)
    plan = next(iter(make_plan(list(_clips(videos)), videos, tmp_path, SHORT, shard_clips=2).shards))
    (tmp_path / ".scratch" / "test-000000.1.77-aa").mkdir(parents=True)
    made = make.make_shard(plan)
    assert made["ok"] == 2
    assert (tmp_path / "test-000000.tar").read_bytes() == (peace / "test-000000.tar").read_bytes()


def _clips(videos: Path) -> Iterator[Clip]:
    from tkbench.prep.datasets import folder

    yield from (item for item in folder.read(videos) if isinstance(item, Clip))


def test_a_damaged_shard_of_the_right_size_is_found_after_a_crash(
    videos: Path, peace: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    prepare(videos, out, settings=SHORT, run=Run(shard_clips=2))
    victim = out / "test-000001.tar"
    victim.write_bytes(bytes(victim.stat().st_size))
    (out / ".lock").write_text(
        json.dumps({"run": "x", "host": socket.gethostname(), "pid": 999_999_999, "time": 0})
    )
    assert prepare(videos, out, settings=SHORT, run=Run(shard_clips=2)).decoded == 13
    assert hashes(out) == hashes(peace)


def _die_once(item: tuple[int, str]) -> int:
    number, flag = item
    send_message({"number": number})
    if number == 1 and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_dead_worker_is_replaced_and_its_task_done_again(tmp_path: Path) -> None:
    deaths, heard = [], []
    items = [(number, str(tmp_path / "flag")) for number in range(5)]
    with pool(2) as crew:
        done = crew.run(
            _die_once,
            items,
            on_message=heard.append,
            on_death=lambda item, count: deaths.append((item[0], count)) or item,
        )
        assert dict(done) == {number: number**2 for number in range(5)}
    assert (1, 1) in deaths
    assert {message["number"] for message in heard if message} == set(range(5))


class _Forgetful:
    """A Dask client whose first result is lost before it is fetched, as when its worker dies of another item."""

    status = "running"

    def __init__(self) -> None:
        self.scheduler = SimpleNamespace(ncores=None)
        self.answers: list[int] = []
        self.released = 0

    def sync(self, *_: object, **__: object) -> dict[str, int]:
        return {"one": 1}

    def subscribe_topic(self, *_: object) -> None: ...

    def unsubscribe_topic(self, *_: object) -> None: ...

    def submit(self, call: Callable[[bytes], int], task: bytes, *, pure: bool) -> SimpleNamespace:
        assert not pure
        self.answers.append(call(task))
        number = len(self.answers)

        def release() -> None:
            self.released += 1

        future = SimpleNamespace(key=f"call-{number}", status="lost" if number == 1 else "finished")
        future.result = lambda value=self.answers[-1]: value
        future.release = release
        future.add_done_callback = lambda tell: tell(future)
        return future


def _square(number: int) -> int:
    return number**2


def test_a_result_that_died_with_its_worker_is_made_again() -> None:
    client = _Forgetful()
    assert dict(Pool(client).run(_square, [3, 4, 5])) == {0: 9, 1: 16, 2: 25}
    assert sorted(client.answers) == [9, 9, 16, 25]
    assert client.released == 4


# -- failures ------------------------------------------------------------------------------------------------


def test_retry_failed_redoes_only_shards_with_failures(
    videos: Path, peace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real, seen = tmp_path / "out", pipeline.look_at, []

    def fails(path: str, *rest: object, **named: object) -> object:
        if "c0" in path:
            raise ZeroDivisionError("a bug")
        return real(path, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "look_at", fails)
    first = prepare(videos, out, settings=SHORT, run=Run(shard_clips=2))
    assert first.skipped == {"internal-error": ("s1/c0",), "no-audio-stream": ("s1/c3",)}
    before = shards.open_shards(out).members("s1/c1")
    monkeypatch.setattr(pipeline, "look_at", real)
    assert prepare(videos, out, settings=SHORT, run=Run(shard_clips=2)).decoded == 0
    prepare_clip = make.prepare_clip
    monkeypatch.setattr(
        make, "prepare_clip", lambda clip, *rest: seen.append(clip.key) or prepare_clip(clip, *rest)
    )
    again = prepare(videos, out, settings=SHORT, run=Run(shard_clips=2, retry_failed=True))
    assert seen == ["s1/c0", "s1/c1", "s1/c2", "s1/c3"]
    assert again.skipped == {"no-audio-stream": ("s1/c3",)}
    assert again.retried == 2
    assert ("retried", "2", "shards with skipped clips, each made again as a whole") in again.table()
    assert shards.open_shards(out).members("s1/c1") == before
    assert hashes(out) == hashes(peace)


def test_a_full_disk_is_one_line_and_nothing_half_written_counts(
    videos: Path, peace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, room, real = tmp_path / "out", [60_000], shards._Hashed.write

    def write(self: shards._Hashed, data: bytes) -> int:
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, data)

    monkeypatch.setattr(shards._Hashed, "write", write)
    with pytest.raises(StorageError, match=r"no room to write .*[GM]B are free.*same command again"):
        prepare(videos, out, settings=SHORT, run=Run(shard_clips=2))
    assert not (out / "index.json").exists()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    monkeypatch.setattr(shards._Hashed, "write", real)
    prepare(videos, out, settings=SHORT, run=Run(shard_clips=2))
    assert hashes(out) == hashes(peace)


def test_ffmpeg_on_a_full_disk_is_no_broken_clip(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"key": "c0", "clip": "c0", "status": "skipped", "reason": "decode-error"}
    said = "av_interleaved_write_frame(): No space left on device"
    monkeypatch.setattr(make, "prepare_clip", lambda *_: job.Outcome(rows=[row | {"detail": said}]))
    with pytest.raises(StorageError, match="no room to write"):
        make.make_shard(first_shard(videos, tmp_path))


def test_an_output_that_cannot_be_written_is_one_line(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        prepare(videos, tmp_path / "file", settings=SHORT)
    with pytest.raises(StorageError, match="Not a directory"):
        prepare(videos, tmp_path / "file" / "below", settings=SHORT)


def test_a_worker_with_other_software_refuses(videos: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    plan = first_shard(videos, tmp_path)
    with pytest.raises(UsageError, match=r"other software.*ffmpeg:0"):
        make.make_shard(replace(plan, signature=plan.signature.replace("ffmpeg:", "ffmpeg:0")))


def test_no_scheduler_is_one_line(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def nobody(*_: object, **__: object) -> None:
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", nobody)
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        prepare(videos, tmp_path / "out", settings=SHORT, run=Run(scheduler="tcp://127.0.0.1:1"))


# -- telling -------------------------------------------------------------------------------------------------


def test_stats_tell_what_happened(peace: Path) -> None:
    run = json.loads((peace / "stats.json").read_text())
    assert run["skipped"] == {"no-audio-stream": 1}
    assert (run["clips"], run["ok"], run["shards"], run["decoded"]) == (6, 5, 3, 65)
    assert {"decode", "track", "write", "commit"} <= set(run["stages"])
    assert {"tkbench", "ffmpeg", "ai-edge-litert", "python"} <= set(run["versions"])
    part = json.loads((peace / "stats" / "test-000001.json").read_text())
    assert (part["clips"], part["ok"], part["skipped"]) == (2, 1, {"no-audio-stream": 1})
    assert part["seconds"]["track"] > 0


def test_the_live_line_counts_clips_of_unfinished_shards() -> None:
    shown: list[tuple[int, int, str]] = []
    live = Live(lambda *said: shown.append(said), total=10, run="r")
    for clip, reason in [
        (None, None),
        ("a", None),
        ("b", "no-face"),
        (None, None),
        ("a", None),
        ("b", "no-face"),
    ]:
        live.on_message({"run": "r", "shard": "s", "clip": clip, "frames": 25, "reason": reason})
    live.on_message({"run": "another", "shard": "s", "clip": "x", "frames": 25, "reason": None})
    live.show()
    assert shown[-1][:2] == (2, 10)
    assert "1 skipped (no-face 1)" in shown[-1][2]
    made = {"name": "s", "clips": 2, "skipped": {"no-face": 1}, "decoded": 50, "seconds": {"track": 1.0}}
    live.finished(made)
    assert shown[-1][:2] == (2, 10)
    live.workers = 0
    live.show()
    assert "waiting" in shown[-1][2]


def test_a_dry_run_writes_nothing_and_is_about_right(videos: Path, peace: Path, tmp_path: Path) -> None:
    guess = estimate(videos, tmp_path / "out", settings=SHORT, workers=2, run=Run(shard_clips=2))
    assert not (tmp_path / "out").exists()
    assert (guess.splits, guess.n_shards, guess.sampled) == ({"test": 6}, 3, 6)
    assert guess.skipped == {"no-audio-stream": 1}
    assert guess.video.mean == pytest.approx(6 * 13 / 25, rel=0.1)
    true = sum(file.stat().st_size for file in peace.glob("*.tar"))
    assert guess.size.mean == pytest.approx(true, rel=0.2)
    assert 0 < guess.wall.low < guess.wall.mean < guess.wall.high
    assert "2 workers" in guess.verdict()


# -- many ----------------------------------------------------------------------------------------------------


def many(count: int) -> Iterator[Clip]:
    """Clips of a corpus like LRW, without files."""
    for number in range(count):
        key = f"WORD{number % 500:03d}/train/WORD{number % 500:03d}_{number // 500:05d}"
        yield Clip(key, f"/nowhere/lrw/{key}.mp4", "lrw", "train", sidecar=f"/nowhere/lrw/{key}.txt")


@pytest.mark.parametrize("count", [20_000, pytest.param(500_000, marks=pytest.mark.slow)])
def test_half_a_million_clips_are_planned_within_a_minute(count: int, tmp_path: Path) -> None:
    import tracemalloc

    began = time.process_time()
    plan = make_plan(many(count), Path("/nowhere/lrw"), tmp_path, SHORT)
    assert time.process_time() - began < 60 * count / 500_000
    assert sum(len(shard.clips) for shard in plan.shards) == count
    assert max(len(shard.clips) for shard in plan.shards) == 256
    del plan
    tracemalloc.start()
    small = make_plan(many(4000), Path("/nowhere/lrw"), tmp_path, SHORT)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert small.shards
    # 1 kB for each clip: half a million are 0.5 GB in the process that plans; the scheduler never sees them.
    assert held / 4000 < 1000


def test_only_a_few_tasks_are_handed_out_at_a_time() -> None:
    class Client:
        """As much of a Dask client as a run needs: one thread, and it counts what it was given."""

        status, most, n = "running", 0, 0

        def __init__(self) -> None:
            self.open: dict[str, object] = {}
            self.scheduler = self

        def ncores(self) -> None: ...
        def sync(self, *_: object, **__: object) -> dict[str, int]:
            return {"tcp://w": 1}

        def subscribe_topic(self, *_: object) -> None: ...
        def unsubscribe_topic(self, *_: object) -> None: ...
        def submit(self, function: Callable[[bytes], object], task: bytes, *, pure: bool) -> object:
            client = self

            class Future:
                status = "finished"

                def __init__(self) -> None:
                    client.n += 1
                    self.key = f"k{client.n}"
                    client.open[self.key] = self
                    client.most = max(client.most, len(client.open))

                def add_done_callback(self, call: Callable[[object], None]) -> None:
                    call(self)

                def result(self) -> object:
                    return function(task)

                def release(self) -> None:
                    client.open.pop(self.key)

            return Future()

    from tkbench.runtime.parallel import Pool

    client = Client()
    assert sorted(Pool(client).run(abs, [-n for n in range(50)])) == [(n, n) for n in range(50)]
    assert client.most == 2


# -- far away ------------------------------------------------------------------------------------------------


def copy_to(source: Path, where: str) -> None:
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        (storage.place(where) / file.relative_to(source).as_posix()).write_bytes(file.read_bytes())


def test_remote_folders_give_the_same_bytes(videos: Path, peace: Path, tmp_path: Path) -> None:
    copy_to(videos, "memory://bucket/videos")
    summary = prepare("memory://bucket/videos", "memory://bucket/out", settings=SHORT, run=Run(shard_clips=2))
    assert summary.n_ok == 5
    for name, digest in hashes(peace).items():
        found = storage.place("memory://bucket/out") / name
        assert hashlib.sha256(found.read_bytes()).hexdigest() == digest, name
    opened = shards.open_shards("memory://bucket/out")
    opened.verify()
    assert opened.get("s1/c0").text == "a word"
    assert (
        prepare(
            "memory://bucket/videos", "memory://bucket/out", settings=SHORT, run=Run(shard_clips=2)
        ).decoded
        == 0
    )
    with pytest.raises(UsageError, match="one process alone"):
        prepare("memory://bucket/videos", tmp_path / "out", workers=2)


def test_a_url_survives_being_taken_for_a_path() -> None:
    for text in ("s3://bucket/a/b.mp4", "memory://bucket/a/b.mp4"):
        assert str(storage.place(Path(text))) == str(storage.place(text)) == text
        assert storage.is_remote(Path(text))
    assert storage.place("file:///tmp/x") == Path("/tmp/x")
    escaped = storage.place("memory://bucket/a") / ".." / ".." / ".." / "etc"
    assert str(escaped.resolve()) == "memory://etc"
    assert [str(found) for found in storage.place("memory://nothing/here").iterdir()] == []


def test_a_url_nobody_knows_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nosuch"):
        prepare("nosuch://bucket/videos", tmp_path / "out")
