"""Write wav2lip.npz: what the published Wav2Lip networks answer for seeded weights and inputs.

    git clone https://github.com/Rudrabha/Wav2Lip /tmp/Wav2Lip
    git -C /tmp/Wav2Lip checkout 5c90fa9b4a2c2a37d0b4ebf7633ac41534eb9941
    python tests/models/golden/make_wav2lip.py /tmp/Wav2Lip

Its `models/` are run as they are: the generator `Wav2Lip`, the expert `SyncNet_color` and the discriminator
`Wav2Lip_disc_qual`. None of its code is kept here, only numbers.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
GAIN = {"generator": 0.7, "expert": 0.7, "quality": 1.0}
"""For `seeded_state`; with these the answers differ from input to input, and no output is saturated."""
STEP = 6
"""Every so many rows and columns of a picture are kept."""


def inputs() -> dict[str, torch.Tensor]:
    """mel (2, 80, 16), faces (2, 6, 96, 96), mouths (2, 15, 48, 96) and frames (4, 3, 96, 96), always the same."""
    rng = np.random.default_rng(7)
    return {
        "mel": torch.from_numpy(rng.uniform(-4, 4, (2, 80, 16)).astype(np.float32)),
        "faces": torch.from_numpy(rng.random((2, 6, 96, 96), np.float32)),
        "mouths": torch.from_numpy(rng.random((2, 15, 48, 96), np.float32)),
        "frames": torch.from_numpy(rng.random((4, 3, 96, 96), np.float32)),
    }


@torch.no_grad()
def main(clone: Path) -> None:
    """Run the networks of the clone and write their answers beside this file."""
    sys.path[:0] = [str(clone), str(HERE.parents[1])]
    published, seeded_state = import_module("models"), import_module("support.seeded_weights").seeded_state
    given = inputs()

    def ready(net: torch.nn.Module, kind: str) -> torch.nn.Module:
        net.load_state_dict(seeded_state(net.state_dict(), GAIN[kind]))
        return net.eval()

    generator = ready(published.Wav2Lip(), "generator")
    expert = ready(published.SyncNet_color(), "expert")
    quality = ready(published.Wav2Lip_disc_qual(), "quality")
    picture = generator(given["mel"][:, None], given["faces"])
    voice, mouth = expert(given["mel"][:, None], given["mouths"])
    # It takes clips, (B, C, T, H, W), and gives a row per frame.
    real = quality(given["frames"].swapaxes(0, 1)[None]).flatten()
    np.savez_compressed(
        HERE / "wav2lip.npz",
        picture=picture[:, :, ::STEP, ::STEP].numpy(),
        voice=voice.numpy(),
        mouth=mouth.numpy(),
        real=real.numpy(),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
