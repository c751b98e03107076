"""The weights registry: right files are found, wrong ones refused, downloads go on where they stopped."""

from __future__ import annotations

import hashlib
import http.server
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from tkbench import weights
from tkbench.errors import UnknownName, UsageError, WeightsMissing, WeightsRefused
from tkbench.weights import Weight

CONTENT = bytes(range(256)) * 9000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, and a table of three: known hash, known prefix, no hash."""
    place = tmp_path / "weights"
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(place))
    use(monkeypatch)
    return place


def use(monkeypatch: pytest.MonkeyPatch, url: str | None = None) -> None:
    table = [
        Weight("whole", "whole.bin", "MIT", "tests", "here", url=url, sha256=DIGEST, bytes=len(CONTENT)),
        Weight("prefix", "prefix.bin", "MIT", "tests", "here", url=url, sha256_prefix=DIGEST[:8]),
        Weight("free", "free.bin", "MIT", "tests", "a mail"),
    ]
    monkeypatch.setattr(weights, "known", lambda: {entry.name: entry for entry in table})


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_table_of_the_package_is_well_formed() -> None:
    table = weights.known()
    assert {"syncnet-synth", "syncnet-v2", "inception-fid", "lpips-alex"} <= set(table)
    for entry in table.values():
        assert not entry.sha256 or len(entry.sha256) == 64
        assert entry.sha256 == entry.sha256.lower()
        assert entry.licence
        assert entry.origin
        assert entry.url is None or entry.url.startswith("https://")
    assert len(weights.status()) == len(table)
    assert len({entry.file for entry in table.values()}) == len(table)


def test_missing_says_what_to_run(folder: Path) -> None:
    with pytest.raises(
        WeightsMissing, match=r"get free\.bin from a mail, then run `tkbench weights add free FILE`"
    ):
        weights.find("free")
    path, hint = weights.find_or_hint("free")
    assert path is None
    assert "weights add free" in hint
    with pytest.raises(UnknownName, match="did you mean whole"):
        weights.find("whol")


@pytest.mark.parametrize("name", ["whole", "prefix"])
def test_found_only_with_the_right_content(folder: Path, name: str) -> None:
    path = put(folder / f"{name}.bin")
    assert weights.find(name) == path
    assert weights.hash_of(name) == DIGEST
    put(path, CONTENT + b"x")
    with pytest.raises(WeightsRefused, match=DIGEST[:8]) as caught:
        weights.find(name)
    assert hashlib.sha256(CONTENT + b"x").hexdigest() in str(caught.value)
    with pytest.raises(WeightsRefused):
        weights.find_or_hint(name)


def test_add_copies_what_is_right(folder: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "downloads" / "any name.bin")
    assert weights.add("whole", source) == folder / "whole.bin"
    assert (folder / "whole.bin").read_bytes() == CONTENT
    wrong = put(tmp_path / "wrong.bin", b"wrong")
    with pytest.raises(WeightsRefused, match="expected sha256"):
        weights.add("whole", wrong)
    assert (folder / "whole.bin").read_bytes() == CONTENT
    with pytest.raises(UsageError, match="no such file"):
        weights.add("whole", tmp_path / "nothing")


def test_a_weight_without_a_hash_is_pinned_by_its_first_file(folder: Path, tmp_path: Path) -> None:
    weights.add("free", put(tmp_path / "first", b"first"))
    with pytest.raises(WeightsRefused, match=hashlib.sha256(b"first").hexdigest()):
        weights.add("free", put(tmp_path / "second", b"second"))
    assert weights.find("free").read_bytes() == b"first"
    put(folder / "free.bin", b"changed")
    with pytest.raises(WeightsRefused):
        weights.find("free")


def test_verify_names_every_file_and_fails_on_a_wrong_one(folder: Path) -> None:
    assert list(weights.verify()) == []
    put(folder / "whole.bin")
    assert list(weights.verify()) == [f"whole: ok, sha256 {DIGEST}"]
    put(folder / "prefix.bin", b"wrong")
    lines = weights.verify()
    assert next(lines).startswith("whole: ok")
    assert next(lines).startswith("prefix: WRONG")
    with pytest.raises(WeightsRefused, match="wrong content: prefix"):
        next(lines)
    assert [row[1] for row in weights.status()] == ["here", "wrong-hash", "missing"]


class Files(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, from where the client asks; `asked` keeps each Range header."""

    asked: list[str | None]
    resumes = True
    content = CONTENT

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.resumes else 0
        if start >= len(self.content):
            self.send_error(416)
            return
        body = self.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Files]]:
    class Mine(Files):
        asked: ClassVar[list[str | None]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mine) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        use(monkeypatch, f"http://127.0.0.1:{running.server_address[1]}/whole.bin")
        yield Mine
        running.shutdown()
        thread.join()


def test_fetch_downloads_checks_and_keeps(folder: Path, server: type[Files]) -> None:
    news: list[tuple[int, int]] = []
    path = weights.fetch("whole", progress=lambda done, total, message: news.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert news[-1] == (len(CONTENT), len(CONTENT))
    weights.fetch("whole")
    assert server.asked == [None]  # the second call had nothing to do
    assert [entry.name for entry in folder.iterdir()] == ["whole.bin"]


@pytest.mark.parametrize("resumes", [True, False])
def test_fetch_goes_on_where_it_stopped(folder: Path, server: type[Files], resumes: bool) -> None:
    server.resumes = resumes
    put(folder / "whole.bin.part", CONTENT[:1000])
    assert weights.fetch("whole").read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_fetch_takes_a_part_that_is_complete(folder: Path, server: type[Files]) -> None:
    put(folder / "prefix.bin.part")
    assert weights.fetch("prefix").read_bytes() == CONTENT


def test_fetch_refuses_other_content(folder: Path, server: type[Files]) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(WeightsRefused, match="expected sha256"):
        weights.fetch("whole")
    assert list(folder.iterdir()) == []


def test_fetch_without_a_network_says_what_else_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "http://127.0.0.1:9/whole.bin")
    with pytest.raises(WeightsMissing, match="tkbench weights add whole FILE"):
        weights.fetch("whole")
    with pytest.raises(UsageError, match="no address"):
        weights.fetch("free")


class Trap:
    """Its pickle would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_loading_never_runs_code_of_the_file(tmp_path: Path) -> None:
    trapped = tmp_path / "trap.pth"
    trapped.write_bytes(pickle.dumps({"weight": Trap(tmp_path / "sprung")}))
    with pytest.raises(WeightsRefused, match="without running code"):
        weights.load_state(trapped)
    torch.save({"weight": Trap(tmp_path / "sprung")}, trapped)
    with pytest.raises(WeightsRefused, match="without running code"):
        weights.load_state(trapped)
    assert not (tmp_path / "sprung").exists()


def test_loading_tells_what_a_file_holds(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"weight": torch.arange(3.0)}
    torch.save(tensors, tmp_path / "a.pth")
    save_file(tensors, str(tmp_path / "a.safetensors"))
    for name in ("a.pth", "a.safetensors"):
        torch.testing.assert_close(weights.load_state(tmp_path / name), tensors)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsRefused, match="holds a list"):
        weights.load_state(tmp_path / "list.pth")
    (tmp_path / "no.safetensors").write_bytes(b"nothing at all")
    with pytest.raises(WeightsRefused, match="not a safetensors file"):
        weights.load_state(tmp_path / "no.safetensors")
    (tmp_path / "no.pth").write_bytes(b"")
    with pytest.raises(WeightsRefused):
        weights.load_state(tmp_path / "no.pth")


def test_what_was_made_of_a_file_is_made_again_of_another(tmp_path: Path) -> None:
    calls: list[str] = []

    @weights.once_per_content(2)
    def read(path: Path, more: str = "") -> str:
        calls.append(path.read_text() + more)
        return calls[-1]

    path = tmp_path / "a"
    path.write_text("one")
    assert read(path) == read(path) == "one"
    assert read(path, more="!") == "one!"
    path.write_text("other")
    assert read(path) == "other"
    assert calls == ["one", "one!", "other"]
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


def test_what_is_fetched_without_a_published_hash_is_pinned(
    folder: Path, server: type[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = dict(weights.known())
    table["open"] = Weight("open", "open.bin", "MIT", "tests", "here", url=table["whole"].url)
    monkeypatch.setattr(weights, "known", lambda: table)
    path = weights.fetch("open")
    path.write_bytes(b"another file")
    with pytest.raises(WeightsRefused, match="first file that was added"):
        weights.find("open")
