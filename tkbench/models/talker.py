"""SyncTalkFace, CALS and Wav2Lip behind the Model protocol: `cals:CHECKPOINT`, or `cals` for the bundled one.

What each may see of a clip: the upper half of every frame (the pose prior), the whole first frame (the looks),
and the voice. So the first frame is the only one whose own mouth a generator has been shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tkbench import audio, weights
from tkbench.errors import UsageError
from tkbench.models import checkpoint
from tkbench.models.base import ModelCard
from tkbench.models.face import Cut, oval, pixels, put_back, scaled, seen_by_generator
from tkbench.runtime.devices import whole_floats
from tkbench.types import Batch, Float32, Float64, Generated, Sample, UInt8

if TYPE_CHECKING:
    import torch

CHUNK = 32
"""Frames drawn at a time."""
FINE = 3
"""Where a network shows what it was shown (`[net] blend`), the picture is put together at so many times its side."""
PAPERS = {
    "synctalkface": "Park et al., AAAI 2022, arXiv 2211.00924",
    "cals": "Park et al., ICASSP 2024, arXiv 2305.19556",
    "wav2lip": "Prajwal et al., ACM MM 2020, arXiv 2008.10010",
}
SEEN = "Sees the upper half of each frame, the whole first frame, and the voice."


class Talker:
    """One trained generator."""

    def __init__(self, kind: str, path: Path, name: str | None = None) -> None:
        import torch

        net, self.facts = checkpoint.load(path, kind)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.kind, self.net = kind, net.to(self.device)
        seen = checkpoint.trainings(self.facts)
        published = any("published" in training for training in seen)
        trained = "published weights" if "published" in seen[0] else "trained by tkbench"
        self.card = ModelCard(
            name=name or f"{kind}:{path.stem}",
            summary=f"{kind}, {trained}. {SEEN}",
            licence="non-commercial research (Wav2Lip)" if published else "Apache-2.0",
            paper=PAPERS[kind],
            weights=weights.sha256(path),
            trained_on=tuple(dict.fromkeys(str(t["dataset"]) for t in seen if "dataset" in t)),
            train_data=tuple(dict.fromkeys(str(t["data"]) for t in seen if "data" in t)),
        )

    def to(self, device: str) -> None:
        """Draw on that device; without this call on a GPU where there is one."""
        import torch

        self.device = torch.device(device)
        self.net.to(self.device)

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        """Nothing is drawn by chance: `seed` changes nothing."""
        return [Generated(sample.key, self.speak(sample)) for sample in batch]

    def speak(self, sample: Sample) -> UInt8:
        """The clip with a mouth that says `sample.audio`: (T, H, W, 3)."""
        matrices = self.facts.cut.matrices(sample.landmarks)
        speech = self.speech(sample.audio, len(sample), sample.video[0], matrices[0])
        parts = [slice(start, start + CHUNK) for start in range(0, len(sample), CHUNK)]
        return np.concatenate([speech.say(p.start, sample.video[p], matrices[p]) for p in parts])

    def speech(
        self, sound: Float32, frames: int, looks: UInt8, matrix: Float64, outline: Float32 | None = None
    ) -> Speech:
        """`frames` frames of a voice (16 kHz), for the looks of one frame (H, W, 3) and its matrix (2, 3).

        outline: landmarks of that frame, (N, 2). Only the face within is then put back: what stands beside it moves
        with the video. Nothing is scored so, for around the mouth the true jaw would show.
        """
        mel = audio.windows(audio.mel(sound), np.arange(frames), lead=self.facts.lead)
        return Speech(self, mel, looks, matrix, outline)


class Speech:
    """One voice over one face, said a few frames at a time: what is held does not grow with the pictures."""

    def __init__(
        self, talker: Talker, mel: Float32, looks: UInt8, matrix: Float64, outline: Float32 | None = None
    ) -> None:
        import torch

        from tkbench.models.cals.model import CALS

        net: Any = talker.net
        self.cut, self.device, self.low = talker.facts.cut, talker.device, checkpoint.LOW[talker.kind]
        self.times = FINE if net.spec.blend else 1
        """What is shown, and not drawn, keeps the detail of a larger picture."""
        self.looks, self.fine_looks = self._cut(looks[None], matrix[None])
        self.share: Float32 | None = None
        if outline is not None:
            larger, finer = self.cut.enlarged(matrix, self.times)
            self.share = oval(outline, finer, larger.size)
        with torch.inference_mode(), whole_floats():
            heard = torch.from_numpy(mel).to(self.device)
            self.face = net
            if isinstance(net, CALS):  # its units need the whole clip, its faces one frame each
                heard, self.face = net.audio_to_lip(heard[None])[0], net.lip_to_face
            self.heard = heard

    def say(self, start: int, video: UInt8, matrices: Float64) -> UInt8:
        """Frames `start`, `start` + 1, ... of the voice, in these pictures: (n, H, W, 3), matrices (n, 2, 3)."""
        import torch

        with torch.inference_mode(), whole_floats():
            pose, fine_pose = self._cut(video, matrices)
            shown = seen_by_generator(pose, self.looks.expand_as(pose))
            fine = None
            if fine_pose is not None and self.fine_looks is not None:
                fine = seen_by_generator(fine_pose, self.fine_looks.expand_as(fine_pose))
            made = self.face(self.heard[start : start + len(video)], shown, fine)
            faces = pixels(made, self.low).cpu().numpy()
        return put_back(video, faces, self.cut.enlarged(matrices, self.times)[1], self.share)

    def _cut(self, video: UInt8, matrices: Float64) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Faces as the network takes them, and larger ones where it shows those."""
        import torch

        def faces(cut: Cut, matrices: Float64, *, cubic: bool = False) -> torch.Tensor:
            crops = cut.faces(video, matrices, cubic=cubic)
            return scaled(torch.from_numpy(crops).to(self.device), self.low)

        larger = faces(*self.cut.enlarged(matrices, self.times), cubic=True) if self.times > 1 else None
        return faces(self.cut, matrices), larger


def _open(kind: str, path: str | None) -> Talker:
    if path:
        return Talker(kind, Path(path).expanduser())
    bundled = f"{kind}-synth"
    if bundled not in weights.known():
        published = next(
            (n for n in (f"{kind}-gan", kind) if n in weights.known() and weights.find_or_hint(n)[0]), None
        )
        if published is None:
            raise UsageError(
                f"model {kind!r}: needs a checkpoint, as in {kind}:FILE (generate: --checkpoint FILE); `tkbench train "
                f"--model {kind}` makes one, `tkbench weights add {kind}-gan FILE` takes the published one"
            )
        return Talker(kind, weights.find(published), published)
    return Talker(kind, weights.find(bundled), kind)


def synctalkface(path: str | None = None) -> Talker:
    """SyncTalkFace from a checkpoint, by default the bundled one."""
    return _open("synctalkface", path)


def cals(path: str | None = None) -> Talker:
    """CALS from a checkpoint, by default the bundled one."""
    return _open("cals", path)


def wav2lip(path: str | None = None) -> Talker:
    """Wav2Lip from a checkpoint of ours or a published `.pth`."""
    return _open("wav2lip", path)
