"""Result bundles: one folder per model and table, with everything that its row needs to be recomputed.

    result.json      facts, summary, signature, versions, hashes of weights and of the files beside it
    clips.parquet    one row per clip and metric: value, or nan with a reason
    curves.parquet   distance at each shift, per clip and judge
    previews/NN.mp4  the true video beside the generated one, worst clips first

result.json is strict JSON: nan is null, infinity the string "inf". The same numbers give the same bytes, so
it holds no date. A bundle appears whole or not at all: it is written beside its place and renamed.
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from tkbench.errors import BadBundle, BadInput, UsageError
from tkbench.results.stats import Interval, mean_interval
from tkbench.types import Array, Better, Metric, Reason, Row

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 3
BOUNDS = {"share": (0.0, 1.0), "correlation": (-1.0, 1.0)}
"""What no mean of a unit can leave, and so no interval; a stretched one of few speakers would."""


def _to_json(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


Number = Annotated[
    float, BeforeValidator(lambda v: math.nan if v is None else v), PlainSerializer(_to_json, return_type=Any)
]
"""A float in strict JSON: nan as null, infinity as "inf"."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Model):
    """The facts of a metric, as `tkbench.types.Metric` has them."""

    name: str
    label: str
    unit: str
    better: Better
    digits: int = Field(ge=0, le=12)
    per_clip: bool
    signature: str


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


class Preview(_Model):
    """A player: a clip, its file, and its scores by metric."""

    key: str
    # A page embeds this file, and bundles come from strangers: no other name can stand here.
    file: str = Field(pattern=r"^previews/[0-9]{2,4}\.mp4$")
    scores: dict[str, Number]


class Result(_Model):
    """result.json."""

    format_version: int
    model: str
    model_card: dict[str, Any]
    dataset: str
    split: str
    data_hash: str
    n_clips: int
    protocol: str
    rank_by: str
    coverage_min: float
    signature: str
    columns: list[Column]
    summary: dict[str, Summary]
    stats: dict[str, float]
    weights: dict[str, str]
    stack: dict[str, str]
    seed: int
    previews: list[Preview]
    files: dict[str, str]

    @model_validator(mode="after")
    def _fits_together(self) -> Result:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"a column comes twice in {names}")
        if set(names) != set(self.summary):
            raise ValueError(f"columns are {sorted(names)}, the summary has {sorted(self.summary)}")
        return self

    @property
    def table(self) -> str:
        """Name of the table that this row belongs to: rows of one name, and only those, are comparable."""
        return table_name(self.dataset, self.protocol, self.signature)


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
        table = _read_parquet(path)
        if self.result.files.get(name) != _sha256(path):
            raise BadBundle(f"{path}: was changed or is of another run; run `tkbench eval` again")
        return table

    @property
    def digest(self) -> str:
        """sha256 of result.json, which holds the hashes of all other files."""
        return _sha256(self.folder / "result.json")


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
    columns: Sequence[Metric],
    *,
    n_boot: int,
    seed: int,
    level: float,
) -> dict[str, Summary]:
    """One Summary per column. A clip without a speaker is a cluster of its own.

    Raises BadInput for a row of no column, a clip that comes twice, nan without a reason, and a clip that one
    column has and another has not: a mean over a list that shrank would be a mean over the easy clips.
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
    return {
        column.name: _summary(list(found[column.name].values()), column, speakers, n_boot, seed, level)
        for column in columns
    }


def _summary(
    rows: Sequence[Row],
    column: Metric,
    speakers: Mapping[str, str | None],
    n_boot: int,
    seed: int,
    level: float,
) -> Summary:
    ordered = sorted(rows, key=lambda row: row.key)
    if column.per_clip:
        clusters = [speakers.get(row.key) or f"clip {row.key}" for row in ordered]
        interval = mean_interval(
            [row.value for row in ordered], clusters, n_boot=n_boot, seed=seed, level=level
        )
        least, most = BOUNDS.get(column.unit, (-math.inf, math.inf))
        interval = replace(interval, low=max(interval.low, least), high=min(interval.high, most))
    else:
        value = ordered[0].value
        scored = 0 if math.isnan(value) else 1
        note = "; ".join(filter(None, ("one number for the whole set", ordered[0].detail if scored else "")))
        interval = Interval(value, math.nan, math.nan, scored, 1 - scored, scored, note)
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
    )


def write(
    out: Path,
    *,
    model: str,
    model_card: Mapping[str, Any],
    dataset: str,
    split: str,
    data_hash: str,
    n_clips: int,
    protocol: str,
    rank_by: str,
    coverage_min: float,
    signature: str,
    columns: Sequence[Metric],
    summary: Mapping[str, Summary],
    stats: Mapping[str, float],
    rows: Sequence[Row],
    speakers: Mapping[str, str | None],
    curves: Sequence[tuple[str, str, Array]],
    weights: Mapping[str, str],
    stack: Mapping[str, str],
    seed: int,
    previews: Callable[[Path], Sequence[tuple[str, str]]],
) -> Path:
    """Write `out/<table>/<model>/` and return it; an earlier bundle of the same model is replaced.

    `previews` is called with a folder to write players into and answers (clip key, file name) pairs.
    Raises BadInput where a mean does not account for all `n_clips`.
    """
    for column in columns:
        if (
            column.per_clip
            and (counted := summary[column.name].n + summary[column.name].n_unscored) != n_clips
        ):
            raise BadInput(f"{column.name}: {counted} clips scored or unscored, expected {n_clips}")
    place = out / table_name(dataset, protocol, signature) / slug(model)
    if (place / "result.json").is_file() and (taken := read(place).result.model) != model:
        raise UsageError(f"{place}: holds the model {taken!r}; give {model!r} another --name")
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        (work / "previews").mkdir()
        players = previews(work / "previews")
        _write_parquet(work / "clips.parquet", clip_table(rows, speakers))
        _write_parquet(work / "curves.parquet", curve_table(curves))
        scores: dict[str, dict[str, float]] = {}
        for row in rows:
            scores.setdefault(row.key, {})[row.metric] = row.value
        files = sorted(path for path in work.rglob("*") if path.is_file())
        result = Result(
            format_version=FORMAT,
            model=model,
            model_card=dict(model_card),
            dataset=dataset,
            split=split,
            data_hash=data_hash,
            n_clips=n_clips,
            protocol=protocol,
            rank_by=rank_by,
            coverage_min=coverage_min,
            signature=signature,
            columns=[Column(**asdict(column)) for column in columns],
            summary=dict(summary),
            stats=dict(stats),
            weights=dict(sorted(weights.items())),
            stack=dict(stack),
            seed=seed,
            previews=[Preview(key=key, file=f"previews/{name}", scores=scores[key]) for key, name in players],
            files={path.relative_to(work).as_posix(): _sha256(path) for path in files},
        )
        text = json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
        (work / "result.json").write_text(text + "\n", encoding="utf-8")
        # mkdtemp makes the folder private; a bundle is there to be read by others.
        work.chmod(0o755)
        if place.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{place.name}-old-", dir=place.parent))
            place.rename(old / "bundle")
            work.rename(place)
            shutil.rmtree(old)
        else:
            work.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place


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


def curve_table(curves: Sequence[tuple[str, str, Array]]) -> pd.DataFrame:
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


def read(folder: Path) -> Bundle:
    """Open a bundle; raises BadBundle for one that is incomplete or of another version."""
    path = folder / "result.json"
    if not path.is_file():
        raise BadBundle(f"{folder}: no result.json; expected a bundle that `tkbench eval` wrote")
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        version = record.get("format_version") if isinstance(record, dict) else None
        if version != FORMAT:
            raise BadBundle(f"{path}: format {version}, expected {FORMAT}; run `tkbench eval` again")
        result = Result.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its parts"
        raise BadBundle(f"{path}: {where}: {first['msg']}; run `tkbench eval` again") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBundle(f"{path}: not JSON ({error}); run `tkbench eval` again") from error
    for preview in result.previews:
        if not (folder / preview.file).resolve().is_relative_to(folder.resolve()):
            raise BadBundle(f"{folder / preview.file}: a link out of the bundle; expected a file inside it")
    return Bundle(folder, result)


def _refuse(token: str) -> NoReturn:
    """Python's own reader takes NaN and Infinity, which no other reader of JSON has to know."""
    raise json.JSONDecodeError(f"{token} is not a JSON value", token, 0)


def find(folder: Path) -> list[Bundle]:
    """The bundles in a table's folder, by folder name; raises BadBundle where there is none."""
    if (folder / "result.json").is_file():
        return [read(folder)]
    found = [
        read(path.parent)
        for path in sorted(folder.glob("*/result.json"))
        if not path.parent.name.startswith(".")
    ]
    if not found:
        raise BadBundle(
            f"{folder}: no result bundle in it; expected the folder of a table, such as runs/<table>"
        )
    return found


def verify(folder: Path) -> Bundle:
    """Check every file against its hash and recompute the summary from the clips.

    Raises BadBundle that names the first difference.
    """
    bundle = read(folder)
    result = bundle.result
    for name in ("clips.parquet", "curves.parquet", *(preview.file for preview in result.previews)):
        if name not in result.files:
            raise BadBundle(f"{folder}: {name} has no hash in result.json; run `tkbench eval` again")
    for name, expected in sorted(result.files.items()):
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise BadBundle(f"{folder}: lists the file {name!r}, which lies outside of it")
        if not path.is_file():
            raise BadBundle(f"{path}: missing; its hash is in result.json")
        if (digest := _sha256(path)) != expected:
            raise BadBundle(f"{path}: sha256 {digest[:12]}, expected {expected[:12]}; the file was changed")
    table = bundle.clips()
    columns = [Metric(**column.model_dump()) for column in result.columns]
    try:
        speakers = dict(zip(table["key"], table["speaker"], strict=True))
        rows = _rows(table)
        again = summarise(
            rows,
            speakers,
            columns,
            n_boot=int(result.stats["n_boot"]),
            seed=int(result.stats["seed"]),
            level=result.stats["level"],
        )
    except (KeyError, ValueError) as error:
        raise BadBundle(f"{folder}: clips.parquet and result.json do not fit together ({error})") from error
    if set(table["model"]) != {result.model}:
        raise BadBundle(f"{folder}: clips of {sorted(set(table['model']))}, expected {result.model!r}")
    if (counted := table.loc[table["key"] != "*", "key"].nunique()) != result.n_clips:
        raise BadBundle(f"{folder}: n_clips is {result.n_clips}, but clips.parquet has {counted}")
    for part in (f"coverage:{result.coverage_min:g}", f"rank:{result.rank_by}"):
        if part not in result.signature.split("|"):
            raise BadBundle(f"{folder}: {part} is not in the signature {result.signature[:60]}...")
    _check_curves(bundle, rows)
    for name, summary in again.items():
        for field in Summary.model_fields:
            value, stored = getattr(summary, field), getattr(result.summary[name], field)
            if not _same(value, stored):
                raise BadBundle(f"{folder}: {name}.{field} is {stored}, but its clips give {value}")
    return bundle


def _check_curves(bundle: Bundle, rows: Sequence[Row]) -> None:
    """BadBundle where a judge's curve has its minimum elsewhere than at the LSE-D of that clip."""
    values = {(row.key, row.metric): row.value for row in rows}
    deepest_of = bundle.curves().groupby(["metric", "key"], sort=False)["distance"].min()
    for (metric, key), deepest in cast("dict[tuple[str, str], float]", deepest_of.to_dict()).items():
        if not metric.startswith("lse_c"):
            continue  # another metric's own curve
        lowest = values.get((key, metric.replace("lse_c", "lse_d", 1)), math.nan)
        if not math.isnan(lowest) and not math.isclose(deepest, lowest, rel_tol=1e-5, abs_tol=1e-6):
            raise BadBundle(
                f"{bundle.folder}: {key}: {metric}'s curve has its minimum at {deepest:.6g}, its LSE-D is {lowest:.6g}"
            )


def _rows(table: pd.DataFrame) -> list[Row]:
    """The rows of clips.parquet; raises KeyError or ValueError for a table that does not hold them."""
    return [
        Row(
            record["model"],
            record["key"],
            record["metric"],
            float(record["value"]),
            Reason(record["reason"]) if record["reason"] else None,
            record["detail"],
        )
        for record in cast("list[dict[str, Any]]", table.to_dict("records"))
    ]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, (int, float)):
        # The bootstrap's sums run through BLAS, whose last bits differ between machines.
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return bool(a == b)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_parquet(path: Path, table: pd.DataFrame) -> None:
    table.to_parquet(path, index=False, compression="zstd")


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise BadBundle(
            f"{path}: cannot be read ({type(error).__name__}); run `tkbench eval` again"
        ) from error
