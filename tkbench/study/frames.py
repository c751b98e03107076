"""What a network with an Audio-Lip Memory hears, sees and recalls in every frame of some clips, beside the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tkbench import audio
from tkbench import data as training_data
from tkbench.errors import BadShards
from tkbench.metrics.mouth import lengths
from tkbench.models.face import scaled
from tkbench.runtime.progress import Progress, silent
from tkbench.synth.visemes import CLASSES, letters_at
from tkbench.types import FPS, Array, Float32, UInt8, Word

if TYPE_CHECKING:
    import torch

    from tkbench.models.checkpoint import Facts
    from tkbench.models.synctalkface.model import SyncTalkFace

MARGIN = 2
"""Frames at either end of a clip that have no window of five around them."""
LETTERS = tuple(CLASSES)
VISEMES = tuple(dict.fromkeys(CLASSES.values()))


@dataclass(frozen=True, slots=True)
class Frames:
    """n frames; arrays have one row for each."""

    clip: Array
    """(n,) which of `Reading.clips`."""
    place: Array
    """(n,) number of the frame in its clip."""
    letter: Array
    """(n,) what is spoken, a number in LETTERS; -1 where nobody knows."""
    mouth: Float32
    """(n, 8) lengths of the true mouth, less their medians over the clip, eye distances."""
    mel: Float32
    """(n, 80) the sound of the frame itself, 40 ms."""
    voice: Float32
    """(n, C) the voice encoder's features."""
    heard: Float32
    """(n, C) the query by voice, and by lips."""
    seen: Float32
    by_voice: Float32
    """(n, C) what is recalled by voice, and by lips."""
    by_lips: Float32
    key: Array
    """(n,) the slot that wins by voice, and by lips."""
    value: Array
    sure: Float32
    """(n,) the weight of the slot that wins by lips."""

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def viseme(self) -> Array:
        """(n,) numbers in VISEMES; -1 where the letter is not known."""
        table = np.array([VISEMES.index(CLASSES[letter]) for letter in LETTERS] + [-1])
        return table[self.letter]


@dataclass(frozen=True, slots=True)
class Reading:
    """Frames of some clips."""

    clips: tuple[str, ...]
    speakers: tuple[str, ...]
    """Of each clip."""
    frames: Frames


class Reader:
    """Opens shards as a network takes them."""

    def __init__(
        self, source: Path, facts: Facts, *, split: str | None = None, cache: Path | None = None
    ) -> None:
        self.facts = facts
        self.windows = training_data.load(
            source,
            split=split,
            window=training_data.WindowSpec(
                recipe=facts.cut.recipe,
                size=(facts.cut.size, facts.cut.size),
                margin=MARGIN,
                padded_sound=True,
            ),
            sampling=training_data.Sampling(batch=1, frames_per_window=0),
            cache=cache,
        )
        self.keys = tuple(self.windows.lengths)

    def clip(self, key: str) -> tuple[UInt8, Float32, Float32, Array]:
        """(T, size, size, 3) crops, (T, 80, 16) mel windows, (T, 8) lengths of the mouth and (T,) letters."""
        shards = self.windows.shards
        crops, voice = self.windows.clip(key)
        heard = audio.windows(audio.mel(voice), np.arange(len(crops)), lead=self.facts.lead)
        shape = lengths(shards.get_arrays(key)["landmarks"])
        record = json.loads(shards.members(key, ["json"])["json"])
        spoken = record.get("extra", {}).get("phonemes")
        letters = np.full(len(crops), -1)
        if spoken:
            words = tuple(Word(str(p["phone"]), float(p["start"]), float(p["end"])) for p in spoken)
            named = letters_at(words, np.arange(len(crops)) / FPS)
            letters = np.array([LETTERS.index(letter) for letter in named])
        return crops, heard, np.asarray(shape - np.median(shape, axis=0), np.float32), letters


def read(
    nets: Sequence[SyncTalkFace],
    black: float,
    reader: Reader,
    keys: Sequence[str],
    progress: Progress = silent,
) -> list[Reading]:
    """Run encoders and memory over clips, each of which is opened once for all networks; these are on one device.

    Raises BadShards where no clip has a frame to look at.
    """
    import torch

    from tkbench.models.synctalkface.lips import lip_windows

    parts: list[list[dict[str, Array]]] = [[] for _ in nets]
    device = next(nets[0].parameters()).device
    for number, key in enumerate(keys):
        crops, mel, shape, letters = reader.clip(key)
        inside = slice(MARGIN, len(crops) - MARGIN)
        same = {
            "clip": np.full(len(crops) - 2 * MARGIN, number),
            "place": np.arange(inside.start, inside.stop),
            "letter": letters[inside],
            "mouth": shape[inside],
            # The frame's own fifth of a window that begins one frame before it.
            "mel": mel[inside][:, :, 3:7].mean(axis=2),
        }
        with torch.inference_mode():
            lips = lip_windows(scaled(torch.from_numpy(np.array(crops)).to(device), black)[None])
            sound = torch.from_numpy(mel[inside]).to(device)
            for net, found in zip(nets, parts, strict=True):
                found.append(same | _asked(net, sound, lips))
        progress(number + 1, len(keys), key)
    if not keys:
        raise BadShards(f"{reader.windows.shards.folder}: no clip to read")
    speakers = tuple(reader.windows.shards.speakers[key] for key in keys)
    return [
        Reading(
            tuple(keys),
            speakers,
            Frames(**{f.name: np.concatenate([part[f.name] for part in found]) for f in fields(Frames)}),
        )
        for found in parts
    ]


def _asked(net: SyncTalkFace, sound: torch.Tensor, lips: torch.Tensor) -> dict[str, Array]:
    """What one network makes of the frames of a clip: the fields of `Frames` that differ between networks."""
    assert net.memory is not None
    voice = net.hear(sound)
    recall = net.memory(voice, net.lip_encoder(lips))
    heard, seen = recall.voice, recall.lips
    found = {
        "voice": voice,
        "heard": heard.query,
        "seen": seen.query,
        "by_voice": recall.by_voice,
        "by_lips": recall.by_lips,
        "key": heard.weights.argmax(dim=1),
        "value": seen.weights.argmax(dim=1),
        "sure": seen.weights.max(dim=1).values,
    }
    return {name: value.cpu().numpy() for name, value in found.items()}
