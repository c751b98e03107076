"""What every network that tkbench trains has: a spec of its sizes; and what every generator of faces has besides.

A generator redraws the lower half of a face, frame by frame. It is given the voice, the target frame without its lower
half (the pose) and another frame of the same person (the reference, for the appearance); see `tkbench.models.face`.
Pictures are (N, C, H, W), blue first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from tkbench.models.picture import Drawn
from tkbench.models.spec import FaceSpec

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Network(nn.Module):
    """A network whose sizes are the fields of one dataclass, which its checkpoint stores."""

    spec: DataclassInstance


class FaceNetwork(Network):
    """A generator in two steps: the voice of a whole clip once, then faces, any number of frames at a time."""

    spec: FaceSpec

    @property
    def context(self) -> int:
        """Frames of sound before and behind the drawn ones that `embed_voice` is given, too."""
        return 0

    @property
    def painter(self) -> Mapping[str, nn.Module]:
        """The layers that draw: `encoder` of the face, `decoder`, `output`. Empty where they have another form.

        Kinds that draw in the same way can begin with each other's: `checkpoint.paint_with`.
        """
        return {}

    def embed_voice(self, mel: torch.Tensor) -> torch.Tensor:
        """(context + T + context, 80, 16) mel, one window per frame -> what `draw` takes, T rows.

        A network that hears each frame by itself leaves the mel as it is.
        """
        return mel

    def check_heard(self, frames: int) -> None:
        """Raises UsageError where this network would hear more at once than in training, in windows of `frames`."""

    def draw(self, voice: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None) -> Drawn:
        """N rows of `embed_voice` and (N, 6, size, size), the masked target over the reference -> N faces.

        fine: see `Picture.draw`.
        """
        raise NotImplementedError

    def forward(
        self, voice: torch.Tensor, faces: torch.Tensor, fine: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The pictures of `draw` alone: (N, 3, size, size), or as large as `fine`."""
        return self.draw(voice, faces, fine).picture
