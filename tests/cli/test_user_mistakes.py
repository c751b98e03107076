"""Mistakes that people make with the commands that score, train and generate: one line, exit code 2, nothing lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support import bundles
from support.toy_shards import make_shards

from tkbench import __main__, media, shards, weights
from tkbench.cli import main
from tkbench.cli.common import writable
from tkbench.errors import BadBundle, BadInput, BadMedia, BadShards, UsageError, WeightsRefused
from tkbench.generate import generate
from tkbench.models import checkpoint, kinds
from tkbench.models.face import Cut
from tkbench.models.spec import wide
from tkbench.results import bundle
from tkbench.train import state
from tkbench.train.config import Config, Run
from tkbench.train.loop import TrainingJob, train

SPEC = {"size": 64, "width": 0.05}
CUT = Cut("steady-172", 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("toys"), {"a/0": ("test", 30), "b/0": ("test", 30)})


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str]:
    """(exit code, what was said) of a command."""
    monkeypatch.setattr("sys.argv", ["tkbench", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    code = stop.value.code
    return (code if isinstance(code, int) else 0), capsys.readouterr().err


def talker(path: Path) -> str:
    torch.manual_seed(0)
    net = kinds.registry.get("wav2lip").build(SPEC)
    checkpoint.save(path, net.state_dict(), checkpoint.Facts("wav2lip", SPEC, CUT))
    return f"wav2lip:{path}"


def test_generate_never_writes_over_what_it_reads(tmp_path: Path) -> None:
    model, video, voice = talker(tmp_path / "m.safetensors"), tmp_path / "v.mp4", tmp_path / "a.wav"
    media.write_video(video, iter(np.zeros((3, 32, 32, 3), np.uint8)), audio=np.zeros(1920, np.float32))
    voice.write_bytes(b"")
    before = video.read_bytes()
    with pytest.raises(UsageError, match="is the photo or video itself"):
        generate(model, video, video, video)
    assert video.read_bytes() == before
    with pytest.raises(UsageError, match="is a folder; expected a voice file"):
        generate(model, video, tmp_path, tmp_path / "o.mp4")
    with pytest.raises(BadMedia, match=r"a\.wav: "):
        generate(model, video, voice, tmp_path / "o.mp4")


def test_training_never_writes_over_a_file_of_another_run(folder: Path, tmp_path: Path) -> None:
    expert = tmp_path / "e.safetensors"
    talker(expert)
    rules = Config("wav2lip", 1, cut=CUT, net=SPEC)
    for teacher, said in ((expert, "is the expert itself"), (None, "exists and is not of this run")):
        with pytest.raises(UsageError, match=said):
            train(TrainingJob(folder, expert, rules, expert=teacher))
    with pytest.raises(UsageError, match="has no split train, only test"):
        train(
            TrainingJob(
                folder, tmp_path / "x.safetensors", Config("expert", 1, cut=CUT, net=SPEC), accelerator="cpu"
            )
        )
    assert not (tmp_path / "x.run").exists()
    trained = make_shards(tmp_path, {"a/0": ("train", 30)})
    with pytest.raises(UsageError, match="--device 'gpuu'"):
        train(
            TrainingJob(
                trained,
                tmp_path / "x.safetensors",
                Config("expert", 1, cut=CUT, net=SPEC),
                accelerator="gpuu",
            )
        )


def test_another_expert_is_another_run() -> None:
    import json

    rules = Config("wav2lip", 1)
    one, other = (json.loads(state.identity(rules, "d", 1, sha)) for sha in ("a", "b"))
    assert list(state.differences(one, other)) == ["the expert"]


def test_settings_that_nothing_can_do_are_refused() -> None:
    with pytest.raises(UsageError, match="log_every = 0"):
        Config("cals", 1, run=Run(log_every=0))
    with pytest.raises(UsageError, match="seed = -1"):
        Config("cals", 1, seed=-1)
    with pytest.raises(BadInput, match="width -1"):
        wide(64, -1)


def test_a_checkpoint_without_numbers_is_refused(tmp_path: Path) -> None:
    talker(tmp_path / "m.safetensors")
    net, facts = checkpoint.load(tmp_path / "m.safetensors", "wav2lip")
    broken = {name: value * float("nan") for name, value in net.state_dict().items()}
    checkpoint.save(tmp_path / "nan.safetensors", broken, facts)
    with pytest.raises(WeightsRefused, match="holds nan or infinite values"):
        checkpoint.load(tmp_path / "nan.safetensors", "wav2lip")


def test_what_is_no_folder_of_shards_is_said(tmp_path: Path) -> None:
    file = tmp_path / "v.mp4"
    file.write_text("x")
    for path, said in ((file, "is a file; expected the folder"), (tmp_path, "it is no folder of shards, or")):
        with pytest.raises(BadShards, match=said):
            shards.open_shards(path)


def test_two_models_of_one_name_are_not_one_row(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--out", tmp_path / "r", "--leaderboards", tmp_path / "l", "-w", 1)
    code, said = run(monkeypatch, capsys, "eval", "--data", folder, "-m", "real", "-m", "real", *words)
    assert code == 2
    assert "would both be called 'real'" in said
    assert not (tmp_path / "r").exists()


def test_a_table_is_made_of_the_clips_that_its_bundles_have_the_hash_of(tmp_path: Path) -> None:
    one, other = bundles.make(tmp_path, "a", 1.0), bundles.make(tmp_path, "b", 2.0)
    (one / "clips.parquet").write_bytes((other / "clips.parquet").read_bytes())
    with pytest.raises(BadBundle, match="was changed or is of another run"):
        bundle.read(one).clips()


def test_verify_goes_on_after_a_bad_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = bundles.make(tmp_path, "a", 1.0), bundles.make(tmp_path, "b", 2.0)
    (bad / "clips.parquet").unlink()
    code, said = run(monkeypatch, capsys, "verify", bad, good)
    assert code == 2
    assert f"{good}: holds; recomputed means and intervals of " in said
    assert "clips.parquet: missing" in said


def test_places_that_cannot_be_written_are_found_before_the_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UsageError, match="--out"):
        writable(file / "deep" / "x.html", "--out")
    with pytest.raises(UsageError, match="is a folder"):
        writable(tmp_path, "--out")
    code, said = run(monkeypatch, capsys, "eval", "--data", folder, "-m", "real", "--out", file, "-w", 1)
    assert (code, said.count("\n")) == (2, 1)
    code, said = run(
        monkeypatch, capsys, "report", bundles.make(tmp_path, "a", 1.0).parent, "--out", file / "p.html"
    )
    assert (code, said.count("\n")) == (2, 1)
    code, said = run(monkeypatch, capsys, "sensitivity", "--data", folder, "--out", tmp_path / "s.csv")
    assert code == 2
    assert "give the name of the HTML page" in said


def test_an_added_wav2lip_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tkbench import models

    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(UsageError, match="tkbench weights add wav2lip-gan FILE"):
        models.create("wav2lip")
    text = tmp_path / "notes.txt"
    text.write_text("no weights at all")
    with pytest.raises(WeightsRefused, match="not a file of weights"):
        weights.add("wav2lip-gan", text)
    net = kinds.registry.get("wav2lip").build({"size": 96, "width": 1.0})
    source = tmp_path / "theirs.pth"
    torch.save({"state_dict": net.state_dict()}, source)
    weights.add("wav2lip-gan", source)
    assert models.create("wav2lip").card.name == "wav2lip-gan"
    other = tmp_path / "other.pth"
    torch.save({"state_dict": {}}, other)
    with pytest.raises(WeightsRefused, match=r"that of the first file that was added.*pins\.json"):
        weights.add("wav2lip-gan", other)


@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_in_a_callback_still_ends_the_command(busy: bool) -> None:
    """Python drops an exception that is raised in a destructor; the command ends all the same.

    On a busy machine the alarm that asks again may ring before the one who set it has returned, where the exception
    would be dropped a second time.
    """
    script = textwrap.dedent("""
        import os, signal, sys, time
        from tkbench import cli

        # A shell starts what runs in the background with Ctrl-C ignored, and that is kept.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        class Last:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)

        set_timer = signal.setitimer

        def set_and_linger(which, seconds):
            signal.setitimer = set_timer
            set_timer(which, 1e-6)
            time.sleep(0.01)

        if sys.argv[1] == "busy":
            signal.setitimer = set_and_linger

        @cli.app.command("wait-for-it")
        def wait_for_it() -> None:
            Last()
            for _ in range(100):
                time.sleep(0.1)
            print("still running")

        sys.argv = ["tkbench", "wait-for-it"]
        cli.main()
    """)
    words = [sys.executable, "-c", script, "busy" if busy else "idle"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 130, done.stderr
    assert "still running" not in done.stdout
    assert "tkbench: stopped" in done.stderr


def test_ctrl_c_waits_for_an_import_to_end_and_two_signals_at_once_are_one(tmp_path: Path) -> None:
    """A library that is stopped while it registers itself aborts the process; `timeout -s INT` signals twice."""
    (tmp_path / "slow_to_import.py").write_text(
        "import os, signal, time\n"
        "for _ in range(2):\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(0.2)\nprint('imported', flush=True)\n"
    )
    script = textwrap.dedent("""
        import signal, sys, time
        from tkbench import cli

        signal.signal(signal.SIGINT, signal.default_int_handler)

        @cli.app.command("load-it")
        def load_it() -> None:
            import slow_to_import
            time.sleep(20)
            print("still running")

        sys.argv = ["tkbench", "load-it"]
        cli.main()
    """)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__main__.__file__).parents[1])]),
        },
    )
    assert done.returncode == 130, done.stderr
    assert done.stdout == "imported\n"
    assert "tkbench: stopped; " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["eval", "--limit", "0", "--data", "x"], "Invalid value for '--limit': .*`tkbench eval --help`"),
        (["eval"], "Missing option '--data' / '-d'; `tkbench eval --help` shows what there is"),
        (["evall"], "No such command 'evall'. Did you mean 'eval'; `tkbench --help`"),
        (["weights", "fetsch"], "No such command 'fetsch'.*`tkbench weights --help`"),
        (
            ["train", "--modle", "cals"],
            r"No such option: --modle: did you mean --model\?; `tkbench train --help`",
        ),
        (["eval", "--video", "x"], r"No such option: --video: did you mean --videos\?; .*"),
        (["leaderboard", "show", "--video", "x"], "No such option: --video: .* `tkbench eval`; .*"),
        (
            ["eval", "--metrics", "lse"],
            "No such option: --metrics: metrics .* --protocol, listed by `tkbench ls`; .*",
        ),
        (["eval", "--zzz"], "No such option: --zzz; `tkbench eval --help` shows what there is"),
    ],
)
def test_words_that_are_no_command_get_one_line(
    arguments: list[str], line: str, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run_cli(*arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(f"tkbench: {line}.*\n", err), err


def test_a_command_without_words_shows_its_help(run_cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run_cli("weights")
    assert code == 2
    assert "fetch" in out
    assert err == ""


def test_ctrl_c_while_the_commands_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stopped(types.ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "tkbench.cli", Stopped("tkbench.cli"))
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as stop:
        __main__.main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "tkbench: stopped before anything began\n"


def test_videos_of_which_none_can_be_used_are_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, out, clips = tmp_path / "videos", tmp_path / "shards", tmp_path / "clips"
    videos.mkdir()
    (videos / "a.mp4").write_text("no video at all")
    code, said = run(
        monkeypatch, capsys, "prep", "folder", "--root", videos, "--out", out, "-w", 1, "--quiet"
    )
    assert (code, said.count("\n")) == (2, 1)
    assert "no clip of 1 can be used (not-a-video: a)" in said
    assert shards.open_shards(out).keys() == ()
    code, said = run(monkeypatch, capsys, "data", "export", out, "--out", clips, "--quiet")
    assert (code, said.count("\n")) == (2, 1)
    assert "1 clip, and none that can be used" in said
    assert not clips.exists()


def test_eval_says_what_preparation_left_out(tmp_path: Path) -> None:
    from tkbench.cli.score import left_out

    opened = shards.open_shards(make_shards(tmp_path, {"a/0": ("test", 30)}))
    assert left_out(opened, None) == ""
    table = opened.manifest()
    gone = table.assign(clip="b", key="b", status="skipped", reason="no-face")
    opened._frame = pd.concat([table, gone, gone.assign(split=None, reason="not-a-video")], ignore_index=True)
    said = left_out(opened, "test")
    assert "2 clips left out in preparation (no-face 1, not-a-video 1)" in said
    assert "1 clip left out" in left_out(opened, "val")


def test_bundled_weights_say_once_what_they_have_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr("tkbench.scoring.estimate.estimate", lambda *_, **__: sys.exit(0))
    models = [word for name in ("mute:cals", "cals", "real") for word in ("-m", name)]
    code, said = run(monkeypatch, capsys, "eval", "--data", folder, *models, "--dry-run")
    assert code == 0, said
    assert said.count("have seen synthetic faces alone") == 1
