"""The map between a mouth's shape and a voice: canonical correlation, and the file that holds a fit.

Canonical correlation analysis (Hotelling 1936) on frames of true talking faces finds the few combinations of a mouth's
features and of a sound's that correlate best. It needs only sums over frames, so a fit from many clips is as cheap as
one from few, and speakers can be left out by leaving out their sums: `Fit.map_for` never uses the sums of the speaker
that is judged.

Two fits come with the package. `voice_synth.safetensors` (features SYNC) was made from synthetic faces alone.
`voice_real.safetensors` (features SCORE) was made from these and from public clips of real people. It knows their
files, and has for each of these people a map that was made without them. No model was trained against either.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tkbench import weights
from tkbench.errors import BadInput, UsageError, WeightsRefused
from tkbench.metrics.voicefeatures import SCORE, SYNC, FeatureSet
from tkbench.types import Float64

RIDGE = 0.3
"""Share of the mean variance that is added to every feature's own."""
SPEECH_LEAD = 1.35
"""Frames by which real mouths run ahead of synthetic ones: the median lag, under the bundled fit, of the 9 true public
clips of 4 s and more that it is sure of and whose offset is not known to be another. Standard error 0.4; 1.3 to 1.4
where any one of them is left out."""
LEVELS = tuple(round(0.05 * k, 2) for k in range(20))
"""Shares of wrong voices whose quantiles a fit keeps."""
COMMANDS = {"sync": "voice", "score": "voice_score"}
"""Features -> the metric that uses them; `tkbench train --model` makes fits under the same name."""
FOLDS = 10
"""Groups of speakers, where the fit is made from data that it will score."""


@dataclass(frozen=True, slots=True)
class Map:
    """Canonical variates: features @ weights gives variates of about unit spread."""

    voice: Float64
    """(V, P): see `FeatureSet.sizes` and `pairs`."""
    mouth: Float64
    """(M, P)."""
    strength: Float64
    """(P,) the correlations on the clips of the fit; what a pair counts."""


@dataclass(frozen=True, slots=True)
class Sums:
    """All that a fit needs of its clips."""

    frames: float
    vv: Float64
    """(V, V) sum of outer products of voice features; features of a clip have mean zero."""
    vm: Float64
    mm: Float64

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.frames + other.frames, self.vv + other.vv, self.vm + other.vm, self.mm + other.mm)


def sums_of(voice: Float64, mouth: Float64) -> Sums:
    """The sums of one clip."""
    return Sums(float(len(voice)), voice.T @ voice, voice.T @ mouth, mouth.T @ mouth)


def solve(sums: Sums, *, ridge: float = RIDGE, pairs: int = SYNC.pairs) -> Map:
    """Canonical correlation with a ridge; raises BadInput where the mouths or voices never move."""
    vv, vm, mm = (part / sums.frames for part in (sums.vv, sums.vm, sums.mm))
    if np.trace(vv) <= 0 or np.trace(mm) <= 0:
        raise BadInput("the voices or the mouths of these clips never change; there is nothing to fit")
    left = np.linalg.cholesky(vv + ridge * np.trace(vv) / len(vv) * np.eye(len(vv)))
    right = np.linalg.cholesky(mm + ridge * np.trace(mm) / len(mm) * np.eye(len(mm)))
    whitened = np.linalg.solve(right, np.linalg.solve(left, vm).T).T
    u, strength, v = np.linalg.svd(whitened, full_matrices=False)
    return Map(np.linalg.solve(left.T, u[:, :pairs]), np.linalg.solve(right.T, v[:pairs].T), strength[:pairs])


@dataclass(frozen=True, slots=True)
class Chance:
    """The distribution of peak * sqrt(frames) where mouth and voice do not belong together.

    Its tail is a Gumbel law, matched where it decides: above the 95 % quantile. Below, the quantiles that were found
    are joined by lines; a file without them has the Gumbel law all along.
    """

    place: float
    scale: float
    body: tuple[float, ...] = ()
    """The quantiles at LEVELS, rising."""

    def below(self, value: float) -> float:
        """The share of wrong voices that stay below `value`, in [0, 1].

        >>> Chance(1.84, 0.31, tuple(np.linspace(0.3, 2.6, len(LEVELS)))).below(0.2)
        0.0
        """
        if self.body and value < self.body[-1]:
            return float(np.interp(value, self.body, LEVELS, left=0.0))
        return math.exp(-math.exp(min(700.0, -(value - self.place) / self.scale)))


@dataclass(slots=True)
class Fit:
    """A fit as it is used: one map for everybody, or sums in folds from which a speaker is left out."""

    features: FeatureSet
    points: str
    """The set of landmarks that it was made from: "mesh" or "ibug68"."""
    chance: Chance = field(default_factory=lambda: Chance(0.0, 1.0))
    """What wrong voices reach."""
    zero: dict[str, float] = field(default_factory=dict)
    """Kind of data -> frames by which the voice lies behind the mouth in clips that are on time."""
    whole: Map | None = None
    folds: tuple[Sums, ...] = ()
    seen: dict[str, int] = field(default_factory=dict)
    """sha256 of a file that the whole map has seen -> which of `without` has not seen its person."""
    without: tuple[Map, ...] = ()
    _solved: dict[int, Map] = field(default_factory=dict)

    def map_for(self, speaker: str, source: str = "") -> Map:
        """The map to judge `speaker` by, which was made without him or her.

        source: sha256 of the file that the clip is from.
        """
        if source in self.seen:
            return self.without[self.seen[source]]
        if self.whole is not None:
            return self.whole
        fold = fold_of(speaker)
        if fold not in self._solved:
            others = [sums for place, sums in enumerate(self.folds) if place != fold]
            self._solved[fold] = solve(total(others), pairs=self.features.pairs)
        return self._solved[fold]


def fold_of(speaker: str) -> int:
    """The fold of a speaker, which depends on the name alone."""
    return int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big") % FOLDS


def total(parts: Iterable[Sums]) -> Sums:
    """The sum of several sums."""
    parts = list(parts)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def nothing(features: FeatureSet) -> Sums:
    """Sums over no clips."""
    v, m = features.sizes
    return Sums(0.0, np.zeros((v, v)), np.zeros((v, m)), np.zeros((m, m)))


def settings(features: FeatureSet) -> str:
    """Every number that a fit depends on, in one line."""
    return f"{features.settings},cca{features.pairs},ridge{RIDGE:g}"


def save(fit: Fit, path: Path) -> None:
    """Write a fit as safetensors; the numbers of a whole map in float32, sums in float64."""
    from safetensors.numpy import save_file

    facts: dict[str, object] = {
        "points": fit.points,
        "settings": settings(fit.features),
        "null": (fit.chance.place, fit.chance.scale),
        "zero": fit.zero,
    }
    if fit.chance.body:
        facts["body"] = fit.chance.body
    if fit.whole is not None:
        parts = {"voice": fit.whole.voice, "mouth": fit.whole.mouth, "strength": fit.whole.strength}
        tensors = {name: np.ascontiguousarray(part, np.float32) for name, part in parts.items()}
        if fit.seen:
            facts["seen"] = fit.seen
            for name in parts:
                # Half precision moves a score by a thousandth of itself.
                rows = [np.asarray(getattr(mapped, name), np.float16) for mapped in fit.without]
                tensors[f"without.{name}"] = np.stack(rows)
    else:
        tensors = {"frames": np.array([sums.frames for sums in fit.folds])}
        for name in ("vv", "vm", "mm"):
            tensors[name] = np.stack([getattr(sums, name) for sums in fit.folds])
    # One entry: the order of several is not fixed, and the same fit must have the same hash.
    save_file(tensors, str(path), metadata={"fit": json.dumps(facts, sort_keys=True)})


@weights.once_per_content(4)
def load(path: Path, features: FeatureSet = SYNC) -> Fit:
    """The fit in a file that `save` wrote; raises WeightsRefused for any other, and for one of other features."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(
            f"{path}: no such file; `tkbench train --model {COMMANDS[features.name]}` makes one from shards"
        )
    try:
        with safe_open(str(path), framework="np") as file:
            facts = json.loads((file.metadata() or {}).get("fit", "{}"))
            tensors = {name: np.asarray(file.get_tensor(name), np.float64) for name in file.keys()}
    except SafetensorError as error:
        raise WeightsRefused(f"{path}: not a safetensors file ({error}); make the fit again") from error
    if facts.get("settings") != settings(features):
        for other in (SYNC, SCORE):
            if facts.get("settings") == settings(other):
                raise WeightsRefused(
                    f"{path}: a fit for the metric {COMMANDS[other.name]}; {COMMANDS[features.name]} needs one made "
                    f"by `tkbench train --model {COMMANDS[features.name]}`"
                )
        raise WeightsRefused(
            f"{path}: made with {facts.get('settings')!r}, this tkbench has {settings(features)!r}; make the fit again"
        )
    place, scale = facts["null"]
    chance = Chance(float(place), float(scale), tuple(map(float, facts.get("body", ()))))
    fit = Fit(features, str(facts["points"]), chance, dict(facts["zero"]))
    if "voice" in tensors:
        fit.whole = Map(tensors["voice"], tensors["mouth"], tensors["strength"])
        fit.seen = {str(source): int(place) for source, place in facts.get("seen", {}).items()}
        if fit.seen:
            rows = (tensors[f"without.{name}"] for name in ("voice", "mouth", "strength"))
            fit.without = tuple(Map(*each) for each in zip(*rows, strict=True))
    else:
        parts = zip(tensors["frames"], tensors["vv"], tensors["vm"], tensors["mm"], strict=True)
        fit.folds = tuple(Sums(float(n), vv, vm, mm) for n, vv, vm, mm in parts)
    return fit
