"""Audio-to-Lip: the sound of each frame, in the context of its neighbours, becomes a lip motion unit.

Ours, where the paper is silent: the voice encoder of SyncTalkFace on 0.2 s of mel per frame, and a pre-norm
Transformer of 4 layers (512 wide, 8 heads, 2048 inside, dropout 0.1). Positions are relative, with a learned bias for
each distance and head: training has windows of a second or less, inference clips of any length.

The context window comes in two forms. In the paper's the sound itself is cut (`cut`): a unit is made from the n frames
on either side of its own, 40 ms each, and from nothing else. A piece of mel spans five frames, so only the pieces that
lie within the window are heard; in a window of less than three frames on either side the frame's own piece does not,
and is silent beyond it. (To within a step of the mel, 12.5 ms, and the 25 ms on either side that each step hears.) In
the other form, which is ours, the piece of each frame is whole, and bands of attention, one per layer, add up to the
window.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from tkbench import audio
from tkbench.models.cals.spec import AudioToLipSpec
from tkbench.models.spec import wide
from tkbench.models.wav2lip.generator import voice_encoder

FAR = 16
"""Frames: all distances from here on share one bias."""


def shares(window: int, layers: int) -> tuple[int, ...]:
    """How many of `window` frames each of `layers` layers may reach, so that all of them together reach no further.

    A band of n frames in each of 4 layers would reach 4 n frames: the second layer attends to units that have
    attended already.

    >>> shares(13, 4), shares(1, 4)
    ((4, 3, 3, 3), (1, 0, 0, 0))
    """
    return tuple(window // layers + (i < window % layers) for i in range(layers))


def band(frames: int, reach: int, device: torch.device | None = None) -> torch.Tensor:
    """(T, T) bool: True where frame i may attend to frame j, |i - j| <= reach; any j for a reach of -1."""
    place = torch.arange(frames, device=device)
    if reach < 0:
        return torch.ones(frames, frames, dtype=torch.bool, device=device)
    return (place[:, None] - place[None]).abs() <= reach


LEAD, SPAN = 1, 5
"""Frames by which the piece of mel of a frame begins before it, and frames that it spans."""


def whole_pieces(window: int) -> range:
    """Which pieces lie within a window, counted from its middle frame.

    >>> whole_pieces(3), whole_pieces(1)
    (range(-2, 1), range(0, 0))
    """
    first, last = LEAD - window, window - (SPAN - 1 - LEAD)
    return range(first, last + 1) if first <= last else range(0)


class Attention(nn.Module):
    """A pre-norm Transformer layer whose attention keeps to a band; (B, T, D) -> (B, T, D)."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.distance = nn.Parameter(torch.zeros(heads, 2 * FAR + 1))
        """The bias of each head for a frame that is FAR or more behind, ..., FAR or more ahead."""
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, 3 * dim)
        self.join = nn.Linear(dim, dim)
        self.drop = nn.Dropout(dropout)
        self.think = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: torch.Tensor, reach: int) -> torch.Tensor:
        size, frames, dim = x.shape
        mask = self.bias(frames).masked_fill(~band(frames, reach, x.device), float("-inf"))
        parts = self.project(self.norm(x)).reshape(size, frames, 3, self.heads, dim // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask.to(query.dtype),
            dropout_p=self.dropout if self.training else 0.0,
        )
        x = x + self.drop(self.join(attended.transpose(1, 2).flatten(2)))
        made: torch.Tensor = x + self.think(x)
        return made

    def bias(self, frames: int) -> torch.Tensor:
        """(heads, T, T): the bias of row i for column j is that of the distance j - i."""
        place = torch.arange(frames, device=self.distance.device)
        lag = (place[None] - place[:, None]).clamp(-FAR, FAR) + FAR
        return self.distance[:, lag]


class AudioToLip(nn.Module):
    """(B, around + T + around, 80, 16) mel, one piece per frame -> (B, T, units); `AudioToLipSpec.around`."""

    def __init__(self, spec: AudioToLipSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or AudioToLipSpec()
        self.dim = dim = wide(512, spec.width)
        self.audio_encoder = voice_encoder(spec.width)
        self.hidden = nn.Parameter(0.02 * torch.randn(dim))
        """The learned vector that replaces a masked frame."""
        self.layers = nn.ModuleList(Attention(dim, spec.heads, spec.dropout) for _ in range(spec.layers))
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, spec.units))

    def forward(self, mel: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        """masked: bool, one for each piece, True where the frame's own sound is hidden; None hides nothing."""
        x = self.heard_within(mel, masked) if self.spec.cut else self.heard_whole(mel, masked)
        units: torch.Tensor = self.head(x)
        return units

    def heard_whole(self, mel: torch.Tensor, masked: torch.Tensor | None) -> torch.Tensor:
        """(B, T, 80, 16) -> (B, T, D); bands of attention keep to the window."""
        size, frames = mel.shape[:2]
        x = self.audio_encoder(mel.flatten(0, 1)[:, None]).reshape(size, frames, -1)
        if masked is not None:
            x = torch.where(masked[:, :, None], self.hidden.to(x.dtype), x)
        window = self.spec.window
        reach = shares(window, len(self.layers)) if window >= 0 else (-1,) * len(self.layers)
        for layer, own in zip(self.layers, reach, strict=True):
            x = layer(x, own)
        return x

    def heard_within(self, mel: torch.Tensor, masked: torch.Tensor | None) -> torch.Tensor:
        """(B, n + T + n, 80, 16) -> (B, T, D), each from a sequence of its own: the pieces within its window."""
        n, (size, frames) = self.spec.window, mel.shape[:2]
        count, inside = frames - 2 * n, whole_pieces(n)
        middles = np.arange(n, n + count)
        pieces, own = [], 0 in inside
        if inside:
            pieces.append(mel[:, n + inside.start : n + count - 1 + inside.stop])
        if not own:
            silent = audio.edges(max(0, LEAD - n), SPAN - 1 - LEAD - n)
            cut = mel[:, middles].masked_fill(torch.from_numpy(silent).to(mel.device), audio.SILENCE)
            pieces.append(cut)
        # All pieces through the encoder at once, so that its norms see whole and cut ones alike.
        x = self.audio_encoder(torch.cat(pieces, dim=1).flatten(0, 1)[:, None]).reshape(size, -1, self.dim)
        # The pieces in x of each unit, and the frames that they belong to.
        spans = np.arange(count)[:, None] + np.arange(len(inside))
        at = middles[:, None] + np.array(inside, np.int64)
        if not own:
            spans = np.concatenate([spans, x.shape[1] - count + np.arange(count)[:, None]], axis=1)
            at = np.concatenate([at, middles[:, None]], axis=1)
        x = x[:, torch.from_numpy(spans).to(mel.device)]
        if masked is not None:
            hidden = masked[:, torch.from_numpy(at).to(mel.device)]
            x = torch.where(hidden[..., None], self.hidden.to(x.dtype), x)
        middle = inside.index(0) if own else len(inside)
        x = x.flatten(0, 1)
        for layer in self.layers:
            x = layer(x, -1)
        return x[:, middle].unflatten(0, (size, count))


def draw_mask(
    size: int, frames: int, share: float, longest: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """(B, T) bool: runs of 1 to `longest` frames, until `share` of each clip is hidden (ours: 0.3 and 5).

    At least one frame is hidden and at least one stays.
    """
    masked = torch.zeros(size, frames, dtype=torch.bool)
    want = min(max(1, round(share * frames)), frames - 1)
    for row in masked:
        while int(row.sum()) < want:
            length = min(int(torch.randint(1, longest + 1, (), generator=generator)), want - int(row.sum()))
            start = int(torch.randint(0, frames - length + 1, (), generator=generator))
            row[start : start + length] = True
    return masked


def unit_loss(made: torch.Tensor, target: torch.Tensor, where: torch.Tensor | None = None) -> torch.Tensor:
    """L1 + (1 - cosine) between units (B, T, U), over the frames `where` (B, T) or all of them (ours)."""
    made, target = made.float(), target.float()
    error = (made - target).abs().mean(dim=2) + 1 - nn.functional.cosine_similarity(made, target, dim=2)
    return error.mean() if where is None else error[where].mean()
