"""The sizes of CALS; no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from tkbench.errors import BadInput, UsageError
from tkbench.models.spec import FaceSpec, check_count, check_share, wide


@dataclass(frozen=True, slots=True)
class AudioToLipSpec:
    """Sizes of Audio-to-Lip. All of it is ours but the window."""

    width: float = 1.0
    """Every channel count is multiplied by this, the Transformer's among them."""
    layers: int = 4
    heads: int = 8
    dropout: float = 0.1
    units: int = 512
    """Numbers in a lip motion unit: those of the lip encoder that gives the targets."""
    window: int = -1
    """Frames of context on either side of a unit; -1: the whole clip."""
    cut: bool = False
    """Whether the sound itself is cut to the window, as in the paper; otherwise bands of attention add up to it."""

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "units"):
            check_count(name, getattr(self, name))
        check_share("dropout", self.dropout)
        if (wanted := wide(512, self.width)) % self.heads:
            raise BadInput(
                f"heads = {self.heads}: do not divide the {wanted} channels of width = {self.width:g}; take a divisor "
                f"of {wanted}"
            )
        if self.cut and self.window < 0:
            raise UsageError(
                f"[net.voice] cut = true, window = {self.window}: sound is cut to a window; set window to 0 or more"
            )

    @property
    def around(self) -> int:
        """Frames of sound before and behind the first and last unit that Audio-to-Lip is given, too."""
        return self.window if self.cut else 0


@dataclass(frozen=True, slots=True)
class CALSSpec(FaceSpec):
    """A size of 128 is likely the paper's; the rest is ours."""

    voice: AudioToLipSpec = field(default_factory=AudioToLipSpec)
