"""The sizes of SyncTalkFace; no torch."""

from __future__ import annotations

from dataclasses import dataclass

from tkbench.models.spec import FaceSpec, check_count, check_share


@dataclass(frozen=True, slots=True)
class SyncTalkFaceSpec(FaceSpec):
    """What differs between networks of this form; the defaults are those of the authors' code."""

    slots: int = 96
    kappa: float = 16.0
    dropout: float = 0.5
    """Before the fusion of voice and recalled lips."""
    memory: bool = True
    """False: the paper's ablation; the decoder then has the voice alone."""
    lip_path: bool = True
    """Whether training also draws from the lips (the paper's second picture). Ours: it can be left out."""
    centred: bool = False
    """Whether queries to the memory are centred (ours); see `AudioLipMemory`."""
    voice_drop: float = 0.0
    """The share of training frames that are drawn from what is recalled alone, without the voice (ours). The decoder is
    given both; without this it soon hears the voice past the memory, and the memory no longer matters."""

    def __post_init__(self) -> None:
        FaceSpec.__post_init__(self)
        check_count("slots", self.slots)
        check_share("dropout", self.dropout)
        check_share("voice_drop", self.voice_drop)
