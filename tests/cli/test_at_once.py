"""Help and refusals come at once. Tests hold the cause, not the clock: what a command has loaded when it ends."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from support.toy_shards import make_shards

SLOW = (
    "torch",
    "dask",
    "distributed",
    "mediapipe",
    "cv2",
    "pandas",
    "scipy",
    "numba",
    "lightning_fabric",
    "librosa",
)
"""Packages that take 0.1 s to several seconds to load, all the more when they are loaded for the first time."""
ASK = (
    "import sys\n"
    "from tkbench.__main__ import main\n"
    "try:\n"
    "    main()\n"
    "except SystemExit as stop:\n"
    "    sys.stdout.write(f'\\n{stop.code or 0} ')\n"
    "sys.stdout.write(' '.join(name for name in ARGS if name in sys.modules))\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards with the splits train and test, a photo and a voice: files that are there, whatever is in them."""
    place = tmp_path_factory.mktemp("here")
    make_shards(place, {"a/0": ("train", 30), "b/0": ("test", 30)})
    (place / "face.png").write_bytes(b"photo")
    (place / "voice.wav").write_bytes(b"voice")
    return place


def loaded(words: list[str], names: tuple[str, ...], place: Path) -> tuple[int, list[str], str]:
    """Exit code of a command, which of these modules it has loaded, and what it said."""
    code = f"ARGS = {names!r}\nimport sys\nsys.argv = ['tkbench', *{words!r}]\n{ASK}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=place,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    number, *found = done.stdout.splitlines()[-1].split(" ")
    return int(number), [name for name in found if name], done.stderr


@pytest.mark.parametrize(
    "words", [["--help"], ["eval", "--help"], ["train", "--help"], ["prep", "--help"], ["--version"]]
)
def test_help_needs_no_numpy(words: list[str], tmp_path: Path) -> None:
    code, found, said = loaded(words, ("numpy", "fsspec", *SLOW), tmp_path)
    assert (code, found) == (0, []), said


TRAIN = "train --data shards --out o.safetensors"
GENERATE = "generate --video face.png --audio voice.wav --out o.mp4"
REFUSED = {
    # A wrong name.
    f"{TRAIN} --model nope": "known: synctalkface",
    "eval --data shards --model nope": "no model is called 'nope'",
    "eval --data shards --model ankors": "no model is called 'ankors': did you mean anchors?",
    "eval --data shards --model real --protocol nope": "no protocol is called 'nope'",
    f"{GENERATE} --model nope": "no model is called 'nope'",
    "prep nope --root x --out o": "No such command 'nope'",
    "prep folder --root . --out ../o --backend nope": "no face tracker is called 'nope'",
    "weights fetch nope": "no weight is called 'nope'",
    "bench train shards --model nope": "no configuration is called 'nope-small'",
    # A file or folder that is not there.
    "eval --data nowhere --model real": "nowhere: no such folder",
    "eval --data shards --videos nowhere": "nowhere is not a folder",
    "eval --data shards --model cals:nowhere.safetensors": "nowhere.safetensors: no such file",
    "train --model cals --data nowhere --out o.safetensors --expert e": "nowhere: no such folder",
    "train --model syncnet --data nowhere --out o.safetensors": "nowhere: no such folder",
    "train --model voice --data nowhere --out o.safetensors": "nowhere: no such folder",
    f"{TRAIN} --model cals --expert nowhere": "nowhere: no such file",
    f"{TRAIN} --model cals --painter nowhere": "nowhere: no such file",
    f"{TRAIN} --model cals --painter sinctalkface": "did you mean synctalkface?",
    f"{TRAIN} --model cals --painter expert": "holds an expert, and a cals is trained",
    f"{TRAIN} --model wav2lip --from nowhere.pth": "nowhere.pth: no such file",
    "generate --model cals --video nowhere.mp4 --audio voice.wav --out o.mp4": "nowhere.mp4: no such file",
    "generate --model cals --video face.png --audio nowhere.wav --out o.mp4": "nowhere.wav: no such file",
    f"{GENERATE} --model cals --checkpoint nowhere.safetensors": "nowhere.safetensors: no such file",
    f"{GENERATE} --model cals --checkpoint voice.wav": "not a checkpoint of tkbench",
    "prep folder --root nowhere --out o": "nowhere: not a folder",
    "data show nowhere": "nowhere: no such folder",
    "data check lrw --root nowhere": "nowhere: not a folder",
    "bench train nowhere": "nowhere: no such folder",
    "bench load nowhere": "nowhere: no such folder",
    "verify nowhere": "no result.json",
    "compare nowhere": "no result.json",
    "report nowhere": "no result bundle",
    "sensitivity --data nowhere": "nowhere: no such folder",
    "weights add syncnet-v2 nowhere.pth": "nowhere.pth: no such file",
    # No expert, no checkpoint, no weights.
    f"{TRAIN} --model cals --config cals-paper": "give --expert FILE",
    f"{TRAIN} --model synctalkface --config synctalkface-paper": "give --expert FILE",
    f"{TRAIN} --model wav2lip --config wav2lip-paper": "give --expert FILE",
    f"{GENERATE} --model wav2lip": "needs a checkpoint",
    "prep folder --root . --out ../o --backend mediapipe-tasks": "weights that are not in",
    # A wrong configuration, or options that do not fit.
    f"{TRAIN} --model cals --config nope": "no configuration is called 'nope'",
    f"{TRAIN} --model cals --config wav2lip-small": "is for --model wav2lip",
    f"{TRAIN} --model syncnet --config nope": "no configuration is called 'nope'",
    "train --model cals --data shards --out o.pth --expert e": "must end in .safetensors",
    "generate --model cals --video face.png --audio voice.wav --out o.avi": "must end in .mp4",
    "eval --data shards": "nothing to score",
    f"{TRAIN} --model cals --set loss.gna=0": "[loss]: gna is not a setting: did you mean gan?",
    f"{TRAIN} --model cals --set loss.gan=abc": "gan = 'abc', expected a number",
    f"{TRAIN} --model cals --set loss.drawn_frames=3": "drawn_frames = 3: from 5 frames",
    f"{TRAIN} --model cals --set net.voice.layres=2": "did you mean layers?",
    f"{TRAIN} --model cals --set net.voice.heads=7": "take a divisor of 128",
    f"{TRAIN} --model synctalkface --set net.slots=0": "slots = 0: at least 1",
    f"{TRAIN} --model synctalkface --set net.memory=false": "there is nothing to train first",
    f"{TRAIN} --model wav2lip --set loss.sync=2": "shares of the loss",
    f"{TRAIN} --model cals --set loss.recon=-5": "recon = -5: at least 0",
    f"{TRAIN} --model expert --set loss.temperature=0": "temperature = 0: above 0",
    f"{TRAIN} --model expert --set optim.lr=0": "a learning rate is above 0",
    f"{TRAIN} --model expert --set optim.lr=nan": "expected a finite number",
    f"{TRAIN} --model expert --set optim.betas=3": "expected a list",
    f"{TRAIN} --model expert --set run.precision=fp16": "known: 32-true",
    f"{TRAIN} --model expert --device gpu": "expected cpu, cuda, cuda:NUMBER or mps",
    f"{TRAIN} --model expert --devices 2000": "on processors at most",
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_a_refusal_comes_before_anything_slow_is_loaded(
    words: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(folder))
    code, found, said = loaded(words.split(), SLOW, folder)
    assert code == 2, said
    assert REFUSED[words] in " ".join(said.split())
    assert found == []


@pytest.mark.skipif(
    Path("/proc/driver/nvidia").exists(), reason="there is a driver: torch says what it finds"
)
@pytest.mark.skipif(platform.system() != "Linux", reason="where a driver is, is known of Linux alone")
@pytest.mark.parametrize("words", [f"{TRAIN} --model cals", "eval --data shards --model cals"])
@pytest.mark.parametrize("device", ["cuda", "cuda:3", "mps"])
def test_a_device_that_cannot_be_is_refused_without_torch(words: str, device: str, folder: Path) -> None:
    code, found, said = loaded([*words.split(), "--device", device], SLOW, folder)
    assert (code, found) == (2, []), said
    assert f"--device {device!r}: " in said


def test_a_refused_command_leaves_no_folder(folder: Path) -> None:
    code, _, said = loaded(
        "train --model cals --data shards --out new/deep/o.safetensors --set loss.gna=0".split(), (), folder
    )
    assert code == 2, said
    assert not (folder / "new").exists()
