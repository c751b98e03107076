"""The bundles that the tables of a folder rest on, kept beside them: `leaderboards/rows/<table>/<model>/`.

A rank compares the clips of all models of a table, so a table can only be written anew where every bundle is at hand.
Bundles come from many folders, and folders of runs are cleaned up. So each row keeps what it is made of:

    result.json, clips.parquet, curves.parquet, videos.parquet    as the bundle has them; the players are left out
    row.json    the hash of result.json, the row's tier, and in words how its numbers were seen

The tier says how far the numbers were seen by those who keep the table. `measured`: they scored the videos themselves,
or scored a bundle's videos again. `reported`: the bundle holds together, and nobody here has seen its videos. It is the
keepers' word: nothing in a bundle can prove it. Numbers that papers print are no rows (`tkbench.results.claimed`).

One process at a time changes a folder of tables; the others wait for it (`locked`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tkbench.errors import BadBundle, StorageError, UsageError
from tkbench.results import bundle as bundles
from tkbench.results.bundle import Bundle, slug
from tkbench.runtime import storage
from tkbench.runtime.locks import kernel_lock
from tkbench.version import __version__

FOLDER, FACTS = "rows", "row.json"
Tier = Literal["measured", "reported"]
LARGEST_FACTS = 1 << 16
PATIENCE = 600.0
"""Seconds that a process waits for the others."""
STALE = 60.0
"""Seconds after which a lock is taken for that of a dead process, where the system has no locks that die with it."""


class Seen(BaseModel):
    """row.json: what the keepers of a table know of a row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    tier: Tier
    how: str = Field(max_length=300)
    tkbench: str = Field(default=__version__, max_length=40)


def place_of(boards: Path, table: str) -> Path:
    """The folder of a table's rows."""
    return boards / FOLDER / table


def seen(folder: Path) -> Seen | None:
    """What is known of the row in a folder; None for a bundle that no table keeps.

    Raises BadBundle where row.json is damaged or of another bundle.
    """
    path = folder / FACTS
    if not path.exists():
        return None
    try:
        if path.stat().st_size > LARGEST_FACTS:
            raise BadBundle(f"{path}: {path.stat().st_size} bytes, at most {LARGEST_FACTS} are read")
        found = Seen.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its parts"
        raise BadBundle(f"{path}: {where:.60}: {first['msg']:.120}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadBundle(f"{path}: cannot be read ({type(error).__name__})") from error
    if found.bundle_sha256 != (digest := storage.sha256_of(folder / "result.json")):
        raise BadBundle(
            f"{path}: is of the bundle {found.bundle_sha256[:12]}, result.json is that of {digest[:12]}; "
            "`tkbench leaderboard submit` the bundle again"
        )
    return found


def tier_of(bundle: Bundle) -> str:
    """Measured or reported; "" for a bundle that no table keeps."""
    found = seen(bundle.folder)
    return "" if found is None else found.tier


def keep(bundle: Bundle, boards: Path, tier: Tier, how: str) -> Path:
    """Keep a bundle as a row, in the place of an earlier one of its model; returns the row's folder.

    Call it within `locked`. Raises BadBundle where a file is not the one that result.json has the hash of.
    """
    result = bundle.result
    place = place_of(boards, result.table) / slug(result.model)
    if (place / "result.json").is_file() and (taken := bundles.read(place).result.model) != result.model:
        raise UsageError(f"{place}: keeps the model {taken!r}; score {result.model!r} under another --name")
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        shutil.copyfile(bundle.folder / "result.json", work / "result.json", follow_symlinks=False)
        for name, expected in result.files.items():
            if name.startswith("previews/"):
                continue
            shutil.copyfile(bundle.folder / name, work / name, follow_symlinks=False)
            if (work / name).is_symlink() or storage.sha256_of(work / name) != expected:
                raise BadBundle(f"{bundle.folder / name}: was changed or is of another run")
        facts = Seen(bundle_sha256=storage.sha256_of(work / "result.json"), tier=tier, how=how)
        (work / FACTS).write_text(json.dumps(facts.model_dump(), indent=1) + "\n", encoding="utf-8")
        for path in work.iterdir():
            path.chmod(0o644)
        work.chmod(0o755)
        if place.exists():
            storage.swap(work, place)
        else:
            work.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place


def kept(boards: Path, table: str) -> list[Bundle]:
    """The rows of a table, by folder name; none for a table that is not there. Raises BadBundle for a damaged one."""
    folder = place_of(boards, table)
    return [
        bundles.read(path.parent)
        for path in sorted(folder.glob("*/result.json"))
        if not path.parent.name.startswith(".")
    ]


def discard(boards: Path, table: str, model: str) -> bool:
    """Remove a row; whether there was one. Call it within `locked`."""
    place = place_of(boards, table) / slug(model)
    if not (place / "result.json").is_file() or bundles.read(place).result.model != model:
        return False
    aside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    place.rename(aside / "row")
    shutil.rmtree(aside, ignore_errors=True)
    return True


@contextmanager
def locked(boards: Path) -> Iterator[None]:
    """Hold the tables of a folder: no other process changes them meanwhile. Waits for one that does.

    The kernel's lock ends with its process. Where the system has none (Windows, some network file systems) a file that
    only one process can create does the same, and counts as left behind after a minute.
    """
    boards.mkdir(parents=True, exist_ok=True)
    path = boards / ".lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    by_file = False
    try:
        end = time.monotonic() + PATIENCE
        while not (by_kernel := kernel_lock(handle)):
            if by_kernel is None and (by_file := _file_lock(path)):
                break
            if time.monotonic() > end:
                raise StorageError(
                    f"{boards}: another tkbench has been changing the tables here for {PATIENCE:g} s; wait for it or "
                    "stop it, then run the same command again"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)
        if by_file:
            path.with_name(".lock.held").unlink(missing_ok=True)


def _file_lock(path: Path) -> bool:
    held = path.with_name(".lock.held")
    try:
        os.close(os.open(held, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        try:
            if time.time() - held.stat().st_mtime > STALE:
                held.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        return False
    return True
