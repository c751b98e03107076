"""`tkbench reproduce`: numbers that others published, made again from the files that they published.

Each line is one claim: its public files, the networks that it needs, what was printed, and how far a right answer may
be from it. A line is `reached`, it `differs`, or a file is `missing`, and then the line says which one and where it
comes from. Nothing is fetched.

    syncnet-example   joonson/syncnet_python README: data/example.avi, AV offset 3, distance 5.353, confidence 10.021
    mocha-example     MoChaBench, notes in syncnet_pipeline.py: the same clip through its whole pipeline
    mocha-row         MoChaBench README: Sync-Conf. 6.333, Sync-Dist. 8.185; mean of 199 of 201 clips, two have no face
    mocha-row-clips   the same row from the numbers per clip that MoChaBench publishes: no network
    lpips-example     richzhang/PerceptualSimilarity test_network.py: distances 0.722 and 0.138 (its issue 120)
    fid-distance      pytorch-fid's distance on seeded features: no network
    fid-network       pytorch-fid from pictures to a number, on seeded pictures
"""

from __future__ import annotations

import csv
import inspect
import math
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np

from tkbench import weights
from tkbench.errors import UnknownName, UsageError, WeightsMissing
from tkbench.media import lossy
from tkbench.metrics.base import BuildContext
from tkbench.metrics.lse import Lse
from tkbench.registry import suggest
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.storage import sha256_of
from tkbench.types import Float64, Released, UInt8

State = Literal["reached", "missing", "differs"]
MOCHA_CATEGORIES = (
    "1p_camera_movement",
    "1p_closeup_facingcamera",
    "1p_emotion",
    "1p_mediumshot_actioncontrol",
    "1p_protrait",
    "2p_1clip_1talk",
)
"""The README's row for one speaker in English; the spelling is that of the files."""
EXAMPLE = "1724121b3a50141cfc9e77c034f7de914024d015b92762ae12d3e1a7151b8621"
PICTURES = {
    "ex_ref.png": "57aff3a0aeb6ebea151411f35b4487ea130aedcac6addd91c8c015969f9df097",
    "ex_p0.png": "f44901a99c82755cfe78cdbde66579ae06cd0ebbba4a2539aa35ef96bbe703db",
    "ex_p1.png": "6ada2a42a3378bfa408027ba2d54a827c6f2cec30a0506e4f140fddaca661022",
}


@dataclass(frozen=True, slots=True)
class PublicFiles:
    """Where the public files are; None: not at hand."""

    syncnet_example: Path | None = None
    """data/example.avi of joonson/syncnet_python."""
    lpips_images: Path | None = None
    """The folder imgs of richzhang/PerceptualSimilarity."""
    mochabench: Path | None = None
    """A checkout of congwei1230/MoChaBench."""
    limit: int | None = None
    """Only the first clips of MoChaBench, held against their own published numbers."""
    device: str = "cpu"
    progress: Progress = silent


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a claim."""

    name: str
    published: float
    tolerance: float
    """How far a right answer may be from what was printed: rounding, other codecs."""
    found: float = math.nan

    @property
    def reached(self) -> bool:
        """Whether it is within the tolerance."""
        return abs(self.found - self.published) <= self.tolerance


@dataclass(frozen=True, slots=True)
class Line:
    """The answer to one claim."""

    name: str
    state: State
    figures: tuple[Figure, ...] = ()
    detail: str = ""
    """What is missing and what to do, or what to know about the figures."""


class _Missing(Exception):
    """A file that is not there, and what to do."""


@dataclass(slots=True)
class _Answer:
    figures: list[Figure] = field(default_factory=list)
    detail: str = ""


def reproduce(files: PublicFiles, names: Sequence[str] = ()) -> list[Line]:
    """The lines of these claims, by default of all. Raises UnknownName for a claim that there is not."""
    for name in names:
        if name not in CLAIMS:
            raise UnknownName(f"no published number is called {name!r}: {suggest(name, list(CLAIMS))}")
    lines = []
    for name in dict.fromkeys(names or CLAIMS):
        try:
            answer = CLAIMS[name](files)
        except (_Missing, WeightsMissing) as error:
            lines.append(Line(name, "missing", detail=str(error)))
            continue
        good = all(figure.reached for figure in answer.figures)
        lines.append(Line(name, "reached" if good else "differs", tuple(answer.figures), answer.detail))
    return lines


def exit_code(lines: Sequence[Line]) -> int:
    """0: all reached. 1: one differs. 3: none differs, but a file is missing."""
    states = {line.state for line in lines}
    return 1 if "differs" in states else 3 if "missing" in states else 0


# -- LSE -----------------------------------------------------------------------------------------------------


def _syncnet_example(files: PublicFiles) -> _Answer:
    file = _the_example(files)
    confidence, distance, offset = _lse("wav2lip-lrs", Released(file), files.device)
    # The authors of MoChaBench print 5.348 and 10.081 for this file, with another ffmpeg than the README's.
    return _Answer(
        [
            Figure("AV offset", 3, 0, offset),
            Figure("distance", 5.353, 0.02, distance),
            Figure("confidence", 10.021, 0.1, confidence),
        ],
        "as demo_syncnet.py: the whole picture, no face detection",
    )


def _mocha_example(files: PublicFiles) -> _Answer:
    file = _the_example(files)
    confidence, distance, offset = _lse("mocha", Released(file), files.device)
    return _Answer(
        [
            Figure("AV offset", 5, 0, offset),
            Figure("distance", 5.370, 0.02, distance),
            Figure("confidence", 9.892, 0.1, confidence),
        ],
        "recipe mocha: its AVI repeats two pictures",
    )


def _the_example(files: PublicFiles) -> Path:
    if files.syncnet_example is None:
        raise _Missing("give --syncnet-example FILE: data/example.avi of joonson/syncnet_python")
    return _checked(files.syncnet_example, EXAMPLE)


def _lse(recipe: str, released: Released, device: str) -> tuple[float, float, float]:
    metric = Lse(recipe=recipe, context=BuildContext(device=device, lossy=lossy))
    for name in ("syncnet-v2", *(["s3fd-syncnet"] if metric.recipe.detector else [])):
        weights.find(name)  # raises with the command that brings it here
    scores = list(metric.score_file(released).values.values())
    if scores[0].reason is not None:
        raise _Missing(f"{released.video}: {scores[0].reason.value}: {scores[0].detail}")
    confidence, distance, offset = (score.value for score in scores)
    return confidence, distance, offset


# -- MoChaBench ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _MochaClip:
    category: str
    stem: str
    confidence: float
    distance: float
    has_face: bool


def _mocha_clips(files: PublicFiles) -> list[_MochaClip]:
    """The clips of the README's row with their published numbers, in the order of the file."""
    if files.mochabench is None:
        raise _Missing("give --mochabench FOLDER: a checkout of congwei1230/MoChaBench")
    table = files.mochabench / "eval-lipsync" / "mocha-eval-results" / "sync_scores.csv"
    if not table.is_file():
        raise _Missing(f"no {table}: --mochabench must be a checkout of congwei1230/MoChaBench")
    try:
        with table.open(encoding="utf-8", newline="") as stream:
            rows = [
                _MochaClip(
                    row["category"],
                    row["video"].replace("\\", "/").rpartition("/")[2].removesuffix(".mp4"),
                    float(row["best_conf"]),
                    float(row["min_dist"]),
                    row["has_face"] == "True",
                )
                for row in csv.DictReader(stream)
            ]
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{table}: not MoChaBench's table of scores ({error})") from error
    return [row for row in rows if row.category in MOCHA_CATEGORIES]


def _mocha_row_clips(files: PublicFiles) -> _Answer:
    clips = _mocha_clips(files)
    seen = [clip for clip in clips if clip.has_face]
    return _Answer(
        [
            Figure("clips", 201, 0, len(clips)),
            Figure("clips with a face", 199, 0, len(seen)),
            Figure("Sync-Conf.", 6.333, 0.0005, float(np.mean([clip.confidence for clip in seen]))),
            Figure("Sync-Dist.", 8.185, 0.0005, float(np.mean([clip.distance for clip in seen]))),
        ],
        "from its numbers per clip; clips without a face are left out of the mean",
    )


def _mocha_row(files: PublicFiles) -> _Answer:
    clips = _mocha_clips(files)[: files.limit]
    assert files.mochabench is not None
    paths = []
    for clip in clips:
        video = files.mochabench / "mocha-generation" / clip.category / f"{clip.stem}.mp4"
        voice = files.mochabench / "benchmark" / "speeches" / clip.category / f"{clip.stem}_speech.wav"
        for path in (video, voice):
            if not path.is_file():
                raise _Missing(f"no {path}: MoChaBench keeps its videos with Git LFS (git lfs pull)")
        paths.append((video, voice))
    for name in ("syncnet-v2", "s3fd-syncnet"):
        weights.find(name)
    metric = Lse(recipe="mocha", context=BuildContext(device=files.device, lossy=lossy))
    found, published = [], []
    for done, (clip, (video, voice)) in enumerate(zip(clips, paths, strict=True)):
        files.progress(done, len(clips), clip.stem)
        scores = list(metric.score_file(Released(video, voice=voice)).values.values())
        if scores[0].reason is None:
            found.append((scores[0].value, scores[1].value))
        if clip.has_face:
            published.append((clip.confidence, clip.distance))
    if not found or not published:
        raise _Missing(f"no face was found in these {len(clips)} clips; take more of them (--limit)")
    whole = len(clips) == 201
    ours, theirs = np.mean(found, axis=0), np.mean(published, axis=0)
    expected = (6.333, 8.185) if whole else (float(theirs[0]), float(theirs[1]))
    return _Answer(
        [
            Figure("clips with a face", len(published), 0, len(found)),
            Figure("Sync-Conf.", expected[0], 0.05, float(ours[0])),
            Figure("Sync-Dist.", expected[1], 0.05, float(ours[1])),
        ],
        "" if whole else f"the first {len(clips)} of 201 clips against their own published numbers",
    )


# -- pictures ------------------------------------------------------------------------------------------------


def _lpips_example(files: PublicFiles) -> _Answer:
    import cv2

    from tkbench.metrics.perceptual import load_lpips, lpips_frames

    if files.lpips_images is None:
        raise _Missing("give --lpips-images FOLDER: the folder imgs of richzhang/PerceptualSimilarity")
    pictures = {}
    for name, digest in PICTURES.items():
        picture = cv2.imread(str(_checked(files.lpips_images / name, digest)))
        assert picture is not None, "a file of this sha256 is a picture"
        pictures[name] = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)[None]
    network = load_lpips("alex", weights.find("lpips-alex"), files.device)
    plain = [float(lpips_frames(network, pictures["ex_ref.png"], pictures[name])[0]) for name in PICTURES]
    network.spatial = True  # type: ignore[assignment]
    try:
        spatial = [_spatial(network, pictures["ex_ref.png"], pictures[name]) for name in PICTURES]
    finally:
        network.spatial = False  # type: ignore[assignment]
    return _Answer(
        [
            Figure("ex_ref - ex_p0", 0.722, 0.0006, spatial[1]),
            Figure("ex_ref - ex_p1", 0.138, 0.0006, spatial[2]),
        ],
        f"the mean of the map, as that script prints; LPIPS itself is {plain[1]:.4f} and {plain[2]:.4f}",
    )


def _spatial(network: object, a: UInt8, b: UInt8) -> float:
    """The mean of the map of distances, which the package makes with spatial=True."""
    import torch

    def tensor(picture: UInt8) -> torch.Tensor:
        return torch.from_numpy(picture.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1

    assert isinstance(network, torch.nn.Module)
    device = next(iter(network.buffers())).device
    with torch.inference_mode():
        return float(network(tensor(a).to(device), tensor(b).to(device)).mean())


def _fid_distance(files: PublicFiles) -> _Answer:
    from tkbench.metrics.frechet import frechet, moments

    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(64, 64))
    a, b = rng.normal(size=(500, 64)) @ mixing, 0.3 + rng.normal(size=(400, 64)) @ mixing.T
    published = pytorch_fid_distance(*moments(a), *moments(b))
    return _Answer(
        [Figure("distance", published, 1e-6 * published, frechet(*moments(a), *moments(b)))],
        "500 and 400 seeded features of 64 dimensions; published: what the package pytorch-fid answers",
    )


def sqrtm(matrix: Float64, disp: bool = True) -> object:
    """SciPy's root as it was called before 1.18: without `disp` an estimate of the error comes with it."""
    from scipy import linalg

    return linalg.sqrtm(matrix) if disp else (linalg.sqrtm(matrix), 0.0)


def pytorch_fid_distance(mean: Float64, cov: Float64, other_mean: Float64, other_cov: Float64) -> float:
    """The distance by the package pytorch-fid itself, with SciPy's root, whatever release that is.

    (D,) means and (D, D) covariances. The package passes `disp` to sqrtm, which SciPy 1.18 removed; there it is given
    `sqrtm` from above. All else is its own.
    """
    from pytorch_fid import fid_score

    own = fid_score.linalg
    if "disp" not in inspect.signature(own.sqrtm).parameters:
        fid_score.linalg = SimpleNamespace(sqrtm=sqrtm)
    try:
        with warnings.catch_warnings():
            # SciPy 1.17 warns of `disp`, and few samples make singular matrices.
            warnings.simplefilter("ignore")
            found = fid_score.calculate_frechet_distance(mean, cov, other_mean, other_cov)
    finally:
        fid_score.linalg = own
    return float(np.real(found))


def _fid_network(files: PublicFiles) -> _Answer:
    import cv2
    import torch
    from pytorch_fid.fid_score import calculate_activation_statistics

    from tkbench.metrics.fid import WEIGHT, features, load_inception
    from tkbench.metrics.frechet import frechet, moments

    network = load_inception(weights.find(WEIGHT), files.device)
    rng = np.random.default_rng(0)
    sets = [rng.integers(low, high, (8, 96, 96, 3), np.uint8) for low, high in ((0, 256), (64, 192))]
    with tempfile.TemporaryDirectory(prefix="tkbench-") as folder:
        stats = []
        for number, pictures in enumerate(sets):
            names = [str(Path(folder) / f"{number}-{n}.png") for n in range(len(pictures))]
            for name, picture in zip(names, pictures, strict=True):
                cv2.imwrite(name, picture[..., ::-1])
            stats.append(
                calculate_activation_statistics(names, network, 8, 2048, torch.device(files.device), 0)
            )
    published = pytorch_fid_distance(*stats[0], *stats[1])
    ours = frechet(*moments(features(network, sets[0])), *moments(features(network, sets[1])))
    # Eight pictures have no full rank: both ways to the root round there (docs/metrics.md, "FID's distance").
    return _Answer(
        [Figure("FID", published, 1e-4 * published, ours)],
        "two sets of 8 seeded pictures; published: what the package pytorch-fid answers from the same files",
    )


def _checked(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise _Missing(f"no {path}; it must be the public file (sha256 {sha256[:12]}...)")
    found = sha256_of(path)
    if found != sha256:
        raise _Missing(f"{path} is not the public file: sha256 {found[:12]}..., expected {sha256[:12]}...")
    return path


CLAIMS: dict[str, Callable[[PublicFiles], _Answer]] = {
    "syncnet-example": _syncnet_example,
    "mocha-example": _mocha_example,
    "mocha-row": _mocha_row,
    "mocha-row-clips": _mocha_row_clips,
    "lpips-example": _lpips_example,
    "fid-distance": _fid_distance,
    "fid-network": _fid_network,
}
