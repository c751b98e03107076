"""VFHQ: a text file for each clip, named `Clip+<youtube id>+P<person>+C<clip>+F<first>-<last>.txt`, over downloads.

root     the videos with sound, `<youtube id>.mp4` or .webm, in it or in folders below. VFHQ's own files are pictures
         without sound: they are not read
key      <youtube id>_P0_C0
clip     frames first + 1 to last - 1 of the YouTube video, at the rate that the text file says (`FPS`); its `CROP` (x0,
         y0, x1, y1), measured on a picture of height `H`, at 512 x 512. The worker reads the file: a clip whose file is
         damaged is a row `unreadable`
speaker  <youtube id>_P0: the person of that video
labels   source: the YouTube id
split    the published test set has other clips, without sound: all clips are in `test`

Sources: names, `FPS` and `CROP`, and the frames that count in jinwonkim93/vfhq_processing,
extract_high_quality_faces_with_meta.py; `H` and `W` as sizes of the video that CROP was measured on in
yunyu/vfhq-downloader, crop_clips.py and vfhq_dl/parse_meta_info.py; "over 16,000 clips" in the paper. Not confirmed by
any: what else the files hold, and the sign after a name (`FPS:` or `FPS`); both are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tkbench.errors import BadMedia, UsageError
from tkbench.prep.datasets import downloads
from tkbench.prep.datasets.downloads import Part
from tkbench.prep.datasets.tree import listing, text_of
from tkbench.runtime import storage
from tkbench.types import Clip, Crop, Reason, Skipped

SIDE = 512
NAME = re.compile(r"Clip\+([A-Za-z0-9_-]+)\+P(\d+)\+C(\d+)\+F(\d+)-(\d+)")


def find_lists(root: Path, annotations: str | None) -> tuple[Path, list[str]]:
    """(folder of the text files, their names without suffix, by clip). Raises UsageError where there are none."""
    places = [storage.place(annotations)] if annotations is not None else [root / "meta_info", root]
    for place in places:
        names = [name[:-4] for name in listing(place)[1] if name.endswith(".txt")]
        if good := [name for name in names if NAME.fullmatch(name)]:
            return place, sorted(good, key=_key_of)
    raise UsageError(
        f"{annotations or root}: no Clip+...+P0+C0+F100-200.txt; give the folder meta_info: --annotations DIR"
    )


def _key_of(name: str) -> str:
    found = NAME.fullmatch(name)
    assert found is not None
    return f"{found[1]}_P{found[2]}_C{found[3]}"


def parse(name: str, text: str) -> tuple[float, float, Crop]:
    r"""(start, stop, window) of a clip from its name and text. Raises ValueError.

    >>> parse("Clip+AAAAAAAAAAA+P0+C0+F49-151", "H: 720\nW: 1280\nFPS: 25.0\nCROP: 10 20 310 320\n")
    (2.0, 6.04, Crop(x=10, y=20, width=300, height=300, of_height=720, shares=False, square=False))
    """
    found = NAME.fullmatch(name)
    facts: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.replace(":", " ").split()
        if words:
            facts.setdefault(words[0], words[1:])
    try:
        assert found is not None
        first, last, fps = int(found[4]) + 1, int(found[5]) - 1, float(facts["FPS"][-1])
        height, (x0, y0, x1, y1) = int(facts["H"][-1]), (int(number) for number in facts["CROP"][-4:])
    except (KeyError, IndexError, ValueError, AssertionError):
        raise ValueError(f"{name}.txt: no usable FPS, H and CROP") from None
    if not (fps > 0 and height > 0 and last >= first and x0 < x1 and y0 < y1):
        raise ValueError(
            f"{name}.txt: FPS {fps:g}, frames {first}-{last}, CROP {x0} {y0} {x1} {y1} of height {height}"
        )
    return first / fps, (last + 1) / fps, Crop(x0, y0, x1 - x0, y1 - y0, of_height=height)


def parts(names: list[str]) -> Iterator[Part]:
    """The clips as far as their names tell: without times and windows."""
    for name in names:
        tube = name.split("+")[1]
        person = f"{tube}_{name.split('+')[2]}"
        yield Part(
            key=_key_of(name),
            video=tube,
            names=(tube,),
            start=0.0,
            stop=0.0,
            group="clips",
            speaker=person,
            target=SIDE,
            labels={"source": tube},
            extra={"youtube": tube, "file": name},
        )


def read(root: Path, annotations: str | None = None) -> Iterator[Clip | Skipped]:
    """Every clip; those whose video is not there are missing. Times and windows come with the worker."""
    place, names = find_lists(root, annotations)
    found = downloads.clips(root, parts(names), downloads.index_videos(root), "vfhq")
    for name, item in zip(names, found, strict=True):
        if isinstance(item, Clip):
            yield replace(item, start=None, stop=None, sidecar=f"{place}/{name}.txt")
        else:
            yield item


def annotate(clip: Clip) -> tuple[Clip, list[str]]:
    """The clip with its interval and window. Raises BadMedia: without them it would be the whole video."""
    assert clip.sidecar is not None
    file = Path(clip.sidecar)
    try:
        start, stop, crop = parse(file.stem, text_of(file))
    except (OSError, ValueError) as error:
        raise BadMedia(Reason.UNREADABLE, str(error)) from error
    return replace(clip, start=start, stop=stop, crop=crop), []
