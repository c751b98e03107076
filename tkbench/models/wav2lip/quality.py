"""The visual quality discriminator, on lower halves, frame by frame: `Wav2Lip_disc_qual`."""

from __future__ import annotations

import torch
from torch import nn

from tkbench.models.layers import PlainConv
from tkbench.models.spec import check_size, wide


class Quality(nn.Module):
    """One logit per frame: real or made.

    The published network ends in a sigmoid under a binary cross-entropy that saturates (models of this form
    were reported stuck at its clamp of 100); here the loss works on the logit. The sigmoid has no
    parameters, so published weights load.

    Ours: weights are initialised by He's rule. With PyTorch's default, fourteen layers without a norm pass so little
    of the picture on that the logit is the same for every picture.
    """

    def __init__(self, size: int = 96, width: float = 1.0) -> None:
        super().__init__()
        check_size(size)
        c = [wide(n, width) for n in (32, 64, 128, 256, 512)]
        self.face_encoder_blocks = nn.ModuleList(
            [
                nn.Sequential(PlainConv(3, c[0], 7, 1, 3)),
                nn.Sequential(PlainConv(c[0], c[1], 5, (1, 2), 2), PlainConv(c[1], c[1], 5, 1, 2)),
                nn.Sequential(PlainConv(c[1], c[2], 5, 2, 2), PlainConv(c[2], c[2], 5, 1, 2)),
                nn.Sequential(PlainConv(c[2], c[3], 5, 2, 2), PlainConv(c[3], c[3], 5, 1, 2)),
                nn.Sequential(PlainConv(c[3], c[4], 3, 2, 1), PlainConv(c[4], c[4], 3, 1, 1)),
                nn.Sequential(PlainConv(c[4], c[4], 3, 2, 1), PlainConv(c[4], c[4], 3, 1, 1)),
                nn.Sequential(PlainConv(c[4], c[4], size // 32, 1, 0), PlainConv(c[4], c[4], 1, 1, 0)),
            ]
        )
        self.binary_pred = nn.Sequential(nn.Conv2d(c[4], 1, 1, 1, 0))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.01)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(N, 3, size, size) whole faces, of which only the lower half is used -> (N,) logits."""
        x = frames[..., frames.shape[-2] // 2 :, :]
        for block in self.face_encoder_blocks:
            x = block(x)
        return self.binary_pred(x).flatten()


def adversarial_loss(logits: torch.Tensor) -> torch.Tensor:
    """The generator's loss: binary cross-entropy of its frames against the label "real"."""
    return nn.functional.softplus(-logits.float()).mean()


def discriminator_loss(real: torch.Tensor, *made: torch.Tensor) -> torch.Tensor:
    """The discriminator's loss: binary cross-entropy on logits, real frames against each stream of generated ones."""
    loss = nn.functional.softplus(-real.float()).mean()
    for logits in made:
        loss = loss + nn.functional.softplus(logits.float()).mean()
    return loss
