"""Real processes: a Dask cluster, Ctrl-C, fatal clips, a full disk, an S3 server. Slow, for each one starts several."""

# ruff: noqa: F811 - fixtures of another file
from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from test_scale import SHORT, copy_to, hashes, make_videos, many, peace, videos  # noqa: F401 - two are fixtures

from tkbench import shards
from tkbench.errors import StorageError
from tkbench.prep.plan import ShardPlan, make_plan
from tkbench.prep.run import Run, prepare
from tkbench.runtime import storage
from tkbench.runtime.parallel import pool, send_message

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that are samples by the default settings, which the command line takes."""
    return make_videos(tmp_path_factory.mktemp("longer") / "in", 6, 30)


@pytest.fixture(scope="module")
def whole(longer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their shards, made in peace."""
    out = tmp_path_factory.mktemp("whole") / "shards"
    prepare(longer, out, run=Run(shard_clips=2))
    return out


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a session of its own, gone with all its children at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def dask_cluster(
    workers: int,
) -> Iterator[tuple[str, subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]]:
    """(address, scheduler, workers) of `dask scheduler` and `dask worker` processes on loopback."""
    from contextlib import ExitStack

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        words = ("dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        scheduler = stack.enter_context(running(*words))
        words = ("dask", "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
        here = str(Path(__file__).parent)  # so that workers can import functions of this file
        crew = [
            stack.enter_context(running(*words, OMP_NUM_THREADS="1", PYTHONPATH=here)) for _ in range(workers)
        ]
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        yield address, scheduler, crew


def test_a_dask_cluster_that_loses_a_worker_makes_the_same_shards(
    videos: Path,
    peace: Path,
    tmp_path: Path,
) -> None:
    killed = []
    with dask_cluster(2) as (address, _, workers):

        def progress(done: int, total: int, message: str) -> None:
            if done >= 1 and not killed:
                killed.append(done)
                workers[0].kill()

        summary = prepare(
            videos,
            tmp_path / "out",
            settings=SHORT,
            progress=progress,
            run=Run(shard_clips=2, scheduler=address),
        )
    assert killed
    assert summary.n_ok == 5
    assert hashes(tmp_path / "out") == hashes(peace)


def test_a_lost_scheduler_is_one_line_and_the_next_run_finishes(
    videos: Path,
    peace: Path,
    tmp_path: Path,
) -> None:
    with dask_cluster(2) as (address, scheduler, _):

        def progress(done: int, total: int, message: str) -> None:
            if done >= 1:
                scheduler.kill()

        with pytest.raises(StorageError, match="scheduler is gone"):
            prepare(
                videos,
                tmp_path / "out",
                settings=SHORT,
                progress=progress,
                run=Run(shard_clips=2, scheduler=address),
            )
    prepare(videos, tmp_path / "out", settings=SHORT, run=Run(shard_clips=2))
    assert hashes(tmp_path / "out") == hashes(peace)


def _pretend(plan: ShardPlan) -> int:
    for clip in plan.clips:
        send_message({"run": "r", "shard": plan.name, "clip": clip.key, "frames": 29, "reason": None})
    return len(plan.clips)


def test_half_a_million_clips_leave_the_scheduler_small(tmp_path: Path) -> None:
    plan = make_plan(many(500_000), Path("/nowhere/lrw"), tmp_path, SHORT)
    done, heard, most = 0, 0, 0

    def hear(message: dict[str, object]) -> None:
        nonlocal heard
        heard += bool(message)

    with dask_cluster(2) as (address, scheduler, _), pool(2, scheduler=address) as crew:
        process = psutil.Process(scheduler.pid)
        for _, count in crew.run(_pretend, plan.shards, on_message=hear):
            done += count
            most = max(most, process.memory_info().rss)
    assert done == 500_000
    assert heard > 490_000  # the last messages may come after the last result
    assert most < 1e9, most


def command(root: Path | str, out: Path | str, *more: object) -> list[str]:
    words = ["prep", "folder", "--root", root, "--out", out, "--shard-clips", 2, *more]
    return [sys.executable, "-m", "tkbench", *map(str, words)]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process_and_a_state_to_go_on_from(
    longer: Path,
    whole: Path,
    tmp_path: Path,
    workers: int,
    how: signal.Signals,
) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(longer, out, "--workers", workers), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not list(out.glob(".scratch/*/clip")):
        time.sleep(0.05)
    crew = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    if how is signal.SIGINT:
        os.killpg(process.pid, how)  # what a terminal does
    else:
        process.send_signal(how)
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - began < 2
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("tkbench: stopped;")
    assert "run the same command again" in said
    assert "Traceback" not in said
    _, left = psutil.wait_procs(crew, timeout=1)
    assert not left, left
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    subprocess.run(command(longer, out), check=True, capture_output=True)
    assert hashes(out) == hashes(whole)


def test_a_clip_that_kills_its_process_becomes_a_row(
    videos: Path,
    peace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers load this module when they start; in them, the second clip is fatal."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nfrom tkbench import media\nreal = media.probe\n"
        "def probe(path):\n    if str(path).endswith('c1.mp4'):\n        os.abort()\n    return real(path)\n"
        "media.probe = probe\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    summary = prepare(videos, tmp_path / "out", settings=SHORT, workers=2, run=Run(shard_clips=2))
    assert summary.skipped == {"no-audio-stream": ("s1/c3",), "process-died": ("s1/c1",)}
    manifest = shards.open_shards(tmp_path / "out").manifest().set_index("key")
    assert "SIGABRT" in manifest.loc["s1/c1", "detail"]
    other = shards.open_shards(peace)
    assert shards.open_shards(tmp_path / "out").members("s1/c0") == other.members("s1/c0")
    monkeypatch.undo()
    prepare(videos, tmp_path / "out", settings=SHORT, run=Run(shard_clips=2, retry_failed=True))
    assert hashes(tmp_path / "out") == hashes(peace)


def test_without_workers_a_fatal_clip_costs_two_runs_and_no_more(
    longer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nfrom tkbench import media\nreal = media.probe\n"
        "def probe(path):\n    if str(path).endswith('c1.mp4'):\n        os.abort()\n    return real(path)\n"
        "media.probe = probe\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    words = command(longer, tmp_path / "out", "--workers", 1)
    codes = [subprocess.run(words, capture_output=True, check=False).returncode for _ in range(3)]
    assert codes == [-signal.SIGABRT, -signal.SIGABRT, 0]
    manifest = shards.open_shards(tmp_path / "out").manifest().set_index("key")
    assert dict(manifest["reason"].dropna()) == {"s1/c1": "process-died", "s1/c3": "no-audio-stream"}


@pytest.mark.parametrize("limit", [3000, 60_000])
def test_a_limit_on_files_is_a_full_disk(longer: Path, whole: Path, tmp_path: Path, limit: int) -> None:
    """RLIMIT_FSIZE stands for the disk: ffmpeg meets it at 3 kB, the tar at 60 kB."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    out = tmp_path / "out"
    done = subprocess.run(
        command(longer, out, "--workers", 1), capture_output=True, text=True, preexec_fn=limited, check=False
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "no room to write" in last
    assert "run the same command again" in last
    assert not (out / "index.json").exists()
    assert not list(out.glob("*.tar"))
    subprocess.run(command(longer, out), check=True, capture_output=True)
    assert hashes(out) == hashes(whole)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on an S3 server of this machine: moto's, spoken to by s3fs as to any other."""
    pytest.importorskip("s3fs", reason="needs tkbench[s3]")
    pytest.importorskip("flask_cors", reason="needs moto[server]")
    pytest.importorskip("moto.server", reason="needs moto[server]")
    import fsspec

    port = free_port()
    with running("moto.server", "-H", "127.0.0.1", "-p", str(port)):
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }.items():
            monkeypatch.setenv(name, value)
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        fsspec.filesystem("s3").clear_instance_cache()
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
    fsspec.filesystem("s3").clear_instance_cache()


def test_s3_gives_the_same_bytes_and_resumes(
    videos: Path,
    peace: Path,
    s3: str,
    tmp_path: Path,
) -> None:
    copy_to(videos, f"{s3}/videos")
    summary = prepare(f"{s3}/videos", f"{s3}/out", settings=SHORT, workers=2, run=Run(shard_clips=2))
    assert summary.n_ok == 5
    found = storage.place(f"{s3}/out")
    names = {p.relative_to(found).as_posix() for p in found.rglob("*") if p.parent.name != "stats"} - {
        "stats.json"
    }
    assert names == set(hashes(peace))
    for name in names:
        assert (found / name).read_bytes() == (peace / name).read_bytes(), name
    opened = shards.open_shards(f"{s3}/out")
    opened.verify()
    assert opened.get("s1/c0").text == "a word"
    (found / "test-000001.tar").write_bytes(b"half")
    again = prepare(f"{s3}/videos", f"{s3}/out", settings=SHORT, run=Run(shard_clips=2))
    assert again.decoded == 13
    assert (found / "test-000001.tar").read_bytes() == (peace / "test-000001.tar").read_bytes()
    # From there to here.
    prepare(f"{s3}/videos", tmp_path / "here", settings=SHORT, run=Run(shard_clips=2))
    assert hashes(tmp_path / "here") == hashes(peace)


def test_lrs2_on_s3_gives_the_same_bytes_as_on_disk(s3: str, tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="needs tkbench[synth]")
    from tkbench.prep.datasets.fake import make_fake

    root, out = tmp_path / "lrs2", tmp_path / "out"
    make_fake("lrs2", root, clips=4)
    prepare(root, out, dataset="lrs2")
    copy_to(root, f"{s3}/lrs2")
    prepare(f"{s3}/lrs2", tmp_path / "far", dataset="lrs2", workers=2)
    assert hashes(tmp_path / "far") == hashes(out)


def test_the_kill_script_finds_nothing(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "kill_test.py"
    words = [sys.executable, str(script), "--kills", "6", "--clips", "12", "--folder", str(tmp_path / "k")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every byte as in the run in peace" in done.stdout
