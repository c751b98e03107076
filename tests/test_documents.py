"""The documents: every link leads somewhere, every command parses, every named file and function exists."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import sys
import textwrap
from functools import lru_cache
from pathlib import Path

import pytest
import typer
from test_layering import LAYERS

from tkbench import cli
from tkbench.types import Reason
from tkbench.version import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", ".github/*.md", "docs/*.md", "leaderboards/*.md", "examples/*/*.md")
    for path in ROOT.glob(pattern)
)
# Code spans that begin like this are paths of the repository, unless they hold a placeholder.
PLACES = ("tkbench/", "tests/", "docs/", "scripts/", "notebooks/", "leaderboards/", "examples/", ".github/")
PLACEHOLDER = re.compile(r"[<>{}*$ ]|[A-Z]{4,}|\.\.\.")
# `path.py`: `name`, `Class.method` and `other`
NAMED = re.compile(r"`([\w./-]+\.py)`: ((?:`[\w.]+`(?:, and |, | and )?)+)")
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@lru_cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@lru_cache
def blocks(path: Path) -> tuple[tuple[str, str], ...]:
    """(language, content) of each fenced block, also of those within a list."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", text_of(path), re.M | re.S)
    return tuple((language, textwrap.dedent(content)) for _, language, content in found)


@lru_cache
def prose(path: Path) -> str:
    """The text without its fenced blocks and comments."""
    return re.sub(r"^ *```.*?^ *```|<!--.*?-->", "", text_of(path), flags=re.M | re.S)


def spans(path: Path) -> list[str]:
    """Inline code."""
    return re.findall(r"`([^`\n]+)`", prose(path))


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def part(path: Path, name: str) -> str:
    """What stands between the marks `<!-- name -->` and `<!-- end of name -->`."""
    return text_of(path).split(f"<!-- {name} -->")[1].split(f"<!-- end of {name} -->")[0]


# -- links, files, functions ---------------------------------------------------------------------------------


@each_document
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{path.name}: {target} leads nowhere"
        if anchor:
            headings = {slug(found) for found in re.findall(r"^#+ (.+)$", text_of(there), re.M)}
            assert anchor in headings, f"{path.name}: {target}: no such heading"


@each_document
def test_every_named_file_exists(path: Path) -> None:
    for span in spans(path):
        name, _, test = span.partition("::")
        if name.startswith(PLACES) and not PLACEHOLDER.search(name):
            # docs/metrics.md names tests below tests/, as pytest prints them from there.
            assert (ROOT / name).exists(), f"{path.name}: {span} does not exist"
            if test:
                assert test.split("[")[0] in defined(ROOT / name), f"{path.name}: {span}"


@each_document
def test_every_named_function_exists(path: Path) -> None:
    for file, names in NAMED.findall(prose(path)):
        if PLACEHOLDER.search(file):
            continue
        for name in re.findall(r"`([\w.]+)`", names):
            assert name in defined(ROOT / file), f"{path.name}: {file} has no {name}"


@each_document
def test_every_named_test_exists(path: Path) -> None:
    """`test_of_something` without a file; those with one are held above."""
    everywhere = "".join(text_of(file) for file in sorted((ROOT / "tests").rglob("test_*.py")))
    for span in spans(path):
        if re.fullmatch(r"test_\w+", span):
            assert f"def {span}(" in everywhere, f"{path.name}: {span} does not exist"


@lru_cache
def defined(file: Path) -> frozenset[str]:
    """Names of functions, classes, methods (`Class.method`) and variables of a module."""
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            inner = (item for item in node.body if isinstance(item, ast.FunctionDef | ast.ClassDef))
            found |= {node.name, *(f"{node.name}.{item.name}" for item in inner)}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


# -- commands and code ---------------------------------------------------------------------------------------


def all_lines(path: Path) -> list[str]:
    """The commands of blocks without a language or with a shell's, continued lines joined, comments cut off."""
    lines: list[str] = []
    for language, content in blocks(path):
        if language in ("", "bash", "sh", "console"):
            for line in content.replace("\\\n", " ").splitlines():
                bare = re.sub(r"(^|\s)#.*", "", line.removeprefix("$ ")).strip().removeprefix("time ")
                if bare:
                    lines.append(bare)
    return lines


def command_lines(path: Path) -> list[str]:
    """Those of them that are commands of tkbench."""
    return [line for line in all_lines(path) if line.startswith("tkbench ")]


EXAMPLES = (["takes"],)
"""Data sets of examples/plug-in, which is not installed here: their commands take what those of LRS3 take."""


@lru_cache
def root_command() -> object:
    return typer.main.get_command(cli.app)


def find(words: list[str]) -> tuple[object, list[str]]:
    """The command (or group) that the words begin with, and the words that are left."""
    command = root_command()
    if words[:1] == ["prep"] and words[1:2] in EXAMPLES:
        words = ["prep", "lrs3", *words[2:]]
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]  # type: ignore[attr-defined]
    return command, words


@each_document
def test_every_command_line_parses(path: Path) -> None:
    for line in command_lines(path):
        command, arguments = find(shlex.split(line)[1:])
        if getattr(command, "commands", None) is None:
            command.make_context("tkbench", arguments)  # type: ignore[attr-defined]
        else:
            assert arguments in ([], ["--help"], ["--version"]), f"{path.name}: {line}: no such command"


@each_document
def test_every_command_in_a_sentence_exists_with_its_options(path: Path) -> None:
    for span in spans(path):
        words = span.removeprefix("python -m ").split()
        if words[0] != "tkbench" or len(words) == 1:
            continue
        command, rest = find(words[1:])
        if getattr(command, "commands", None) is not None:
            # A group by its own name, or a placeholder: `tkbench prep NAME`, `tkbench prep ... --backend NAME`.
            allowed = not rest or rest[0].startswith("-") or PLACEHOLDER.search(rest[0]) or rest[0] == "NAME"
            assert allowed, f"{path.name}: {span}: no such command"
            continue
        options = {name for item in command.params for name in item.opts} | {"--help", "-h"}  # type: ignore[attr-defined]
        for option in (word.split("=")[0] for word in rest if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word)):
            assert option in options, f"{path.name}: {span}: no option {option}"


def all_options(command: object) -> set[str]:
    inner = getattr(command, "commands", {}).values()
    own = {name for item in getattr(command, "params", ()) for name in item.opts}
    return own.union(*(all_options(sub) for sub in inner))


@each_document
def test_every_option_in_a_sentence_is_one_of_some_command(path: Path) -> None:
    known = all_options(root_command()) | {"--help"}
    for span in spans(path):
        if found := re.match(r"--[a-z][\w-]*", span):
            assert found[0] in known, f"{path.name}: {span}: no command has this option"


@each_document
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):(?!=)", text_of(ROOT / "Makefile"), re.M))
    shown = [line for language, content in blocks(path) if not language for line in content.splitlines()]
    for line in (*spans(path), *shown):
        if found := re.match(r"(?:\w+=\S+ )*make ([a-z][\w-]*)", line):
            assert found[1] in targets, f"{path.name}: {line}"


@each_document
def test_code_blocks_are_what_they_say(path: Path) -> None:
    for language, content in blocks(path):
        if language == "python":
            compile(content, str(path), "exec")
        elif language == "toml":
            tomllib.loads(content)
        else:
            assert language in ("", "bash", "text", "mermaid", "bibtex"), f"{path.name}: {language}"


def test_every_figure_of_speed_has_its_command() -> None:
    for section in re.split(r"^## ", text_of(ROOT / "docs" / "speed.md"), flags=re.M)[1:]:
        assert re.search(r"^```\n(time )?(tkbench|python) ", section, re.M), section.splitlines()[0]


def test_settings_of_configurations_exist() -> None:
    """`[data] flip` and the like in docs/models.md: fields of the records that read a configuration."""
    known: set[str] = set()
    for folder in ("models", "train"):
        for file in sorted((ROOT / "tkbench" / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(text_of(file))):
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    known.add(node.target.id)
    named = re.findall(r"`\[[\w.]+\] (\w+)`", text_of(ROOT / "docs" / "models.md"))
    assert len(named) >= 10
    assert set(named) <= known, set(named) - known


@each_document
def test_calls_in_python_blocks_fit_their_signatures(path: Path) -> None:
    """`tkbench.data.load(..., batch=64)`: names and number of arguments; nothing is run."""
    import tkbench

    for language, content in blocks(path):
        for node in ast.walk(ast.parse(content)) if language == "python" else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("tkbench."):
                target: object = tkbench
                for name in ast.unparse(node.func).split(".")[1:]:
                    if not hasattr(target, name):
                        break  # a method of what a call gave
                    target = getattr(target, name)
                else:
                    names = {keyword.arg or "": None for keyword in node.keywords}
                    inspect.signature(target).bind(*node.args, **names)  # type: ignore[arg-type]


def test_every_group_of_entry_points_is_explained() -> None:
    from tkbench import metrics, models, protocol
    from tkbench.metrics import fvd, headpose
    from tkbench.models import kinds
    from tkbench.prep import datasets

    registries = (models.registry, metrics.registry, datasets.registry, protocol.installed, kinds.registry)
    networks = (fvd.video_features, headpose.pose_networks)
    groups = {str(registry.group) for registry in (*registries, *networks)}
    table = text_of(ROOT / "docs" / "plug-ins.md").split("| group |")[1]
    assert set(re.findall(r"^\| `(tkbench\.\w+)` \|", table, re.M)) == groups


# -- docs/architecture.md ------------------------------------------------------------------------------------

ARCHITECTURE = ROOT / "docs" / "architecture.md"


def test_the_listed_layers_are_those_of_the_layering_test() -> None:
    """`LAYERS` is what tests/test_layering.py compares with the imports."""
    lines = [line for line in part(ARCHITECTURE, "layers").splitlines() if line]
    assert [set(re.findall(r"`(\w+)`", line)) for line in lines] == LAYERS
    assert [line.split(".")[0] for line in lines] == [str(number + 1) for number in range(len(LAYERS))]


def test_the_drawn_layers_are_those_of_the_layering_test() -> None:
    (drawing,) = (content for _, content in blocks(ARCHITECTURE) if "subgraph" in content)
    boxes = re.findall(r"subgraph (L\d+)\[.*?\]\n(.*?)\n\s+end", drawing, re.S)
    assert [set(re.findall(r"\w+", nodes)) for _, nodes in boxes] == LAYERS
    assert " --> ".join(name for name, _ in boxes) in drawing


def test_every_part_is_described() -> None:
    table = text_of(ARCHITECTURE).split("| part | what lives there |")[1].split("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.M)
    described = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(described) == sorted(name for layer in LAYERS for name in layer)


def reasons(name: str) -> list[tuple[set[str], str]]:
    """(reasons, where) of each row of a table in docs/architecture.md."""
    rows = [row.split("|") for row in part(ARCHITECTURE, name).splitlines() if row.startswith("| `")]
    return [(set(re.findall(r"`([\w-]+)`", row[1])), row[3]) for row in rows]


def test_every_reason_is_explained_and_given_where_it_is_said() -> None:
    rows = [*reasons("reasons of preparation"), *reasons("reasons of scoring")]
    assert {reason for found, _ in rows for reason in found} == {reason.value for reason in Reason}
    for found, where in rows:
        files = re.findall(r"`(tkbench/[\w/.-]+\.py)`", where)
        source = "".join(text_of(ROOT / file) for file in files)
        for reason in found if files else ():
            assert f"Reason.{Reason(reason).name}" in source, f"{reason} is not given in {files}"


# -- the project's own facts ---------------------------------------------------------------------------------


def test_citations_name_this_version_and_the_same_works() -> None:
    cff = text_of(ROOT / "CITATION.cff")
    page = text_of(ROOT / "docs" / "cite.md")
    assert re.findall(r"^version: (.+)$", cff, re.M) == [__version__]
    for text in (page, text_of(ROOT / "README.md")):
        assert re.findall(r"version = \{(.+)\}", text) == [__version__]
    plain = re.sub(r"[{}]", "", page)
    titles = re.findall(r'^    title: "(.+)"$', cff, re.M)
    assert len(titles) == 4
    for title in titles:
        assert f"= {title}," in plain, f"docs/cite.md does not cite {title!r}"


def test_the_changelog_has_this_version_and_says_what_scores_change() -> None:
    changes = text_of(ROOT / "CHANGELOG.md")
    assert f"\n## {__version__}\n" in changes
    for version in re.split(r"^## ", changes, flags=re.M)[1:]:
        assert "### Scores change" in version, version.splitlines()[0]


def test_the_workflow_runs_every_python_that_is_claimed() -> None:
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(text_of(ROOT / ".github" / "workflows" / "ci.yml"))["jobs"]
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    claimed = re.findall(r":: Python :: (\d\.\d+)'", str(project["classifiers"]))
    assert jobs["test"]["strategy"]["matrix"]["python"] == claimed
    steps = " ".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    for command in ("make check", "make test", "make demo", "--resolution lowest-direct"):
        assert command in steps


def test_issue_forms_are_forms() -> None:
    yaml = pytest.importorskip("yaml")
    forms = [
        path for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"
    ]
    assert [path.stem for path in forms] == ["bug", "new", "number"]
    for path in forms:
        form = yaml.safe_load(text_of(path))
        assert form["name"], path.name
        assert form["description"], path.name
        names = [field["id"] for field in form["body"]]
        assert len(names) == len(set(names)), path.name
        assert all(field["attributes"]["label"] for field in form["body"]), path.name
    assert "tkbench doctor" in text_of(forms[0])
