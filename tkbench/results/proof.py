"""What a result bundle proves by itself: `tkbench verify`.

A bundle holds the value of every clip, the curves that LSE-C, LSE-D and AVOffset were read from, and the hashes of its
files. From these the row is made again: means, intervals, counts, and the three LSE values of every clip. What says how
the row was made (n, data, weights, statistics, protocol) is held against the signature. The values of other metrics are
only known to lie within their bounds: to prove them takes the videos (`tkbench.scoring.rescore`).

Bundles come from strangers. Sizes and counts are checked before anything is read, so no bundle takes memory or time
without bound, and whatever is wrong is one `BadBundle`.
"""

from __future__ import annotations

import csv
import io
import math
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tkbench import media
from tkbench.errors import BadBundle, BadMedia
from tkbench.results import bundle as bundles
from tkbench.results import leaderboard, strata, tables
from tkbench.results import rows as kept_rows
from tkbench.results.bundle import Bundle, Result, Summary, column_of
from tkbench.runtime import storage
from tkbench.runtime.words import counted
from tkbench.types import Array, Column, Row

LARGEST_FILE = 256 << 20
"""Bytes of a file in a bundle that is hashed."""
MOST_FILES = 100
LARGEST_CSV = 32 << 20
MOST_DRAWS = 20_000
"""Of stats: more draws than any protocol may ask for."""
MOST_WORK = 40_000_000_000
"""Draws x clips x columns that are computed again: about a minute."""
SEED = 2**53
"""Seeds below are whole numbers as floats, too, which result.json has them as."""
_LISTED = re.compile(r"(clips|curves|videos|strata|strata_sets|mouths)\.parquet|previews/[0-9]{2,4}\.mp4")
PLAYERS = "previews/"
_ROUNDING = 1e-5
"""By how much a value may leave its bounds: a cosine of 1.0000001."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A bundle that holds together, and what that says."""

    bundle: Bundle
    recomputed: tuple[str, ...]
    """What was made again from what the bundle holds, a clause each."""
    unseen: tuple[str, ...]
    """Labels of columns whose values rest on videos that nobody has looked at here."""

    @property
    def result(self) -> Result:
        return self.bundle.result

    def __str__(self) -> str:
        text = f"{self.bundle.folder}: holds; recomputed {'; '.join(self.recomputed)}"
        if self.unseen:
            text += f". Only the videos can prove {', '.join(self.unseen)}: give --data SHARDS --videos DIR"
        return text


def verify(folder: Path, *, players: bool = True) -> Proof:
    """Hold all that a bundle says against what it holds; BadBundle names the first difference.

    players: whether the preview videos must be there. Rows that a table keeps have none.
    """
    try:
        return _verify(folder, players)
    except (MemoryError, RecursionError, OverflowError) as error:
        raise BadBundle(
            f"{folder}: cannot be read ({type(error).__name__}); run `tkbench eval` again"
        ) from error
    except OSError as error:
        raise BadBundle(f"{folder}: cannot be read ({error.strerror or error})") from error


def _verify(folder: Path, players: bool) -> Proof:
    bundle = bundles.read(folder)
    result = bundle.result
    _check_files(bundle, players)
    _check_facts(bundle)
    rows, speakers = _rows_of(bundle)
    again = _summary_again(bundle, rows, speakers)
    values = {(row.key, row.metric): row for row in rows}
    proven = _check_curves(bundle, values)
    _check_previews(bundle, values, players)
    hashed = _check_videos(bundle, values)
    _check_strata(bundle, values)
    for name, summary in again.items():
        for fact in Summary.model_fields if result.format_version >= 5 else _OLD_FACTS:
            value, stored = getattr(summary, fact), getattr(result.summary[name], fact)
            if not _same(value, stored):
                raise BadBundle(
                    f"{folder}: {name}.{fact} is {stored!r:.80}, but its clips give {value!r:.80}"
                )
    recomputed = [f"means and intervals of {len(again)} columns from {counted(result.n_clips, 'clip')}"]
    if proven:
        labels = [column.label for column in result.columns if column.name in proven]
        recomputed.append(f"{', '.join(labels)} from the curves")
    here = [name for name in result.files if players or not name.startswith(PLAYERS)]
    recomputed.append(f"hashes of {len(here)} files")
    recomputed.append("what the signature says of data, weights, statistics and protocol")
    if hashed:
        recomputed.append(f"{hashed} videos have hashes, which --videos compares")
    unseen = [c.label for c in result.columns if c.name not in proven and result.summary[c.name].n]
    return Proof(bundle, tuple(recomputed), tuple(unseen))


# -- files ---------------------------------------------------------------------------------------------------


def _check_files(bundle: Bundle, players: bool) -> None:
    """Every file that is listed is there, plain, inside, and has its hash; those that must be listed are."""
    folder, listed = bundle.folder, bundle.result.files
    names = [preview.file for preview in bundle.result.previews]
    for name in ("clips.parquet", "curves.parquet", *names):
        if name not in listed:
            raise BadBundle(f"{folder}: {name} has no hash in result.json; run `tkbench eval` again")
    if len(listed) > MOST_FILES:
        raise BadBundle(f"{folder}: lists {len(listed)} files, at most {MOST_FILES} are a bundle's")
    for name, expected in sorted(listed.items()):
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise BadBundle(f"{folder}: lists the file {name!r:.100}, which lies outside of it")
        if not _LISTED.fullmatch(name):
            raise BadBundle(f"{folder}: lists the file {name!r:.100}, which is none of a bundle's")
        if not players and name.startswith(PLAYERS):
            continue
        _check_plain(folder, name)
        if (digest := storage.sha256_of(path)) != expected:
            raise BadBundle(f"{path}: sha256 {digest[:12]}, expected {expected[:12]}; the file was changed")


def _check_plain(folder: Path, name: str) -> None:
    """BadBundle for what is no plain file: a link, a pipe, or a file in a folder that is a link."""
    place = folder
    for part in Path(name).parts:
        place /= part
        try:
            facts = place.lstat()
        except FileNotFoundError as error:
            raise BadBundle(f"{place}: missing; its hash is in result.json") from error
        if stat.S_ISLNK(facts.st_mode):
            raise BadBundle(f"{place}: is a link; a bundle holds its files itself")
    if not stat.S_ISREG(facts.st_mode):
        raise BadBundle(f"{place}: is no plain file")
    if facts.st_size > LARGEST_FILE:
        raise BadBundle(f"{place}: {facts.st_size} bytes, at most {LARGEST_FILE} are a bundle's")


def _check_previews(bundle: Bundle, values: Mapping[tuple[str, str], Row], players: bool) -> None:
    """Players are videos, of clips of this bundle, with their scores."""
    keys = {key for key, _ in values}
    for preview in bundle.result.previews:
        path = bundle.folder / preview.file
        if preview.key not in keys:
            raise BadBundle(f"{path}: shows the clip {preview.key!r:.80}, which has no scores")
        for metric, score in preview.scores.items():
            row = values.get((preview.key, metric))
            if row is None or not _same(row.value, score):
                found = "none" if row is None else f"{row.value:.6g}"
                raise BadBundle(
                    f"{path}: says {metric!r:.40} of {preview.key} is {score:.6g}, its clips say {found}"
                )
        if not players:
            continue
        try:
            media.probe(path)
        except BadMedia as error:
            raise BadBundle(f"{path}: no video that plays ({error.detail:.120})") from error


def _check_videos(bundle: Bundle, values: Mapping[tuple[str, str], Row]) -> int:
    """How many videos have hashes; BadBundle where a scored clip has none though others do."""
    if "videos.parquet" not in bundle.result.files:
        return 0
    table = bundle.videos()
    keys = column_of(table, "key")
    for key, digest in zip(keys, column_of(table, "sha256"), strict=True):
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise BadBundle(f"{bundle.folder}: videos.parquet: {key!r:.80} has no sha256")
    if len(set(keys)) != len(keys):
        raise BadBundle(f"{bundle.folder}: videos.parquet: a clip comes twice")
    known = {key for key, _ in values if key != "*"}
    scored = {key for (key, _), row in values.items() if key != "*" and not math.isnan(row.value)}
    if wrong := sorted(set(keys) - known) or sorted(scored - set(keys)):
        what = "has a video and no scores" if wrong[0] not in known else "has scores and no hash of its video"
        raise BadBundle(f"{bundle.folder}: videos.parquet: {wrong[0]!r:.80} {what}")
    return len(keys)


def _check_strata(bundle: Bundle, values: Mapping[tuple[str, str], Row]) -> None:
    """Strata are of this bundle's clips, each once; numbers of whole strata are of its columns and possible."""
    folder, keys = bundle.folder, {key for key, _ in values if key != "*"}
    if bundles.FILE_OF_STRATA in bundle.result.files:
        table = bundle.strata()
        pairs = list(zip(column_of(table, "stratum"), column_of(table, "key"), strict=True))
        if len(set(pairs)) != len(pairs):
            raise BadBundle(f"{folder}: {bundles.FILE_OF_STRATA}: a clip comes twice in a stratum")
    known = strata.values_of(bundle)
    strata.check_values(folder, known, keys)
    whole = {column.name: column for column in bundle.result.columns if not column.per_clip}
    for item in bundle.sets():
        where = f"{folder}: {bundles.FILE_OF_SETS}: {item.stratum!r:.40}"
        if item.metric not in whole or item.stratum not in known or not 0 <= item.clips <= len(keys):
            raise BadBundle(f"{where}: {item.metric!r:.40} of {item.clips} clips is no number of this bundle")
        low, high = whole[item.metric].bounds
        if math.isnan(item.value) != (item.reason is not None) or item.value < low or item.value > high:
            raise BadBundle(
                f"{where}: {item.metric} is {item.value:.6g} ({item.reason}), expected {low:g} to {high:g}"
            )


# -- facts ---------------------------------------------------------------------------------------------------


def _check_facts(bundle: Bundle) -> None:
    """What result.json says beside its numbers, against its signature."""
    folder, result = bundle.folder, bundle.result
    _check_stats(bundle)
    parts = result.signature.split("|")
    known = {part.partition(":")[0]: part.partition(":")[2] for part in parts if ":" in part}
    strict = result.format_version >= 5

    def fault(what: str, found: object, said: str) -> BadBundle:
        return BadBundle(f"{folder}: {what} is {found!s:.80}, its signature says {said or 'nothing':.80}")

    if parts[0] != result.protocol:
        raise fault("protocol", result.protocol, parts[0])
    wanted = {
        "coverage": f"{result.coverage_min:g}",
        "rank": _ranking_by_signature(result, known),
        "n": str(result.n_clips),
        "data": f"{result.dataset}@{result.data_hash[:12]}",
        "seed": str(result.seed),
    }
    wanted |= {name: result.stack[name] for name in ("tkbench", "ffmpeg") if name in result.stack}
    for name, value in wanted.items():
        said = known.get(name)
        if said is None and not strict and name not in ("coverage", "rank"):
            continue
        if said is None or (re.sub(r"\(first [0-9]+\)$", "", said) if name == "n" else said) != value:
            what = {"n": "n_clips", "coverage": "coverage_min", "rank": "rank_by"}.get(name, name)
            raise fault(what, value, "" if said is None else f"{name}:{said}")
    line = f"|{result.signature}|"
    for column in result.columns:
        if strict and f"|{column.signature}|" not in line:
            raise BadBundle(f"{folder}: {column.name}: {column.signature!r:.80} is not in the signature")
        _check_weights(bundle, column)
    card = result.model_card.get("name")
    if card is not None and card != result.model:
        raise BadBundle(f"{folder}: the model is {result.model!r:.80}, its card is that of {card!r:.80}")


def _ranking_by_signature(result: Result, known: Mapping[str, str]) -> str:
    """What the signature must say after "rank:" for this bundle's ranking column to be right.

    The protocol's second choice is right where the network of the first is missing, and only there.
    """
    first = next((column for column in result.columns if column.name == known.get("rank")), None)
    second = known.get("rank-without")
    if second is not None and first is not None and first.lacks_network:
        return (
            first.name if result.rank_by == second else f"{second} (the network of {first.name} is missing)"
        )
    return result.rank_by


def _check_weights(bundle: Bundle, column: Column) -> None:
    """The networks in a column's signature, `net:NAME@HASH` or `NAME@HASH`, are those in `weights`."""
    for net, name, digest in re.findall(r"(net:)?([A-Za-z0-9_.-]+)@([0-9a-f]{12})\b", column.signature):
        stored = bundle.result.weights.get(name)
        if stored is None and not net:
            continue  # short names of networks ("alex", "pool3"): their hash is in the signature alone
        if stored is None or not stored.startswith(digest):
            raise BadBundle(
                f"{bundle.folder}: weights of {name} are {stored or 'not listed'!s:.12}, {column.name} was scored by "
                f"{name}@{digest}"
            )


def _check_stats(bundle: Bundle) -> None:
    """n_boot, seed and level are such as a protocol can have, few enough to compute, and those of the signature."""
    folder, result = bundle.folder, bundle.result
    stats = result.stats
    if set(stats) != {"n_boot", "seed", "level"}:
        raise BadBundle(f"{folder}: stats are {sorted(stats)!s:.80}, expected level, n_boot and seed")
    n_boot, seed, level = stats["n_boot"], stats["seed"], stats["level"]
    if not (1 <= n_boot <= MOST_DRAWS and n_boot == int(n_boot)):
        raise BadBundle(
            f"{folder}: stats.n_boot is {n_boot:g}, expected a whole number from 1 to {MOST_DRAWS}"
        )
    if not (0 <= seed < SEED and seed == int(seed)):
        raise BadBundle(f"{folder}: stats.seed is {seed:g}, expected a whole number from 0 to {SEED - 1}")
    if not 0.5 < level < 1:
        raise BadBundle(f"{folder}: stats.level is {level:g}, expected a number between 0.5 and 1")
    if n_boot * result.n_clips * len(result.columns) > MOST_WORK:
        raise BadBundle(
            f"{folder}: {n_boot:g} draws of {result.n_clips} clips and {len(result.columns)} columns are too many to "
            "compute again"
        )
    found = re.search(r"(?:^|\|)stats\(([^()|]*)\)(?:\||$)", result.signature)
    if found is None:
        if result.format_version >= 5:
            raise BadBundle(f"{folder}: its signature says nothing of stats")
        return
    said = dict(part.partition("=")[::2] for part in found[1].split(","))
    draws = said.get("halves", said.get("boot", said.get("n_boot")))
    for name, value, text in (
        ("n_boot", n_boot, draws),
        ("seed", seed, said.get("seed")),
        ("level", level, said.get("level")),
    ):
        if text is None or not _is_number(text, value):
            raise BadBundle(
                f"{folder}: stats.{name} is {value:g}, its signature says {text or 'nothing'!s:.40}"
            )
    rule = said.get("interval", "stretched").partition("-")[0]
    if rule != bundles.rule_of(result):
        raise BadBundle(
            f"{folder}: format {result.format_version} has intervals by {bundles.rule_of(result)}, its signature says "
            f"{rule!r:.40}"
        )


def _is_number(text: str, value: float) -> bool:
    try:
        return len(text) < 40 and float(text) == value
    except ValueError:
        return False


# -- clips ---------------------------------------------------------------------------------------------------


def _rows_of(bundle: Bundle) -> tuple[list[Row], dict[str, str]]:
    """The rows of clips.parquet and the speaker of each clip."""
    folder, result = bundle.folder, bundle.result
    per_clip = sum(column.per_clip for column in result.columns)
    expected = result.n_clips * per_clip + len(result.columns) - per_clip
    if (found := tables.count_rows(folder / "clips.parquet")) != expected:
        raise BadBundle(
            f"{folder}: clips.parquet has {found} rows; n_clips is {result.n_clips} and has {per_clip} columns, which "
            f"makes {expected}"
        )
    table = bundle.clips()
    speakers: dict[str, str] = {}
    for key, speaker in zip(column_of(table, "key"), column_of(table, "speaker"), strict=True):
        if key != "*" and speakers.setdefault(key, speaker) != speaker:
            raise BadBundle(
                f"{folder}: clip {key!r:.80} has two speakers, {speakers[key]!r:.40} and {speaker!r:.40}"
            )
    try:
        rows = bundles.rows_of(table)
    except (KeyError, ValueError) as error:
        raise BadBundle(f"{folder}: clips.parquet and result.json do not fit together ({error})") from error
    limits = {column.name: column.bounds for column in result.columns}
    for row in rows:
        if row.model != result.model:
            raise BadBundle(f"{folder}: clips of {row.model!r:.80}, expected {result.model!r:.80}")
        low, high = limits.get(row.metric, (-math.inf, math.inf))
        if row.value < low - _ROUNDING or row.value > high + _ROUNDING:
            raise BadBundle(
                f"{folder}: clip {row.key!r:.80}: {row.metric} is {row.value:.6g}, which lies outside of "
                f"{low:g} to {high:g}"
            )
    return rows, speakers


def _summary_again(bundle: Bundle, rows: Sequence[Row], speakers: Mapping[str, str]) -> dict[str, Summary]:
    folder, result = bundle.folder, bundle.result
    try:
        again = bundles.summarise(
            rows,
            speakers,
            result.columns,
            n_boot=int(result.stats["n_boot"]),
            seed=int(result.stats["seed"]),
            level=result.stats["level"],
            rule=bundles.rule_of(result),
        )
    except (KeyError, ValueError) as error:
        raise BadBundle(f"{folder}: clips.parquet and result.json do not fit together ({error})") from error
    if (counted := len({row.key for row in rows} - {"*"})) != result.n_clips:
        raise BadBundle(f"{folder}: n_clips is {result.n_clips}, but clips.parquet has {counted}")
    return again


# -- curves --------------------------------------------------------------------------------------------------


def _check_curves(bundle: Bundle, values: Mapping[tuple[str, str], Row]) -> set[str]:
    """LSE-C, LSE-D and AVOffset of every clip from its curve; the columns that this proves.

    A recipe that scores several tracks of a clip keeps no curve of such a clip: its rows list the tracks.
    """
    folder, columns = bundle.folder, {column.name: column for column in bundle.result.columns}
    judged = [name for name in columns if name.startswith("lse_c") and columns[name].per_clip]
    seen: dict[str, set[str]] = {name: set() for name in columns}
    for metric, key, shifts, distances in _curves(bundle):
        where = f"{folder}: {key!r:.80}: {metric!r:.40}'s curve"
        if metric not in columns or (key, metric) not in values:
            raise BadBundle(f"{where} belongs to no score")
        if key in seen[metric]:
            raise BadBundle(f"{where} comes twice")
        seen[metric].add(key)
        half = len(shifts) // 2
        if len(shifts) != 2 * half + 1 or (np.sort(shifts) != np.arange(-half, half + 1)).any():
            raise BadBundle(
                f"{where} has the shifts {shifts[:3].tolist()}...; expected each from -k to k once"
            )
        if not np.isfinite(distances).all():
            raise BadBundle(f"{where} holds nan or inf as a distance")
        if metric in judged:
            _check_curve(where, metric, key, (shifts, distances), values)
    proven = set()
    for name in judged:
        trio = [name, name.replace("lse_c", "lse_d", 1), name.replace("lse_c", "av_offset", 1)]
        lacking = [
            key
            for (key, metric), row in values.items()
            if metric == name and not math.isnan(row.value) and key not in seen[name]
        ]
        bare = [key for key in lacking if not _several_tracks(columns[name], values[key, name])]
        if bare:
            raise BadBundle(f"{folder}: {bare[0]!r:.80}: {name} has a score and no curve")
        if not lacking and seen[name]:
            proven |= set(trio) & set(columns)
    return proven


def _several_tracks(column: Column, row: Row) -> bool:
    return ",tracks:" in column.signature and row.detail.count("frames ") > 1


def _check_curve(
    where: str,
    metric: str,
    key: str,
    curve: tuple[Array, Array],
    values: Mapping[tuple[str, str], Row],
) -> None:
    """The three values of one clip against its curve."""
    shifts, distances = curve
    deepest = float(distances.min())
    for start, made, what in (
        ("lse_d", deepest, "minimum"),
        ("lse_c", float(np.median(distances)) - deepest, "median minus its minimum"),
    ):
        row = values.get((key, metric.replace("lse_c", start, 1)))
        if row is not None and not math.isclose(row.value, made, rel_tol=1e-5, abs_tol=1e-6):
            raise BadBundle(
                f"{where}: its {what} is {made:.6g}, its {start.upper().replace('_', '-')} is {row.value:.6g}"
            )
    row = values.get((key, metric.replace("lse_c", "av_offset", 1)))
    if row is None:
        return
    there = distances[shifts == row.value]
    if len(there) != 1 or not math.isclose(there[0], deepest, rel_tol=1e-9):
        found = int(shifts[distances.argmin()])
        raise BadBundle(f"{where}: its minimum is at {found:+d} frames, its AVOffset is {row.value:g}")


def _curves(bundle: Bundle) -> Iterator[tuple[str, str, Array, Array]]:
    """(metric, key, shifts, distances) of each curve, in the order of the file; few rows in memory at a time."""
    folder, result = bundle.folder, bundle.result
    most = tables.LONGEST_CURVE * result.n_clips * len(result.columns)
    if (found := tables.count_rows(folder / "curves.parquet")) > most:
        raise BadBundle(f"{folder}: curves.parquet has {found} rows, at most {most} are those of its clips")
    yield from tables.curves(folder / "curves.parquet")


_OLD_FACTS = [name for name in Summary.model_fields if name not in ("reach", "cluster_mean", "largest_share")]
"""What bundles of formats 3 and 4 say of a column."""


def _same(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, (int, float)):
        # The last bits of sums differ between machines.
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return a == b


# -- tables --------------------------------------------------------------------------------------------------


def verify_table(path: Path, runs: Path) -> int:
    """Hold every cell of a leaderboard's CSV against its bundles, which are verified first; how many cells.

    runs: the folder that holds the table's folder of bundles, or this folder itself; the rows that are kept beside the
    CSV serve as well. BadBundle names the first cell,
    row or column that differs.
    """
    stored = read_csv(path)
    folder = runs / path.stem if (runs / path.stem).is_dir() else runs
    rows = [
        verify(row.folder, players=not (row.folder / kept_rows.FACTS).exists()).bundle
        for row in bundles.find(folder)
    ]
    return compare_tables(path, stored, leaderboard.ranked(rows), str(folder))


def compare_tables(
    path: Path, stored: list[list[str]], entries: Sequence[leaderboard.Entry], folder: str
) -> int:
    """Hold the cells of a CSV against those that its entries give; how many. BadBundle names the first that differs.

    The tier of a row is compared where the entry's bundle is kept as a row: other bundles have none.
    """
    fresh = list(csv.reader(io.StringIO(leaderboard.to_csv(entries))))
    head, place = fresh[0], fresh[0].index("model")
    if stored[0] != head:
        odd = sorted(set(stored[0]) ^ set(head)) or ["their order"]
        raise BadBundle(f"{path}: its columns are not those of {folder}: {odd[0]!r:.60} differs")
    theirs = {row[place]: row for row in stored[1:]}
    ours = {row[place]: row for row in fresh[1:]}
    if len(theirs) != len(stored) - 1:
        raise BadBundle(f"{path}: a model comes twice")
    for model in [*ours, *theirs]:
        if model not in theirs:
            raise BadBundle(f"{path}: {model!r:.80} of {folder} has no row")
        if model not in ours:
            raise BadBundle(f"{path}: {model!r:.80} has no bundle in {folder}")
    for model in ours:
        for name, found, expected in zip(head, theirs[model], ours[model], strict=True):
            if found != expected and not (name == "tier" and not expected):
                raise BadBundle(
                    f"{path}: {model!r:.80}, {name}: {found!r:.60}, but its bundle gives {expected!r:.60}"
                )
    if [row[place] for row in stored[1:]] != [row[place] for row in fresh[1:]]:
        raise BadBundle(f"{path}: its rows are not in the order of their ranks")
    return len(head) * len(ours)


def read_csv(path: Path) -> list[list[str]]:
    """The cells of a leaderboard, head first. Raises BadBundle for another file."""
    try:
        if (size := path.stat().st_size) > LARGEST_CSV:
            raise BadBundle(f"{path}: {size} bytes, at most {LARGEST_CSV} are a leaderboard's")
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadBundle(f"{path}: no CSV file that can be read ({error})") from error
    if not rows or "model" not in rows[0]:
        raise BadBundle(f"{path}: no leaderboard; expected a CSV that `tkbench eval` wrote")
    if any(len(row) != len(rows[0]) for row in rows):
        raise BadBundle(f"{path}: a row has not {len(rows[0])} cells as the first line has")
    return rows
