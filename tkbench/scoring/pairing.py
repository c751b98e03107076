"""What an evaluation scores: the clips themselves, or the videos that a list of pairs asks for.

Without a list an item is a clip, and a model that takes another clip's voice gets one by a seeded rule. With a list
(`tkbench eval --model cross:MODEL --pairs FILE`) an item is a line of it: the picture of one clip, with the voice of
another. Its key is `PICTURE+VOICE`, and so is the name of its video for `cross:files:DIR`. As in Wav2Lip's
`gen_videos_from_filelist.py` (Rudrabha/Wav2Lip@5c90fa9, evaluation/) the video is as long as the voice, and a line
whose picture is shorter than its voice is left out.

The hash of the list is part of the signature, with how many of its lines could be scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.models.base import ModelCard
from tkbench.protocol import Protocol
from tkbench.scoring import lists
from tkbench.scoring.clips import choose_partner, clip_keys, first_frames, is_crossed
from tkbench.shards import Shards
from tkbench.types import SAMPLES_PER_FRAME, Sample

JOIN = "+"


@dataclass(frozen=True, slots=True)
class Items:
    """What is scored, in key order."""

    keys: tuple[str, ...]
    partners: Mapping[str, str | None]
    """Item -> the clip whose voice drives it; None where its own does."""
    speakers: Mapping[str, str | None]
    """Item -> who is seen."""
    signature: tuple[str, ...] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Item -> the clip that is seen, where that is not the item itself."""
    told: str = ""
    """For people: which lines of a list could not be scored."""

    def voices_of(self, keys: Sequence[str]) -> tuple[dict[str, str | None], dict[str, str]]:
        """`partners` and `pictures` of some items alone, as a task takes them."""
        return {key: self.partners[key] for key in keys}, {
            key: self.pictures[key] for key in keys if key in self.pictures
        }


def items_of(
    rules: Protocol, source: Shards, card: ModelCard, *, limit: int | None = None, pairs: Path | None = None
) -> Items:
    """The items of an evaluation. pairs: a file with a line `VOICE PICTURE` each, names of clips or their ends.

    Raises UsageError for a model that speaks with its own voice, and for a list of which nothing can be scored.
    """
    if pairs is not None:
        if not is_crossed(card):
            raise UsageError(
                f"--pairs {pairs}: {card.name} speaks with its own voice; give cross:MODEL, as in cross:cals or "
                "cross:files:DIR"
            )
        return _of_list(rules, source, pairs, limit)
    keys = clip_keys(source, source.folder, limit)
    speakers = source.speakers
    partners = {
        key: choose_partner(key, keys, speakers, rules.seed) if card.drive == "other" else None
        for key in keys
    }
    named = rules.data is not None and is_crossed(card)
    return Items(
        keys, partners, speakers, (f"pairs:seeded@{lists.pairs_hash(partners)[:12]}",) if named else ()
    )


def _of_list(rules: Protocol, source: Shards, file: Path, limit: int | None) -> Items:
    content = lists.read_list(file, "--pairs")
    digest = hashlib.sha256(content).hexdigest()
    published = [spec.name for spec in (rules.data.pairs if rules.data else ()) if spec.sha256 == digest]
    lines, missing = lists.named_pairs(content, source, file)
    table = source.manifest(["key", "n_frames"])
    frames = {str(key): int(n) for key, n in zip(table["key"], table["n_frames"], strict=True) if n == n}
    fitting = {
        f"{picture}{JOIN}{voice}": (picture, voice)
        for voice, picture in lines
        if frames[picture] >= frames[voice]
    }
    short = len(dict.fromkeys(lines)) - len(fitting)
    if not fitting:
        raise UsageError(
            f"--pairs {file}: none of its {len(lines) + missing} lines can be scored: {missing} name a clip that "
            f"{source.folder} lacks, {short} have a picture shorter than the voice"
        )
    keys = tuple(sorted(fitting))[:limit]
    total = len(lines) + missing
    told = f"{file.name}: {len(fitting)} of {total} pairs are scored" if len(fitting) < total else ""
    if short:
        told += f"; {short} have a picture shorter than the voice"
    if missing:
        told += f"; {missing} name a clip that {source.folder} lacks"
    name = published[0] if published else "list"
    speakers = source.speakers
    return Items(
        keys,
        {key: fitting[key][1] for key in keys},
        {key: speakers[fitting[key][0]] for key in keys},
        (f"pairs:{name}@{digest[:12]}({len(fitting)} of {total})",),
        {key: fitting[key][0] for key in keys},
        told,
    )


def of_bundle(signature: str, stored: Sequence[str], source: Shards) -> Items | None:
    """The items of a bundle that was scored by a list, from their keys; None where it was not, or they are no pairs."""
    if not any(
        part.startswith("pairs:") and not part.startswith("pairs:seeded@") for part in signature.split("|")
    ):
        return None
    known, speakers = set(source.keys()), source.speakers
    # No clip has "+" in its name.
    found = {item: tuple(item.split(JOIN)) for item in stored}
    if any(len(parts) != 2 or not known.issuperset(parts) for parts in found.values()):
        return None
    keys = tuple(sorted(found))
    return Items(
        keys,
        {key: found[key][1] for key in keys},
        {key: speakers[found[key][0]] for key in keys},
        (),
        {key: found[key][0] for key in keys},
    )


def sample_of(source: Shards, key: str, pictures: Mapping[str, str], partner: str | None) -> Sample:
    """The sample of an item: a clip, or a clip under the item's name and cut to the length of the voice."""
    if key not in pictures:
        return source.get(key)
    sample = source.get(pictures[key])
    assert partner is not None
    frames = min(len(sample), len(source.get_audio(partner)) // SAMPLES_PER_FRAME)
    return first_frames(replace(sample, key=key), frames)
