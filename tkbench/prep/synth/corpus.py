"""A corpus of synthetic clips on disk: mp4, wav, JSON truth, corpus.json and a contact sheet."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tkbench import media
from tkbench.errors import UsageError
from tkbench.prep.synth import clip as clips_module
from tkbench.types import FPS, SAMPLE_RATE, UInt8

FORMAT = "tkbench-synth-1"


def splits_of(speakers: int) -> list[str]:
    """One split per speaker: small corpora are all test, larger ones 70/10/20 train, val, test."""
    if speakers < 20:
        return ["test"] * speakers
    n_val, n_test = round(0.1 * speakers), round(0.2 * speakers)
    names = ["train"] * (speakers - n_val - n_test) + ["val"] * n_val + ["test"] * n_test
    # Spread over the numbers, so that every split holds every kind of look.
    order = np.random.default_rng(speakers).permutation(speakers)
    return [names[int(order[i])] for i in range(speakers)]


def make_corpus(
    out: Path,
    *,
    clips: int,
    speakers: int,
    seed: int,
    seconds: tuple[float, float] = (2.5, 4.0),
    size: int = 256,
    workers: int = 1,
    split: str | None = None,
    knobs: Mapping[int, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a corpus to `out` and return the path of its corpus.json.

    Clip i is said by speaker i modulo `speakers`. The bytes depend on the arguments alone, not on `workers`.
    Raises UsageError for a folder that already holds one, or for counts below 1.
    """
    out = Path(out)
    if clips < 1 or speakers < 1:
        raise UsageError(f"a corpus needs at least one clip and one speaker, not {clips} and {speakers}")
    if (out / "corpus.json").exists():
        raise UsageError(f"{out} already holds a corpus: choose another folder or remove it")
    out.mkdir(parents=True, exist_ok=True)
    speakers = min(speakers, clips)
    splits = [split] * speakers if split else splits_of(speakers)
    jobs = [(str(out), seed, i, i % speakers, splits[i % speakers], seconds, size) for i in range(clips)]
    for index in range(speakers):
        (out / f"s{index:03d}").mkdir(exist_ok=True)
    done = 0
    rows: list[tuple[dict[str, Any], UInt8]] = []
    if workers <= 1:
        for job in jobs:
            rows.append(_make_one(job))
            done += 1
            if progress:
                progress(done, clips)
    else:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
            futures = [pool.submit(_make_one, job) for job in jobs]
            for _ in concurrent.futures.as_completed(futures):
                done += 1
                if progress:
                    progress(done, clips)
            rows = [future.result() for future in futures]
    _sheet(out / "sheet.png", [tiles for _, tiles in rows])
    record = {
        "format": FORMAT, "seed": seed, "n_clips": clips, "speakers": [f"s{i:03d}" for i in range(speakers)],
        "knobs": {}, "clips": [row for row, _ in rows], "sheet": "sheet.png",
    }  # fmt: skip
    path = out / "corpus.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _make_one(job: tuple[str, int, int, int, str, tuple[float, float], int]) -> tuple[dict[str, Any], UInt8]:
    """Write one clip; its row of corpus.json and three small pictures (3, 128, 128, 3) for the sheet."""
    folder, seed, index, who, split, seconds, size = job
    clips_module.prepare_process()
    speaker = clips_module.speaker_of(seed, who)
    rng = np.random.default_rng([seed, 2, index])
    script = clips_module.script_of(rng, speaker.voice, seconds)
    key = f"{speaker.name}/c{index:04d}"
    truth = clips_module.truth_of(key, split, speaker, script)
    base = Path(folder) / key
    frames = list(clips_module.pictures(speaker, script, rng, size))
    media.write_video(
        base.with_suffix(".mp4"), frames, fps=FPS, audio=script.audio, sample_rate=SAMPLE_RATE, quality=16, audio_codec="aac"
    )
    _write_wav(base.with_suffix(".wav"), script.audio)
    base.with_suffix(".json").write_text(json.dumps(truth, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    aperture = np.array(truth["aperture"])
    picks = sorted({0, int(aperture.argmax()), len(frames) * 2 // 3})
    picks = (picks + picks[-1:] * 3)[:3]
    tiles = np.stack([cv2.resize(frames[i], (128, 128), interpolation=cv2.INTER_AREA) for i in picks])
    row = {"key": key, "file": f"{key}.mp4", "speaker": speaker.name, "split": split, "text": script.text, "n_frames": script.n_frames}
    return row, tiles


def _write_wav(path: Path, audio: Any) -> None:
    import soundfile

    soundfile.write(path, np.clip(np.round(audio * 32767), -32768, 32767).astype(np.int16), SAMPLE_RATE, "PCM_16")


def _sheet(path: Path, tiles: list[UInt8]) -> None:
    """A contact sheet: three pictures of each clip, six clips a row, at most 48 clips."""
    strips = [np.hstack(list(t)) for t in tiles[:48]]
    per_row = 3
    while len(strips) % per_row:
        strips.append(np.full_like(strips[0], 24))
    rows = [np.hstack(strips[i : i + per_row]) for i in range(0, len(strips), per_row)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
