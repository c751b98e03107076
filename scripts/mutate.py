"""Do the tests hold the code? Small faults are put into it, one at a time, and the nearest tests must turn red.

    python scripts/mutate.py                          40 faults, drawn with seed 0, of every group below
    python scripts/mutate.py --count 20 --seed 3      others
    python scripts/mutate.py --only tkbench/audio.py  of one file or folder
    python scripts/mutate.py --list                   show what would be drawn, run nothing

Mutation testing (DeMillo, Lipton & Sayward 1978) asks of a suite what coverage cannot: not whether a line was run, but
whether anyone would notice if it were wrong. A fault that a test notices is *caught*; one that all tests pass with has
*survived*, and is a test to be written. Some change nothing that can be observed (a bound that is never reached, a step
of a loop that only memory depends on); such a fault is *equivalent*. A person decides that, and writes the reason into
scripts/mutants.toml, so that it is asked once.

The draw is not a choice: faults are ordered by a hash of the seed and of what they say, the modules of a group take
turns, and so do the kinds of fault within a module. The same seed draws the same faults until the code itself changes.

Each fault is put into a copy of the tree, never into the tree. First the tests in the mirrored place run
(tkbench/metrics/sync.py: tests/metrics/test_sync.py, and the module's own examples), with `-x`; if all pass, every test
file that imports the module. The test that failed runs once more without the fault, and must pass. Tests that do not
end within `--limit` seconds have caught the fault, too: it hangs.

Answers are kept in OUT/mutants.csv after each fault, so that a run that was stopped goes on where it was: a caught one
is asked again when its module changes, a survivor also when any test does. OUT/mutants.md tells them in tables.
Exit code: 0 where none survived, 1 where one did, 2 where the tests fail without any fault.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from mutations import Mutation, mutations

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("mutants.toml")
PACKAGE = "tkbench"
GROUPS = {
    "metrics": ("metrics/*.py",),
    "losses": ("train/objectives/*.py",),
    "models": ("models/*/*.py", "models/face.py", "models/layers.py", "models/picture.py"),
    "preparation": tuple(
        f"prep/{name}.py" for name in ("gates", "follow", "track", "official", "scene", "pipeline", "pack")
    ),
    "results": tuple(
        f"results/{name}.py" for name in ("stats", "halves", "paired", "standing", "compare", "leaderboard")
    ),
    "scoring": ("scoring/*.py",),
    "crops": ("crops/*.py",),
    "sound": ("audio.py",),
}
"""What is held: patterns below the package. Each group gets its share of the draw, and at least one fault."""


# What is drawn


def digest(*parts: str) -> str:
    """A number for a text that is the same on every machine."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def in_group(root: Path, patterns: Iterable[str], only: Path | None) -> list[str]:
    """The modules of a group, below the root, sorted; those with something to mutate."""
    found = {path for pattern in patterns for path in (root / PACKAGE).glob(pattern)}
    if only is not None:
        found = {path for path in found if path == only or only in path.parents}
    return sorted(path.relative_to(root).as_posix() for path in found)


def turns(root: Path, modules: Sequence[str], seed: int) -> Iterator[Mutation]:
    """The mutations of a group in the order of the draw: one of each module, then a second one, and so on."""
    waiting = [
        in_turn((root / module).read_bytes(), module, seed)
        for module in sorted(modules, key=lambda module: digest(str(seed), module))
    ]
    while waiting:
        for those in waiting.copy():
            mutation = next(those, None)
            if mutation is None:
                waiting.remove(those)
            else:
                yield mutation


def in_turn(source: bytes, module: str, seed: int) -> Iterator[Mutation]:
    """The mutations of a module: one of each kind, then a second one of each; those that are programs."""
    kinds: dict[str, list[Mutation]] = {}
    for mutation in mutations(module, source):
        kinds.setdefault(mutation.kind, []).append(mutation)
    for those in kinds.values():
        those.sort(key=lambda mutation: digest(str(seed), *mutation.key), reverse=True)
    order = sorted(kinds, key=lambda name: digest(str(seed), module, name))
    while any(kinds.values()):
        for name in order:
            if kinds[name]:
                mutation = kinds[name].pop()
                if _is_program(mutation.apply(source)):
                    yield mutation


def _is_program(source: bytes) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def draw(root: Path, count: int, seed: int, only: Path | None = None) -> list[tuple[str, Mutation]]:
    """(group, mutation), `count` in all where there are so many: by share of modules, at least one of each group."""
    members = {name: in_group(root, patterns, only) for name, patterns in GROUPS.items()}
    members = {name: modules for name, modules in members.items() if modules}
    total = sum(map(len, members.values()))
    ordered = {name: turns(root, modules, seed) for name, modules in members.items()}
    drawn: dict[str, list[Mutation]] = {name: [] for name in members}
    while ordered and sum(map(len, drawn.values())) < count:
        # The next one goes where most is missing.
        missing = {name: len(members[name]) / total * count - len(drawn[name]) for name in ordered}
        poorest = max(missing.items(), key=lambda item: (not drawn[item[0]], item[1], item[0]))[0]
        mutation = next(ordered[poorest], None)
        if mutation is None:
            del ordered[poorest]
        else:
            drawn[poorest].append(mutation)
    return [(name, mutation) for name, found in drawn.items() for mutation in found]


# Which tests stand nearest


@dataclass(frozen=True, slots=True)
class Nearest:
    """Test files of a module, below the root."""

    mirror: tuple[str, ...]
    """Those in the mirrored place, and the module itself, whose examples are tests."""
    importing: tuple[str, ...]
    """The others that import it."""


class Suite:
    """What the test files of a tree import."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules = {dotted(path.relative_to(root)) for path in (root / PACKAGE).rglob("*.py")}
        # Tests of faults put in by hand run other tests, and hold no module themselves.
        self.imports = {
            path.relative_to(root).as_posix(): self.imported(path)
            for path in sorted((root / "tests").rglob("test_*.py"))
            if not path.stem.endswith("_faults")
        }
        texts = [path.read_text(encoding="utf-8") for path in sorted((root / "tests").rglob("*.py"))]
        self.digest = digest(*texts)[:12]
        self.random = any("import hypothesis" in text or "from hypothesis" in text for text in texts)

    def nearest(self, module: str) -> Nearest:
        """Where the tests of a module are; where none imports it, those that import the package it is of."""
        path = Path(module)
        name, folder = dotted(path), Path("tests", *path.parts[1:-1])
        packages = {name.rsplit(".", up)[0] for up in range(1, name.count("."))}
        importing = [file for file, names in self.imports.items() if name in names]
        importing = importing or [file for file, names in self.imports.items() if names & packages]
        importing.sort(key=lambda file: folder not in Path(file).parents)
        wanted = {(folder / f"test_{path.stem}").as_posix()}
        if len(path.parts) > 2:
            wanted.add(f"{folder.parent.as_posix()}/test_{folder.name}")
        mirror = [
            file
            for file in self.imports
            if any(file == f"{one}.py" or file.startswith(f"{one}_") for one in wanted)
        ]
        mirror = mirror or [file for file in importing if Path(file).parent == folder]
        return Nearest((*mirror, module), tuple(file for file in importing if file not in mirror))

    def imported(self, path: Path) -> set[str]:
        """The modules that a test imports, anywhere in it, itself or through the helpers of tests.

        A package stands for itself where what is taken from it is no module of it.
        """
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                known = {name for name in names if name in self.modules or self.helper(path, name)}
                found |= known | ({node.module} if names - known else set())
        helpers = {helper for name in found if (helper := self.helper(path, name))}
        return (found & self.modules).union(*map(self.imported, helpers))

    def helper(self, path: Path, name: str) -> Path | None:
        """The file of a helper: what tests import from beside them or from the top of the tests."""
        for folder in (path.parent, self.root / "tests"):
            file = folder.joinpath(*name.split(".")).with_suffix(".py")
            if file.is_file() and not file.name.startswith("test_"):
                return file
        return None


def dotted(path: Path) -> str:
    """The name that a file is imported by."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


# Running them


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one mutation: a row of the CSV."""

    group: str
    module: str
    line: int
    function: str
    kind: str
    before: str
    after: str
    outcome: str
    """caught, hangs (caught, too), survived, equivalent."""
    by: str
    """The first test that failed; the reason, of an equivalent one."""
    seconds: float
    source: str
    """The module's content when it was asked, ..."""
    tests: str
    """... and that of all tests."""

    @classmethod
    def to(
        cls,
        asked: Mutation,
        group: str,
        outcome: str,
        by: str,
        seconds: float = 0.0,
        *,
        source: str,
        tests: str,
    ) -> Answer:
        """The row of a mutation."""
        what = (asked.module, asked.line, asked.function, asked.kind, asked.before, asked.after)
        return cls(group, *what, outcome, by, seconds, source, tests)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same when code above it is edited."""
        return self.module, self.function, self.before, self.after


class Copy:
    """A copy of the tree, in which one fault at a time is put."""

    def __init__(self, root: Path, folder: Path, *, seeded: bool) -> None:
        self.folder, self.seeded = folder, seeded
        self.stamp = int(time.time())
        self.process: subprocess.Popen[bytes] | None = None
        for name in files_of(root):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target)

    def write(self, module: str, source: bytes) -> None:
        """Compiled files are known by the second of their source: no two versions may share one."""
        path = self.folder / module
        path.write_bytes(source)
        self.stamp += 2
        os.utime(path, (self.stamp, self.stamp))

    def run(self, files: Sequence[str], limit: float | None) -> tuple[str, str, float]:
        """(passed, failed or hangs; the first test that failed; seconds) of test files."""
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(self.folder), environment.get("PYTHONPATH")))
        )
        # The same examples each time: a fault is caught or not, whoever asks.
        seeded = ["--hypothesis-seed=0"] if self.seeded else []
        begin = time.monotonic()
        said = self.folder.with_name(f"{self.folder.name}-said")
        with said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "--tb=no", "--doctest-modules",
                 "-p", "no:cacheprovider", f"--basetemp={self.folder}-tmp", *seeded, *files],
                cwd=self.folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.stop()
            return "hangs", f"no answer of {' '.join(files)} within {limit:.0f} s", time.monotonic() - begin
        spent = time.monotonic() - begin
        # 5: no test at all, as of a module without examples.
        if code in (0, 5):
            return "passed", "", spent
        text = said.read_text(encoding="utf-8", errors="replace")
        first = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", text, re.MULTILINE)
        if first is None:
            raise SystemExit(f"mutate: pytest ended with {code} and named no test:\n{text[-2000:]}")
        return "failed", first[1], spent

    def stop(self) -> None:
        """End the tests that run, and what they started."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def files_of(root: Path) -> list[str]:
    """The files of a checkout, new ones too, without what git ignores; of any other folder, all."""
    asked = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if asked.returncode == 0 and asked.stdout:
        return [name for name in asked.stdout.split("\0") if name and (root / name).is_file()]
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


class Asking:
    """Mutations are put in and tests are asked, by one or several copies of the tree."""

    def __init__(self, root: Path, tests: Suite, limit: float) -> None:
        self.root, self.tests, self.limit = root, tests, limit
        self.sound: set[str] = set()
        """Tests that are known to pass without a fault."""
        self.lock = Lock()

    def check(self, copy: Copy, test: str) -> None:
        """A test that failed must pass without the fault, or it has caught nothing."""
        if test in self.sound:
            return
        # Without `::` it is a whole file, which could not even be imported.
        outcome, _, _ = copy.run([test] if "::" in test else [test, "--collect-only"], None)
        if outcome != "passed":
            raise SystemExit(f"mutate: {test} fails without any fault: first make the tests pass")
        self.sound.add(test)

    def ask(self, copy: Copy, group: str, mutation: Mutation) -> Answer:
        """Run the nearest tests with the mutation in place, and then without it again."""
        source = (self.root / mutation.module).read_bytes()
        nearest = self.tests.nearest(mutation.module)
        outcome, by, total = "passed", "", 0.0
        for files in (nearest.mirror, nearest.importing):
            if not files:
                continue
            copy.write(mutation.module, mutation.apply(source))
            try:
                outcome, by, spent = copy.run(files, self.limit)
            finally:
                copy.write(mutation.module, source)
            total += spent
            if outcome == "failed":
                self.check(copy, by)
            if outcome != "passed":
                break
        outcome = {"passed": "survived", "failed": "caught"}.get(outcome, outcome)
        return Answer.to(
            mutation, group, outcome, by, round(total, 1), source=content(source), tests=self.tests.digest
        )


def content(source: bytes) -> str:
    """A short name for what a module holds."""
    return hashlib.sha256(source).hexdigest()[:12]


# What is kept and told


def recorded(path: Path) -> dict[tuple[str, str, str, str], str]:
    """The mutations that a person found to change nothing, and why: scripts/mutants.toml."""
    if not path.is_file():
        return {}
    found = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", [])
    return {(one["module"], one["function"], one["before"], one["after"]): one["why"] for one in found}


def read(path: Path) -> dict[tuple[str, str, str, str], Answer]:
    """The answers of earlier runs."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            Answer(**{**row, "line": int(row["line"]), "seconds": float(row["seconds"])})  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        ]
    return {row.key: row for row in rows}


def write(path: Path, answers: Iterable[Answer]) -> None:
    """All answers, in one step: a run that is stopped leaves a whole file."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Answer)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(answer) for answer in answers)
    temporary = path.with_suffix(".part")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(path)


def _shared(one: str, other: str) -> int:
    """How many letters two texts begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def around(before: str, after: str, room: int = 40) -> tuple[str, str]:
    """Both texts near the place where they differ.

    >>> around("x" * 90 + " < 3", "x" * 90 + " <= 3", room=4)
    ('…xx < 3', '…xx <= 3')
    """
    same = _shared(before, after)
    tail = _shared(before[same:][::-1], after[same:][::-1])
    left = max(0, same - room)

    def near(text: str) -> str:
        right = min(len(text), len(text) - tail + room)
        return ("…" if left else "") + text[left:right] + ("…" if right < len(text) else "")

    return near(before), near(after)


def summary(answers: Sequence[Answer], seed: int) -> str:
    """The Markdown of a draw: a table of groups, and one of mutations, survivors first."""
    lines = [f"{len(answers)} faults drawn with seed {seed}.", ""]
    lines += [
        "| group | faults | caught | of these by the time limit | survived | equivalent |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    counts = {
        group: Counter(answer.outcome for answer in answers if answer.group == group) for group in GROUPS
    }
    counts = {group: count for group, count in counts.items() if count}
    for name, count in (*counts.items(), ("all", sum(counts.values(), Counter()))):
        caught = count["caught"] + count["hangs"]
        lines.append(
            f"| {name} | {count.total()} | {caught} | {count['hangs']} | {count['survived']} | {count['equivalent']} |"
        )
    lines += ["", "| file:line | function | before | after | outcome | by |", "|---|---|---|---|---|---|"]
    order = ("survived", "equivalent", "hangs", "caught")
    for answer in sorted(
        answers, key=lambda answer: (order.index(answer.outcome), answer.module, answer.line)
    ):
        before, after = (f"`{_cell(text)}`" for text in around(answer.before, answer.after))
        outcome = answer.outcome.upper() if answer.outcome == "survived" else answer.outcome
        lines.append(
            f"| {answer.module}:{answer.line} | {answer.function} | {before} | {after} | {outcome} "
            f"| {_cell(answer.by)} |"
        )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def still_true(old: Answer | None, source: str, tests: str) -> bool:
    """Whether an earlier answer holds: its module is the same and, if it survived, the tests are too."""
    if old is None or old.source != source:
        return False
    return old.outcome in ("caught", "hangs") or (old.outcome == "survived" and old.tests == tests)


def settle(
    root: Path,
    drawn: Sequence[tuple[str, Mutation]],
    out: Path,
    equivalent: Path,
    *,
    jobs: int,
    limit: float,
) -> list[Answer]:
    """The answer to each mutation drawn, from an earlier run or from the tests; kept as they come."""
    tests, why = Suite(root), recorded(equivalent)
    path = out / "mutants.csv"
    earlier = read(path)
    answers: dict[tuple[str, str, str, str], Answer] = {}
    open_ones: list[tuple[str, Mutation]] = []
    for group, mutation in drawn:
        now, old = content((root / mutation.module).read_bytes()), earlier.get(mutation.key)
        if mutation.key in why:
            answers[mutation.key] = Answer.to(
                mutation, group, "equivalent", why[mutation.key], source=now, tests=tests.digest
            )
        elif old is not None and still_true(old, now, tests.digest):
            answers[mutation.key] = replace(old, line=mutation.line, group=group)
        else:
            open_ones.append((group, mutation))
    asking, idle, done = Asking(root, tests, limit), SimpleQueue[Copy](), len(answers)

    def one(task: tuple[str, Mutation]) -> None:
        nonlocal done
        copy = idle.get()
        try:
            answer = asking.ask(copy, *task)
        finally:
            idle.put(copy)
        with asking.lock:
            answers[answer.key] = answer
            # Answers to other draws stay: they may be asked for again.
            write(path, {**earlier, **answers}.values())
            done += 1
            before, after = around(answer.before, answer.after)
            print(
                f"{done}/{len(drawn)} {answer.outcome:8} {answer.module}:{answer.line} {before} -> {after}  "
                f"[{answer.by}] {answer.seconds:.0f} s",
                file=sys.stderr, flush=True,
            )  # fmt: skip

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Copy(root, Path(folder) / f"tree-{job}", seeded=tests.random) for job in range(jobs)]
        for copy in copies:
            idle.put(copy)
        pool = ThreadPoolExecutor(jobs)
        try:
            for future in [pool.submit(one, task) for task in open_ones]:
                future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for copy in copies:
                copy.stop()
            pool.shutdown()
    write(path, {**earlier, **answers}.values())
    return [answers[mutation.key] for _, mutation in drawn]


@cache
def every(root: Path, module: str) -> frozenset[tuple[str, str, str, str]]:
    """The keys of all mutations of a module; none where there is no such file."""
    path = root / module
    return frozenset(m.key for m in mutations(module, path.read_bytes())) if path.is_file() else frozenset()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; its exit code."""
    parser = argparse.ArgumentParser(
        prog="mutate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=40, help="how many faults are drawn (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws others (default: 0)")
    parser.add_argument("--only", type=Path, metavar="PATH", help="draw from this file or folder alone")
    parser.add_argument(
        "--list", action="store_true", help="print the draw and the tests of each; run nothing"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="copies of the tree that work side by side (default: 1)"
    )
    parser.add_argument("--limit", type=float, default=600, help="seconds until tests hang (default: 600)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/mutants"),
        help="folder of the tables (default: build/mutants)",
    )
    parser.add_argument(
        "--equivalent", type=Path, default=EQUIVALENT, help="file of faults that change nothing"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: that of this script)")
    asked = parser.parse_args(arguments)
    root = asked.root.resolve()
    drawn = draw(root, asked.count, asked.seed, asked.only.resolve() if asked.only else None)
    if not drawn:
        parser.error(f"--only {asked.only}: no module of a group is there; groups: {json.dumps(GROUPS)}")
    if asked.list:
        tests = Suite(root)
        for group, mutation in drawn:
            before, after = around(mutation.before, mutation.after)
            nearest = tests.nearest(mutation.module)
            print(f"{group}\t{mutation.module}:{mutation.line}\t{mutation.kind}\t{before}  ->  {after}")
            print(f"\t{' '.join(nearest.mirror)}; then {' '.join(nearest.importing) or 'none'}")
        return 0
    asked.out.mkdir(parents=True, exist_ok=True)
    for key in recorded(asked.equivalent):
        if key not in every(root, key[0]):
            print(
                f"mutate: {asked.equivalent} records what can no longer be made; remove it: {key}",
                file=sys.stderr,
            )
    answers = settle(root, drawn, asked.out, asked.equivalent, jobs=asked.jobs, limit=asked.limit)
    text = summary(answers, asked.seed)
    (asked.out / "mutants.md").write_text(text, encoding="utf-8")
    print(text)
    return int(any(answer.outcome == "survived" for answer in answers))


if __name__ == "__main__":
    sys.exit(main())
