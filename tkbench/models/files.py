"""`files:DIR`: videos that were made elsewhere, matched to the data by clip key, never by position.

DIR is a folder, or a place behind a URL (`files:s3://bucket/out`): then each video is brought here when it is its turn.
`files:DIR/{key}_result.mp4` says how the files are named; `tkbench.models.matching` has the rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.errors import BadMedia, UsageError
from tkbench.models import matching
from tkbench.models.base import ModelCard
from tkbench.runtime import storage
from tkbench.runtime.hashes import state_of
from tkbench.runtime.words import counted
from tkbench.types import FPS, Batch, Generated, MediaFacts, Reason, Sample, UInt8

PROBED = 24
"""Videos whose size is read before any work, evenly over all."""
Size = tuple[int, int]
"""Width and height."""


def files_of(model: object) -> Files | None:
    """The folder of videos behind a model, also behind `cross:files:DIR`; None where the model makes its own."""
    inner = getattr(model, "model", model)
    return inner if isinstance(inner, Files) else None


class Files:
    """Reads `DIR/<key>.mp4` (or .mkv, .avi, .mov, .webm) for each clip.

    Names in sub-folders, in another case, and with another character for the `/` of a key are found, too. A video must
    have the size of the canvas, or that of the source video, from which the canvas is then cut as preparation cut it.
    Another frame rate is resampled by time stamps, and the row says so.
    """

    def __init__(self, setting: str) -> None:
        folder, pattern = matching.divided(setting)
        self.folder = storage.place(folder) if storage.is_remote(folder) else Path(folder).expanduser()
        self._videos = matching.VideoFolder(self.folder, pattern)
        self._scratch = storage.Scratch("tkbench-video-")
        """Holds the remote video that was asked for last."""
        if not self.folder.is_dir():
            raise UsageError(
                f"model 'files:{setting}': {self.folder} is not a folder; it must hold one video per clip"
            )
        name = self.folder.resolve().name
        self.card = ModelCard(
            name=f"files:{name}",
            summary=f"Videos made elsewhere, from a folder called {name}.",
            licence="unknown",
        )

    made_elsewhere = True
    """What its videos cost is not known here."""

    def state_of(self, key: str) -> str:
        """What tells the present state of a clip's video from another; "" where there is none."""
        path = self._videos.find(key).path
        return state_of(path) if path is not None else ""

    def check_names(self, keys: Sequence[str]) -> list[str]:
        """The clips without a video; UsageError where none has one, which says what is there."""
        return self._videos.check(keys)

    def check(self, keys: Sequence[str], sizes: Mapping[str, Sequence[Size]]) -> list[str]:
        """What is to be said before any work: how many clips have no video, and how many videos no right size.

        sizes: those that a clip's video may have. Names and headers are read, nothing is decoded. Raises UsageError
        where no clip has a video, or none that was looked at has a right size.
        """
        missing = set(self.check_names(keys))
        there = [key for key in keys if key not in missing]
        said = []
        if missing:
            first = [key for key in keys if key in missing][:3]
            said.append(
                f"{self.folder}: {len(there)} of {counted(len(keys), 'clip')} have a video; without one "
                f"{'is' if len(missing) == 1 else 'are'} {', '.join(first)}{', ...' * (len(missing) > 3)}, scored as "
                "not-generated"
            )
            said += self._unclaimed(keys, missing)
        return [*said, *self._wrong_sizes(there, sizes)]

    def _unclaimed(self, keys: Sequence[str], missing: Collection[str]) -> list[str]:
        """What the videos that belong to no clip may be, where clips lack theirs; a likely name is told."""
        spare = self._videos.unclaimed(keys)
        if not spare:
            return []
        lacking = [key for key in keys if key in missing]
        pattern, fits = matching.guess(spare, lacking)
        advice = "a video is found by the name of its clip"
        if fits:
            advice = (
                f"--pattern '{pattern}' would fit {fits} of them: call all by one pattern, and give it, or by their "
                "clips"
            )
        return [
            f"{counted(len(spare), 'video')} there {'is' if len(spare) == 1 else 'are'} of none of these clips: "
            f"{', '.join(spare[:3])}{', ...' * (len(spare) > 3)}; {advice}"
        ]

    def _wrong_sizes(self, keys: Sequence[str], sizes: Mapping[str, Sequence[Size]]) -> list[str]:
        if storage.as_remote(self.folder) is not None:
            return []
        step = max(1, -(-len(keys) // PROBED))
        probed = [key for key in keys[::step] if sizes.get(key)]
        wrong: list[str] = []
        for key in probed:
            path = self._videos.find(key).path
            try:
                facts = media.probe(path) if path is not None else None
            except BadMedia:
                continue  # its row says so
            if facts is None:
                continue
            size = (facts.width, facts.height)
            if size not in sizes[key] and size[::-1] not in sizes[key]:
                right = " or ".join(f"{width}x{height}" for width, height in dict.fromkeys(sizes[key]))
                why = "".join(f" ({note})" for note in facts.reading.notes if " is shown as " in note)
                wrong.append(f"{path} is {size[0]}x{size[1]}{why}, expected {right}")
        if not wrong:
            return []
        advice = (
            "give videos of the whole picture, at the size of the files that `tkbench data export` writes; a face that "
            "was cut out has to be pasted back first"
        )
        if len(wrong) == len(probed):
            raise UsageError(f"{self.folder}: no video has the size of its clip: {wrong[0]}; {advice}")
        return [
            f"{len(wrong)} of {len(probed)} videos that were looked at have another size: {wrong[0]}; {advice}"
        ]

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        return [self._one(sample) for sample in batch]

    def _one(self, sample: Sample) -> Generated:
        match = self._videos.find(sample.key)
        path = match.path
        if path is None:
            stem = matching.stems(sample.key, self._videos.pattern)[0]
            wanted = f"no {stem}.mp4 (or {', '.join(matching.SUFFIXES[1:])}) in {self.folder.name}/"
            wanted = f"{self.folder.name}/: {match.why}" if match.why else wanted
            return Generated(sample.key, None, Reason.NOT_GENERATED, wanted)
        path = self._fetched(path)
        try:
            facts = media.probe(path)
            media.check_pace(facts)
            video = media.read_video(path, facts=facts)
        except BadMedia as error:
            return Generated(sample.key, None, error.reason, f"{path.name}: {error.detail}")
        count = own_count(video, facts, len(sample))
        video, notes = on_the_samples_clock(video, facts)
        note = "; ".join([*notes, count] if count else notes)
        want = sample.video.shape[1:3]
        if video.shape[1:3] == want:
            return Generated(sample.key, video, detail=note, own_count=count, file=path)
        cut = cut_canvas(video, sample)
        if cut is None:
            found = (
                f"{path.name} is {video.shape[2]}x{video.shape[1]}, expected the canvas {want[1]}x{want[0]}"
            )
            source = sample.canvas.get("source_width"), sample.canvas.get("source_height")
            also = f" or the source's {source[0]}x{source[1]}" if all(source) else ""
            return Generated(sample.key, None, Reason.WRONG_SHAPE, found + also)
        detail = "; ".join(filter(None, (note, "canvas cut from the source size")))
        return Generated(sample.key, cut, detail=detail, own_count=count, file=path)

    def _fetched(self, path: Path) -> Path:
        """A file of this machine: a remote one is here until the next is asked for."""
        if storage.as_remote(path) is None:
            return path
        return storage.fetch(str(path), self._scratch.new())


def own_count(video: UInt8, facts: MediaFacts, wanted: int) -> str:
    """How a file that is too short counts its frames, where another rate makes that another number; otherwise ""."""
    if facts.n_frames == len(video) or len(video) >= wanted:
        return ""
    return f"{facts.n_frames} frames at {facts.fps:g} fps are {len(video)} at {FPS}"


def on_the_samples_clock(video: UInt8, facts: MediaFacts) -> tuple[UInt8, list[str]]:
    """The frames of a file that has a voice of its own, from the instant at which this voice begins, and what is to be
    told: preparation would give the same pairs of picture and sound.

    A picture that starts after its sound is held before its time; one that starts before it loses that time.
    """
    notes = list(facts.reading.notes)
    if abs(facts.fps - FPS) >= 0.01 or facts.vfr:
        notes.append(f"resampled from {facts.fps:.2f} to {FPS} fps")
    if facts.sample_rate is None or facts.audio_duration is None:
        return video, notes
    late = -round(facts.start_offset * FPS)
    beyond = facts.start_offset + facts.audio_duration - facts.duration
    if beyond > 1 / FPS:
        notes.append(f"sound cut by {beyond:.3f} s at its end")
    if late > 0 and len(video):
        notes.append(f"the picture starts {-facts.start_offset:.3f} s after its sound, as the file says")
        video = np.concatenate([np.repeat(video[:1], late, axis=0), video])
    elif late < 0:
        notes.append(f"the picture starts {facts.start_offset:.3f} s before its sound, as the file says")
        video = video[-late:]
    return video, notes


def cut_canvas(video: UInt8, sample: Sample) -> UInt8 | None:
    """The canvas out of a video of the source's size, (n, H, W, 3); None if it has another size."""
    import cv2

    canvas = sample.canvas
    height, width = video.shape[1:3]
    if (canvas.get("source_width"), canvas.get("source_height")) != (width, height):
        return None
    x, y, w, h = (int(canvas[side]) for side in ("x", "y", "width", "height"))
    out_h, out_w = sample.video.shape[1:3]
    part = video[:, y : y + h, x : x + w]
    if part.shape[1:3] == (out_h, out_w):
        return np.ascontiguousarray(part)
    # As preparation does: areas where the picture shrinks, cubic where it grows.
    how = cv2.INTER_AREA if out_w <= w else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (out_w, out_h), interpolation=how) for frame in part])
