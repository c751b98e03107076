"""Evaluations on real Dask clusters and an S3 server: the bytes are those of one process on one disk. Slow."""

# ruff: noqa: F811 - fixtures of another file
from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.toy_shards import make_shards
from test_cluster import dask_cluster, free_port, running, s3  # noqa: F401 - one is a fixture
from test_scale import copy_to

from tkbench import media, shards
from tkbench.errors import StorageError, UsageError
from tkbench.protocol import MetricSpec, Protocol
from tkbench.results import bundle, cost
from tkbench.runtime.hashes import sha256_once
from tkbench.runtime.parallel import pool
from tkbench.runtime.storage import place
from tkbench.scoring.evaluate import EvalOptions, evaluate

pytestmark = pytest.mark.slow

KEYS = [f"{name}/{number}" for name in "abc" for number in range(2)]
RULES = Protocol(
    name="toy", summary="", rank_by="psnr", metrics=(MetricSpec(name="psnr"), MetricSpec(name="cpbd"))
)


def files(folder: Path) -> dict[str, str]:
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in found.items() if n != cost.FILE}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("toys"), dict.fromkeys(KEYS, ("test", 30)))


@pytest.fixture(scope="module")
def videos(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One per clip, one of them damaged."""
    folder = tmp_path_factory.mktemp("made") / "videos"
    folder.mkdir()
    source = shards.open_shards(data)
    for key in KEYS:
        file = folder / f"{key.replace('/', '__')}.mp4"
        media.write_video(file, source.get(key).video[:, ::-1], quality=20)
    (folder / "b__1.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def peace(data: Path, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The bundle that one process makes of them."""
    return files(evaluate(data, f"files:{videos}", protocol=RULES, out=tmp_path_factory.mktemp("peace")))


def test_a_cluster_that_loses_a_worker_makes_the_same_bundle(
    data: Path, videos: Path, peace: dict[str, str], tmp_path: Path
) -> None:
    killed = []
    with dask_cluster(2) as (address, _, workers), pool(1, scheduler=address) as crew:

        def progress(done: int, total: int, message: str) -> None:
            if done >= 1 and not killed:
                killed.append(done)
                workers[0].kill()

        options = EvalOptions(progress=progress)
        found = evaluate(data, f"files:{videos}", protocol=RULES, out=tmp_path, workers=crew, options=options)
        still = evaluate(
            data, "still", protocol=RULES, out=tmp_path, workers=crew
        )  # another model, same pool
    assert killed
    assert files(found) == peace
    spent = cost.read(still)
    assert spent is not None
    assert spent.clips == len(KEYS)
    assert spent.memory > 50e6


def test_a_lost_scheduler_is_one_line_and_the_next_run_goes_on(
    data: Path, videos: Path, peace: dict[str, str], tmp_path: Path
) -> None:
    with dask_cluster(2) as (address, scheduler, _), pool(1, scheduler=address) as crew:

        def progress(done: int, total: int, message: str) -> None:
            if done >= 2:
                scheduler.kill()

        options = EvalOptions(progress=progress)
        with pytest.raises(StorageError, match="scheduler is gone"):
            evaluate(data, f"files:{videos}", protocol=RULES, out=tmp_path, workers=crew, options=options)
    kept: list[int] = []
    options = EvalOptions(progress=lambda done, total, message: kept.append(done))
    found = evaluate(data, f"files:{videos}", protocol=RULES, out=tmp_path, options=options)
    assert kept[0] >= 2
    assert files(found) == peace


@contextmanager
def two_kinds_of_workers(mark: Path) -> Iterator[str]:
    """A scheduler, a worker without a GPU, and one that says it has one; each writes down what it scores."""
    (mark / "sitecustomize.py").write_text(
        "import os\n"
        "def note():\n    from tkbench.scoring import tasks\n    real = tasks.score_key\n"
        "    def score_key(chunk, tools, model, key, states):\n"
        "        open(os.environ['NOTES'], 'a').write(key + '\\n')\n"
        "        return real(chunk, tools, model, key, states)\n    tasks.score_key = score_key\n"
        "if 'NOTES' in os.environ:\n    note()\n"
    )
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        words = ("dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        stack.enter_context(running(*words))
        plain = ("dask", "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
        for name, more in {"plain": (), "gpu": ("--resources", "GPU=1")}.items():
            path = os.pathsep.join([str(mark), *sys.path])  # what this process can import, a worker can
            environment = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "NOTES": str(mark / name)}
            stack.enter_context(running(*plain, *more, **environment))
        from distributed import Client

        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
        yield address


def test_tasks_go_to_workers_that_offer_what_they_need(
    data: Path, videos: Path, peace: dict[str, str], tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with two_kinds_of_workers(marks) as address:
        with (
            pytest.raises(UsageError, match=r'none of the 2 workers offers TPU=2.*--resources "TPU=2"'),
            pool(1, scheduler=address, resources={"TPU": 2}),
        ):
            pass
        with pool(1, scheduler=address, resources={"GPU": 1}) as crew:
            found = evaluate(data, f"files:{videos}", protocol=RULES, out=tmp_path, workers=crew)
            assert files(found) == peace
            # A device is asked for on the worker, not here.
            with pytest.raises(UsageError, match=r"host .*--device 'cuda:7'"):
                evaluate(
                    data,
                    "still",
                    protocol=RULES,
                    out=tmp_path,
                    workers=crew,
                    options=EvalOptions(device="cuda:7"),
                )
    assert sorted(set((marks / "gpu").read_text().split())) == KEYS
    assert not (marks / "plain").exists()


def test_shards_and_videos_on_s3_make_the_same_bundle(
    data: Path, videos: Path, peace: dict[str, str], s3: str, tmp_path: Path
) -> None:
    copy_to(data, f"{s3}/shards")
    copy_to(videos, f"{s3}/videos")
    words = ["--data", f"{s3}/shards", "--videos", f"{s3}/videos", "--out", str(tmp_path / "runs")]
    rules = tmp_path / "toy.toml"
    rules.write_text(
        'name = "toy"\nsummary = ""\nrank_by = "psnr"\n[[metrics]]\nname = "psnr"\n[[metrics]]\nname = "cpbd"\n'
    )
    words += ["--protocol", str(rules), "--workers", "2", "--leaderboards", str(tmp_path / "boards")]
    done = subprocess.run(
        [sys.executable, "-m", "tkbench", "eval", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (made,) = (tmp_path / "runs").glob("*/*/result.json")
    assert files(made.parent) == peace
    # A video that is replaced in the store while the evaluation is stopped is scored again.
    stopped: list[int] = []

    def progress(done: int, total: int, message: str) -> None:
        if done >= 3:
            stopped.append(done)
            raise KeyboardInterrupt

    model = f"files:{s3}/videos"
    with pytest.raises(KeyboardInterrupt):
        evaluate(
            place(f"{s3}/shards"), model, protocol=RULES, out=tmp_path, options=EvalOptions(progress=progress)
        )
    other = videos / "a__1.mp4"
    (place(f"{s3}/videos") / "a__0.mp4").write_bytes(other.read_bytes())
    again = evaluate(place(f"{s3}/shards"), model, protocol=RULES, out=tmp_path)
    hashes = bundle.read(again).videos().set_index("key")["sha256"]
    assert hashes["a/0"] == hashes["a/1"] == hashlib.sha256(other.read_bytes()).hexdigest()


def test_a_shard_on_s3_is_hashed_once_for_each_content(
    data: Path, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ETag tells: equal size, other bytes is another hash; the same object again is not read again."""
    monkeypatch.setenv("TKBENCH_HASHES", str(tmp_path / "hashes"))
    read = []
    from tkbench.runtime import storage

    real = storage.sha256_of
    monkeypatch.setattr(storage, "sha256_of", lambda path: (read.append(str(path)), real(path))[1])
    shard = place(f"{s3}/one/test-000000.tar")
    content = (data / "test-000000.tar").read_bytes()
    shard.write_bytes(content)
    for _ in range(2):
        assert sha256_once(shard) == hashlib.sha256(content).hexdigest()
    assert len(read) == 1
    other = content[:-1] + b"x"
    time.sleep(1.1)  # a store's times are whole seconds: they must not be what tells
    shard.write_bytes(other)
    assert sha256_once(shard) == hashlib.sha256(other).hexdigest()
    shard.write_bytes(content)  # the first content again, at another time: its tag is known
    assert sha256_once(shard) == hashlib.sha256(content).hexdigest()
    assert len(read) == 2


def test_the_kill_script_finds_nothing(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "kill_eval.py"
    words = [sys.executable, str(script), "--kills", "4", "--clips", "8", "--folder", str(tmp_path / "k")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no finished clip repeated" in done.stdout
