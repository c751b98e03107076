"""HDTF (Zhang et al., CVPR 2021): the published annotation files over a folder of downloaded videos.

root     the videos, in it or in folders below: `Radio11.mp4`, `RD_Radio11.mp4`, or named by their YouTube id
         (`CPCoMyuBRM0.webm`, `Some title [CPCoMyuBRM0].mp4`), with sound. The annotation files lie in it, in its
         HDTF_dataset/, or in the folder that `annotations` names
key      RD_Radio11_000: subset, video, number of the interval
clip     an annotated interval, with the official crop brought to 512 x 512; the crop is measured on the annotated
         resolution and scaled to the one that is there. 15 clips have no crop, 2 an unknown resolution, and 3 a
         crop that reaches below the picture: these get a canvas around the head, and their receipt says so
split    train, val, test of `hdtf-identity-1`, see split.py
speaker  the identity: for WDA and WRA the person's name as the video names it; for RD the video, because nobody
         says who speaks there (one person may be in two such videos)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tkbench.prep.datasets.folder import find_videos
from tkbench.prep.datasets.hdtf import lists as hdtf_lists
from tkbench.prep.datasets.hdtf import split as hdtf_split
from tkbench.prep.datasets.hdtf.lists import Video
from tkbench.types import Clip, Crop, Reason, Skipped

SIDE = 512
"""Pixels of the canvas, as the paper has them."""
_IN_BRACKETS = re.compile(r"\[([A-Za-z0-9_-]{11})\]$")


def read(root: Path, annotations: str | None = None) -> Iterator[Clip | Skipped]:
    """Every annotated interval, sorted by key; those whose video is not there are missing."""
    found = hdtf_lists.load(hdtf_lists.find_folder(root, annotations))
    files = index_videos(root)
    for video in sorted(found.videos.values(), key=lambda video: video.file):
        path = find_video(video, files)
        for index in range(len(video.intervals)):
            yield _item(root, video, index, path)


def index_videos(root: Path) -> dict[str, Path]:
    """Stem, and YouTube id where a name ends in one in brackets -> file; the first in order counts."""
    files: dict[str, Path] = {}
    for path in find_videos(root):
        files.setdefault(path.stem, path)
        if (bracket := _IN_BRACKETS.search(path.stem)) is not None:
            files.setdefault(bracket[1], path)
    return files


def find_video(video: Video, files: dict[str, Path]) -> Path | None:
    """The file of a video: by subset and name, by name, then by YouTube id."""
    for name in (video.file, video.name, video.youtube):
        if name is not None and name in files:
            return files[name]
    return None


def _item(root: Path, video: Video, index: int, path: Path | None) -> Clip | Skipped:
    key, split = video.key(index), hdtf_split.split_of(video.subset, video.name)
    if path is None:
        tube = f", or {video.youtube}" if video.youtube else ""
        why = f"no video named {video.name} or {video.file}{tube} below the root"
        return Skipped(key, str(root / f"{video.name}.mp4"), Reason.MISSING_FILE, why, split)
    identity, known = hdtf_split.identity_of(video.subset, video.name)
    box = video.crops.get(index)
    start, stop = video.intervals[index]
    return Clip(
        key=key,
        path=str(path),
        dataset="hdtf",
        split=split,
        speaker=identity,
        extra={
            "subset": video.subset,
            "video": video.name,
            "youtube": video.youtube,
            "clip_index": index,
            "speaker_is": "person" if known else "video",
            "split_protocol": hdtf_split.NAME,
        },
        start=float(start),
        stop=float(stop),
        crop=None if box is None else Crop(*box, of_height=video.resolution or 0),
        target=SIDE,
    )
