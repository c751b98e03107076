"""The ports of a pool's own cluster: whoever has not got its keys can run nothing there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tkbench.runtime.parallel import pool
from tkbench.runtime.secure import new_keys

INTRUDER = """
import asyncio, functools, pathlib, sys
from distributed.comm import connect
from distributed.protocol.pickle import dumps
from tkbench.runtime.secure import new_keys

marks = pathlib.Path(sys.argv[1])

async def speak(address, operation, touch, **security):
    comm = await connect(address, timeout=2, **security)
    await comm.write({"op": operation, "function": dumps(touch), "reply": True})
    await comm.read()

for port in sys.argv[2:]:
    touch = functools.partial((marks / port).write_text, "ran")
    for scheme, security in (("tcp", {}), ("tls", new_keys().security().get_connection_args("client"))):
        for operation in ("run", "run_function"):  # as a worker and as a scheduler take it
            try:
                asyncio.run(asyncio.wait_for(speak(f"{scheme}://127.0.0.1:{port}", operation, touch, **security), 3))
            except Exception as error:
                print(port, scheme, operation, type(error).__name__)
"""


def intrude(ports: set[int], marks: Path) -> set[int]:
    """Behind which ports of this machine another process, which has no keys or its own, could run code."""
    words = [sys.executable, "-c", INTRUDER, str(marks), *map(str, sorted(ports))]
    subprocess.run(words, check=True, capture_output=True, timeout=300)
    return {int(mark.name) for mark in marks.iterdir()}


def ports_of(*processes: psutil.Process) -> set[int]:
    found: set[int] = set()
    for process in processes:
        connections = getattr(process, "net_connections", None) or process.connections
        found |= {entry.laddr.port for entry in connections("tcp") if entry.status == psutil.CONN_LISTEN}
    return found


def answer(port: int, request: bytes) -> bytes:
    import socket

    with socket.create_connection(("127.0.0.1", port), timeout=3) as link:
        link.settimeout(3)
        link.sendall(request)
        try:
            return link.recv(4096)
        except OSError:
            return b""


@pytest.mark.slow
def test_no_port_of_a_pool_runs_code_for_a_process_without_its_keys(tmp_path: Path) -> None:
    here = psutil.Process()
    before = ports_of(here)
    with pool(2) as crew:
        assert sorted(value for _, value in crew.run(abs, [-1, -2, -3])) == [1, 2, 3]
        workers = [child for child in here.children() if "tkbench.runtime.workers" in child.cmdline()]
        assert len(workers) == 2
        ports = (ports_of(here) - before) | ports_of(*workers)
        assert len(ports) >= 3  # the scheduler's and one of each worker, and those of their web servers
        assert intrude(ports, tmp_path) == set()
        for port in sorted(ports):
            for page in (b"info/main/workers.html", b"json/counts.json", b"metrics", b"health"):
                said = answer(port, b"GET /" + page + b" HTTP/1.0\r\n\r\n")
                assert b"200 OK" not in said, (port, page, said)
        assert sorted(value for _, value in crew.run(abs, [-4, -5])) == [4, 5]  # and it works on


@pytest.mark.slow
def test_the_intruder_of_the_test_above_comes_in_where_a_cluster_is_open(tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address=None
    ) as cluster:
        (worker,) = cluster.workers.values()
        ports = {int(address.rpartition(":")[2]) for address in (cluster.scheduler_address, worker.address)}
        assert intrude(ports, tmp_path) == ports


def test_each_pool_has_keys_of_its_own() -> None:
    assert new_keys().certificate != new_keys().certificate
    assert "PRIVATE KEY" in new_keys().key
