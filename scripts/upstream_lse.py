"""Each LSE recipe beside the published script that it is named after, on released files: the table of docs/metrics.md.

It fetches nothing. Give it what others published, as you got it:

    --checkouts DIR    the folders syncnet_python (6efbb1c), Wav2Lip, LatentSync and MoChaBench, each a checkout
    --weights DIR      sfd_face.pth (S3FD of syncnet_python), and syncnet_v2.model if you have it; without it both sides
                       get the same network with random weights, which this script writes there as syncnet_seeded.model
    --scenedetect DIR  the folders 0.5.1, 0.6.1, 0.6.6 and 0.6.7.1, each made by
                       `pip install --no-deps --target DIR/0.5.1 scenedetect==0.5.1` and so on
    --clips DIR        the videos of CLIPS below

    python scripts/upstream_lse.py --checkouts up --weights w --scenedetect sd --clips clips --write docs/metrics.md

Both sides run the ffmpeg and the OpenCV of this environment. Upstream leaves the number of encoder threads to the
machine; here it is held to one by a wrapper around ffmpeg, and on some clips it is also run as it comes, to show what
the threads cost. `--golden FILE` keeps upstream's answers for tests/metrics/test_upstream_lse.py. Answers are kept in
`--work DIR`, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import upstream_child
from between import rewrite
from upstream_child import Task

from tkbench import media
from tkbench.media import lossy
from tkbench.media.ffmpeg import ffmpeg_exe
from tkbench.metrics.lse import score_pieces
from tkbench.metrics.lse_pieces import CanvasCodings, Codings, FileCodings, Piece, Unusable, pieces
from tkbench.metrics.lse_recipes import RECIPES
from tkbench.metrics.mfcc import to_pcm16
from tkbench.metrics.syncnet import Judge, SyncNet, load_syncnet
from tkbench.prep.run import prepare
from tkbench.runtime.storage import sha256_of
from tkbench.shards import open_shards
from tkbench.types import Released

CLIPS = (
    "LipNet__GRID_bbaf2n.mpg",
    "Talking-Face_PC-AVS__Input_00002.mp4",
    "Real3DPortrait__May_5s.mp4",
    "syncnet_python__example.avi",
    "generated/MoChaBench__aniportrait-square_01.mp4",
    "Talking-Face_PC-AVS__Audio_Source_681100216.mp4",
    "face_recognition__short_hamilton_clip.mp4",
    "generated/MoChaBench__hallo3_04.mp4",
    "Syncnet_FCN__test_offset_5.avi",
    "generated/MoChaBench__MoCha_01.mp4",
)
"""224x224 to 976x528; 24, 25, 29.97 and 30 fps; MPEG-1, MPEG-4 and H.264; pcm, mp2, mp3 and aac; one with cuts."""
FREE = CLIPS[1:3]
"""Clips on which upstream also runs with as many encoder threads as it takes by itself."""
SECOND = CLIPS[6:7]
"""Clips with cuts, where the newer release of PySceneDetect can make a difference to syncnet_python."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A recipe and what it is held against."""

    recipe: str
    script: str
    """What runs, as the table names it."""
    child: str
    """One of `upstream_child.SCRIPTS`."""
    scenedetect: str
    clips: tuple[str, ...] = CLIPS


ROWS = (
    Upstream("wav2lip-lrs", "Wav2Lip 5c90fa9, calculate_scores_LRS.py", "wav2lip-lrs", "0.5.1"),
    Upstream(
        "syncnet-real",
        "syncnet_python 6efbb1c run_pipeline.py, Wav2Lip 5c90fa9 calculate_scores_real_videos.py",
        "syncnet-real",
        "0.5.1",
    ),
    Upstream(
        "syncnet-real-1fbfc08",
        "the same scripts with the PySceneDetect that 1fbfc08 pins",
        "syncnet-real",
        "0.6.7.1",
        SECOND,
    ),
    Upstream("latentsync", "LatentSync a229c39, eval/eval_sync_conf.py", "latentsync", "0.6.1"),
    Upstream("mocha", "MoChaBench 043908d, syncnet_pipeline.py", "mocha", "0.6.6"),
)


@dataclass(frozen=True, slots=True)
class Track:
    """One track: its values, and the sha256 of the pictures and the sound that went into the network."""

    c: float
    d: float
    offset: int
    pictures: str
    sound: str


# -- upstream ------------------------------------------------------------------------------------------------

# The server of processes imports torch once. It looks for modules where PYTHONPATH says.
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["upstream_child"])

ONE_THREAD = """#!/bin/bash
# The option goes before the name of the output, which is last, or last but for -y.
n=$#
[ "${@: -1}" = -y ] && n=$((n - 1))
exec "%s" "${@:1:$((n - 1))}" -threads 1 "${@:$n}"
"""
AS_IT_COMES = '#!/bin/bash\nexec "%s" "$@"\n'


def upstream(args: argparse.Namespace, row: Upstream, clip: str, *, free: bool) -> list[Track] | str:
    """The tracks of a published script on one clip, or its error."""
    kept = args.work / f"{row.recipe}.{Path(clip).stem}.{'free' if free else 'one'}.json"
    if not kept.is_file():
        with tempfile.TemporaryDirectory(prefix="upstream-") as folder:
            place, tools, weights = (Path(folder) / name for name in ("place", "tools", "weights"))
            for made in (place, tools, weights):
                made.mkdir()
            (tools / "ffmpeg").write_text((AS_IT_COMES if free else ONE_THREAD) % ffmpeg_exe())
            (tools / "ffmpeg").chmod(0o755)
            (weights / "sfd_face.pth").symlink_to(args.weights / "sfd_face.pth")
            (weights / "syncnet_v2.model").symlink_to(args.network)
            release = args.scenedetect / row.scenedetect
            task = Task(row.child, args.clips / clip, args.checkouts, weights, release, tools, place)
            process = PROCESSES.Process(target=upstream_child.run, args=(task,))
            process.start()
            process.join()
            answer = Path(folder) / "answer.json"
            if not answer.is_file():
                raise SystemExit(f"{row.recipe} on {clip}: its process ended with code {process.exitcode}")
            shutil.copy(answer, kept)
    answer = json.loads(kept.read_text())
    return answer["error"] if "error" in answer else [Track(**track) for track in answer["tracks"]]


# -- ours ----------------------------------------------------------------------------------------------------


def ours(judge: Judge, clip: Codings, recipe: str) -> list[Track] | str:
    """The tracks of our recipe on the same file, or why there are none."""
    try:
        parts = pieces(RECIPES[recipe], judge.spec, clip, "cpu")
    except Unusable as error:
        return error.detail
    scored = score_pieces(judge, [parts], RECIPES[recipe].ends)[0]
    return [Track(*track.values, *hashes(part)) for part, track in zip(parts, scored, strict=True)]


def on_canvas(file: Path) -> CanvasCodings | None:
    """The clip as preparation gives it: its canvas and voice; None where it is not one whole sample."""
    with tempfile.TemporaryDirectory(prefix="upstream-") as folder:
        root, out = Path(folder) / "videos", Path(folder) / "shards"
        root.mkdir()
        (root / f"clip{file.suffix}").symlink_to(file)
        prepare(str(root), str(out), dataset="folder")
        source = open_shards(out)
        if source.keys() != ("clip",):
            return None
        sample = source.get("clip")
    return CanvasCodings(sample, sample.video, sample.audio, lossy)


def hashes(part: Piece) -> tuple[str, str]:
    """sha256 of the pictures as batches of 20 windows (window, channel, time, row, column), and of the samples."""
    digest, bgr = hashlib.sha256(), part.crops[..., ::-1]
    for first in range(0, part.windows, 20):
        windows = [bgr[v : v + 5] for v in range(first, min(part.windows, first + 20))]
        digest.update(np.ascontiguousarray(np.stack(windows).transpose(0, 4, 1, 2, 3)).tobytes())
    return digest.hexdigest(), hashlib.sha256(to_pcm16(part.audio).tobytes()).hexdigest()


def seeded_network(path: Path) -> Path:
    """A network of the published form with random weights, its distances of the size of real ones."""
    net, generator = SyncNet(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d | torch.nn.Linear):
                torch.nn.init.kaiming_normal_(module.weight, generator=generator)
                torch.nn.init.zeros_(module.bias)
        net.netfclip[-1].weight *= 1e-3
        net.netfcaud[-1].weight *= 1e-3
    torch.save(net.state_dict(), path)
    return path


# -- the comparison ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Gap:
    """What was found for one recipe."""

    clips: int = 0
    tracks: int = 0
    without: int = 0
    """Clips in which both sides find nothing to score."""
    same: int = 0
    """Tracks whose pictures and sound are the same bits on both sides."""
    c: float = 0.0
    d: float = 0.0
    offset: int = 0
    amount: str = ""
    """Where the sides do not find the same tracks."""

    def gaps(self) -> str:
        """The largest."""
        return f"{self.c:.1e}, {self.d:.1e}, {self.offset}" if self.tracks else "-"

    def __str__(self) -> str:
        missing = f";{self.amount}" if self.amount else ""
        return f"{self.same} of {self.tracks}; {self.gaps()}{missing}" if self.clips else "-"

    def add(self, clip: str, theirs: list[Track] | str, mine: list[Track] | str) -> None:
        """One clip."""
        self.clips += 1
        none = [side if isinstance(side, str) else "" for side in (theirs, mine)]
        if isinstance(theirs, str) or isinstance(mine, str) or not theirs:
            if isinstance(mine, str) and (isinstance(theirs, str) or not theirs):
                self.without += 1
            else:
                self.amount += f" {clip}: upstream {none[0] or 'scores'}, tkbench {none[1] or 'scores'}."
            return
        if len(theirs) != len(mine):
            self.amount += f" {clip}: {len(theirs)} tracks, tkbench {len(mine)}."
            return
        for a, b in zip(theirs, mine, strict=True):
            self.tracks += 1
            self.same += (a.pictures, a.sound) == (b.pictures, b.sound)
            self.c, self.d = max(self.c, abs(a.c - b.c)), max(self.d, abs(a.d - b.d))
            self.offset = max(self.offset, abs(a.offset - b.offset))


def table(found: dict[str, tuple[Gap, Gap, Gap]]) -> str:
    """The table in Markdown."""
    lines = [
        "| recipe | upstream | PySceneDetect | clips (none scored on either side) | tracks with the same input | "
        "largest gap of C, D, offset | encoder threads left to the machine | from the canvas |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        if row.recipe in found:
            one, free, canvas = found[row.recipe]
            lines.append(
                f"| `{row.recipe}` | {row.script} | {row.scenedetect} | {one.clips} ({one.without}) | "
                f"{one.same} of {one.tracks}{one.amount and ';' + one.amount} | {one.gaps()} | {free} | {canvas} |"
            )
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Answers:
    """What all sides say of one clip by one recipe: tracks, or why there are none."""

    sha256: str
    theirs: list[Track] | str
    """Upstream, encoders on one thread."""
    free: list[Track] | str | None
    """Upstream as it comes; None where it was not run so."""
    mine: list[Track] | str
    canvas: list[Track] | str | None
    """tkbench from the prepared canvas on."""


def compare(args: argparse.Namespace) -> Iterator[tuple[str, Upstream, Answers]]:
    """Every clip by every recipe."""
    judge = Judge(load_syncnet(args.network))
    for clip in CLIPS:
        file = args.clips / clip
        coded = FileCodings(Released(file), lossy)
        canvas = on_canvas(file) if clip in FREE else None
        for row in ROWS:
            if clip not in row.clips or (args.recipes and row.recipe not in args.recipes):
                continue
            theirs = upstream(args, row, clip, free=False)
            mine = ours(judge, coded, row.recipe)
            free = None
            if clip in FREE and row.recipe in ("syncnet-real", "latentsync"):
                free = upstream(args, row, clip, free=True)
            print(f"{clip} {row.recipe}: upstream {brief(theirs)}; tkbench {brief(mine)}", file=sys.stderr)
            cut = None
            if canvas is not None and f"{row.recipe}-canvas" in RECIPES:
                cut = ours(judge, canvas, f"{row.recipe}-canvas")
                print(f"{clip} {row.recipe}-canvas: {brief(cut)}", file=sys.stderr)
            yield clip, row, Answers(sha256_of(file), theirs, free, mine, cut)


def brief(side: list[Track] | str) -> str:
    """For the eye."""
    if isinstance(side, str):
        return side
    return ", ".join(f"{t.c:.4f}/{t.d:.4f}/{t.offset:+d} {t.pictures[:6]}" for t in side) or "no track"


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("checkouts", "weights", "scenedetect", "clips"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("upstream-lse"), help="answers of upstream")
    parser.add_argument("--recipes", type=lambda text: text.split(","), help="only these, with commas")
    parser.add_argument("--golden", type=Path, help="a JSON file for upstream's answers")
    parser.add_argument("--write", type=Path, help="a document with the marks of this table")
    args = parser.parse_args()
    for name in ("checkouts", "weights", "scenedetect", "clips", "work"):
        setattr(args, name, getattr(args, name).absolute())
    missing = [name for name in CLIPS if not (args.clips / name).is_file()]
    missing += [
        str(path)
        for path in (args.weights / "sfd_face.pth", *(args.scenedetect / row.scenedetect for row in ROWS))
        if not path.exists()
    ]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}; --help says what is needed")
    args.work.mkdir(parents=True, exist_ok=True)
    official = args.weights / "syncnet_v2.model"
    args.network = official if official.is_file() else seeded_network(args.weights / "syncnet_seeded.model")
    os.environ["TKBENCH_WEIGHTS"] = str(args.weights)
    torch.set_num_threads(1)
    found: dict[str, tuple[Gap, Gap, Gap]] = {}
    golden: dict[str, Any] = {
        "network": "official" if official.is_file() else "seeded",
        "stack": media.stack() | {"torch": version("torch")},
        "clips": {},
    }
    for clip, row, answers in compare(args):
        one, left, canvas = found.setdefault(row.recipe, (Gap(), Gap(), Gap()))
        theirs = answers.theirs
        one.add(clip, theirs, answers.mine)
        if answers.free is not None:
            left.add(clip, answers.free, answers.mine)
        if answers.canvas is not None:
            canvas.add(clip, theirs, answers.canvas)
        entry = golden["clips"].setdefault(clip, {"sha256": answers.sha256, "recipes": {}})
        entry["recipes"][row.recipe] = theirs if isinstance(theirs, str) else [asdict(t) for t in theirs]
        # After each answer: a run that is stopped has made a table of what it has seen.
        (args.work / "table.md").write_text(table(found) + "\n", encoding="utf-8")
        (args.work / "golden.json").write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
    if args.golden:
        shutil.copy(args.work / "golden.json", args.golden)
    if args.write:
        rewrite(args.write, "upstream", table(found))
    print(table(found))


if __name__ == "__main__":
    if shutil.which("bash") is None:
        raise SystemExit("this script wraps ffmpeg with bash")
    main()
