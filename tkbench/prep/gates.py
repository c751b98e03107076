"""The rules that refuse a clip. Each refusal has a `Reason`, and its detail says what was measured and what is needed.

They run from cheap to dear: `check_facts` before anything is decoded, `check_decoded` and `check_sound` after the
pass that decodes and tracks, `check_runs` last. The thresholds are fields of `prep.plan.Settings`, which are part of
the signature of the shards. All are functions of numbers and arrays: they open no file.

Levels of sound are in dB relative to full scale (a sine of full amplitude has -3 dB).
"""

from __future__ import annotations

import math

import numpy as np

from tkbench import media
from tkbench.errors import BadMedia
from tkbench.types import FPS, SAMPLES_PER_FRAME, Array, MediaFacts, Reason


def check_facts(facts: MediaFacts, *, min_frames: int, start: float = 0.0) -> None:
    """Refuse, before anything is decoded, a clip without sound, one that is too short or hardly moves, and one whose
    sound ends long before the picture. start: seconds of the file at which the clip begins.
    """
    media.check_pace(facts, start=start)
    if facts.sample_rate is None:
        raise BadMedia(Reason.NO_AUDIO, "the file has no audio stream")
    if facts.duration * FPS < min_frames - 0.5:
        frames = "frame" if facts.n_frames == 1 else "frames"
        found = (
            f"{facts.n_frames} {frames}, {facts.duration:.2f} s; at least {min_frames / FPS:.2f} s are needed"
        )
        raise BadMedia(Reason.TOO_SHORT, found)
    if start == 0.0 and facts.audio_duration is not None:
        end = facts.start_offset + facts.audio_duration
        if end < facts.duration / 2 - 1 / FPS:
            found = f"{max(0.0, end):.2f} s of sound for {facts.duration:.2f} s of video"
            raise BadMedia(Reason.AUDIO_TOO_SHORT, found)


def check_decoded(facts: MediaFacts, decoded: int, messages: list[str]) -> None:
    """Refuse a clip that gave clearly fewer pictures than its packets promised."""
    expected = facts.duration * FPS
    # A clip without damage keeps its promise; the last picture's own length may be another than the others'.
    off = abs(decoded - expected)
    if not messages and decoded and off > 2 + FPS / facts.fps and off > 0.02 * expected:
        found = f"{decoded} frames were decoded, the stamps promise {expected:.0f}"
        raise BadMedia(Reason.TRUNCATED if decoded < expected else Reason.OUT_OF_STEP, found)
    if decoded < expected - max(2.0, 0.02 * expected):
        last = f": {messages[-1]}" if messages else ""
        found = f"{decoded} of about {expected:.0f} frames could be decoded{last}"
        raise BadMedia(Reason.TRUNCATED if decoded else Reason.DECODE_ERROR, found)


def check_counts(wanted: int, *, pictures: int, samples: int, rows: int) -> None:
    """Refuse a sample whose parts do not fit each other, as counted from its encoded files.

    wanted: frames of the run; pictures: in its canvas; samples: of its voice; rows: of its landmarks.
    """
    if (pictures, samples, rows) != (wanted, wanted * SAMPLES_PER_FRAME, wanted):
        found = f"{pictures} pictures, {samples} samples and {rows} rows of landmarks for {wanted} frames"
        raise BadMedia(Reason.OUT_OF_STEP, found)


def check_sound(samples: Array, frames: int, *, silence_db: float) -> str | None:
    """Refuse silence and sound that ends long before the picture; returns the fix that the length needs.

    samples: (S,) int16 as decoded, from the first frame on.
    """
    want = frames * SAMPLES_PER_FRAME
    if len(samples) < want // 2:
        found = f"{len(samples) / 16000:.2f} s of sound for {frames / FPS:.2f} s of video"
        raise BadMedia(Reason.AUDIO_TOO_SHORT, found)
    level = loudness(samples[:want])
    if level < silence_db:
        shown = "digital zero" if level == -math.inf else f"{level:.0f} dB below full scale".replace("-", "")
        raise BadMedia(Reason.SILENT_AUDIO, f"the sound is silence: {shown}")
    off = (len(samples) - want) / 16000
    if abs(len(samples) - want) <= SAMPLES_PER_FRAME:
        return None
    if off > media.LONGER - 2:  # no more is read
        return "sound cut by a minute or more at its end"
    return f"sound {'cut by' if off > 0 else 'padded with'} {abs(off):.3f} s at its end"


def loudness(samples: Array) -> float:
    """Root mean square of int16 samples in dB relative to full scale; -inf for zeros or none.

    >>> loudness(np.full(100, 32767, np.int16)) > -0.01
    True
    """
    total, count = 0.0, 0
    for start in range(0, len(samples), 1 << 20):  # a memory map may be hours long
        block = samples[start : start + (1 << 20)].astype(np.float64)
        total, count = total + float(block @ block), count + len(block)
    if total == 0.0:
        return -math.inf
    return 10 * math.log10(total / count / 32768.0**2)


def check_runs(
    runs: list[tuple[int, int]],
    found: Array,
    starts: Array,
    height: float,
    *,
    min_frames: int,
    min_height: float,
) -> None:
    """Refuse a clip without a usable run of one face. height: median of the landmarks' box, canvas pixels."""
    seen, total = int(np.sum(found)), len(found)
    if seen == 0:
        raise BadMedia(Reason.NO_FACE, f"no face in {total} frames")
    if not runs:
        cuts = int(np.sum(starts))
        shots = f", {cuts} cut{'s' if cuts != 1 else ''}" if cuts else ""
        raise BadMedia(
            Reason.FACE_LOST, f"a face in {seen} of {total} frames, never {min_frames} in a row{shots}"
        )
    if height < min_height:
        raise BadMedia(
            Reason.FACE_TOO_SMALL, f"the face is {height:.0f} pixels high, at least {min_height:.0f} needed"
        )
