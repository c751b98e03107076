"""Pinned networks: where they come from, whether the file here is the right one, and how to load it safely.

A weight is a name (`weights.toml`) with the sha256 of one file. Files live in the folder `TKBENCH_WEIGHTS`,
or in `~/.cache/tkbench/weights`; those that come with the package live in `tkbench/assets`. A file is only used,
copied in or kept after a download if its sha256 is the pinned one.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, wraps
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from tkbench.errors import UnknownName, UsageError, WeightsMissing, WeightsRefused
from tkbench.registry import suggest
from tkbench.runtime import toml
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.storage import sha256_of, user_folder

if TYPE_CHECKING:
    import torch

P = ParamSpec("P")
R = TypeVar("R")
CHUNK = 1 << 20
TORCH = (".pth", ".pt", ".tar", ".model")
PINS = "pins.json"
"""In the weights folder: name -> sha256 of weights without a published hash, pinned when they were added here."""


@dataclass(frozen=True, slots=True)
class Weight:
    """One entry of `weights.toml`."""

    name: str
    file: str
    licence: str
    needed_for: str
    origin: str
    url: str | None = None
    bytes: int | None = None
    sha256: str = ""
    """64 hex digits, or empty where the whole hash is not known."""
    sha256_prefix: str = ""
    """The first digits, where only those are known (from the name of the published file)."""
    packed: bool = False
    """True for a weight that comes with the package."""

    @property
    def pin(self) -> str:
        """The digits that a file's sha256 must start with; empty where none are known."""
        return self.sha256 or self.sha256_prefix

    def how_to_get(self) -> str:
        """The command that brings the file here."""
        if self.packed:
            return "reinstall tkbench: this file comes with it"
        add = f"`tkbench weights add {self.name} FILE`"
        if self.url is None:
            return f"get {self.file} from {self.origin}, then run {add}"
        return f"run `tkbench weights fetch {self.name}` (or {add})"


@lru_cache(maxsize=1)
def known() -> dict[str, Weight]:
    """Every weight of `weights.toml`, in its order."""
    table = toml.parse((resources.files("tkbench") / "weights.toml").read_text(encoding="utf-8"))
    return {name: _weight(name, facts) for name, facts in table.items()}


def _weight(name: str, facts: object) -> Weight:
    """One table of `weights.toml`."""
    assert isinstance(facts, dict), name
    return Weight(name=name, **facts)


def get(name: str) -> Weight:
    """The entry called `name`; raises UnknownName with the nearest ones."""
    if name not in known():
        raise UnknownName(f"no weight is called {name!r}: {suggest(name, list(known()))}")
    return known()[name]


def folder() -> Path:
    """Where downloaded and added weights live; it need not exist yet."""
    return user_folder("TKBENCH_WEIGHTS", "weights")


def place(weight: Weight) -> Path:
    """Where the file of `weight` belongs, whether or not it is there."""
    if weight.packed:
        return Path(str(resources.files("tkbench") / "assets" / weight.file))
    return folder() / weight.file


def sha256(path: Path) -> str:
    """The hash of a file's content; cached for as long as size and time of the file stay the same."""
    facts = path.stat()
    return _sha256(str(path), facts.st_size, facts.st_mtime_ns)


def once_per_content(maxsize: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Cache the results of a function of files, by its arguments and the sha256 of every path among them.

    A cache by the path alone would return the old result after a file was replaced.
    """

    def wrap(make: Callable[P, R]) -> Callable[P, R]:
        @lru_cache(maxsize=maxsize)
        def cached(digests: tuple[str, ...], *args: P.args, **more: P.kwargs) -> R:
            return make(*args, **more)

        @wraps(make)
        def with_digests(*args: P.args, **more: P.kwargs) -> R:
            files = [item for item in (*args, *more.values()) if isinstance(item, Path) and item.is_file()]
            return cached(tuple(map(sha256, files)), *args, **more)  # type: ignore[arg-type]

        with_digests.cache_clear = cached.cache_clear  # type: ignore[attr-defined]
        return with_digests

    return wrap


@lru_cache(maxsize=64)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    return sha256_of(Path(path))


def find(name: str) -> Path:
    """The checked file of a weight.

    Raises WeightsMissing (with the command that brings it here) where there is none, WeightsRefused where its
    sha256 is not the pinned one.
    """
    weight = get(name)
    path = place(weight)
    if not path.is_file():
        raise WeightsMissing(f"weight {name!r} is not at {path}: {weight.how_to_get()}")
    check(weight, path)
    return path


def file_or_named(given: str) -> Path:
    """A file, or the network of that name that `tkbench weights list` shows; a file that is there comes first."""
    path = Path(given).expanduser()
    return find(given) if given in known() and not path.exists() else path


def check(weight: Weight, path: Path, advice: str = "remove the file, then") -> str:
    """The sha256 of `path` if it is the content that `weight` stands for; otherwise raises WeightsRefused."""
    found = sha256(path)
    expected = weight.pin or _local_pins().get(weight.name, "")
    if not found.startswith(expected):
        kind = "sha256" if len(expected) == 64 else "sha256 that starts with"
        if not weight.pin:
            pins = folder() / PINS
            advice = f"that of the first file that was added; if this one is right, remove its line from {pins}, or"
        raise WeightsRefused(
            f"{path} is not {weight.name}: sha256 {found}, expected {kind} {expected}; "
            f"{advice} {weight.how_to_get()}"
        )
    return found


def hash_of(name: str) -> str:
    """The sha256 of the checked file of a weight, as result bundles store it."""
    return sha256(find(name))


def _local_pins() -> dict[str, str]:
    path = folder() / PINS
    if not path.is_file():
        return {}
    try:
        pins = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(value) for name, value in pins.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise WeightsRefused(
            f"{path}: not a table of pins ({error}); remove it and add the weights again"
        ) from error


def _pin_here(weight: Weight, digest: str) -> None:
    """Pin the first file that was given for a weight without a published hash."""
    pins = _local_pins() | {weight.name: digest}
    path = folder() / PINS
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(dict(sorted(pins.items())), indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def add(name: str, file: Path) -> Path:
    """Copy a file that the user has into the weights folder, after checking its hash; returns its place."""
    weight = get(name)
    if weight.packed:
        raise UsageError(f"weight {name!r} comes with tkbench: nothing to add")
    if not file.is_file():
        raise UsageError(f"{file}: no such file; expected {weight.file} ({weight.origin})")
    digest = check(weight, file, "another file is needed:")
    if not weight.pin and weight.file.endswith(TORCH):
        _refuse_no_table(file)
    path = place(weight)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    shutil.copyfile(file, fresh)
    fresh.replace(path)
    if not weight.pin:
        _pin_here(weight, digest)
    return path


def read_torch(path: Path, what: str, advice: str = "") -> object:
    """What a torch file holds, tensors and plain values alone; WeightsRefused with `what` where it cannot be read.

    Pickled objects of any other kind could run code, and are refused.
    """
    import torch

    try:
        with warnings.catch_warnings():
            # torch warns of a file with another pickle protocol; a file that cannot be read still raises.
            warnings.simplefilter("ignore")
            held: object = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    # A damaged pickle fails in any part of the reader: IndexError, RecursionError, MemoryError and more.
    except Exception as error:
        raise WeightsRefused(f"{path}: {what} ({type(error).__name__}){advice}") from error
    return held


def _refuse_no_table(file: Path) -> None:
    """WeightsRefused for a file that holds no table of weights: all that can be checked without a published hash."""
    found = read_torch(file, "not a file of weights", "; give the published one")
    if not isinstance(found, dict) or not found:
        raise WeightsRefused(f"{file}: holds a {type(found).__name__}, expected a table of weights")


def fetch(name: str, *, progress: Progress = silent) -> Path:
    """Download a weight unless it is here already; an interrupted download continues where it stopped.

    `progress` counts bytes. Raises UsageError where no address is known, WeightsMissing where the download
    fails, WeightsRefused (and removes the download) where its sha256 is not the pinned one.
    """
    weight = get(name)
    path = place(weight)
    if path.is_file():
        check(weight, path)
        return path
    if weight.url is None:
        raise UsageError(f"weight {name!r} has no address to download from: {weight.how_to_get()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    _download(weight, part, progress)
    try:
        check(weight, part)
    except WeightsRefused:
        part.unlink()
        raise
    part.replace(path)
    if not weight.pin:
        _pin_here(weight, sha256(path))
    return path


def _download(weight: Weight, part: Path, progress: Progress) -> None:
    """Download to `part`, asking only for the bytes that are not there yet."""
    assert weight.url is not None
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "tkbench", **({"Range": f"bytes={have}-"} if have else {})}
    request = urllib.request.Request(weight.url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            if answer.status != 206:
                have = 0  # the server sends the whole file again
            length = answer.headers.get("Content-Length") or ""
            # A length that is no number says nothing: the hash decides.
            total = have + int(length) if re.fullmatch("[0-9]{1,15}", length) else weight.bytes or 0
            with part.open("ab" if have else "wb") as stream:
                while block := answer.read(CHUNK):
                    stream.write(block)
                    have += len(block)
                    progress(have, max(total, have), weight.file)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return  # nothing is left to send; the hash decides whether what is here is right
        raise WeightsMissing(f"{weight.url}: the server answered {error.code}; {_by_hand(weight)}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or f"{type(error).__name__}: {error}"
        raise WeightsMissing(
            f"{weight.url}: cannot be reached ({why}); what was downloaded is kept. {_by_hand(weight)}"
        ) from error
    if total and have < total:
        raise WeightsMissing(
            f"{weight.url}: broke off at {have} of {total} bytes; run the same command again"
        )


def _by_hand(weight: Weight) -> str:
    return (
        f"Without a network, bring {weight.file} here and run `tkbench weights add {weight.name} FILE`, "
        "or set TKBENCH_WEIGHTS to a folder that holds it"
    )


def state_of(weight: Weight) -> str:
    """One word for a table: bundled, here, missing or wrong-hash."""
    path = place(weight)
    if not path.is_file():
        return "missing"
    try:
        check(weight, path)
    except WeightsRefused:
        return "wrong-hash"
    return "bundled" if weight.packed else "here"


def status() -> list[tuple[str, str, str, str, str, str]]:
    """Rows (name, state, MB, sha256, licence, needed for) of every known weight."""
    rows = []
    for weight in known().values():
        path = place(weight)
        size = path.stat().st_size if path.is_file() else weight.bytes
        if weight.sha256:
            pin = weight.sha256[:12]
        elif weight.sha256_prefix:
            pin = f"{weight.sha256_prefix} (only this prefix is known)"
        else:
            pin = _local_pins().get(weight.name, "")[:12] or "none published: pinned when added"
        mega = f"{size / 1e6:.1f}" if size else ""
        rows.append((weight.name, state_of(weight), mega, pin, weight.licence, weight.needed_for))
    return rows


def verify() -> Iterator[str]:
    """One line per weight that is here; after the last one, raises WeightsRefused if any was wrong."""
    wrong = []
    for weight in known().values():
        path = place(weight)
        if not path.is_file():
            continue
        try:
            yield f"{weight.name}: ok, sha256 {check(weight, path)}"
        except WeightsRefused as error:
            wrong.append(weight.name)
            yield f"{weight.name}: WRONG, {error}"
    if wrong:
        raise WeightsRefused(
            f"wrong content: {', '.join(wrong)}; remove these files and fetch or add them again"
        )


def write_tensors(path: Path, state: Mapping[str, torch.Tensor], about: Mapping[str, object]) -> None:
    """Write safetensors with `about` (JSON) in the header, under a temporary name; equal content makes equal bytes."""
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    fresh = path.with_name(path.name + ".new")
    # One metadata entry: the format keeps no order among several, and the bytes must be the same each time.
    save_file(tensors, str(fresh), metadata={"tkbench": json.dumps(about, sort_keys=True)})
    fresh.replace(path)


def read_about(path: Path) -> dict[str, object]:
    """What `write_tensors` stored beside the tensors. Raises ValueError, with the reason, for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as file:
            about = json.loads((file.metadata() or {})["tkbench"])
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(about, dict):
        raise ValueError(f"its header holds a {type(about).__name__}, expected a table")
    return about


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors or torch file. Never runs code from it: pickled objects are refused."""
    import torch

    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return dict(load_file(str(path)))
        except FileNotFoundError:
            raise
        # Beside its own error it raises those of what its header makes of the tensors: KeyError, ValueError, OSError.
        except Exception as error:
            raise WeightsRefused(
                f"{path}: not a safetensors file ({error}); fetch or add it again"
            ) from error
    state = read_torch(path, "cannot be loaded without running code from it", "; get the published file")
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsRefused(f"{path}: holds a {type(state).__name__}, expected a table of tensors")
    return dict(state)


def find_or_hint(name: str) -> tuple[Path | None, str]:
    """(checked file, "") or (None, what to do): for metrics, which leave a clip unscored instead of failing.

    A file with the wrong sha256 still raises WeightsRefused.
    """
    try:
        return find(name), ""
    except WeightsMissing:
        return None, get(name).how_to_get()
