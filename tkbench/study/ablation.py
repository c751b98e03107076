"""What does each part of a model bring? The rows of the papers' ablations, at equal steps and several seeds.

SyncTalkFace's paper leaves out the memory, L_vv and L_av; that of CALS the context, the masked learning, d_av and d_vv.
Every row is trained here anew with that one part left out, and scored on people that nobody was trained on.

A row that differs only in how faces are drawn goes on from a first phase that all such rows of a seed share: what
differs then is the part and nothing else. A row whose first phase is another one, or that has none, has its own, and as
many steps in all.

Two rows are controls. `silence` is the whole model that hears nothing: a measure that does not see it cannot see a part
either. `again` is the whole model with other seeds: nothing was left out, so nothing may be found. A measure by which a
control fails proves nothing, and findings leave it out.

Each measure of a row is compared with the whole model clip by clip, the mean over seeds; intervals and p are those of
the paired test over speakers (`tkbench.results.paired`), p corrected by Holm over all rows and measures. That test
holds the networks fixed. Training again gives other ones, which differ in nothing but their seeds. So a difference is
called shown only where every seed has it, too, and where a t-test between networks finds it: the means of the row's
networks against those of all that leave nothing out, `whole` and `again` together. `again` is tested against `whole`.
`silence` is each whole network against itself, so it needs no such test.

Everything that takes long is a stage: a training (which goes on where it was stopped), or the scores of one network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from tkbench import shards
from tkbench.errors import UsageError
from tkbench.models import checkpoint
from tkbench.prep.datasets import default_protocol
from tkbench.protocol import Protocol
from tkbench.registry import suggest
from tkbench.results import bundle
from tkbench.results.paired import Difference, holm, paired_difference
from tkbench.runtime.progress import Progress, silent
from tkbench.runtime.storage import write_file
from tkbench.runtime.words import in_list
from tkbench.scoring.clips import build_metrics
from tkbench.scoring.evaluate import EvalOptions, evaluate
from tkbench.study.times import Stage as Clock
from tkbench.study.times import Times
from tkbench.train.config import Config, load_config
from tkbench.train.job import TrainingJob
from tkbench.types import Array, Column
from tkbench.weights import sha256

WHOLE, SILENCE, AGAIN = "whole", "silence", "again"
OTHER_SEEDS = 1000
"""Added to the seeds of `again`."""
LEVEL = 0.05
MEASURES = ("lse_c_synth", "voice_corr", "lip_corr_mesh", "lmd_mouth_mesh")
"""Of the synthetic corpus; on other data the names of `measures`."""

First = Literal["shared", "own", "none"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    meaning: str
    changes: tuple[str, ...] = ()
    """Settings that leave the part out, as `tkbench train --set` takes them."""
    first: First = "shared"
    """Whether its first phase is the whole model's, its own, or none; without one it draws in all steps."""


ROWS: dict[str, tuple[Row, ...]] = {
    "synctalkface": (
        Row(
            "no memory",
            "the decoder has the voice alone",
            (
                "net.memory=false",
                "net.voice_drop=0.0",
                "loss.agree=0.0",
                "loss.store=0.0",
                "loss.align=0.0",
                "loss.restart=0.0",
            ),
            "none",
        ),
        Row("no L_vv", "drawn lips are not compared with true ones by the lip encoder", ("loss.vv=0.0",)),
        Row("no L_av", "drawn lips are not compared with the sound by the expert", ("loss.av=0.0",)),
    ),
    "cals": (
        Row("no context", "a unit hears its own 40 ms and nothing else", ("net.voice.window=0",), "own"),
        Row("no masked learning", "units are never predicted from their neighbours", (), "none"),
        Row("no d_av", "drawn mouths are not compared with sounds", ("loss.av=0.0",)),
        Row("no d_vv", "drawn mouths are not compared with true mouths", ("loss.vv=0.0",)),
    ),
}


def known(model: str) -> None:
    """Raises UsageError for a model that has no rows."""
    if model not in ROWS:
        raise UsageError(f"--model {model!r}: {suggest(model, list(ROWS))}")


def small_form(model: str) -> str:
    """The configuration of a study that two cores can do: narrow networks and small batches."""
    known(model)
    return f"{model}-ablation"


@dataclass(frozen=True, slots=True)
class Budget:
    """Steps of every row: those without pictures, and those that draw."""

    first: int = 600
    drawn: int = 400

    def __post_init__(self) -> None:
        if self.first < 2 or self.drawn < 3:
            raise UsageError(
                f"first = {self.first}, drawn = {self.drawn}: at least 2 steps of the first phase and 3 that draw"
            )

    @classmethod
    def of(cls, model: str, config: str | Path | None = None) -> Budget:
        """As many steps as a configuration has."""
        known(model)
        rules = load_config(config, model)
        first = rules.loss.get("pretrain", 0)
        assert isinstance(first, int)
        return cls(first, rules.steps - first)


@dataclass(frozen=True, slots=True)
class Stage:
    """One training."""

    name: str
    config: Config
    start: str | None = None
    """The stage that it goes on from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which trainings there are, and which of them is the network of each row and seed."""

    stages: tuple[Stage, ...]
    networks: dict[tuple[str, int], str]


def plan(model: str, seeds: Sequence[int], budget: Budget, config: str | Path | None = None) -> Plan:
    """The trainings of a study, in an order in which each comes after the one that it goes on from."""
    known(model)
    if len(set(seeds)) != len(seeds) or not seeds:
        raise UsageError(f"seeds {list(seeds)}: at least one, and no seed twice")
    stages: list[Stage] = []
    networks: dict[tuple[str, int], str] = {}
    for seed in seeds:
        for row in (Row(WHOLE, ""), Row(AGAIN, ""), *ROWS[model]):
            own = seed + OTHER_SEEDS if row.name == AGAIN else seed
            slug = row.name.replace(" ", "-").replace("_", "-").lower()
            shared = row.first == "shared" and row.name != AGAIN
            first = f"first-{seed}" if shared else f"first-{slug}-{seed}"
            start = None if row.first == "none" else first
            if start is not None and start not in {stage.name for stage in stages}:
                changes = () if shared else row.changes
                rules = load_config(config, model, (*changes, *first_phase(model, budget, own)))
                stages.append(Stage(start, rules))
            rules = load_config(
                config, model, (*row.changes, *drawing(model, budget, own, fresh=start is None))
            )
            stages.append(Stage(f"{slug}-{seed}", rules, start))
            networks[row.name, seed] = f"{slug}-{seed}"
    return Plan(tuple(stages), networks)


def first_phase(model: str, budget: Budget, seed: int) -> list[str]:
    """The phase without pictures, as changes of a configuration."""
    changes = [f"steps={budget.first}", f"seed={seed}", f"loss.pretrain={budget.first}"]
    if model == "synctalkface":
        changes += [f"loss.memory_from={budget.first // 4}", f"loss.restart_until={budget.first}"]
    return [*changes, "loss.gan=0.0", *intervals(budget.first)]


def drawing(model: str, budget: Budget, seed: int, *, fresh: bool) -> list[str]:
    """The phase that draws; fresh: all steps of a row draw, because it goes on from nothing."""
    steps = budget.drawn + (budget.first if fresh else 0)
    late = steps - 2 * budget.drawn // 3
    changes = [f"steps={steps}", f"seed={seed}", "loss.pretrain=0", f"loss.sync_from={late}"]
    changes += [f"loss.amplitude_from={late}", "loss.gan=0.0"]
    if model == "synctalkface":
        changes += ["loss.memory_from=0", "loss.restart_until=0"]
    return [*changes, *intervals(steps)]


def intervals(steps: int) -> list[str]:
    """A report now and then, a state every hundred steps, one validation and one picture in the end."""
    every = [f"run.log_every={min(50, steps)}", f"run.save_every={min(100, steps)}"]
    return [*every, f"run.val_every={steps}", f"run.sample_every={steps}"]


@dataclass(frozen=True, slots=True)
class Gap:
    """A row against the whole model by one measure."""

    row: str
    column: Column
    seeds: tuple[float, ...]
    """The difference of each seed, the mean over clips."""
    paired: Difference
    """Of the means over seeds."""
    p: float
    """Corrected."""
    networks: float
    """p of the t-test whose unit is the network; nan for fewer than two of a row."""
    spread: float
    """Standard deviation between the networks that it is tested against, which differ in nothing but their seeds."""

    def shown(self) -> bool:
        """Whether the paired test shows it, every seed has it, and the test of networks shows it, too."""
        ps = [self.p] if self.row == SILENCE else [self.p, self.networks]
        sure = all(p <= LEVEL for p in ps)  # never with nan
        return sure and all(value * self.paired.mean > 0 for value in self.seeds)

    def worse(self) -> bool:
        """Whether the row is worse than the whole model."""
        return (self.paired.mean < 0) == (self.column.better == "higher")

    def said(self) -> str:
        """As sentences name it: "M-LMD +0.12 [0.08, 0.16]"."""
        d, n = self.paired, self.column.digits
        return f"{in_list(self.column.label)} {d.mean:+.{n}f} [{d.low:+.{n}f}, {d.high:+.{n}f}]"


@dataclass(frozen=True, slots=True)
class AblationStudy:
    """What the page shows."""

    model: str
    data: str
    data_hash: str
    signature: str
    seeds: tuple[int, ...]
    budget: Budget
    clips: int
    speakers: int
    config: str
    """The configuration that rows differ from."""
    hours: float
    """Of a core, all trainings and scores together."""
    longest: float
    """Minutes of the longest one."""
    gaps: tuple[Gap, ...]

    def rows(self) -> list[Row]:
        """The rows of the paper, then the controls."""
        controls = (
            Row(SILENCE, "control: the whole model hears nothing"),
            Row(AGAIN, "control: other seeds"),
        )
        return [*ROWS[self.model], *controls]

    def of(self, row: str) -> list[Gap]:
        """The gaps of a row, in the order of the measures."""
        return [gap for gap in self.gaps if gap.row == row]

    def finding(self, row: str) -> str:
        """What leaving a part out did."""
        shown = [gap for gap in self.of(row) if self.counts(gap)]
        worse, better = (", ".join(g.said() for g in shown if g.worse() is w) for w in (True, False))
        parts = [f"worse by {worse}" if worse else "", f"better by {better}" if better else ""]
        return "; ".join(filter(None, parts)) or "shows nothing"

    def counts(self, gap: Gap) -> bool:
        """Whether a gap is shown, and by a measure whose controls hold; those of the controls count as they are."""
        return gap.shown() and (gap.row in (SILENCE, AGAIN) or gap.column.name in self.trusted())

    def trusted(self) -> list[str]:
        """The measures by which both controls hold: silence is worse, other seeds show nothing."""
        chance = {gap.column.name for gap in self.of(AGAIN) if gap.shown()}
        heard = [gap.column.name for gap in self.of(SILENCE) if gap.shown() and gap.worse()]
        return [name for name in heard if name not in chance]

    def controls(self) -> str:
        """By which measures the controls hold, as sentences."""
        trusted = self.trusted()
        every = [gap.column for gap in self.of(SILENCE)]
        good = ", ".join(in_list(c.label) for c in every if c.name in trusted)
        bad = ", ".join(in_list(c.label) for c in every if c.name not in trusted)
        found = f"silence: {self.finding(SILENCE)}; other seeds: {self.finding(AGAIN)}"
        if not bad:
            return "Both controls hold by every measure: silence is worse, other seeds show nothing."
        if not good:
            return (
                f"A control fails by every measure ({found}), so the rows prove nothing yet: take more steps, seeds or "
                "clips."
            )
        return f"Both controls hold by {good} and not by {bad}, which prove nothing here ({found})."

    def sentence(self) -> str:
        """What was found."""
        if len(self.seeds) < 2:
            return (
                f"One seed shows nothing of a part, whatever its numbers: networks that differ in their seeds alone "
                f"differ, too. Silence: {self.finding(SILENCE)}."
            )
        parts = [f"{row.name}: {self.finding(row.name)}" for row in ROWS[self.model]]
        return f"Against the whole model, {'; '.join(parts)}. {self.controls()}"

    def table(self) -> pd.DataFrame:
        """One line per row and measure."""
        lines = [
            {
                "row": gap.row,
                "metric": gap.column.name,
                "difference": gap.paired.mean,
                "low": gap.paired.low,
                "high": gap.paired.high,
                "p_holm": gap.p,
                "p_networks": gap.networks,
                "spread": gap.spread,
                "shown": self.counts(gap),
                **{f"seed_{seed}": value for seed, value in zip(self.seeds, gap.seeds, strict=True)},
            }
            for gap in self.gaps
        ]
        return pd.DataFrame(lines)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A study whose trainings are not all done."""

    left: tuple[str, ...]
    """The names of the stages that are left, in order."""
    total: int

    def __str__(self) -> str:
        return f"{len(self.left)} of {self.total} trainings are left, {self.left[0]} the next; run it again to go on"


def measures(dataset: str) -> Protocol:
    """What rows are scored by: sync, mouth and voice, lips."""
    synthetic = default_protocol(dataset) == "synth-v1"
    return Protocol.model_validate(
        {
            "name": "study-ablation",
            "summary": "Sync, voice and lips.",
            "rank_by": "voice_corr",
            "metrics": [
                {"name": "sync", "settings": {"judge": "syncnet-synth"}},
                {"name": "voice", "settings": {"zero": "synth" if synthetic else "speech"}},
                {"name": "lip"},
                {"name": "lmd", "settings": {"variants": ["lmd_mouth"]}},
            ],
        }
    )


Scores = dict[tuple[str, int], pd.DataFrame]
"""(row, seed) -> one line per clip, indexed by key: the column speaker, and one per measure."""


def compared(
    scores: Scores, columns: Sequence[Column], rows: Sequence[str], seeds: Sequence[int]
) -> list[Gap]:
    """Every row against the whole model by every measure; p corrected over all of them."""
    found: list[tuple[str, Column, tuple[float, ...], Difference]] = []
    apart: list[tuple[float, float]] = []
    pairs = len(rows) * len(columns)
    keys = scores[WHOLE, seeds[0]].index
    speakers = scores[WHOLE, seeds[0]]["speaker"].tolist()
    for row in rows:
        for column in columns:
            mine, whole, again = (
                np.stack([scores[name, s].loc[keys, column.name].to_numpy(float) for s in seeds])
                for name in (row, WHOLE, AGAIN)
            )
            own = tuple(float(np.nanmean(a - b)) for a, b in zip(mine, whole, strict=True))
            tested = paired_difference(mine.mean(axis=0), whole.mean(axis=0), speakers, pairs=pairs)
            found.append((row, column, own, tested))
            apart.append(_between(mine, whole if row == AGAIN else np.concatenate([whole, again])))
    corrected = holm([tested.p for *_, tested in found])
    return [Gap(*parts, p, *between) for parts, p, between in zip(found, corrected, apart, strict=True)]


def _between(row: Array, complete: Array) -> tuple[float, float]:
    """Student's t-test between the means of a row's networks and of complete ones: its p, and the latter's spread.

    (networks, clips) each, over the clips that all of them have a score for; nan below two networks or without a clip.
    """
    from scipy.stats import ttest_ind

    shared = np.isfinite(np.concatenate([row, complete])).all(axis=0)
    if min(len(row), len(complete)) < 2 or not shared.any():
        return math.nan, math.nan
    one, two = row[:, shared].mean(axis=1), complete[:, shared].mean(axis=1)
    if np.ptp(one) == np.ptp(two) == 0:
        return float(one[0] == two[0]), 0.0
    return float(ttest_ind(one, two).pvalue), float(two.std(ddof=1))


@dataclass(frozen=True, slots=True)
class Work:
    """Where a study works, and how."""

    data: Path
    out: Path
    expert: Path | None = None
    cache: Path | None = None
    limit: int | None = None
    """Clips that are scored; None: all of the split test."""
    workers: int = 1
    most: int | None = None
    """Trainings that this call begins or goes on with; None: all."""
    device: str = "auto"
    """Where networks are trained and scored. "auto" trains on a GPU where there is one, and scores on the CPU."""

    def file(self, stage: str) -> Path:
        """The checkpoint of a stage."""
        return self.out / "stages" / f"{stage}.safetensors"


def study_ablation(
    model: str,
    work: Work,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    budget: Budget | None = None,
    config: str | Path | None = None,
    progress: Progress = silent,
) -> AblationStudy | Unfinished:
    """Train every row that is not trained yet, score all, compare; the same call again goes on.

    `work.most` may end it before all trainings are done. Raises UsageError, before any training, for data
    without the splits train and test.
    """
    budget = budget or Budget()
    plans = plan(model, seeds, budget, config)
    source = shards.open_shards(work.data)
    if not {"train", "test"} <= set(source.splits):
        raise UsageError(
            f"{work.data}: has the splits {', '.join(source.splits)}; the study trains on train and measures on test, "
            f"whose people differ: prepare both, as `tkbench prep synth` with 20 speakers or more makes them"
        )
    left = trained(plans, work, progress)
    if left:
        return Unfinished(tuple(left), len(plans.stages))
    columns = [c for c in build_metrics(measures(source.dataset), "cpu").columns if c.name in MEASURES]
    scores: Scores = {}
    signature = ""
    for (row, seed), stage in plans.networks.items():
        scores[row, seed], signature = scored(f"{model}:{work.file(stage)}", stage, work, progress)
        if row == WHOLE:
            name = f"mute:{model}:{work.file(stage)}"
            scores[SILENCE, seed], _ = scored(name, f"silence-{seed}", work, progress)
    rows = [row.name for row in ROWS[model]] + [SILENCE, AGAIN]
    times = Times(work.out)
    clips = scores[WHOLE, seeds[0]]
    return AblationStudy(
        model,
        source.dataset,
        source.data_hash,
        signature,
        tuple(seeds),
        budget,
        len(clips),
        clips["speaker"].nunique(),
        Path(config).stem if config is not None else f"{model}-small",
        times.total(),
        times.longest(),
        tuple(compared(scores, columns, rows, seeds)),
    )


def trained(plans: Plan, work: Work, progress: Progress) -> list[str]:
    """Carry out the trainings that are not finished, at most `work.most`; the names of those that are then left."""
    waiting = [stage for stage in plans.stages if not _finished(work.file(stage.name), stage.config)]
    for number, stage in enumerate(waiting):
        if work.most is not None and number >= work.most:
            return [s.name for s in waiting[number:]]
        from tkbench.train.loop import train

        job = TrainingJob(
            work.data,
            work.file(stage.name),
            stage.config,
            expert=work.expert,
            start=work.file(stage.start) if stage.start else None,
            cache=work.cache or work.out / "crops",
            accelerator=work.device,
        )
        job.out.parent.mkdir(parents=True, exist_ok=True)

        with Times(work.out).stage(stage.name) as clock:

            def told(done: int, total: int, label: str, stage: Stage = stage, clock: Clock = clock) -> None:
                clock.tick()
                progress(done, total, f"{stage.name} {label}")

            train(job, progress=told)
    return []


def _finished(path: Path, config: Config) -> bool:
    """Whether a checkpoint is that of a whole run of this configuration."""
    if not path.is_file():
        return False
    training = checkpoint.read_facts(path).training
    if training["steps"] != config.steps or training["seed"] != config.seed:
        raise UsageError(
            f"{path}: {training['steps']} steps with seed {training['seed']}, expected {config.steps} with "
            f"{config.seed}; give another --out, or remove it"
        )
    return True


def scored(name: str, stage: str, work: Work, progress: Progress) -> tuple[pd.DataFrame, str]:
    """The scores of a network by clip, and the signature; kept in `out`/scores by the sha256 of its weights."""
    source = shards.open_shards(work.data)
    about = f"{sha256(work.out / 'stages' / Path(name).name)} {source.data_hash} {work.limit} {MEASURES}"
    kept = work.out / "scores" / f"{stage}.json"
    if kept.is_file():
        record = json.loads(kept.read_text(encoding="utf-8"))
        if record["about"] == about:
            return _frame(record["clips"]), str(record["signature"])
    with Times(work.out).stage(f"score {stage}"):
        folder = evaluate(
            work.data,
            name,
            protocol=measures(source.dataset),
            out=work.out / "runs" / stage,
            workers=work.workers,
            split="test",
            limit=work.limit,
            options=EvalOptions(
                device="cpu" if work.device == "auto" else work.device,
                progress=lambda done, total, _: progress(done, total, f"score {stage}"),
            ),
        )
    made = bundle.read(folder)
    table = made.clips()
    wide = table.pivot_table(index="key", columns="metric", values="value", dropna=False)
    speakers = table.drop_duplicates("key").set_index("key")["speaker"]
    clips = [
        {"key": str(key), "speaker": str(speakers[key] or key)}
        | {m: None if math.isnan(v := float(wide.loc[key].get(m, math.nan))) else v for m in MEASURES}
        for key in wide.index
    ]
    record = {"about": about, "signature": made.result.signature, "clips": clips}
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_file(kept, (json.dumps(record, indent=1) + "\n").encode())
    return _frame(clips), made.result.signature


def _frame(clips: list[dict[str, str | float | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(clips).set_index("key")
    return frame.astype({name: float for name in MEASURES})
