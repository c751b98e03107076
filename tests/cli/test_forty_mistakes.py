"""What people get wrong, a line each: the command ends at once with code 2 and one clear line, and nothing is lost.

All are run in one process that has loaded nothing yet, so that the cause of an answer at once is held, not the clock:
no torch, dask or mediapipe is loaded, and nothing is decoded, before a refusal that needs none of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import bundles
from support.toy_shards import SIZE, make_shards

from tkbench import media

HEAVY = ("torch", "dask", "distributed", "mediapipe", "lightning_fabric")
EVAL = "eval --data shards --leaderboards l --out r"
MISTAKES = {
    # The videos of a model.
    f"{EVAL} --videos nowhere": "nowhere is not a folder",
    f"{EVAL} --videos empty": "empty: holds no video; expected one per clip, such as a/0.mp4",
    f"{EVAL} --videos named": "holds 2 videos (a_0_result.mp4, b_0_result.mp4), none of them of one of the 2 clips "
    "(a/0, b/0); --pattern '{key}_result.mp4' would fit 2 of them",
    f"{EVAL} --videos parts": "--pattern 'take {name}.mp4' would fit 2 of them",
    f"{EVAL} --videos others": "say how they are named with --pattern '{key}_result.mp4'",
    f"{EVAL} --videos named --pattern {{name}}_result": "would fit 2 of them",
    f"{EVAL} --videos named --pattern out.mp4": "expected {key} (the clip's whole name) or {name}",
    f"{EVAL} --videos named --pattern {{id}}.mp4": "expected {key} (the clip's whole name) or {name}",
    f"{EVAL} --videos named --pattern ../{{key}}.mp4": "leads out of the folder",
    f"{EVAL} --model real --pattern {{key}}.mp4": "give --videos, too",
    f"{EVAL} --videos twice": "are both called so; give the folder of one of them",
    f"{EVAL} --videos small": "no video has the size of its clip: small/a__0.mp4 is 32x32, expected 64x64; give "
    "videos of the whole picture",
    f"{EVAL} --videos '~/no such videos'": "/no such videos is not a folder",
    f"{EVAL} --model files": "needs a setting, as in `files:DIR`",
    # A model that is a command, or comes with a package.
    f"{EVAL} --model 'cmd:nosuchprogram {{video}} {{audio}} {{out}}'": "nosuchprogram is no program on this machine",
    f"{EVAL} --model 'cmd:python infer.py'": "expected {video}, {audio} and {out}, or {list} alone",
    f"{EVAL} --model broken": "broken_pack:Model of package broken-pack 1.0 cannot be loaded (RuntimeError: no licence",
    f"{EVAL} --model reel": "did you mean real",
    f"{EVAL} --model shift:late": "shift:late",
    f"{EVAL} --model real --model real": "would both be called 'real'",
    EVAL: "nothing to score: give --model NAME",
    # What is scored, and how.
    "eval --model real": "Missing option '--data'",
    "eval --data videos --model real": "it is no folder of shards",
    "eval --data shards/index.json --model real": "is a file; expected the folder",
    "eval --data '~/no such shards' --model real": "/no such shards: no such folder",
    f"{EVAL} --model real --split tset": "tset",
    f"{EVAL} --model real --limit 0": "Invalid value for '--limit': expected at least 1",
    f"{EVAL} --model real --columns LSE": "did you mean lse_c",
    "eval --data shard --model real": "shard: no such folder; did you mean shards?",
    f"{EVAL} --model real --name a/b": "printable characters without slashes",
    f"{EVAL} --model real --protocol lsr2-v1": "did you mean lrs2-v1",
    f"{EVAL} --model real --columns pnsr": "did you mean psnr",
    f"{EVAL} --model real --by posse": "did you mean pose",
    f"{EVAL} --model real --lse syncnet-rael": "did you mean syncnet-real",
    f"{EVAL} --model real --resources GPU=1": "give --scheduler, too",
    f"{EVAL} --model real --sources nowhere": "nowhere: no such folder",
    f"{EVAL} --model real --cache c --no-cache": "exclude each other",
    "eval --data shards --leaderboards l --model real --out notes.txt": "notes.txt",
    # Preparation.
    "prep folder --root videos --out videos/shards": "videos/shards: is inside --root ",
    "prep folder --root videos --out videos": "videos: is the same as --root ",
    "prep folder --root videos/c1.mp4 --out o": "not a folder; give the folder that holds the videos",
    "prep folder --root empty --out o": "no video file found in it or below",
    "prep lrs2 --root videos --out o": "videos",
    "prep folder --root videos --out o --split-by speaker": "go together; give both",
    "prep folder --root videos --out o --backend mediapip": "did you mean mediapipe",
    "data check lrs2": "give --root",
    "data show shards --data shards": "found shards and shards",
    "data verify": "expected one folder of shards, as an argument or by --data; found none",
    # Results.
    "compare runs/TABLE/a": "give two folders or more",
    "compare runs --metric pnsr": "did you mean psnr",
    "report several": "several holds ",
    "report runs --out notes.txt/x.html": "notes.txt/x.html",
    "verify nowhere": "no result.json",
    "verify runs/TABLE/a --videos videos": "give --data SHARDS",
    "leaderboard export runs --format excel": "expected one of csv, markdown, latex",
    "leaderboard export runs --format csv --columns psnr": "a CSV is always whole",
    "leaderboard figure runs --out x.png": ".svg or .pdf",
    "leaderboard submit nowhere": "no result.json",
    "cite nowhere": "no such folder",
    "sensitivity --data shards --knob blurr": "did you mean blur",
    "sensitivity --data shards --out s.csv": "give the name of the HTML page",
    "leaderboard show t.csv": "t.csv: a table is made of its rows, and rows/t is not there; give the folder of its",
    "leaderboard show nosuch.csv": "nosuch.csv: no such file",
    "leaderboard show runs --quiet --verbose": "--quiet and --verbose exclude each other",
    "verify runs/TABLE/a -q -v": "--quiet and --verbose exclude each other",
    # Training, networks, names.
    "train --data shards --out o.safetensors": "Missing option '--model'",
    "train --model calls --data shards --out o.safetensors": "did you mean cals",
    "train --model cals --data shards --out o.pth": "must end in .safetensors",
    "train --model cals --data shards --out o.safetensors --set optim.lrr=1": "lrr",
    "generate --model cals --video face.png --audio nowhere.wav --out o.mp4": "nowhere.wav: no such file",
    "weights fetch syncnetv2": "did you mean syncnet-v2",
    "weights add syncnet-v2 notes.txt": "notes.txt",
    "protocol show lrs2": "did you mean lrs2-v1",
    "ls Synk-D": "did you mean Sync-D",
    "study memory --data shards --model cals": "only synctalkface has a memory",
}  # fmt: skip
RUNNER = """
import contextlib, io, json, sys
commands, heavy = json.loads(sys.stdin.read())
from tkbench import media
from tkbench.cli import main

def decoded(*_, **__):
    raise AssertionError("decoded a video")

for name in ("read_video", "read_audio"):
    setattr(media, name, decoded)
for words in commands:
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["tkbench", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main()
        except SystemExit as stop:
            code = stop.code
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
    loaded = [name for name in heavy if name in sys.modules]
    sys.__stdout__.write(json.dumps([code, out.getvalue(), err.getvalue(), loaded]) + chr(10))
    sys.__stdout__.flush()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of work as people have it: shards of a/0 and b/0, videos under several names, results, a bad package."""
    here = tmp_path_factory.mktemp("work")
    make_shards(here, {"a/0": ("test", 30), "b/0": ("test", 30)})
    (here / "one.mp4").unlink()
    right, small = np.zeros((5, SIZE, SIZE, 3), np.uint8), np.zeros((5, 32, 32, 3), np.uint8)
    for name, video in (
        ("named/a_0_result.mp4", right),
        ("named/b_0_result.mp4", right),
        ("parts/take 0.mp4", right),
        ("others/take.mp4", right),
        ("twice/x/a_0.mp4", right),
        ("twice/y/a_0.mp4", right),
        ("small/a__0.mp4", small),
        ("small/b__0.mp4", small),
        ("videos/c1.mp4", right),
    ):
        (here / name).parent.mkdir(exist_ok=True, parents=True)
        media.write_video(here / name, video)
    (here / "empty").mkdir()
    (here / "notes.txt").write_text("notes")
    (here / "t.csv").write_text("rank,model\n")
    (here / "face.png").write_bytes(b"photo")
    for model in ("a", "b"):
        made = bundles.make(here / "made", model, 1.0)
        (here / "runs" / "TABLE").mkdir(parents=True, exist_ok=True)
        made.rename(here / "runs" / "TABLE" / model)
    for table in ("one", "two"):
        (here / "several" / table).mkdir(parents=True)
        bundles.make(here / "made", "a", 1.0).rename(here / "several" / table / "a")
    package = here / "packages"
    (package / "broken_pack-1.0.dist-info").mkdir(parents=True)
    (package / "broken_pack.py").write_text("raise RuntimeError('no licence')\n")
    facts = package / "broken_pack-1.0.dist-info"
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-pack\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[tkbench.models]\nbroken = broken_pack:Model\n")
    return here


def state(folder: Path) -> dict[str, str]:
    """Every file and its hash; what Python compiled is no one's loss."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def answers(place: Path) -> dict[str, tuple[object, str, str, list[str]]]:
    """Command -> exit code, stdout, stderr and the heavy packages that were loaded by then."""
    before = state(place)
    path = os.pathsep.join([str(place / "packages"), str(Path(media.__file__).parents[2]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps([[shlex.split(words) for words in MISTAKES], HEAVY]),
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env={**os.environ, "PYTHONPATH": path, "TKBENCH_WEIGHTS": str(place / "empty"), "COLUMNS": "80"},
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(MISTAKES), done.stderr
    (place / "lost.json").write_text(json.dumps(sorted(set(before.items()) ^ set(state(place).items()))))
    return {words: tuple(json.loads(line)) for words, line in zip(MISTAKES, lines, strict=True)}  # type: ignore[misc]


def test_there_are_forty_and_more() -> None:
    assert len(MISTAKES) >= 40


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_clear_line(
    words: str, answers: dict[str, tuple[object, str, str, list[str]]]
) -> None:
    code, out, err, _ = answers[words]
    assert code == 2, f"{code}: {err}"
    assert out == ""
    assert err.startswith("tkbench: ")
    assert err.count("\n") == 1, err
    assert MISTAKES[words] in err
    assert "Traceback" not in err


def test_nothing_is_written_or_lost(
    place: Path, answers: dict[str, tuple[object, str, str, list[str]]]
) -> None:
    assert len(answers) == len(MISTAKES)
    assert json.loads((place / "lost.json").read_text()) == []


def test_no_mistake_loads_anything_heavy(answers: dict[str, tuple[object, str, str, list[str]]]) -> None:
    """In the order of the table: the first that loads something is the one to mend."""
    for words, (_, _, _, loaded) in answers.items():
        assert loaded == [], f"{words}: loaded {', '.join(loaded)}"
