"""The availability ledger of HDTF: which annotated videos are there, how large each is, and what that means."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tkbench import media
from tkbench.dataset import Check, Ledger
from tkbench.errors import BadMedia
from tkbench.prep import official
from tkbench.prep.datasets.hdtf import lists as hdtf_lists
from tkbench.prep.datasets.hdtf import reader as hdtf
from tkbench.prep.datasets.hdtf import split as hdtf_split
from tkbench.prep.datasets.hdtf.lists import Video
from tkbench.types import Clip, Crop


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Each annotated video; headers are opened, pictures are not."""
    found = hdtf_lists.load(hdtf_lists.find_folder(root, how.options.get("annotations")))
    for name in found.missing:
        ledger.add("missing-list", name.partition("_")[0], "", name)
    for bad in found.bad:
        ledger.add(bad.kind, bad.file.partition("_")[0], "", bad.file, bad.line, bad.detail)
    files = hdtf.index_videos(root)
    used: set[Path] = set()
    heights: Counter[str] = Counter()
    videos = sorted(found.videos.values(), key=lambda video: video.file)
    for done, video in enumerate(videos):
        ledger.listed[video.subset] += len(video.intervals)
        path = hdtf.find_video(video, files)
        for index in range(len(video.intervals)):
            if index not in video.crops:
                ledger.add(
                    "no-crop", video.subset, video.key(index), "", None, "a canvas around the head instead"
                )
        if path is None:
            tube = f", youtube {video.youtube}" if video.youtube else ""
            ledger.add(
                "missing-video", video.subset, video.file, "", None, f"{len(video.intervals)} clips{tube}"
            )
        else:
            used.add(path)
            _check_video(ledger, video, path, how.fast, heights)
        how.progress(done + 1, len(videos), "videos")
    for path in sorted(set(files.values()) - used):
        ledger.add("not-annotated", "-", path.stem, path, None, "no annotation names this video")
    if heights:
        counts = ", ".join(f"{count} x {height}" for height, count in sorted(heights.items()))
        ledger.notes.append(f"heights of the videos that are there: {counts}")
    if len(videos) == 369:
        there = {key for video in videos if hdtf.find_video(video, files) for key in _keys(video)}
        for split, part in hdtf_split.published()["splits"].items():
            whole = sum(key in there for key in part["keys"])
            ledger.notes.append(f"{hdtf_split.NAME} {split}: {whole} of {part['clips']} clips")


def _keys(video: Video) -> list[str]:
    return [video.key(index) for index in range(len(video.intervals))]


def _check_video(ledger: Ledger, video: Video, path: Path, fast: bool, heights: Counter[str]) -> None:
    subset = video.subset
    if path.stat().st_size == 0:
        ledger.add("empty-file", subset, video.file, path)
        return
    if fast:
        ledger.there[subset] += len(video.intervals)
        ledger.add("available", subset, video.file, path, None, "not opened")
        return
    try:
        head = media.peek(path)
    except BadMedia as error:
        ledger.add("unreadable", subset, video.file, path, None, str(error))
        return
    ledger.there[subset] += len(video.intervals)
    heights[str(head.height)] += 1
    seconds = f"{head.seconds:.1f} s" if head.seconds is not None else "length unknown"
    facts = f"{head.width}x{head.height}, annotated at {video.resolution or 'unknown'}, {seconds}"
    ledger.add("available", subset, video.file, path, None, facts)
    if not head.sound:
        ledger.add(
            "no-sound", subset, video.file, path, None, "a copy without a sound track cannot be prepared"
        )
    if video.resolution and head.height != video.resolution:
        scale = head.height / video.resolution
        why = f"{head.height} where {video.resolution} is annotated: crops are scaled by {scale:.4g}"
        ledger.add("other-resolution", subset, video.file, path, None, why)
    for index, (start, stop) in enumerate(video.intervals):
        if head.seconds is not None and stop > head.seconds + 0.5:
            why = f"interval {start}-{stop} s, the file has {head.seconds:.1f} s"
            ledger.add("too-short", subset, video.key(index), path, None, why)
        problem = crop_problem(video, index, head)
        if problem is not None:
            ledger.add(
                "crop-unusable", subset, video.key(index), path, None, f"{problem}: a canvas around the head"
            )


def crop_problem(video: Video, index: int, head: media.Header) -> str | None:
    """Why the official crop of a clip cannot be used on the file that is there; None where it can, or has none."""
    if index not in video.crops:
        return None
    crop = Crop(*video.crops[index], of_height=video.resolution or 0)
    clip = Clip("", "", "hdtf", crop=crop, target=hdtf.SIDE)
    cut, record = official.crop_of(clip, head.width, head.height)
    return str(record["why"]) if cut is None else None
