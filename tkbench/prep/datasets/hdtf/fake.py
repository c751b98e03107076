"""A synthetic HDTF: annotation files as they are published, quirks included, and the videos that they speak of.

Each video is 1280 x 720 with 44.1 kHz stereo sound, an empty room except in its annotated intervals, where a face
talks inside the official crop. It has the oddities of the original: a byte order mark, trailing blanks, URLs with
`&t=`, a clip without crop (RD), a crop measured at 1080 while the file has 720 (WRA, which is 30 fps), a video that
is not there (WDA, of a person who has another one), and one with a URL and no interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.prep.datasets.spoken import SPEAKERS, Spoken, speak, youtube
from tkbench.runtime.progress import Progress
from tkbench.synth.speech import resample
from tkbench.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Float32, UInt8

WIDTH, HEIGHT, SIDE = 1280, 720, 512
LEAD, LENGTH, GAP = 1, 2, 1
"""Seconds before the first interval, of each interval, and after each."""
_RATE = 44_100
_PEOPLE = ("AdaSample", "BobSample", "EveSample", "KimSample", "LeoSample", "MaxSample")


@dataclass(frozen=True, slots=True)
class _Video:
    subset: str
    name: str
    speaker: int
    intervals: int = 1
    fps: int = FPS
    annotated: int = HEIGHT
    """Height that the annotation speaks of."""
    crop: bool = True
    there: bool = True

    @property
    def corner(self) -> tuple[int, int]:
        """Where the face's square lies, in pixels of 1280 x 720; even."""
        return 300 + 40 * self.speaker, 60 + 20 * (self.speaker % 5)

    def times(self) -> list[tuple[int, int]]:
        """(start, stop) of each interval in seconds."""
        starts = [LEAD + index * (LENGTH + GAP) for index in range(self.intervals)]
        return [(start, start + LENGTH) for start in starts]


def _videos(clips: int) -> Iterator[_Video]:
    """Five clips with the oddities, then plain ones."""
    yield _Video("WDA", "AdaSample0", 0, intervals=2)
    yield _Video("WDA", "AdaSample1", 0, there=False)
    yield _Video("WRA", "BobSample", 1, fps=30, annotated=1080)
    yield _Video("RD", "Radio1", 2, crop=False)
    for index in range(clips - 5):
        speaker = (3 + index) % SPEAKERS
        subset = ("WDA", "WRA")[index % 2]
        yield _Video(subset, f"{_PEOPLE[speaker]}{index + 2}", speaker)


def make(root: Path, clips: int, seed: int, progress: Progress) -> None:
    """Annotation files in HDTF_dataset/, videos in videos/."""
    videos = list(_videos(clips))
    folder = root / "HDTF_dataset"
    folder.mkdir(parents=True)
    (root / "videos").mkdir()
    for subset in ("RD", "WDA", "WRA"):
        _annotate(folder, subset, [video for video in videos if video.subset == subset], seed)
    done = number = 0
    for video in videos:
        talks = [
            speak(seed, number + index, video.speaker, (LENGTH, LENGTH + 0.1))
            for index in range(video.intervals)
        ]
        number += video.intervals
        if video.there:
            _write(root / "videos" / f"{video.name}.mp4", video, talks, seed)
        done += video.intervals
        progress(done, clips, "clips")


def _annotate(folder: Path, subset: str, videos: list[_Video], seed: int) -> None:
    urls, heights, times, windows, ratios = [], [], [], [], []
    for index, video in enumerate(videos):
        tube = youtube(seed, len(subset), index, len(video.name))
        urls.append(f"{video.name} https://www.youtube.com/watch?v={tube}{'&t=6s' if index % 2 else ''}")
        heights.append(f"{video.name}.mp4 {video.annotated}")
        spans = " ".join(f"{a // 60:02d}:{a % 60:02d}-{b // 60:02d}:{b % 60:02d}" for a, b in video.times())
        times.append(f"{video.name}.mp4 {spans}{' ' if index == 0 else ''}")
        x, y = video.corner
        box = [length * video.annotated // HEIGHT for length in (x, SIDE, y, SIDE)]
        for clip in range(video.intervals if video.crop else 0):
            windows.append(f"{video.name}_{clip}.mp4 {' '.join(map(str, box))}")
            ratios.append(f"{video.name}_{clip}.mp4 1.2")
    if subset == "RD":
        urls.append(f"Radio24 https://www.youtube.com/watch?v={youtube(seed, 24)}")
        heights.append("Radio24.mp4 720")
    mark = "\ufeff" if subset == "WDA" else ""
    for kind, lines in (
        ("video_url", urls),
        ("resolution", heights),
        ("annotion_time", times),
        ("crop_wh", windows),
        ("crop_ratio", ratios),
    ):
        start = mark if kind == "video_url" else ""
        text = start + "".join(f"{line}\n" for line in lines)
        (folder / f"{subset}_{kind}.txt").write_text(text, encoding="utf-8")


def _write(path: Path, video: _Video, talks: list[Spoken], seed: int) -> None:
    seconds = LEAD + video.intervals * (LENGTH + GAP)
    sound = np.zeros(seconds * SAMPLE_RATE, np.float32)
    sound += np.float32(2e-4) * np.random.default_rng([seed, 13]).standard_normal(len(sound), np.float32)
    shots: list[list[UInt8]] = []
    for (start, stop), talk in zip(video.times(), talks, strict=True):
        count = (stop - start) * FPS
        # A sentence may be longer than the interval: as in the original, the cut does not wait for it.
        voice = talk.sound(0, count)[: count * SAMPLES_PER_FRAME]
        sound[start * SAMPLE_RATE : start * SAMPLE_RATE + len(voice)] += voice
        shots.append(talk.frames(SIDE // 2, 0, min(count, talk.script.n_frames)))
    stereo: Float32 = np.repeat(resample(sound, SAMPLE_RATE, _RATE)[:, None], 2, axis=1)
    frames = _frames(video, shots, seconds, seed)
    media.write_video(path, frames, fps=video.fps, audio=media.Sound(stereo, rate=_RATE), quality=20)


def _frames(video: _Video, shots: list[list[UInt8]], seconds: int, seed: int) -> Iterator[UInt8]:
    """The pictures of the whole file: an empty room, and in each interval the face in its square."""
    import cv2

    rng = np.random.default_rng([seed, 14, video.speaker])
    coarse = rng.integers(60, 170, (9, 16, 3)).astype(np.uint8)
    room = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    x, y = video.corner
    for number in range(seconds * video.fps):
        time = number / video.fps
        frame = room.copy()
        for (start, stop), shot in zip(video.times(), shots, strict=True):
            if start <= time < stop:
                face = shot[min(int((time - start) * FPS + 1e-6), len(shot) - 1)]
                big = cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
                frame[y : y + SIDE, x : x + SIDE] = big
        yield frame
