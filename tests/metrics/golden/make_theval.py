"""Write theval.json: what THEval's own code says of a made-up face and voice.

    git clone https://github.com/Newbyl/THEval && git -C THEval checkout cfe23fe
    python tests/metrics/golden/make_theval.py THEval

Its scripts read a file, track a face and ask networks. Here they run as they are, on a file that is not there: OpenCV,
decord, mediapipe and silero-vad are replaced by sources of `face` and `SPEECH` below.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import librosa  # noqa: F401  # the scripts import these; a stub among their own imports would break them
import numpy as np
import torchvision.transforms  # noqa: F401

GOLDEN = Path(__file__).with_name("theval.json")
FRAMES, WIDTH, HEIGHT = 60, 320, 240
SPEECH = [(0.0, 0.5), (1.1, 1.7)]
"""Seconds."""


def face() -> np.ndarray:
    """(60, 478, 2) float64 pixels of 320 x 240: points about a middle that wander; the eyes lie apart."""
    rng = np.random.default_rng(7)
    rest = np.array([WIDTH / 2, HEIGHT / 2]) + rng.normal(0, 25, (478, 2))
    rest[[33, 133]] -= (40, 20)
    rest[[362, 263]] += (40, -20)
    steps = rng.normal(0, 1.5, (FRAMES, 478, 2)) + rng.normal(0, 1.0, (FRAMES, 1, 2))
    return np.asarray(rest + np.cumsum(steps, axis=0) * 0.3)


def poses() -> np.ndarray:
    """(60, 5) degrees and pixels."""
    return np.asarray(np.cumsum(np.random.default_rng(8).normal(0, 1, (FRAMES, 5)), axis=0))


def voice() -> np.ndarray:
    """(60 * 640,) float32."""
    rng = np.random.default_rng(9)
    loud = np.repeat(rng.uniform(0, 0.5, FRAMES), 640)
    return np.asarray(loud * rng.standard_normal(FRAMES * 640), np.float32)


def _stub(name: str, **content: object) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module
    return module


def _answers(landmarks: np.ndarray) -> Any:
    """What mediapipe answers to the next frame: shares of the picture's sides."""
    points = [types.SimpleNamespace(x=x / WIDTH, y=y / HEIGHT) for x, y in landmarks]
    return types.SimpleNamespace(multi_face_landmarks=[types.SimpleNamespace(landmark=points)])


class _Capture:
    """cv2.VideoCapture of a file whose pictures are their own numbers."""

    def __init__(self, path: str) -> None:
        self.place = 0

    def isOpened(self) -> bool:
        return True

    def set(self, what: int, place: int) -> None:
        self.place = place

    def read(self) -> tuple[bool, Any]:
        self.place += 1
        picture = np.full((HEIGHT, WIDTH, 3), self.place - 1, np.uint8)
        return self.place <= FRAMES, picture

    def release(self) -> None:
        pass


def _load(root: Path, path: str) -> Any:
    spec = importlib.util.spec_from_file_location(Path(path).stem, root / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    root, track = Path(sys.argv[1]), face()
    mesh = types.SimpleNamespace(process=lambda picture: _answers(track[int(picture.flat[0])]))
    solutions = types.SimpleNamespace(face_mesh=types.SimpleNamespace(FaceMesh=lambda **_: mesh))
    _stub("mediapipe", solutions=solutions)
    _stub(
        "cv2",
        VideoCapture=_Capture,
        cvtColor=lambda x, _: x,
        resize=lambda x, _: x,
        COLOR_BGR2RGB=0,
        CAP_PROP_POS_FRAMES=1,
    )
    _stub("tqdm", tqdm=lambda *a, **k: a)
    spoken = [{"start": a, "end": b} for a, b in SPEECH]
    _stub(
        "silero_vad",
        load_silero_vad=lambda: None,
        read_audio=lambda path: None,
        get_speech_timestamps=lambda *a, **k: spoken,
    )
    _stub("pydub", AudioSegment=None)
    _stub("moviepy")
    _stub("moviepy.editor", VideoFileClip=None)
    _stub("retinaface", RetinaFace=None)

    class Reader:
        def __init__(self, path: str, ctx: object) -> None:
            pass

        def __len__(self) -> int:
            return FRAMES

        def get_avg_fps(self) -> float:
            return 25.0

        def get_batch(self, places: range) -> Any:
            pictures = np.stack([np.full((HEIGHT, WIDTH, 3), place, np.uint8) for place in places])
            return types.SimpleNamespace(asnumpy=lambda: pictures)

    _stub("decord", VideoReader=Reader, cpu=lambda _: None)
    found: dict[str, float] = {}
    found["lip_dynamics"] = _load(root, "Naturalness/lip_dynamics.py").compute_mouth_diversity("")
    found["brow_dynamics"] = _load(
        root, "Naturalness/eyebrow_dynamics.py"
    ).compute_micro_expression_intensity("")
    head = _load(root, "Naturalness/head_motion_dynamics.py")
    found["head_dynamics"] = float(head.measure_head_motion_dynamics(*poses().T))
    silent = _load(root, "Synchronization/silent_lip_stability.py")
    frames = silent.detect_silence_frames("", 25.0, FRAMES)
    found["silent_frames"] = len(frames)
    found["silent_lip"] = silent.process_video("", frames)
    lips = _load(root, "Synchronization/lip_sync.py")
    found["volume_fit"] = float(lips.process_video("", voice(), 16_000, ""))
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
