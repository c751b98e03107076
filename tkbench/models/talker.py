"""Generators as models: `cals:CHECKPOINT`, or `cals` for the checkpoint that comes with the package.

A generator may see of a clip: the upper half of every frame (the pose), the whole first frame (the reference), and the
voice. So the first frame is the only one whose own mouth it has been shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench import audio, weights
from tkbench.errors import UsageError
from tkbench.models import checkpoint, kinds
from tkbench.models.base import ModelCard
from tkbench.models.face import Cut, generator_input, oval, paste_faces, pixels, scaled
from tkbench.runtime.devices import whole_floats
from tkbench.types import Batch, Float32, Float64, Generated, Sample, UInt8

if TYPE_CHECKING:
    import torch

CHUNK = 32
"""Frames drawn at a time."""
FINE = 3
"""Where a network shows the reference through (`[net] blend`), the picture is composed at so many times its side."""
INPUTS = "Sees the upper half of each frame, the whole first frame, and the voice."


class Talker:
    """One trained generator."""

    def __init__(self, kind: str, path: Path, name: str | None = None) -> None:
        checkpoint.facts_of(path, kind)  # says what is wrong with the file before torch is loaded
        import torch

        from tkbench.models.network import FaceNetwork

        net, self.facts = checkpoint.load(path, kind)
        if not isinstance(net, FaceNetwork):
            raise UsageError(f"model {kind!r}: draws no faces; known are {', '.join(kinds.generators())}")
        if frames := checkpoint.frames_of(self.facts):
            net.check_heard(frames)
        self.kind = kinds.registry.get(kind)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.net: FaceNetwork = net.to(self.device)
        trainings = checkpoint.trainings(self.facts)
        published = any("published" in training for training in trainings)
        trained = "published weights" if "published" in trainings[0] else "trained by tkbench"
        self.card = ModelCard(
            name=name or f"{kind}:{path.stem}",
            summary=f"{kind}, {trained}. {INPUTS}",
            licence="non-commercial research (Wav2Lip)" if published else "Apache-2.0",
            paper=self.kind.paper,
            weights=weights.sha256(path),
            trained_on=tuple(dict.fromkeys(t["dataset"] for t in trainings if "dataset" in t)),
            train_data=tuple(dict.fromkeys(t["data"] for t in trainings if "data" in t)),
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
        self, sound: Float32, frames: int, reference: UInt8, matrix: Float64, outline: Float32 | None = None
    ) -> Speech:
        """`frames` frames of a voice (16 kHz), with a reference frame (H, W, 3) and its matrix (2, 3).

        outline: landmarks of the reference, (N, 2). Only the face within them is then put back: what stands beside it
        (hair, collar) moves with the video. An evaluation does not use it, because the true jaw would show around the
        drawn mouth and be scored.
        """
        heard = np.arange(-self.net.context, frames + self.net.context)
        mel = audio.windows(audio.mel(sound), heard, lead=self.facts.lead)
        return Speech(self, mel, reference, matrix, outline)


class Speech:
    """One voice over one face, drawn a few frames at a time: memory does not grow with the number of pictures."""

    def __init__(
        self, talker: Talker, mel: Float32, reference: UInt8, matrix: Float64, outline: Float32 | None = None
    ) -> None:
        import torch

        self.net, self.cut, self.device = talker.net, talker.facts.cut, talker.device
        self.black = talker.kind.black
        self.times = FINE if self.net.spec.blend else 1
        """How many times its own side the network's picture is composed at: what is shown keeps that much detail."""
        self.reference, self.fine_reference = self._faces(reference[None], matrix[None])
        self.share: Float32 | None = None
        if outline is not None:
            larger, finer = self.cut.enlarged(matrix, self.times)
            self.share = oval(outline, finer, larger.size)
        with torch.inference_mode(), whole_floats():
            self.voice = self.net.embed_voice(torch.from_numpy(mel).to(self.device))

    def say(self, start: int, video: UInt8, matrices: Float64) -> UInt8:
        """Frames `start`, `start` + 1, ... of the voice, in these pictures: (n, H, W, 3), matrices (n, 2, 3)."""
        import torch

        with torch.inference_mode(), whole_floats():
            pose, fine_pose = self._faces(video, matrices)
            shown = generator_input(pose, self.reference.expand_as(pose))
            fine = None
            if fine_pose is not None and self.fine_reference is not None:
                fine = generator_input(fine_pose, self.fine_reference.expand_as(fine_pose))
            made = self.net(self.voice[start : start + len(video)], shown, fine)
            faces = pixels(made, self.black).cpu().numpy()
        return paste_faces(video, faces, self.cut.enlarged(matrices, self.times)[1], self.share)

    def _faces(self, video: UInt8, matrices: Float64) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Faces as the network takes them, and larger ones where it shows those."""
        import torch

        def faces(cut: Cut, matrices: Float64, *, cubic: bool = False) -> torch.Tensor:
            crops = cut.faces(video, matrices, cubic=cubic)
            return scaled(torch.from_numpy(crops).to(self.device), self.black)

        larger = faces(*self.cut.enlarged(matrices, self.times), cubic=True) if self.times > 1 else None
        return faces(self.cut, matrices), larger


def open_talker(kind: str, checkpoint_file: str | None = None) -> Talker:
    """The generator of a kind with a checkpoint: a file, or the bundled or published weights that are here.

    checkpoint_file: also the name of weights that tkbench knows. Raises UsageError where no file is given and none is
    known.
    """
    if checkpoint_file:
        return Talker(kind, weights.file_or_named(checkpoint_file))
    record = kinds.registry.get(kind)
    if record.bundled is not None:
        return Talker(kind, weights.find(record.bundled), kind)
    for name in record.published:
        if name in weights.known() and weights.find_or_hint(name)[0]:
            return Talker(kind, weights.find(name), name)
    take = (
        f", `tkbench weights add {record.published[0]} FILE` takes the published one"
        if record.published
        else ""
    )
    raise UsageError(
        f"model {kind!r}: needs a checkpoint, as in {kind}:FILE (generate: --checkpoint FILE); `tkbench train "
        f"--model {kind}` makes one{take}"
    )
