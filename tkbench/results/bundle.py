"""Result bundles: one folder per model and table, with everything that its row needs to be recomputed.

    result.json      facts, summary, signature, versions, hashes of weights and of the files beside it
    clips.parquet    one row per clip and metric: value, or nan with a reason
    curves.parquet   distance at each shift, per clip and judge
    videos.parquet   sha256 of each video that was scored, where the model's videos are files
    strata.parquet   what a table can be split by: per clip and stratum a number or a text (`results.strata`)
    strata_sets.parquet  numbers of the whole set (FID ...) of each stratum that `--by` named
    cost.json        time and memory of the model (`results.cost`); of no hash and no comparison
    previews/NN.mp4  the true video beside the generated one: clips that all models share, then the worst
    mouths.parquet   of these clips: how far the lips are open in both videos, and where the mouth is

result.json is strict JSON: nan is null, infinity the string "inf". It holds no date, so the same numbers give the same
bytes. A bundle is written beside its place and renamed: it is there as a whole or not at all.

Format 4 stores with each column its bounds, its other names and its text, so that a report can explain the column of a
plug-in that is not installed. Format 5 has the intervals of `stats`, and says where so few speakers have none; those of
formats 3 and 4 are made by `stretched`, and verified by it. Bundles of formats 3 and 4 can still be read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from tkbench.errors import BadBundle, BadInput, UsageError
from tkbench.results import tables
from tkbench.results.stats import Interval, Rule, mean_interval
from tkbench.runtime import storage
from tkbench.types import Array, Column, Float64, Reason, Row

if TYPE_CHECKING:
    import pandas as pd

LARGEST_RESULT = 16 << 20
"""Bytes of a result.json that is read: a hundred columns and their texts take a hundredth of it."""
MOST_COLUMNS, LONGEST_NAME = 1000, 300
FORMAT = 5
READABLE = (3, 4, FORMAT)
OWN_CLIPS = "a folder of videos"
"""What `tkbench prep folder` reads, in titles."""
ALONE = "clip "
"""Begins the cluster of a clip whose speaker nobody knows."""
UNIT_BOUNDS = {"share": (0.0, 1.0), "correlation": (-1.0, 1.0)}
"""Format 3: the bounds of a column, by its unit; other units had none."""


def _to_json(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


Number = Annotated[
    float,
    BeforeValidator(lambda v: math.nan if v is None else v),
    PlainSerializer(_to_json, return_type=float | str | None),
]
"""A float in strict JSON: nan as null, infinity as "inf"."""


def column_to_json(column: Column) -> dict[str, JsonValue]:
    """A column in strict JSON: what it has no value for is left out."""
    record: dict[str, JsonValue] = {
        "name": column.name,
        "label": column.label,
        "unit": column.unit,
        "better": column.better,
        "digits": column.digits,
        "per_clip": column.per_clip,
        "signature": column.signature,
    }
    if any(map(math.isfinite, column.bounds)):
        record["bounds"] = [_to_json(bound) for bound in column.bounds]
    if column.also_called:
        record["also_called"] = list(column.also_called)
    record |= {name: text for name in ("text", "variant") if (text := getattr(column, name))}
    if column.near_true:
        record["near_true"] = True
    return record


def column_from_json(record: object) -> object:
    """What pydantic makes a Column of; unknown and missing keys are errors, as everywhere in result.json."""
    if isinstance(record, Column) or not isinstance(record, Mapping):
        return record
    known = {entry.name for entry in fields(Column)}
    if unknown := sorted(set(map(str, record)) - known):
        raise ValueError(f"{unknown[0]!r} is no fact of a column")
    if missing := [name for name in ("per_clip", "signature") if name not in record]:
        raise ValueError(f"a column lacks {missing[0]!r}")
    return record


StoredColumn = Annotated[Column, BeforeValidator(column_from_json), PlainSerializer(column_to_json)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Summary(_Model):
    """One cell of a table."""

    mean: Number
    low: Number
    high: Number
    n: int
    n_unscored: int
    n_clusters: int
    coverage: Number
    mean_size: Number
    """Mean of the sizes, without their signs: what counts where 0 is best."""
    reasons: dict[str, int] = {}
    """Reason -> number of clips, for those without a score."""
    detail: str = ""
    """What to do, or what was found, for the most frequent reason."""
    note: str = ""
    """Why there is no interval, where there is none; and how infinite scores count."""
    reach: Number = math.nan
    """Where so few speakers have no interval of the table's level: the level that low and high have at most. They are
    then the lowest and the highest mean of a speaker."""
    cluster_mean: Number = math.nan
    """The mean of the speakers' means; nan in bundles of format 4 and before, as is the next."""
    largest_share: Number = math.nan
    """The share of the scored clips that the speaker with most of them brings."""

    @property
    def lopsided(self) -> bool:
        """Whether the mean of clips and that of speakers differ by over a quarter of the interval."""
        gap = abs(self.cluster_mean - self.mean)
        return math.isfinite(gap) and gap > 0.25 * (self.high - self.low) and gap > 1e-9 * abs(self.mean)


class Preview(_Model):
    """A player: a clip, its file, and its scores by metric."""

    key: str
    # A page embeds this file, and bundles come from strangers: no other name can stand here.
    file: str = Field(pattern=r"^previews/[0-9]{2,4}\.mp4$")
    scores: dict[str, Number]


class Evaluation(_Model):
    """One model's scores on one data set, and all that they rest on: a bundle apart from its files."""

    format_version: int = FORMAT
    model: str
    model_card: dict[str, JsonValue]
    dataset: str
    split: str
    data_hash: str
    n_clips: int = Field(ge=0, le=10_000_000)
    protocol: str
    rank_by: str
    coverage_min: float
    signature: str
    columns: list[StoredColumn]
    summary: dict[str, Summary]
    stats: dict[str, float]
    weights: dict[str, str]
    stack: dict[str, str]
    seed: int = Field(ge=-(2**63), lt=2**63)

    @model_validator(mode="after")
    def _fits_together(self) -> Evaluation:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"a column comes twice in {names}")
        if len(names) > MOST_COLUMNS:
            raise ValueError(f"{len(names)} columns, at most {MOST_COLUMNS} are a table's")
        told = (self.model, self.dataset, self.split, self.protocol, self.rank_by, self.signature, *names)
        if odd := [text for text in told if not text.isprintable()]:
            raise ValueError(f"{odd[0]!r:.60} holds characters that cannot be printed")
        if len(self.model) > LONGEST_NAME:
            raise ValueError(f"the model's name has {len(self.model)} characters, at most {LONGEST_NAME}")
        if set(names) != set(self.summary):
            raise ValueError(f"columns are {sorted(names)}, the summary has {sorted(self.summary)}")
        return self

    @property
    def data_title(self) -> str:
        """What titles and sentences call the data set: "folder" is the name of a way to read one, and of none."""
        return OWN_CLIPS if self.dataset == "folder" else self.dataset

    @property
    def table(self) -> str:
        """Name of the table that this row belongs to: rows of one name, and only those, are comparable."""
        return table_name(self.dataset, self.protocol, self.signature)


class Result(Evaluation):
    """result.json."""

    previews: list[Preview]
    files: dict[str, str]


def rule_of(result: Evaluation) -> Rule:
    """How the intervals of a bundle were made."""
    return "halves" if result.format_version >= 5 else "stretched"


FILE_OF_STRATA, FILE_OF_SETS = "strata.parquet", "strata_sets.parquet"
Value = float | str
"""Of a clip in a stratum: a number that was measured, or a text that the data set gives."""
Curve = tuple[str, str, Array]
"""Clip key, the judge's first column, and (31,) distances by shift."""
Mouth = Float64
"""(n, 6): what `MOUTH` says, per frame of a clip."""
MOUTH = ("true_opening", "made_opening", "left", "top", "right", "bottom")
"""How far the lips are open in the true and in the generated video, in percent of the distance of the eyes (nan where
no face was found), and the sides of a square around the mouth, in shares of the true picture."""


@dataclass(frozen=True, slots=True)
class SetScore:
    """A number of the whole set (FID ...) for the clips of one stratum."""

    stratum: str
    group: str
    metric: str
    clips: int
    """Clips of the group."""
    value: float
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ClipRows:
    """The numbers behind an evaluation: every clip's scores, its speaker, and the curves of the sync metrics."""

    rows: Sequence[Row]
    speakers: Mapping[str, str | None]
    curves: Sequence[Curve] = ()
    videos: Mapping[str, str] = field(default_factory=dict)
    """Clip -> sha256 of its video's file, where the model's videos are files."""
    mouths: Mapping[str, Mouth] = field(default_factory=dict)
    """Clip -> what the page draws beneath its player."""
    strata: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """Stratum -> clip -> number or text."""
    sets: Sequence[SetScore] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk."""

    folder: Path
    result: Result

    def clips(self) -> pd.DataFrame:
        """Columns model, key, speaker, metric, value, reason, detail."""
        return self._table("clips.parquet")

    def curves(self) -> pd.DataFrame:
        """Columns key, metric (the judge's first column), shift (frames), distance."""
        return self._table("curves.parquet")

    def _table(self, name: str) -> pd.DataFrame:
        """A table of the bundle; BadBundle where it is not the one that result.json has the hash of."""
        path = self.folder / name
        table = tables.read(path)
        if self.result.files.get(name) != storage.sha256_of(path):
            raise BadBundle(f"{path}: was changed or is of another run; run `tkbench eval` again")
        return table

    def videos(self) -> pd.DataFrame:
        """Columns key, sha256 (of the file that was scored); only where `files` lists videos.parquet."""
        return self._table("videos.parquet")

    def strata(self) -> pd.DataFrame:
        """Columns stratum, key, number, label; only where `files` lists strata.parquet."""
        return self._table(FILE_OF_STRATA)

    def sets(self) -> list[SetScore]:
        """Numbers of the whole set by stratum; none where no `--by` was given."""
        if FILE_OF_SETS not in self.result.files:
            return []
        table = self._table(FILE_OF_SETS)
        texts = zip(
            *(column_of(table, name) for name in ("stratum", "group", "metric", "reason", "detail")),
            strict=True,
        )
        numbers = zip(table["clips"].tolist(), table["value"].to_numpy(np.float64).tolist(), strict=True)
        try:
            return [
                SetScore(stratum, group, metric, clips, value, Reason(reason) if reason else None, detail)
                for (stratum, group, metric, reason, detail), (clips, value) in zip(
                    texts, numbers, strict=True
                )
            ]
        except ValueError as error:
            raise BadBundle(f"{self.folder}: {FILE_OF_SETS}: {error}; run `tkbench eval` again") from error

    def mouths(self) -> dict[str, Mouth]:
        """Clip -> (n, 6) per frame, see `MOUTH`; empty where the bundle has none."""
        if "mouths.parquet" not in self.result.files:
            return {}
        table = self._table("mouths.parquet").sort_values(["key", "frame"], kind="stable")
        return {
            str(key): part[list(MOUTH)].to_numpy(np.float64) for key, part in table.groupby("key", sort=True)
        }

    @property
    def digest(self) -> str:
        """sha256 of result.json, which holds the hashes of all other files."""
        return storage.sha256_of(self.folder / "result.json")


def table_name(dataset: str, protocol: str, signature: str) -> str:
    """Folder and file name of a table.

    >>> table_name("synth", "synth-v1", "a|b")
    'synth-v1-0eab8a0a'
    """
    start = protocol if protocol.startswith(f"{dataset}-") else f"{dataset}-{protocol}"
    return f"{slug(start)}-{hashlib.sha256(signature.encode()).hexdigest()[:8]}"


def slug(name: str) -> str:
    """A model's or table's name as a folder name.

    >>> slug("shift:5"), slug("..")
    ('shift-5', '_')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".") or "_"


def summarise(
    rows: Sequence[Row],
    speakers: Mapping[str, str | None],
    columns: Sequence[Column],
    *,
    n_boot: int,
    seed: int,
    level: float,
    rule: Rule = "halves",
) -> dict[str, Summary]:
    """One Summary per column. A clip without a speaker is a cluster of its own. `rule` is for old bundles.

    Raises BadInput for a row of no column, a clip that comes twice, nan without a reason, and a clip that has a row of
    one column and none of another: a mean over a list that shrank would be a mean over the easy clips.
    """
    found: dict[str, dict[str, Row]] = {column.name: {} for column in columns}
    for row in rows:
        if row.metric not in found:
            raise BadInput(f"clip {row.key!r}: a score of {row.metric!r}; columns are {', '.join(found)}")
        if row.key in found[row.metric]:
            raise BadInput(f"clip {row.key!r}: two scores of {row.metric!r}, expected one")
        if math.isnan(row.value) != (row.reason is not None):
            raise BadInput(f"clip {row.key!r}: {row.metric} is {row.value} with reason {row.reason}")
        found[row.metric][row.key] = row
    clips = sorted({key for column in columns if column.per_clip for key in found[column.name]})
    for column in columns:
        if len(found[column.name]) == (len(clips) if column.per_clip else 1):
            continue
        gap = next((key for key in clips if key not in found[column.name]), "*") if column.per_clip else "*"
        raise BadInput(
            f"clip {gap!r}: no row of {column.name!r}; a clip without a score needs nan and a reason"
        )
    summary = {}
    for column in columns:
        ordered = sorted(found[column.name].values(), key=lambda row: row.key)
        if column.per_clip:
            clusters = [speakers.get(row.key) or f"{ALONE}{row.key}" for row in ordered]
            values = [row.value for row in ordered]
            interval = mean_interval(values, clusters, n_boot=n_boot, seed=seed, level=level, rule=rule)
            interval = within(interval, column.bounds)
        else:
            interval = _of_whole_set(ordered[0])
        summary[column.name] = _summary(ordered, interval)
    return summary


def within(interval: Interval, bounds: tuple[float, float]) -> Interval:
    """An interval cut to what is possible at all: that of few speakers reaches farther. It keeps its own mean.

    >>> within(Interval(0.5, -0.25, 1.25, 2, 0, 2), (0.0, math.inf)).low
    0.0
    """
    if math.isnan(interval.low) or math.isnan(interval.high):
        return interval
    low, high = max(interval.low, bounds[0]), min(interval.high, bounds[1])
    # A mean can lie outside by rounding (a cosine of 1.0000001).
    return replace(interval, low=min(low, interval.mean), high=max(high, interval.mean))


def _of_whole_set(row: Row) -> Interval:
    scored = 0 if math.isnan(row.value) else 1
    note = "; ".join(filter(None, ("one number for the whole set", row.detail if scored else "")))
    return Interval(row.value, math.nan, math.nan, scored, 1 - scored, scored, note)


def _summary(ordered: Sequence[Row], interval: Interval) -> Summary:
    # Sorted, so that no order of clips moves the last digit.
    sizes = sorted(abs(row.value) for row in ordered if not math.isnan(row.value))
    reasons = Counter(row.reason.value for row in ordered if row.reason is not None)
    detail = ""
    if reasons:
        commonest = max(sorted(reasons), key=lambda name: reasons[name])
        detail = next(
            row.detail for row in ordered if row.reason is not None and row.reason.value == commonest
        )
    return Summary(
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        n=interval.n,
        n_unscored=interval.n_unscored,
        n_clusters=interval.n_clusters,
        coverage=interval.coverage,
        mean_size=float(np.mean(sizes)) if sizes else math.nan,
        reasons=dict(sorted(reasons.items())),
        detail=detail,
        note=interval.note if not reasons or interval.n else "",
        reach=interval.reach,
        cluster_mean=interval.cluster_mean,
        largest_share=interval.largest_share,
    )


def write(
    out: Path,
    evaluation: Evaluation,
    clips: ClipRows,
    previews: Callable[[Path], Sequence[tuple[str, str]]] = lambda folder: (),
    *,
    beside: Mapping[str, bytes] | None = None,
) -> Path:
    """Write `out/<table>/<model>/` and return it; an earlier bundle of the same model is replaced.

    `previews` is called with a folder to write players into and answers (clip key, file name) pairs. beside: files that
    differ from run to run (`results.cost`): no hash covers them.
    Raises BadInput where a mean does not account for all clips.
    """
    for column in evaluation.columns:
        cell = evaluation.summary[column.name]
        if column.per_clip and (counted := cell.n + cell.n_unscored) != evaluation.n_clips:
            raise BadInput(
                f"{column.name}: {counted} clips scored or unscored, expected {evaluation.n_clips}"
            )
    model = evaluation.model
    place = out / evaluation.table / slug(model)
    if (place / "result.json").is_file() and (taken := read(place).result.model) != model:
        raise UsageError(f"{place}: holds the model {taken!r}; give {model!r} another --name")
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        _fill(work, evaluation, clips, previews)
        for name, content in (beside or {}).items():
            (work / name).write_bytes(content)
        # mkdtemp makes the folder private; a bundle is there to be read by others.
        work.chmod(0o755)
        if place.exists():
            storage.swap(work, place)  # `work` is the old one now, and is removed below
        else:
            work.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place


def _fill(
    folder: Path,
    evaluation: Evaluation,
    clips: ClipRows,
    previews: Callable[[Path], Sequence[tuple[str, str]]],
) -> None:
    (folder / "previews").mkdir()
    players = previews(folder / "previews")
    _write_parquet(folder / "clips.parquet", clip_table(clips.rows, clips.speakers))
    _write_parquet(folder / "curves.parquet", curve_table(clips.curves))
    if clips.videos:
        _write_parquet(folder / "videos.parquet", video_table(clips.videos))
    if clips.strata:
        _write_parquet(folder / FILE_OF_STRATA, strata_table(clips.strata))
    if clips.sets:
        _write_parquet(folder / FILE_OF_SETS, set_table(clips.sets))
    if clips.mouths:
        _write_parquet(folder / "mouths.parquet", mouth_table(clips.mouths))
    scores: dict[str, dict[str, float]] = {}
    for row in clips.rows:
        scores.setdefault(row.key, {})[row.metric] = row.value
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    result = Result(
        **dict(evaluation),
        previews=[Preview(key=key, file=f"previews/{name}", scores=scores[key]) for key, name in players],
        files={path.relative_to(folder).as_posix(): storage.sha256_of(path) for path in files},
    )
    text = json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "result.json").write_text(text + "\n", encoding="utf-8")


def clip_table(rows: Sequence[Row], speakers: Mapping[str, str | None]) -> pd.DataFrame:
    """Rows as a table, sorted by key and metric order of appearance."""
    import pandas as pd

    records = [
        {
            "model": row.model,
            "key": row.key,
            "speaker": speakers.get(row.key) or "",
            "metric": row.metric,
            "value": row.value,
            "reason": row.reason.value if row.reason else "",
            "detail": row.detail,
        }
        for row in rows
    ]
    names = ["model", "key", "speaker", "metric", "value", "reason", "detail"]
    return pd.DataFrame(records, columns=names).sort_values("key", kind="stable", ignore_index=True)


def curve_table(curves: Sequence[Curve]) -> pd.DataFrame:
    """(key, judge, (2k + 1,) distances) as rows key, metric, shift from -k to k, distance."""
    import pandas as pd

    ordered = sorted(curves, key=lambda item: (item[1], item[0]))
    lengths = [len(curve) for _, _, curve in ordered]
    nothing = np.empty(0)
    return pd.DataFrame(
        {
            "key": np.repeat(np.array([key for key, _, _ in ordered], dtype=object), lengths),
            "metric": np.repeat(np.array([metric for _, metric, _ in ordered], dtype=object), lengths),
            "shift": np.concatenate([nothing, *(np.arange(n) - n // 2 for n in lengths)]).astype(np.int64),
            "distance": np.concatenate([nothing, *(curve for _, _, curve in ordered)]).astype(np.float64),
        }
    )


def video_table(videos: Mapping[str, str]) -> pd.DataFrame:
    """{key: sha256} as a table, sorted by key."""
    import pandas as pd

    return pd.DataFrame({"key": sorted(videos), "sha256": [videos[key] for key in sorted(videos)]})


def strata_table(strata: Mapping[str, Mapping[str, Value]]) -> pd.DataFrame:
    """{stratum: {clip: number or text}} as rows stratum, key, number (nan for texts), label ("" for numbers)."""
    import pandas as pd

    rows = [(name, key, value) for name in sorted(strata) for key, value in sorted(strata[name].items())]
    return pd.DataFrame(
        {
            "stratum": pd.Series([name for name, _, _ in rows], dtype=object),
            "key": pd.Series([key for _, key, _ in rows], dtype=object),
            "number": np.array([math.nan if isinstance(v, str) else v for *_, v in rows], np.float64),
            "label": pd.Series([v if isinstance(v, str) else "" for *_, v in rows], dtype=object),
        }
    )


def set_table(sets: Sequence[SetScore]) -> pd.DataFrame:
    """Numbers of the whole set by stratum as a table, in their order."""
    import pandas as pd

    rows = [asdict(item) | {"reason": item.reason.value if item.reason else ""} for item in sets]
    return pd.DataFrame(rows, columns=[entry.name for entry in fields(SetScore)])


def mouth_table(mouths: Mapping[str, Mouth]) -> pd.DataFrame:
    """{key: (n, 6)} as rows key, frame, and what `MOUTH` says, sorted by key."""
    import pandas as pd

    keys = sorted(mouths)
    lengths = [len(mouths[key]) for key in keys]
    values = np.concatenate([mouths[key] for key in keys])
    table = pd.DataFrame(values, columns=list(MOUTH))
    table.insert(0, "frame", np.concatenate([np.arange(n) for n in lengths]).astype(np.int64))
    table.insert(0, "key", np.repeat(np.array(keys, dtype=object), lengths))
    return table


def read(folder: Path) -> Bundle:
    """Open a bundle; raises BadBundle for one that is incomplete or of another version."""
    path = folder / "result.json"
    if path.is_symlink() or not path.is_file():
        raise BadBundle(f"{folder}: no result.json; expected a bundle that `tkbench eval` wrote")
    if (size := path.stat().st_size) > LARGEST_RESULT:
        raise BadBundle(f"{path}: {size} bytes, at most {LARGEST_RESULT} are read; run `tkbench eval` again")
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        version = record.get("format_version") if isinstance(record, dict) else None
        if version not in READABLE:
            raise BadBundle(f"{path}: format {version!r:.40}, expected {FORMAT}; run `tkbench eval` again")
        json.dumps(record, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        result = Result.model_validate(record)
        if version == 3:
            columns = [
                replace(column, bounds=UNIT_BOUNDS.get(column.unit, column.bounds))
                for column in result.columns
            ]
            result = result.model_copy(update={"columns": columns})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its parts"
        raise BadBundle(f"{path}: {where:.80}: {first['msg']:.200}; run `tkbench eval` again") from error
    except BadBundle:
        raise
    # A number of 5000 digits is a ValueError, a tree of 100,000 levels a RecursionError.
    except (ValueError, RecursionError, OverflowError, TypeError) as error:
        raise BadBundle(f"{path}: not JSON ({error!s:.200}); run `tkbench eval` again") from error
    for preview in result.previews:
        if not (folder / preview.file).resolve().is_relative_to(folder.resolve()):
            raise BadBundle(f"{folder / preview.file}: a link out of the bundle; expected a file inside it")
    return Bundle(folder, result)


def _refuse(token: str) -> NoReturn:
    """Python's own reader takes NaN and Infinity, which no other reader of JSON has to know."""
    raise json.JSONDecodeError(f"{token} is not a JSON value", token, 0)


def find(folder: Path, bad: list[str] | None = None) -> list[Bundle]:
    """The bundles in a table's folder, by folder name; raises BadBundle where there is none.

    A folder that holds one table and no more, as `runs` often does, stands for that table.

    bad: where given, a bundle that cannot be read, or whose clips are not its own, adds a line to it and is left out.
    Without it, such a bundle raises BadBundle.
    """
    if not folder.exists():
        if folder.suffix == ".csv":
            raise BadBundle(f"{folder}: no such file; {_elsewhere(folder)}, or a CSV of it")
        raise BadBundle(f"{folder}: no such folder, so no result bundle; {_elsewhere(folder)}")
    if (folder / "result.json").is_file():
        return [read(folder)]
    if not any(folder.glob("*/result.json")) and len(inside := _tables_in(folder)) == 1:
        return find(inside[0], bad)
    found = []
    for path in sorted(folder.glob("*/result.json")):
        if path.parent.name.startswith("."):
            continue
        try:
            row = read(path.parent)
            if bad is not None:
                row.clips()
            found.append(row)
        except BadBundle as error:
            if bad is None:
                raise
            bad.append(str(error))
    if not found:
        if bad:
            raise BadBundle(bad.pop())
        raise BadBundle(f"{folder}: no result bundle in it; {_elsewhere(folder)}")
    return found


def _tables_in(folder: Path) -> list[Path]:
    """The folders in a folder that hold bundles, by name."""
    found = {path.parents[1] for path in folder.glob("*/*/result.json")}
    return sorted(path for path in found if not path.name.startswith("."))


def _elsewhere(folder: Path) -> str:
    """What to give instead: the tables that lie in a folder or beside it."""
    for place in (folder, folder.parent):
        tables_here = [path.name for path in _tables_in(place)]
        if tables_here:
            more = f" and {len(tables_here) - 5} more" if len(tables_here) > 5 else ""
            return f"{place} holds {', '.join(tables_here[:5])}{more}: give one of these folders"
    return "expected the folder of a table, such as runs/<table>"


def column_of(table: pd.DataFrame, name: str) -> list[str]:
    """A column of texts as a list: pandas hands texts out of Arrow one by one, at ten times the cost."""
    return cast("list[str]", table[name].to_numpy(dtype=object).tolist())


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows of clips.parquet; raises KeyError or ValueError for a table that does not hold them."""
    texts = zip(
        *(column_of(table, name) for name in ("model", "key", "metric", "reason", "detail")), strict=True
    )
    return [
        Row(model, key, metric, float(value), Reason(reason) if reason else None, detail)
        for (model, key, metric, reason, detail), value in zip(texts, table["value"], strict=True)
    ]


def _write_parquet(path: Path, table: pd.DataFrame) -> None:
    table.to_parquet(path, index=False, compression="zstd")
