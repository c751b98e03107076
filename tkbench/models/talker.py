"""SyncTalkFace, CALS and Wav2Lip behind the Model protocol: `cals:CHECKPOINT`, or `cals` for the bundled one.

What each may see of a clip: the upper half of every frame (the pose prior), the whole first frame (the looks),
and the voice. So the first frame is the only one whose own mouth a generator has been shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench import audio, weights
from tkbench.errors import UsageError
from tkbench.models import checkpoint
from tkbench.models.base import ModelCard
from tkbench.models.face import pixels, put_back, scaled, seen_by_generator
from tkbench.types import Batch, Float32, Generated, Sample, UInt8

if TYPE_CHECKING:
    from torch import nn

CHUNK = 32
"""Frames drawn at a time."""
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
        published = self.facts.training.get("published")
        data = self.facts.training.get("dataset")
        self.card = ModelCard(
            name=name or f"{kind}:{path.stem}",
            summary=f"{kind}, {'published weights' if published else 'trained by tkbench'}. {SEEN}",
            licence="non-commercial research (Wav2Lip)" if published else "Apache-2.0",
            paper=PAPERS[kind],
            weights=weights.sha256(path),
            trained_on=(str(data),) if data else (),
            train_data=self.facts.training.get("data"),
        )

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        """Nothing is drawn by chance: `seed` changes nothing."""
        return [Generated(sample.key, self.speak(sample)) for sample in batch]

    def speak(self, sample: Sample) -> UInt8:
        """The clip with a mouth that says `sample.audio`: (T, H, W, 3)."""
        cut = self.facts.cut
        matrices = cut.matrices(sample.landmarks)
        faces = cut.faces(sample.video, matrices)
        mel = audio.windows(audio.mel(sample.audio), np.arange(len(sample)), lead=self.facts.lead)
        return put_back(sample.video, draw(self.kind, self.net, faces, faces[0], mel), matrices)


def draw(kind: str, net: nn.Module, faces: UInt8, looks: UInt8, mel: Float32) -> UInt8:
    """Faces for a voice: (T, h, h, 3) poses, (h, h, 3) looks, (T, 80, 16) mel -> (T, h, h, 3)."""
    import torch

    from tkbench.models.cals.model import CALS

    low = checkpoint.LOW[kind]
    device = next(net.parameters()).device
    reference = scaled(torch.from_numpy(looks).to(device), low)
    out = np.empty_like(faces)
    with torch.inference_mode():
        heard = torch.from_numpy(mel).to(device)
        face = net
        if isinstance(net, CALS):  # its units need the whole clip, its faces one frame each
            heard, face = net.audio_to_lip(heard[None])[0], net.lip_to_face
        for start in range(0, len(faces), CHUNK):
            part = scaled(torch.from_numpy(faces[start : start + CHUNK]).to(device), low)
            shown = seen_by_generator(part, reference.expand_as(part))
            made = face(heard[start : start + CHUNK], shown)
            out[start : start + CHUNK] = pixels(made, low).cpu().numpy()
    return out


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
