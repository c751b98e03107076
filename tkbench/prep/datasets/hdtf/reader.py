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

from collections.abc import Iterator
from pathlib import Path

from tkbench.prep.datasets import downloads
from tkbench.prep.datasets.downloads import Part
from tkbench.prep.datasets.hdtf import lists as hdtf_lists
from tkbench.prep.datasets.hdtf import split as hdtf_split
from tkbench.prep.datasets.hdtf.lists import Annotations
from tkbench.types import Clip, Crop, Skipped

SIDE = 512
"""Pixels of the canvas, as the paper has them."""


def read(root: Path, annotations: str | None = None) -> Iterator[Clip | Skipped]:
    """Every annotated interval, sorted by key; those whose video is not there are missing."""
    found = hdtf_lists.load(hdtf_lists.find_folder(root, annotations))
    yield from downloads.clips(root, parts(found), downloads.index_videos(root), "hdtf")


def parts(found: Annotations) -> Iterator[Part]:
    """Every annotated interval, sorted by key. A video is found by subset and name, by name, then by YouTube id."""
    for video in sorted(found.videos.values(), key=lambda video: video.file):
        identity, known = hdtf_split.identity_of(video.subset, video.name)
        names = (video.file, video.name, *([video.youtube] if video.youtube is not None else []))
        for index, (start, stop) in enumerate(video.intervals):
            box = video.crops.get(index)
            yield Part(
                key=video.key(index),
                video=video.file,
                names=names,
                start=start,
                stop=stop,
                group=video.subset,
                split=hdtf_split.split_of(video.subset, video.name),
                speaker=identity,
                crop=None if box is None else Crop(*box, of_height=video.resolution or 0),
                target=SIDE,
                extra={
                    "subset": video.subset,
                    "video": video.name,
                    "youtube": video.youtube,
                    "clip_index": index,
                    "speaker_is": "person" if known else "video",
                    "split_protocol": hdtf_split.NAME,
                },
                annotated=video.resolution,
            )
