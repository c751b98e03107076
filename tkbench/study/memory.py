"""Does an Audio-Lip Memory hold, as its paper says, unique lip features in each slot, "at the phoneme level"?

The memory is asked frame by frame about people that it never met. What is measured:

in use       slots that win at least 0.5 % of the frames, and the perplexity of the winners
explained    the share of the lip features that the recall, or the winning slot alone, gives back
gain         (H(class) - H(class | winning slot)) / H(class), tables counted on other people; phonemes and visemes
shape        R2 of the eight lengths of the mouth that a linear layer reads from what is recalled
movement     what stays of the sound-driven movement of a drawn face when the memory is held at its mean, gives its
             winner alone, or has its slots exchanged

Controls: k-means with as many centres of the bare mel, of the voice encoder's features and of the true mouth; the same
network untrained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from tkbench import shards, weights
from tkbench.errors import UsageError
from tkbench.models import checkpoint, kinds
from tkbench.runtime.progress import Progress, silent
from tkbench.study import frames as frame_reader
from tkbench.study.frames import LETTERS, VISEMES, Frames, Reader, Reading
from tkbench.study.times import used
from tkbench.study.yardsticks import clusters, explained, held_out_gain, perplexity, readable, slots_used
from tkbench.types import Array

if TYPE_CHECKING:
    import torch

    from tkbench.models.synctalkface.model import SyncTalkFace

COUNTED_CLIPS = 160
"""Clips on which tables are counted and fits are made: about ten thousand frames."""
MOVED_CLIPS = 12
"""Held-out clips on which faces are drawn with a changed memory."""
SEED = 0


@dataclass(frozen=True, slots=True)
class Findings:
    """One memory, on people that its tables have not seen. Shares are from 0 to 1; nan is not measured."""

    name: str
    slots: int
    used_lips: int
    used_voice: int
    perplexity_lips: float
    perplexity_voice: float
    explained_lips: float
    explained_voice: float
    explained_lips_winner: float
    explained_voice_winner: float
    readable_from_voice: float
    """What a linear layer explains of the lip features from the voice encoder's: no memory can give more by voice."""
    gain_viseme_lips: float
    gain_viseme_voice: float
    gain_phoneme_lips: float
    gain_phoneme_voice: float
    shape_lips: float
    shape_voice: float
    agree: float
    """The share of frames in which voice and lips choose the same slot."""


@dataclass(frozen=True, slots=True)
class Control:
    """Slots that are nobody's memory: centres of k-means."""

    name: str
    gain_viseme: float
    gain_phoneme: float


@dataclass(frozen=True, slots=True)
class Movement:
    """Faces drawn with a changed memory, beside those of the intact one: 1 is as much."""

    name: str
    kept: float
    """How much of the same movement is still there."""
    size: float
    """How large the movement is, of whatever kind."""


@dataclass(frozen=True, slots=True)
class MemoryStudy:
    """What the page shows."""

    model: str
    weights: str
    """sha256 of the checkpoint."""
    data: str
    """`Shards.data_hash` of the held-out clips, and of those that were counted."""
    counted_data: str
    speakers: int
    n_frames: int
    counted_frames: int
    memory: Findings
    untrained: Findings
    controls: tuple[Control, ...]
    movement: tuple[Movement, ...]
    held: Reading
    reader: Reader
    hours: float
    """Of a core."""

    def signature(self) -> str:
        """Everything that can move the numbers."""
        return (
            f"study-memory|seed:{SEED}|counted-clips:{COUNTED_CLIPS}|moved-clips:{MOVED_CLIPS}|weights:"
            f"{self.weights[:12]}|data:{self.data[:12]}|counted:{self.counted_data[:12]}"
        )

    @property
    def transcribed(self) -> bool:
        """Whether it is known what is spoken."""
        return bool((self.held.frames.letter >= 0).all())

    def table(self) -> pd.DataFrame:
        """One line per measure: measure, of, value."""
        lines = [
            (name, which.name, value)
            for which in (self.memory, self.untrained)
            for name, value in asdict(which).items()
            if name != "name"
        ]
        for control in self.controls:
            lines += [("gain_viseme", control.name, control.gain_viseme)]
            lines += [("gain_phoneme", control.name, control.gain_phoneme)]
        for item in self.movement:
            lines += [("movement_kept", item.name, item.kept), ("movement_size", item.name, item.size)]
        return pd.DataFrame(lines, columns=["measure", "of", "value"])

    def sentence(self) -> str:
        """What was found."""
        m = self.memory
        text = (
            f"{m.used_voice} of {m.slots} slots are in use by voice, {m.used_lips} by lips; by voice they give back "
            f"{m.explained_voice:.0%} of the lip features, by lips {m.explained_lips:.0%}."
        )
        if self.transcribed:
            mel, mouth = (
                next(c for c in self.controls if c.name == f"k-means of {n}")
                for n in ("the mel", "the true mouth")
            )
            # What a codebook of mouths can say of visemes is what one of the true mouths says.
            holds = m.gain_viseme_voice >= mouth.gain_viseme and m.used_voice >= 8
            text += (
                f" The slot that the voice chooses takes away {m.gain_viseme_voice:.0%} of what is unknown about the "
                f"viseme and {m.gain_phoneme_voice:.0%} about the phoneme ({mouth.name}: {mouth.gain_viseme:.0%} and "
                f"{mouth.gain_phoneme:.0%}; {mel.name}: {mel.gain_viseme:.0%} and {mel.gain_phoneme:.0%}): "
                + ("its slots hold sounds." if holds else "its slots do not hold sounds.")
            )
        kept = next((item.kept for item in self.movement if item.name == "held at its mean"), None)
        if kept is not None:
            text += f" Held at its mean, the memory leaves {kept:.0%} of the movement of the mouth."
        return text


def study_memory(
    model: str,
    source: Path,
    *,
    counted: Path | None = None,
    cache: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> MemoryStudy:
    """Measure the memory of `synctalkface` or `synctalkface:FILE` on shards.

    counted: shards whose split train is counted; by default that of `source`, whose split test is then held out.
    With `counted`, all of `source` is held out. device: where the network runs; what it says is counted here.

    Raises UsageError for another model, a network without a memory, or data that leaves nobody on one of the sides.
    """
    begun = used()
    kind, _, file = model.partition(":")
    if kind != "synctalkface":
        raise UsageError(f"study memory --model {model}: only synctalkface has a memory; found {kind!r}")
    record = kinds.registry.get(kind)
    path = weights.file_or_named(file) if file else weights.find(record.bundled or "")
    net, facts = checkpoint.load(path, kind)
    memory_net = cast("SyncTalkFace", net)
    if memory_net.memory is None:
        raise UsageError(f"{path}: was trained without a memory; there is nothing to study")
    fit, test = _sides(source, counted, facts, cache)
    fit_keys = _spread(fit.keys, COUNTED_CLIPS)
    test_keys = test.keys
    shared = _speakers(fit, fit_keys) & _speakers(test, test_keys) if counted is None else set()
    if shared:
        raise UsageError(
            f"{source}: speaker {sorted(shared)[0]} is counted and held out; give other shards with --counted"
        )
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        fresh = cast("SyncTalkFace", record.build(facts.spec)).eval()
    nets = (memory_net.to(device), fresh.to(device))
    assert memory_net.memory is not None
    assert fresh.memory is not None
    total, done = len(fit_keys) + len(test_keys) + MOVED_CLIPS, 0

    def step(name: str) -> Progress:
        start = done

        def told(at: int, _: int, what: str = "") -> None:
            progress(start + at, total, f"{name} {what}")

        return told

    known, blank_known = frame_reader.read(nets, record.black, fit, fit_keys, step("counted"))
    done += len(fit_keys)
    held, blank = frame_reader.read(nets, record.black, test, test_keys, step("held out"))
    done += len(test_keys)
    moved = _movement(
        memory_net, record.black, test, _spread(test_keys, MOVED_CLIPS), known.frames, step("draw")
    )
    values = memory_net.memory.value.detach().cpu().numpy()
    return MemoryStudy(
        model=model,
        weights=weights.sha256(path),
        data=test.windows.shards.data_hash,
        counted_data=fit.windows.shards.data_hash,
        speakers=len(set(held.speakers)),
        n_frames=len(held.frames),
        counted_frames=len(known.frames),
        memory=findings("the memory", values, known.frames, held.frames),
        untrained=findings(
            "untrained", fresh.memory.value.detach().cpu().numpy(), blank_known.frames, blank.frames
        ),
        controls=_controls(known.frames, held.frames, len(values)),
        movement=moved,
        held=held,
        reader=test,
        hours=(used() - begun) / 3600,
    )


def findings(name: str, values: Array, known: Frames, held: Frames) -> Findings:
    """Every yardstick of one memory, whose slots are `values` (S, C)."""
    slots = len(values)
    lips = np.asarray(held.seen, np.float64)
    return Findings(
        name=name,
        slots=slots,
        used_lips=slots_used(held.value, slots),
        used_voice=slots_used(held.key, slots),
        perplexity_lips=perplexity(held.value, slots),
        perplexity_voice=perplexity(held.key, slots),
        explained_lips=explained(held.by_lips, lips),
        explained_voice=explained(held.by_voice, lips),
        explained_lips_winner=explained(values[held.value], lips),
        explained_voice_winner=explained(values[held.key], lips),
        readable_from_voice=readable((known.voice, known.seen), (held.voice, held.seen))[0],
        gain_viseme_lips=_gain(known, held, "value", "viseme", slots),
        gain_viseme_voice=_gain(known, held, "key", "viseme", slots),
        gain_phoneme_lips=_gain(known, held, "value", "letter", slots),
        gain_phoneme_voice=_gain(known, held, "key", "letter", slots),
        shape_lips=readable((known.by_lips, known.mouth), (held.by_lips, held.mouth))[0],
        shape_voice=readable((known.by_voice, known.mouth), (held.by_voice, held.mouth))[0],
        agree=float((held.key == held.value).mean()),
    )


def _gain(known: Frames, held: Frames, winner: str, kind: str, slots: int) -> float:
    return _gain_of(
        (getattr(known, winner), getattr(known, kind)),
        (getattr(held, winner), getattr(held, kind)),
        slots,
        kind,
    )


def _gain_of(known: tuple[Array, Array], held: tuple[Array, Array], slots: int, kind: str) -> float:
    """Nan without a transcription."""
    if min(known[1].min(), held[1].min()) < 0:
        return float("nan")
    return held_out_gain(known, held, slots, len(VISEMES if kind == "viseme" else LETTERS))


def _controls(known: Frames, held: Frames, slots: int) -> tuple[Control, ...]:
    out = []
    for name, what in (("the mel", "mel"), ("the voice's features", "voice"), ("the true mouth", "mouth")):
        one, other = clusters(getattr(known, what), getattr(held, what), min(slots, len(known)), SEED)
        out.append(
            Control(
                f"k-means of {name}",
                _gain_of((one, known.viseme), (other, held.viseme), slots, "viseme"),
                _gain_of((one, known.letter), (other, held.letter), slots, "letter"),
            )
        )
    return tuple(out)


def _movement(
    net: SyncTalkFace, black: float, reader: Reader, keys: Sequence[str], known: Frames, progress: Progress
) -> tuple[Movement, ...]:
    """Faces of a clip's voice on its first frame, with the memory as it is and changed.

    What stays of the movement is the part of the intact one's that the other repeats: the slope of the one on the
    other, over the pixels around the mouth. Its size is the ratio of their root mean squares.
    """
    import torch

    from tkbench.models.face import generator_input, scaled
    from tkbench.models.wav2lip.generator import encode

    assert net.memory is not None
    device = net.memory.value.device
    mean = torch.from_numpy(known.by_voice.mean(axis=0)).to(device)
    order = torch.randperm(len(net.memory.value), generator=torch.Generator().manual_seed(SEED))
    names = ("held at its mean", "its winner alone", "slots exchanged", "without the voice beside it")
    shared, sizes, whole = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0), 0.0
    for number, key in enumerate(keys):
        crops, mel, _, _ = reader.clip(key)
        with torch.inference_mode():
            face = scaled(torch.from_numpy(np.array(crops[:1])).to(device), black)
            shown = generator_input(face, face)
            scales = encode(net.identity_encoder, shown)
            voice = net.hear(torch.from_numpy(mel).to(device))
            recall = net.memory(voice)
            assert recall.voice is not None
            winner = net.memory.value[recall.voice.weights.argmax(dim=1)]
            wanted = _mouths(net, recall.by_voice, voice, scales, shown)
            changed = {
                names[0]: (mean.expand_as(recall.by_voice), voice),
                names[1]: (winner, voice),
                names[2]: (recall.voice.weights @ net.memory.value[order], voice),
                names[3]: (recall.by_voice, torch.zeros_like(voice)),
            }
            whole += float((wanted * wanted).sum())
            for name, (recalled, beside) in changed.items():
                found = _mouths(net, recalled, beside, scales, shown)
                shared[name] += float((found * wanted).sum())
                sizes[name] += float((found * found).sum())
        progress(number + 1, len(keys), key)
    if whole == 0:
        return tuple(Movement(name, float("nan"), float("nan")) for name in names)
    return tuple(Movement(name, shared[name] / whole, float(np.sqrt(sizes[name] / whole))) for name in names)


def _mouths(
    net: SyncTalkFace,
    recalled: torch.Tensor,
    voice: torch.Tensor,
    scales: list[torch.Tensor],
    shown: torch.Tensor,
) -> torch.Tensor:
    """The region of the mouth in every drawn picture, less its mean over the clip."""
    import torch

    from tkbench.train.objectives.base import mouth_box

    drawn = []
    for start in range(0, len(voice), 64):
        part = slice(start, start + 64)
        count = len(voice[part])
        picture = net.draw_from(
            recalled[part],
            voice[part],
            [scale.expand(count, -1, -1, -1) for scale in scales],
            shown.expand(count, -1, -1, -1),
        ).picture
        top, bottom, left, right = mouth_box(*picture.shape[-2:])
        drawn.append(picture[..., top:bottom, left:right].cpu())
    mouths = torch.cat(drawn).double()
    return mouths - mouths.mean(dim=0)


def _sides(
    source: Path, counted: Path | None, facts: checkpoint.Facts, cache: Path | None
) -> tuple[Reader, Reader]:
    if counted is not None:
        if "train" not in shards.open_shards(counted).splits:
            raise UsageError(f"--counted {counted}: has no split train")
        return Reader(counted, facts, split="train", cache=cache), Reader(source, facts, cache=cache)
    splits = shards.open_shards(source).splits
    others = [name for name in splits if name != "train"]
    if "train" not in splits or not others:
        raise UsageError(
            f"{source}: has the splits {', '.join(splits)}; a study counts on a split train and measures on another. "
            f"Give the training clips with --counted"
        )
    held = "test" if "test" in others else others[0]
    return Reader(source, facts, split="train", cache=cache), Reader(source, facts, split=held, cache=cache)


def _speakers(reader: Reader, keys: Sequence[str]) -> set[str]:
    return {reader.windows.shards.speakers[key] for key in keys}


def _spread(keys: Sequence[str], most: int) -> tuple[str, ...]:
    """At most so many, evenly over all: shards are in the order of their people."""
    if len(keys) <= most:
        return tuple(keys)
    return tuple(keys[place] for place in np.linspace(0, len(keys) - 1, most).round().astype(int))
