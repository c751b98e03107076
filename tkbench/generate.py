"""`tkbench generate`: one photo or video and one voice file become one video of the face that speaks it.

The video is read twice, once to be tracked and once to be drawn on, so that its pictures need not be held in memory.
Only if the voice is longer than the video are they held, and played forwards and backwards in turn. Otherwise memory
grows by 10 KB a frame: landmarks and mel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from tkbench import media, models
from tkbench.errors import BadMedia, UsageError
from tkbench.models import kinds
from tkbench.models.talker import CHUNK, Talker
from tkbench.prep import backends
from tkbench.prep.track import fill
from tkbench.runtime.progress import Progress, silent
from tkbench.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Array, Float32, Reason, UInt8

PHOTOS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MOST_HELD = 2_000_000_000
"""Bytes of pictures that may be held for a video that is played forwards and backwards."""
TOGETHER = 64_000_000
"""Bytes of pictures that are drawn on together, at most."""
MOST_PIXELS = 1 << 26
"""Pixels of the largest photo that is read: 8192 x 8192."""
LONGEST_SIDE = 1280
"""Photos are scaled down to this."""


def generate(
    model: str,
    video: Path,
    voice: Path,
    out: Path,
    *,
    device: str | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Write `out` (.mp4): the face of `video`, a photo or a video, that speaks `voice`. Returns counts of frames.

    `model`: a generator's name with its checkpoint, as in `cals:cals.safetensors`. The appearance comes from the first
    frame, the pose from each frame's upper half. device: by default a GPU where there is one. Raises UsageError or
    BadMedia with one line for input that cannot be used.
    """
    if out.suffix.lower() != ".mp4":
        raise UsageError(f"--out {out}: the file must end in .mp4")
    for path, what in ((video, "photo or video"), (voice, "voice file")):
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "no such file"
            raise UsageError(f"{path}: {found}; expected a {what}")
        if out.resolve() == path.resolve():
            raise UsageError(f"--out {out}: is the {what} itself; give another name")
    talker = models.create(model)
    if not isinstance(talker, Talker):
        raise UsageError(f"model {model!r} is no generator; known are {', '.join(kinds.generators())}")
    if device is not None:
        talker.to(device)
    try:
        sound = media.read_audio(voice)
    except BadMedia as error:
        raise BadMedia(error.reason, f"{voice}: {error.detail}") from error
    if len(sound) < SAMPLES_PER_FRAME:
        found = f"{len(sound) / SAMPLE_RATE:.3f} s of sound"
        raise BadMedia(Reason.AUDIO_TOO_SHORT, f"{voice}: {found}, expected 0.04 s or more")
    count = max(1, round(len(sound) / SAMPLES_PER_FRAME))
    sound = np.pad(sound, (0, max(0, count * SAMPLES_PER_FRAME - len(sound))))[: count * SAMPLES_PER_FRAME]
    pictures = open_pictures(video, count)
    used = min(len(pictures), count)

    progress(0, used + count, "finding the face")
    landmarks, lost = track(pictures, used, used + count, progress)
    matrices = talker.facts.cut.matrices(landmarks)
    order = back_and_forth(used, count)
    frames = iter(pictures.in_order(order))
    reference = next(frames).copy()  # the decoder overwrites a picture when the next one is asked for
    speech = talker.speech(sound, count, reference, matrices[0], landmarks[0])

    def drawn() -> Iterator[UInt8]:
        shown = chain([reference], frames)
        buffer = np.empty((max(1, min(CHUNK, TOGETHER // reference.nbytes)), *reference.shape), np.uint8)
        for start in range(0, count, len(buffer)):
            part = buffer[: count - start]
            for place in range(len(part)):
                part[place] = next(shown)
            for frame in speech.say(start, part, matrices[order[start : start + len(part)]]):
                yield even(frame)
            progress(used + start + len(part), used + count, "drawing")

    out.parent.mkdir(parents=True, exist_ok=True)
    media.write_video(out, drawn(), audio=sound, quality=18)
    progress(used + count, used + count, "written")
    return {"frames": count, "source_frames": used, "filled": lost}


class Pictures:
    """The frames of a photo or video at 25 frames/s: streamed, or held where they are shown more than once."""

    def __init__(self, path: Path, count: int) -> None:
        self.held: list[UInt8] | None = None
        self.path = path
        if path.suffix.lower() in PHOTOS:
            self.held = [read_photo(path)]
            self.total = 1
            return
        try:
            self.facts = media.probe(path)
        except BadMedia as error:
            kinds = ", ".join(PHOTOS)
            raise BadMedia(error.reason, f"{path}: {error.detail} (photos end in {kinds})") from error
        self.total = max(1, round(self.facts.duration * FPS))
        if self.total < count:
            size = self.total * self.facts.width * self.facts.height * 3
            if size > MOST_HELD:
                raise UsageError(
                    f"{path}: {self.total / FPS:.1f} s of {self.facts.width}x{self.facts.height} for a voice of "
                    f"{count / FPS:.1f} s; too large to be played back and forth: give a video as long as the voice"
                )
            self.held = [frame.copy() for frame in media.stream_frames(path, self.facts)]
            self.total = len(self.held)
        if self.total == 0:
            raise BadMedia(Reason.NO_VIDEO, f"{path}: no picture could be read")

    def __len__(self) -> int:
        return self.total

    def first(self, count: int) -> Iterator[UInt8]:
        """The first `count` frames; BadMedia where there are fewer, because the header promised them."""
        if self.held is not None:
            yield from self.held[:count]
            return
        given = 0
        for given, frame in enumerate(media.stream_frames(self.path, self.facts), start=1):
            yield frame
            if given == count:
                return
        raise BadMedia(Reason.TRUNCATED, f"{self.path}: {given} frames, its header says {self.total}")

    def in_order(self, order: Sequence[int] | Array) -> Iterable[UInt8]:
        """Frames by their numbers: in any order if they are held; 0, 1, 2, ... if they are streamed."""
        if self.held is not None:
            return (self.held[i] for i in order)
        return self.first(len(order))


def open_pictures(path: Path, count: int) -> Pictures:
    """The pictures of `path`, ready for a voice of `count` frames."""
    return Pictures(path, count)


def check_photo(path: Path) -> None:
    """Refuse a photo by the size that its header states, before any memory is taken for its pixels."""
    from PIL import Image

    limit, Image.MAX_IMAGE_PIXELS = (
        Image.MAX_IMAGE_PIXELS,
        None,
    )  # its own limit has no figures in its message
    try:
        with Image.open(path) as photo:
            width, height = photo.size
    except (OSError, ValueError):
        return  # no header that is known here: OpenCV will say what it is
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    if width * height > MOST_PIXELS:
        found = f"{path}: {width}x{height} pixels, at most {MOST_PIXELS} are read; make it smaller"
        raise BadMedia(Reason.TOO_LARGE, found)


def read_photo(path: Path) -> UInt8:
    """(H, W, 3) RGB, at most LONGEST_SIDE pixels on its longest side."""
    import cv2

    check_photo(path)
    found = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if found is None:
        raise BadMedia(Reason.UNREADABLE, f"{path}: not a picture that can be read")
    scale = LONGEST_SIDE / max(found.shape[:2])
    if scale < 1:
        found = cv2.resize(found, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(found[..., ::-1])


def even(frame: UInt8) -> UInt8:
    """Without the last row or column where their number is odd: H.264 in 4:2:0 needs even sides.

    >>> even(np.zeros((5, 8, 3), np.uint8)).shape
    (4, 8, 3)
    """
    height, width = (side // 2 * 2 for side in frame.shape[:2])
    return frame[:height, :width]


def back_and_forth(frames: int, count: int) -> Array:
    """`count` frame numbers: up to the last frame, back down to the first, and so on.

    >>> back_and_forth(3, 8).tolist(), back_and_forth(1, 3).tolist()
    ([0, 1, 2, 1, 0, 1, 2, 1], [0, 0, 0])
    """
    place = np.arange(count) % max(1, 2 * (frames - 1))
    return np.minimum(place, 2 * (frames - 1) - place) if frames > 1 else np.zeros(count, int)


def track(pictures: Pictures, count: int, steps: int, progress: Progress) -> tuple[Float32, int]:
    """(count, N, 2) landmarks of the face, and in how many frames they were filled from neighbours.

    steps: the total that `progress` is told.
    """
    tracker = backends.shared(backends.DEFAULT)
    tracker.restart()
    found: list[Float32 | None] = []
    for frame in pictures.first(count):
        found += tracker.track([np.ascontiguousarray(frame)])
        progress(len(found), steps, "tracking the face")
    seen = np.array([points is not None for points in found])
    if not seen.any():
        raise BadMedia(
            Reason.NO_FACE,
            f"{pictures.path}: no face was found; crop it so that the face fills a third or more",
        )
    blank = next(points for points in found if points is not None)
    stack = np.stack([blank if points is None else points for points in found])
    # Before the first and after the last face that was seen, the nearest one is held.
    first, last = int(seen.argmax()), len(seen) - 1 - int(seen[::-1].argmax())
    stack[:first], stack[last + 1 :] = stack[first], stack[last]
    stack[first : last + 1] = fill(stack[first : last + 1], seen[first : last + 1])
    return stack, int((~seen).sum())
