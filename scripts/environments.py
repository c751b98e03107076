"""Build fresh environments, install tkbench beside what stands there, and see whether it works and gives its numbers.

    python scripts/environments.py --folder /tmp/environments --write docs/environments.md
    python scripts/environments.py --folder /tmp/environments --only newest

scripts/environments.toml lists them: the oldest and the newest dependencies, and the published pins of other projects
of the field. Each is made by uv (`pip install uv`), which brings the Python that is asked for where the machine lacks
it. What stands `beside` is kept: tkbench is resolved under it as constraints. Where no set of versions fits all, the
resolver's own reason is the result. Otherwise the neighbours must still import, `tkbench doctor` compares each stage
with the package's golden values, and then either the fast tests run (`tests`), or a small corpus is made, prepared,
scored and reported (`smoke`).

An environment that was tried is not tried again: its answer lies in FOLDER, one .json each; the environment itself is
removed, unless `--keep`. Ends with code 1 where an environment resolved and then failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from between import rewrite

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SHOWN = ("numpy", "pandas", "pyarrow", "opencv-python", "torch", "mediapipe", "scipy")


@dataclass(frozen=True)
class Environment:
    """One entry of the list."""

    name: str
    what: str
    python: str
    check: str
    resolution: str = "highest"
    extras: str = "synth"
    """Of tkbench, with commas; `test` is added where the tests run."""
    beside: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    """Modules of the neighbours that must still import after tkbench was installed."""


@dataclass
class Answer:
    """What came of it."""

    name: str
    what: str
    python: str
    resolved: bool
    conflict: str = ""
    """The resolver's reason, where no set of versions fits."""
    versions: dict[str, str] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)
    """Neighbours whose version tkbench's installation changed."""
    doctor: str = ""
    check: str = ""
    passed: bool = False
    seconds: float = 0.0


class Failed(Exception):
    """A step that ended with another code than 0; its last lines."""


def run(command: list[str | Path], *, cwd: Path | None = None, path: str = "") -> str:
    """What a command wrote. Raises Failed."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env |= {"COLUMNS": "200", "OMP_NUM_THREADS": "1"} | (
        {"PATH": f"{path}{os.pathsep}{env['PATH']}"} if path else {}
    )
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failed("\n".join(done.stdout.strip().splitlines()[-30:]))
    return done.stdout


def slug(name: str) -> str:
    """A name as a file's."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", name)


def build_wheel(uv: Path, folder: Path) -> Path:
    """The wheel that a user would get."""
    out = folder / "dist"
    shutil.rmtree(out, ignore_errors=True)
    run([uv, "build", "--wheel", "-o", out, ROOT])
    return next(out.glob("*.whl"))


def versions_of(uv: Path, python: Path) -> dict[str, str]:
    """Name -> version of what is installed."""
    listed = json.loads(run([uv, "pip", "list", "-q", "--python", python, "--format", "json"]))
    return {row["name"].lower(): row["version"] for row in listed}


def smoke(bin_folder: Path, place: Path) -> str:
    """Corpus, shards, scores, report, by the command that was installed."""
    command = bin_folder / "tkbench"
    for words in (
        ["prep", "synth", "--out", "corpus", "--clips", "4", "--speakers", "2", "--seed", "3"],
        ["prep", "folder", "--root", "corpus", "--out", "shards"],
        ["eval", "--data", "shards", "--model", "real", "--model", "still", "--model", "cals"],
        ["data", "show", "shards"],
    ):
        run([command, *words], cwd=place)
    tables = list(place.glob("leaderboards/*.csv"))
    rows = len(tables[0].read_text(encoding="utf-8").splitlines()) - 1
    return f"4 clips made, prepared and scored: {rows} rows"


def tests(python: Path) -> str:
    """The fast tests of the checkout, against the installed package."""
    # Old releases warn of what newer ones changed, so warnings are no errors.
    said = run(
        [python, "-m", "pytest", "-q", "-W", "default", "-n", "2", "--dist", "loadfile", "tests"], cwd=ROOT
    )
    return re.sub(r" in .*", "", said.strip().splitlines()[-1].strip("= "))


def try_one(uv: Path, wheel: Path, item: Environment, folder: Path) -> Answer:
    """Build `item` below `folder` and try it."""
    began = time.perf_counter()
    answer = Answer(item.name, item.what, item.python, resolved=False)
    place = folder / slug(item.name)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    python = place / "venv" / "bin" / "python"
    extras = f"{item.extras},test" if item.check == "tests" else item.extras
    try:
        run([uv, "venv", "-q", "--python", item.python, place / "venv"])
        before: dict[str, str] = {}
        if item.beside:
            run([uv, "pip", "install", "-q", "--python", python, *item.beside])
            before = versions_of(uv, python)
        kept = place / "kept.txt"
        kept.write_text("".join(f"{name}=={version}\n" for name, version in before.items()), encoding="utf-8")
        install: list[str | Path] = [uv, "pip", "install", "-q", "--python", python, "-c", kept]
        if item.resolution != "highest":
            # uv takes the lowest of what a project asks for itself, not of what a wheel asks for.
            asked = [word for extra in extras.split(",") for word in ("--extra", extra)]
            run([*install, "--resolution", item.resolution, "-r", ROOT / "pyproject.toml", *asked])
        run([*install, f"tkbench[{extras}] @ file://{wheel}"])
    except Failed as error:
        answer.conflict = " ".join(str(error).split())[:1500]
        return answer
    answer.resolved = True
    after = versions_of(uv, python)
    answer.versions = {name: after[name] for name in SHOWN if name in after}
    answer.moved = [
        f"{name} {before[name]} -> {after.get(name)}" for name in before if after.get(name) != before[name]
    ]
    try:
        for module in item.imports:
            run([python, "-c", f"import {module}"], cwd=place)
        answer.doctor = run([python.parent / "tkbench", "doctor"], cwd=place).strip().splitlines()[-1]
        answer.check = tests(python) if item.check == "tests" else smoke(python.parent, place)
        answer.passed = True
    except Failed as error:
        answer.check = f"failed: {str(error)[-800:]}"
    answer.seconds = round(time.perf_counter() - began, 1)
    return answer


def table(answers: list[Answer]) -> str:
    """Markdown."""
    lines = ["| environment | Python | versions | doctor | tried |", "|---|---|---|---|---|"]
    for answer in answers:
        shown = ", ".join(f"{name} {version}" for name, version in answer.versions.items())
        moved = f"; moved: {', '.join(answer.moved)}" if answer.moved else ""
        tried = answer.check if answer.resolved else f"cannot be resolved: {answer.conflict}"
        cells = (f"{answer.name}: {answer.what}", answer.python, shown + moved, answer.doctor, tried)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the list, try what was not tried, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where environments and answers are kept")
    parser.add_argument("--only", action="append", help="names of the list; default: all")
    parser.add_argument("--keep", action="store_true", help="keep the environments; one takes up to 7 GB")
    parser.add_argument("--again", action="store_true", help="also those that were tried")
    parser.add_argument("--write", type=Path, help="a document with the marks <!-- environments -->")
    options = parser.parse_args()
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found is None:
        raise SystemExit("uv is not installed: pip install uv")
    uv = Path(found)
    listed = tomllib.loads((ROOT / "scripts" / "environments.toml").read_text(encoding="utf-8"))[
        "environment"
    ]
    items = [
        Environment(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
        )
        for entry in listed
    ]
    unknown = set(options.only or ()) - {item.name for item in items}
    if unknown:
        raise SystemExit(
            f"no environment is called {sorted(unknown)[0]!r}: {', '.join(item.name for item in items)}"
        )
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = build_wheel(uv, folder)
    answers = []
    for item in items:
        file = folder / f"{slug(item.name)}.json"
        wanted = not options.only or item.name in options.only
        if wanted and (options.again or not file.is_file()):
            print(f"{item.name}: {item.what}", flush=True)
            answer = try_one(uv, wheel, item, folder)
            if not options.keep:
                shutil.rmtree(folder / slug(item.name), ignore_errors=True)
            file.write_text(json.dumps(asdict(answer), indent=1) + "\n", encoding="utf-8")
            print(f"  {answer.check or answer.conflict}", flush=True)
        if file.is_file():
            answers.append(Answer(**json.loads(file.read_text(encoding="utf-8"))))
    print(table(answers))
    if options.write is not None:
        rewrite(options.write, "environments", table(answers))
    sys.exit(any(answer.resolved and not answer.passed for answer in answers))


if __name__ == "__main__":
    main()
