"""Run a published LSE script on one video file, on a processor: `upstream_lse.py` does so in a process of its own.

The checkout's own code does the work. Changed from outside: CUDA calls go to the processor, weights come from the files
given, `cv2.split` answers a list and `numpy.int` exists, as when these scripts were written, and what goes into the
network is hashed.
"""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import shutil
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import python_speech_features
import scipy.interpolate
import scipy.io.wavfile
import scipy.signal  # noqa: F401 (loaded once, before the process of a task is forked)
import torch

OPTIONS = SimpleNamespace(batch_size=20, vshift=15, reference="clip", tmp_dir="", data_dir="")


@dataclass(frozen=True, slots=True)
class Task:
    """One script on one file."""

    script: str
    """One of SCRIPTS."""
    video: Path
    checkouts: Path
    """Holds the folders syncnet_python, Wav2Lip, LatentSync and MoChaBench."""
    weights: Path
    """Holds sfd_face.pth and syncnet_v2.model."""
    scenedetect: Path
    """The folder of one release."""
    tools: Path
    """Holds the ffmpeg to use."""
    place: Path
    """An empty folder to work in; the answer goes to answer.json beside it."""


class Ear:
    """Hashes of what the network gets for one track: pictures as bytes, sound as 16-bit samples."""

    def __init__(self) -> None:
        self.pictures, self.sound = hashlib.sha256(), ""

    def listen(self, network: type) -> None:
        """Hash all pictures that this class of networks sees from now on, and the sound of each call."""
        plain_lip, plain_mfcc = network.forward_lip, python_speech_features.mfcc

        def forward_lip(net: Any, windows: torch.Tensor) -> torch.Tensor:
            self.pictures.update(windows.to(torch.uint8).numpy().tobytes())
            return plain_lip(net, windows)

        def mfcc(samples: Any, *rest: Any) -> Any:
            self.sound = hashlib.sha256(samples.tobytes()).hexdigest()
            self.pictures = hashlib.sha256()
            return plain_mfcc(samples, *rest)

        network.forward_lip, python_speech_features.mfcc = forward_lip, mfcc

    def track(self, confidence: float, distance: float, offset: float) -> dict[str, Any]:
        """One track's answer with the hashes of its input."""
        values = {"c": float(confidence), "d": float(distance), "offset": int(offset)}
        return values | {"pictures": self.pictures.hexdigest(), "sound": self.sound}


def on_processor() -> None:
    """CUDA calls do nothing."""
    torch.Tensor.cuda = lambda self, *_, **__: self
    torch.nn.Module.cuda = lambda self, *_, **__: self
    plain_to = torch.nn.Module.to
    torch.nn.Module.to = lambda self, *a, **k: plain_to(self, *("cpu" if x == "cuda" else x for x in a), **k)
    tensor_to = torch.Tensor.to
    torch.Tensor.to = lambda self, *a, **k: tensor_to(self, *("cpu" if x == "cuda" else x for x in a), **k)
    plain_load = torch.load
    torch.load = lambda path, **_: plain_load(path, map_location="cpu", weights_only=True)
    plain_split = cv2.split
    cv2.split = lambda *a: list(plain_split(*a))
    np.__dict__["int"] = int


def workshop(checkouts: Path, weights: Path, place: Path) -> None:
    """A folder that looks like syncnet_python with its weights and Wav2Lip's script in it."""
    shutil.copytree(checkouts / "syncnet_python", place, dirs_exist_ok=True)
    shutil.copy(checkouts / "Wav2Lip/evaluation/scores_LSE/SyncNetInstance_calc_scores.py", place)
    (place / "detectors/s3fd/weights").mkdir(exist_ok=True)
    shutil.copy(weights / "sfd_face.pth", place / "detectors/s3fd/weights")
    os.chdir(place)
    sys.path.insert(0, str(place))


def instance(weights: Path, ear: Ear) -> Any:
    """Wav2Lip's SyncNetInstance with the network."""
    import SyncNetInstance_calc_scores as script

    ear.listen(script.S)
    made = script.SyncNetInstance()
    made.loadParameters(str(weights / "syncnet_v2.model"))
    return made


def wav2lip_lrs(args: Task) -> list[dict[str, Any]]:
    """calculate_scores_LRS.py on one file."""
    place = args.place
    workshop(args.checkouts, args.weights, place)
    ear = Ear()
    judge = instance(args.weights, ear)
    OPTIONS.tmp_dir = str(place / "tmp")
    offset, confidence, distance = judge.evaluate(OPTIONS, videofile=str(args.video))
    return [ear.track(confidence, distance, offset)]


def syncnet_real(args: Task) -> list[dict[str, Any]]:
    """run_pipeline.py and calculate_scores_real_videos.py on one file."""
    place = args.place
    workshop(args.checkouts, args.weights, place)
    data = place / "data" / "work"
    sys.argv = [
        "run_pipeline.py",
        "--videofile",
        str(args.video),
        "--reference",
        "clip",
        "--data_dir",
        str(data),
    ]
    runpy.run_path("run_pipeline.py", run_name="__main__")
    ear = Ear()
    judge = instance(args.weights, ear)
    OPTIONS.tmp_dir = str(data / "pytmp")
    found = []
    for crop in sorted((data / "pycrop" / "clip").glob("0*.avi")):
        offset, confidence, distance = judge.evaluate(OPTIONS, videofile=str(crop))
        found.append(ear.track(confidence, distance, offset))
    return found


def latentsync(args: Task) -> list[dict[str, Any]]:
    """eval/eval_sync_conf.py on one file, each track by itself."""
    place = args.place
    shutil.copytree(args.checkouts / "LatentSync" / "eval", place / "eval", dirs_exist_ok=True)
    (place / "checkpoints/auxiliary").mkdir(parents=True)
    shutil.copy(args.weights / "sfd_face.pth", place / "checkpoints/auxiliary")
    os.chdir(place)
    sys.path.insert(0, str(place))
    # Its helper module imports what diffusion needs; two names of it are used here.
    helpers = types.ModuleType("latentsync.utils.util")
    helpers.check_model_and_download = lambda *_, **__: None  # type: ignore[attr-defined]
    helpers.red_text = str  # type: ignore[attr-defined]
    for name in ("latentsync", "latentsync.utils"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["latentsync.utils.util"] = helpers
    from eval.syncnet import SyncNetEval
    from eval.syncnet_detect import SyncNetDetector

    judge = SyncNetEval(device="cpu")
    ear = Ear()
    ear.listen(type(judge.__S__))
    judge.loadParameters(str(args.weights / "syncnet_v2.model"))
    SyncNetDetector(device="cpu")(video_path=str(args.video), min_track=50)
    found = []
    for crop in sorted((place / "detect_results" / "crop").iterdir()):
        offset, distance, confidence = judge.evaluate(str(crop), "temp")
        found.append(ear.track(confidence, distance, offset))
    return found


def mocha(args: Task) -> list[dict[str, Any]]:
    """SyncNetPipeline.inference on one file, whose own sound is its voice."""
    place = args.place
    shutil.copytree(args.checkouts / "MoChaBench" / "eval-lipsync" / "script", place, dirs_exist_ok=True)
    os.chdir(place)
    sys.path.insert(0, str(place))
    import syncnet_pipeline as script

    ear = Ear()
    ear.listen(script.S)
    files = {
        "s3fd_weights": args.weights / "sfd_face.pth",
        "syncnet_weights": args.weights / "syncnet_v2.model",
    }
    pipe = script.SyncNetPipeline(files, device="cpu")
    answers: list[dict[str, Any]] = []
    evaluate = pipe.syncnet.evaluate

    def noted(opt: Any) -> Any:
        offset, confidence, distance = evaluate(opt=opt)
        answers.append(ear.track(confidence, distance, offset))
        return offset, confidence, distance

    pipe.syncnet.evaluate = noted
    pipe.inference(str(args.video), str(args.video), cache_dir=str(place / "cache"))
    return answers


SCRIPTS: dict[str, Callable[[Task], list[dict[str, Any]]]] = {
    "wav2lip-lrs": wav2lip_lrs,
    "syncnet-real": syncnet_real,
    "latentsync": latentsync,
    "mocha": mocha,
}


def run(task: Task) -> None:
    """Run it, and write {"tracks": [...]} or {"error": "..."} to answer.json beside its place."""
    os.environ["PATH"] = f"{task.tools}{os.pathsep}{os.environ['PATH']}"
    sys.path.insert(0, str(task.scenedetect))
    on_processor()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        answer: dict[str, Any] = {"tracks": SCRIPTS[task.script](task)}
    except Exception as error:  # foreign code: whatever it raises is its answer
        answer = {"error": f"{type(error).__name__}: {error}"}
    task.place.with_name("answer.json").write_text(json.dumps(answer), encoding="utf-8")
