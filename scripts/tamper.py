"""Tamper with a result bundle in 47 ways and damage shards in over 100, and see that each is named in one line.

The forger of a bundle makes every hash, mean and interval again that a stranger could. What only the videos can show is
looked for with `--videos`. Each case runs `tkbench` in a process of its own, whose time and peak memory are measured.

    python scripts/tamper.py --work /tmp/tamper            both, a quarter of an hour
    python scripts/tamper.py --work /tmp/tamper --only curves

It prints a table, and ends with exit code 1 where a case was not named, had a traceback, or took over 60 s or 2 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tkbench import media, shards
from tkbench.results import bundle

SECONDS, BYTES = 60, 2 << 30
PSNR_ONLY = """name = "tamper-v1"
summary = "PSNR alone, for damaged shards."
rank_by = "psnr"
[[metrics]]
name = "psnr"
"""


# -- a case --------------------------------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> tuple[int, str, float, int]:
    """`tkbench ...` in a process of its own: (exit code, what it said, seconds, peak memory in bytes)."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            sys.argv = ["tkbench", *arguments]
            code = 70
            try:
                from tkbench.cli import main

                main()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status, used = os.wait4(child, 0)
        said.seek(0)
        text = said.read().decode(errors="replace")
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return os.waitstatus_to_exitcode(status), text, time.perf_counter() - begin, peak


def judge(name: str, answer: tuple[int, str, float, int], named: bool) -> bool:
    """Print a case's line; whether it is as it should be."""
    code, text, seconds, peak = answer
    lines = [line for line in text.splitlines() if line.startswith("tkbench: ")]
    good = named and "Traceback" not in text and seconds < SECONDS and peak < BYTES and code in (0, 2)
    told = lines[-1] if lines else next((line for line in text.splitlines()[::-1] if line.strip()), "")
    print(
        f"{'ok ' if good else 'BAD'} {name:34s} {seconds:5.1f} s {peak / 1e6:6.0f} MB  {told:.200}",
        flush=True,
    )
    return good


# -- bundles -------------------------------------------------------------------------------------------------


class Forger:
    """A bundle whose numbers are changed; `save` makes summary and hashes fit them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = json.loads((folder / "result.json").read_text())
        self.clips = pd.read_parquet(folder / "clips.parquet")
        self.curves = pd.read_parquet(folder / "curves.parquet")
        self.fit = True

    def change(self, metric: str, by: float, key: str | None = None) -> None:
        chosen = (self.clips["metric"] == metric) & ((key is None) | (self.clips["key"] == key))
        assert chosen.any(), metric
        self.clips.loc[chosen, "value"] += by

    def save(self) -> None:
        for name, table in (("clips.parquet", self.clips), ("curves.parquet", self.curves)):
            path = self.folder / name
            if not path.is_symlink():
                table.to_parquet(path, index=False)
        if self.fit:
            with contextlib.suppress(Exception):
                self.summarise()
        self.hash()

    def summarise(self) -> None:
        columns = bundle.Result.model_validate(self.record).columns
        speakers = dict(zip(self.clips["key"], self.clips["speaker"], strict=True))
        stats = self.record["stats"]
        made = bundle.summarise(
            bundle.rows_of(self.clips),
            speakers,
            columns,
            n_boot=int(stats["n_boot"]),
            seed=int(stats["seed"]),
            level=stats["level"],
        )
        self.record["summary"] = {name: cell.model_dump(mode="json") for name, cell in made.items()}
        values = {(row.key, row.metric): row.value for row in bundle.rows_of(self.clips)}
        for preview in self.record["previews"]:
            found = {m: values.get((preview["key"], m), math.nan) for m in preview["scores"]}
            preview["scores"] = {
                m: None if math.isnan(v) else "inf" if math.isinf(v) else v for m, v in found.items()
            }

    def hash(self) -> None:
        for name in self.record["files"]:
            path = self.folder / name
            if path.is_file() and path.stat().st_size < 1 << 30:
                self.record["files"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
        (self.folder / "result.json").write_text(json.dumps(self.record))


Forgery = Callable[[Forger], None]


def edit(name: str, value: object) -> Forgery:
    """A fact of result.json, by its path with dots."""

    def change(forger: Forger) -> None:
        *way, last = name.split(".")
        place = forger.record
        for part in way:
            place = place[part]
        place[last] = value

    return change


def _lse_d_with_curves(f: Forger) -> None:
    f.change("lse_d_synth", -0.2)
    f.curves["distance"] -= 0.2


def _drop_clip(f: Forger) -> None:
    key = sorted(set(f.clips["key"]) - {"*"})[0]
    f.clips = f.clips[f.clips["key"] != key].reset_index(drop=True)
    f.curves = f.curves[f.curves["key"] != key].reset_index(drop=True)
    f.record["n_clips"] -= 1
    f.record["previews"] = [p for p in f.record["previews"] if p["key"] != key]


def _others_clips(f: Forger) -> None:
    """The anchor `real`'s numbers under the model's name."""
    other = f.folder.parent / "real"
    f.clips = pd.read_parquet(other / "clips.parquet").assign(model=f.record["model"])
    f.curves = pd.read_parquet(other / "curves.parquet")


def _link(f: Forger) -> None:
    path = f.folder / "clips.parquet"
    path.rename(f.folder.parent / "elsewhere.parquet")
    path.symlink_to(f.folder.parent / "elsewhere.parquet")


def _folder_link(f: Forger) -> None:
    (f.folder / "previews").rename(f.folder.parent / "elsewhere")
    (f.folder / "previews").symlink_to(f.folder.parent / "elsewhere")


def _many_rows(f: Forger) -> None:
    path, rows = f.folder / "curves.parquet", 30_000_000
    f.save()
    index = pa.array(np.zeros(rows, np.int32))
    text = pa.DictionaryArray.from_arrays(index, pa.array(["lse_c_synth"]))
    schema = pa.schema(
        [("key", pa.string()), ("metric", pa.string()), ("shift", pa.int64()), ("distance", pa.float64())]
    )
    with pq.ParquetWriter(path, schema) as writer:
        part = 1_000_000
        for _ in range(rows // part):
            names = text[:part].cast(pa.string())
            writer.write_table(
                pa.table(
                    [names, names, pa.array(np.zeros(part, np.int64)), pa.array(np.ones(part))], schema=schema
                )
            )
    f.hash()


def _written(text: Callable[[Forger], str]) -> Forgery:
    """result.json as a text of its own."""

    def change(f: Forger) -> None:
        f.save()
        (f.folder / "result.json").write_text(text(f))

    return change


def _curves(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Forgery:
    def edit_curves(f: Forger) -> None:
        f.curves = change(f.curves)

    return edit_curves


def _sparse(f: Forger) -> None:
    name = f.record["previews"][0]["file"]
    os.truncate(f.folder / name, 1 << 40)


def _one_byte(f: Forger) -> None:
    (f.folder / f.record["previews"][0]["file"]).write_bytes(b"x")


def _speakers(f: Forger) -> None:
    f.clips["speaker"] = ["" if key == "*" else f"one-{key}" for key in f.clips["key"]]


def _unscore(f: Forger) -> None:
    key = sorted(set(f.clips["key"]) - {"*"})[0]
    chosen = (f.clips["key"] == key) & f.clips["metric"].str.startswith("psnr")
    f.clips.loc[chosen, ["value", "reason", "detail"]] = [math.nan, "no-face", "none"]


def _signature(old: str, new: str) -> Forgery:
    def change(f: Forger) -> None:
        assert old in f.record["signature"], old
        f.record["signature"] = f.record["signature"].replace(old, new)

    return change


def _both(*changes: Forgery) -> Forgery:
    def change(f: Forger) -> None:
        for one in changes:
            one(f)

    return change


def _unfit(change: Forgery) -> Forgery:
    """The same, without a fresh summary."""

    def made(f: Forger) -> None:
        f.fit = False
        change(f)

    return made


FORGERIES: dict[str, Forgery] = {
    "LSE-C + 1": lambda f: f.change("lse_c_synth", 1),
    "LSE-D - 1": lambda f: f.change("lse_d_synth", -1),
    "LSE-D - 0.2 with its curves": _lse_d_with_curves,
    "AVOffset + 3": lambda f: f.change("av_offset_synth", 3),
    "PSNR + 10": lambda f: f.change("psnr", 10),
    "PSNR of one clip + 10": lambda f: f.change("psnr", 10, sorted(set(f.clips["key"]) - {"*"})[1]),
    "SSIM + 10": lambda f: f.change("ssim", 10),
    "SSIM + 0.02": lambda f: f.change("ssim", 0.02),
    "voice correlation - 0.2": lambda f: f.change("voice_corr", -0.2),
    "a clip dropped with n - 1": _drop_clip,
    "the clips of real": _others_clips,
    "a clip without its PSNR": _unscore,
    "speakers made up": _speakers,
    "mean + 1": _unfit(lambda f: f.record["summary"]["psnr"].update(mean=99.0)),
    "a narrow interval": _unfit(
        lambda f: f.record["summary"]["psnr"].update(low=f.record["summary"]["psnr"]["mean"])
    ),
    "n of a column": _unfit(lambda f: f.record["summary"]["psnr"].update(n=400)),
    "data_hash": edit("data_hash", "0" * 64),
    "data set": edit("dataset", "lrs2"),
    "protocol": edit("protocol", "tkbench-v2"),
    "a setting in the signature": _signature("slack:5", "slack:50"),
    "weights edited": edit("weights.syncnet-synth", "0" * 64),
    "weights removed": lambda f: f.record["weights"].clear(),
    "ffmpeg in the stack": edit("stack.ffmpeg", "n1.0"),
    "coverage_min": edit("coverage_min", 0.1),
    "rank_by": edit("rank_by", "psnr"),
    "the card of another model": edit("model_card.name", "other"),
    "level 0.5": edit("stats.level", 0.5),
    "level 0.8": edit("stats.level", 0.8),
    "n_boot 1e12": _unfit(edit("stats.n_boot", 1e12)),
    "n_boot inf": _unfit(edit("stats.n_boot", "inf")),
    "n_boot 5e7, signature too": _unfit(
        _both(edit("stats.n_boot", 5e7), _signature("halves=2000", "halves=50000000"))
    ),
    "a name with escapes": edit("model", "\x1b[2Jm"),
    "seed of 5000 digits": _written(
        lambda f: json.dumps(f.record | {"seed": 7}).replace('"seed": 7', '"seed": ' + "7" * 5000)
    ),
    "deep JSON": _written(lambda f: "[" * 200_000),
    "half a surrogate": _written(lambda f: json.dumps(f.record | {"split": "\ud800"})),
    "a file outside": lambda f: f.record["files"].update({"../../secret": "0" * 64}),
    "a link to another file": _link,
    "a folder that is a link": _folder_link,
    "a preview of one byte": _one_byte,
    "a preview of a terabyte": _sparse,
    "emptied curves": _curves(lambda c: c.iloc[:0]),
    "a curve left out": _curves(lambda c: c.iloc[31:]),
    "a curve twice": _curves(lambda c: pd.concat([c, c.iloc[:31]])),
    "curves without distance": _curves(lambda c: c.drop(columns="distance")),
    "text as distance": _curves(lambda c: c.assign(distance="far")),
    "nan as distance": _curves(lambda c: c.assign(distance=math.nan)),
    "30 million rows of curves": _many_rows,
}


def forge(base: Path, data: Path, videos: Path, only: str) -> list[bool]:
    """Every forgery of the bundle `base`: without videos first, and with them where that says nothing."""
    good = []
    for name, change in FORGERIES.items():
        if only not in name:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            table = Path(scratch) / base.parent.name
            shutil.copytree(base.parent, table)
            forger = Forger(table / base.name)
            change(forger)
            if change.__qualname__.split(".")[0] not in ("_written", "_many_rows"):
                forger.save()
            answer = run(["verify", str(forger.folder)])
            by = ""
            if answer[0] == 0:
                by = " (videos)"
                answer = run(
                    ["verify", str(forger.folder), "--data", str(data), "--videos", str(videos), "-w", "1"]
                )
            good.append(judge(name + by, answer, answer[0] == 2 and "tkbench: " in answer[1]))
    return good


# -- shards --------------------------------------------------------------------------------------------------

Members = dict[str, bytes]
Damage = Callable[[Path], None]


def _index(**facts: object) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | facts))

    return damage


def _shard(**facts: object) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "index.json"
        index = json.loads(path.read_text())
        index["shards"][0] |= facts
        path.write_text(json.dumps(index))

    return damage


def _text(name: str, text: str | bytes) -> Damage:
    return lambda folder: (
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode()) and None
    )


def _manifest(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    """A manifest that the forger hashed again."""

    def damage(folder: Path) -> None:
        path = folder / "manifest.parquet"
        change(pd.read_parquet(path)).to_parquet(path, index=False)
        _index(manifest_sha256=hashlib.sha256(path.read_bytes()).hexdigest())(folder)

    return damage


def _raw_manifest(data: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / "manifest.parquet").write_bytes(data)
        _index(manifest_sha256=hashlib.sha256(data).hexdigest())(folder)

    return damage


def _flip(place: float) -> Damage:
    """One byte of the shard, its size and hash in the index as they were."""

    def damage(folder: Path) -> None:
        path = sorted(folder.glob("*.tar"))[0]
        data = bytearray(path.read_bytes())
        data[int(place * (len(data) - 1))] ^= 255
        path.write_bytes(data)

    return damage


def _tar(change: Callable[[bytes], bytes]) -> Damage:
    """The bytes of the shard, which the forger hashed again."""

    def damage(folder: Path) -> None:
        path = sorted(folder.glob("*.tar"))[0]
        data = change(path.read_bytes())
        path.write_bytes(data)
        _shard(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())(folder)

    return damage


def _member(suffix: str, change: Callable[[bytes], bytes]) -> Damage:
    """One member of the first clip; tar, offsets and hashes are made again."""

    def damage(folder: Path) -> None:
        opened = shards.open_shards(folder)
        clips = {key: opened.members(key) for key in opened.keys()}
        first = next(iter(clips))
        clips[first][suffix] = change(clips[first][suffix])
        table = pd.read_parquet(folder / "manifest.parquet")
        name = sorted(folder.glob("*.tar"))[0].name
        for path in folder.glob("*.tar"):
            path.unlink()
        with shards.ShardWriter(folder / name) as writer:
            for key, members in clips.items():
                table.loc[table["key"] == key, "offset"] = writer.add(key, members)
            record = writer.commit(opened.split)
        _index(shards=[asdict(record)])(folder)
        _manifest(lambda _: table.assign(shard=name))(folder)

    return damage


def _json(**facts: object) -> Damage:
    def change(data: bytes) -> bytes:
        record = json.loads(data) | facts
        return json.dumps({k: v for k, v in record.items() if v is not ...}).encode()

    return _member("json", change)


def _arrays(**changes: Callable[[np.ndarray], np.ndarray]) -> Damage:
    def change(data: bytes) -> bytes:
        with np.load(io.BytesIO(data)) as found:
            arrays = {name: found[name] for name in found.files}
        for name, one in changes.items():
            arrays[name] = one(arrays[name])
        out = io.BytesIO()
        np.savez(out, **arrays)
        return out.getvalue()

    return _member("npz", change)


def _set(place: tuple[int, ...], value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[place] = value
        return array

    return change


def _bomb(_: bytes) -> bytes:
    """An .npz of 256 MB of zeros in 300 kB, whose header promises 4 GB."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("landmarks.npy", "w") as entry,
    ):
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f4", "fortran_order": False, "shape": (1 << 30,)}
        )
        entry.write(head.getvalue())
        for _ in range(1 << 8):
            entry.write(bytes(1 << 20))
    data = bytearray(out.getvalue())
    return bytes(data)


def _promise(_: bytes) -> bytes:
    """An .npy whose header promises a terabyte."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f4", "fortran_order": False, "shape": (1 << 38, 2)}
        )
        archive.writestr("landmarks.npy", head.getvalue() + bytes(64))
    return out.getvalue()


def _sound(samples: int, rate: int = 16_000, channels: int = 1) -> Callable[[bytes], bytes]:
    def change(_: bytes) -> bytes:
        import soundfile

        out = io.BytesIO()
        shape = (samples, channels) if channels > 1 else (samples,)
        soundfile.write(out, np.zeros(shape, np.float32), rate, format="FLAC", subtype="PCM_16")
        return out.getvalue()

    return change


def _video(frames: int, side: int = 64) -> Callable[[bytes], bytes]:
    def change(_: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "x.mp4"
            blank = np.zeros((side, side, 3), np.uint8)
            media.write_video(path, (blank for _ in range(frames)))
            return path.read_bytes()

    return change


def _header(offset: int, data: bytes) -> Callable[[bytes], bytes]:
    """Bytes of the first tar header, with a fresh checksum."""

    def change(tar: bytes) -> bytes:
        block = bytearray(tar[:512])
        block[offset : offset + len(data)] = data
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block) + tar[512:]

    return change


def _sparse_member(tar: bytes) -> bytes:
    """A first member that says it is a sparse file of a terabyte."""
    block = bytearray(tar[:512])
    block[156:157] = b"S"
    block[257:265] = b"ustar  \0"
    block[386:410] = b"00000000000\x0000000000000\x00"
    block[483:495] = b"\x80" + (1 << 40).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + tar[512:]


_FAR = 1e6
DAMAGES: dict[str, Damage] = {
    **{f"a byte at {place:.0%}": _flip(place) for place in np.linspace(0.02, 0.98, 12)},
    "index: empty": _text("index.json", ""),
    "index: a list": _text("index.json", "[]"),
    "index: a number": _text("index.json", "7"),
    "index: no UTF-8": _text("index.json", b"\xff\xfe{"),
    "index: deep": _text("index.json", "[" * 200_000),
    "index: 5000 digits": _text("index.json", '{"format_version": ' + "9" * 5000 + "}"),
    "index: version": _index(format_version=99),
    "index: version a list": _index(format_version=[]),
    "index: dataset a list": _index(dataset=[]),
    "index: no signature": _index(signature=None),
    "index: splits a text": _index(splits="test"),
    "index: splits of numbers": _index(splits=[1]),
    "index: shards a table": _index(shards={}),
    "index: shards of texts": _index(shards=["a"]),
    "index: shards null": _index(shards=None),
    "index: no shards": _index(shards=[]),
    "index: n_clips": _index(n_clips=7),
    "index: hash of the manifest": _index(manifest_sha256="0" * 64),
    "index: hash a number": _index(manifest_sha256=5),
    "shard: name outside": _shard(name="../x.tar"),
    "shard: name a number": _shard(name=5),
    "shard: bytes": _shard(bytes=5),
    "shard: bytes a text": _shard(bytes="many"),
    "shard: bytes inf": _shard(bytes=1e400),
    "shard: count a list": _shard(count=[]),
    "shard: hash of another": _shard(sha256="1" * 64),
    "shard: hash no hash": _shard(sha256="x"),
    "shard: split unknown": _shard(split="other"),
    "shard: gone": lambda folder: sorted(folder.glob("*.tar"))[0].unlink(),
    "manifest: empty": _raw_manifest(b""),
    "manifest: text": _raw_manifest(b"key,status\n"),
    "manifest: PAR1 alone": _raw_manifest(b"PAR1" + bytes(100) + b"PAR1"),
    "manifest: gone": lambda folder: (folder / "manifest.parquet").unlink(),
    "manifest: not the index's": _text("manifest.parquet", b"x"),
    "manifest: no key": _manifest(lambda t: t.drop(columns="key")),
    "manifest: no offset": _manifest(lambda t: t.drop(columns="offset")),
    "manifest: no split": _manifest(lambda t: t.drop(columns="split")),
    "manifest: key null": _manifest(lambda t: t.assign(key=None)),
    "manifest: key outside": _manifest(lambda t: t.assign(key=["../" + k for k in t["key"]])),
    "manifest: keys equal": _manifest(lambda t: t.assign(key="a")),
    "manifest: keys long": _manifest(lambda t: t.assign(key=[k + "x" * 5000 for k in t["key"]])),
    "manifest: keys numbers": _manifest(lambda t: t.assign(key=range(len(t)))),
    "manifest: offset text": _manifest(lambda t: t.assign(offset="here")),
    "manifest: offset negative": _manifest(lambda t: t.assign(offset=-512)),
    "manifest: offset beyond": _manifest(lambda t: t.assign(offset=1 << 60)),
    "manifest: offset odd": _manifest(lambda t: t.assign(offset=7)),
    "manifest: offset of another": _manifest(lambda t: t.assign(offset=t["offset"].to_numpy()[::-1])),
    "manifest: shard unknown": _manifest(lambda t: t.assign(shard="x.tar")),
    "manifest: shard null": _manifest(lambda t: t.assign(shard=None)),
    "manifest: rows missing": _manifest(lambda t: t.iloc[:1]),
    "manifest: no rows": _manifest(lambda t: t.iloc[:0]),
    "tar: empty": _tar(lambda data: b""),
    "tar: zeros": _tar(lambda data: bytes(len(data))),
    "tar: noise": _tar(lambda data: np.random.default_rng(0).bytes(len(data))),
    "tar: cut": _tar(lambda data: data[: len(data) // 10]),
    "tar: cut in a header": _tar(lambda data: data[:300]),
    "tar: size of a terabyte": _tar(_header(124, b"\x80" + (1 << 40).to_bytes(11, "big"))),
    "tar: size negative": _tar(_header(124, b"\xff" * 12)),
    "tar: a link": _tar(_header(156, b"2")),
    "tar: a hard link": _tar(_header(156, b"1")),
    "tar: a pipe": _tar(_header(156, b"6")),
    "tar: a sparse file": _tar(_sparse_member),
    "tar: a pax header": _tar(_header(156, b"x")),
    "tar: a long name": _tar(_header(156, b"L")),
    "json: empty": _member("json", lambda data: b""),
    "json: deep": _member("json", lambda data: b"[" * 200_000),
    "json: a list": _member("json", lambda data: b"[]"),
    "json: 5000 digits": _member("json", lambda data: b'{"dataset": ' + b"9" * 5000 + b"}"),
    "json: no words": _json(words=...),
    "json: words a number": _json(words=5),
    "json: a word without end": _json(words=[{"text": "a", "start": 0.0}]),
    "json: dataset a list": _json(dataset=[]),
    "json: speaker a table": _json(speaker={}),
    "json: canvas a text": _json(canvas="whole"),
    "json: track a list": _json(track=[]),
    "npz: empty": _member("npz", lambda data: b""),
    "npz: cut": _member("npz", lambda data: data[: len(data) // 2]),
    "npz: noise": _member("npz", lambda data: np.random.default_rng(0).bytes(5000)),
    "npz: a bomb": _member("npz", _bomb),
    "npz: a promise": _member("npz", _promise),
    "npz: no landmarks": _member("npz", lambda data: shards.pack_arrays({"score": np.ones(3, np.float32)})),
    "npz: pickled": _arrays(landmarks=lambda a: np.array([{}], object)),
    "npz: landmarks nan": _arrays(landmarks=_set((0, 0, 0), math.nan)),
    "npz: landmarks inf": _arrays(landmarks=_set((0, 0, 0), math.inf)),
    "npz: landmarks text": _arrays(landmarks=lambda a: a.astype("U8")),
    "npz: landmarks whole": _arrays(landmarks=lambda a: a.astype(np.int32)),
    "npz: landmarks far": _arrays(landmarks=lambda a: a + _FAR),
    "npz: one landmark far": _arrays(landmarks=_set((0, 5, 1), -_FAR)),
    "npz: 477 points": _arrays(landmarks=lambda a: a[:, 1:]),
    "npz: three coordinates": _arrays(landmarks=lambda a: np.concatenate([a, a[..., :1]], axis=2)),
    "npz: a row less": _arrays(landmarks=lambda a: a[1:]),
    "npz: no rows": _arrays(landmarks=lambda a: a[:0], score=lambda a: a[:0]),
    "npz: score nan": _arrays(score=lambda a: a * math.nan),
    "npz: score 7": _arrays(score=lambda a: a * 0 + 7),
    "npz: score short": _arrays(score=lambda a: a[1:]),
    "flac: empty": _member("flac", lambda data: b""),
    "flac: cut": _member("flac", lambda data: data[: len(data) // 2]),
    "flac: noise": _member("flac", lambda data: data[:60] + np.random.default_rng(0).bytes(5000)),
    "flac: short": _member("flac", _sound(640)),
    "flac: 48 kHz": _member("flac", _sound(640, 48_000)),
    "flac: stereo": _member("flac", _sound(640, channels=2)),
    "flac: three hours": _member("flac", _sound(3 * 3600 * 16_000)),
    "mp4: empty": _member("mp4", lambda data: b""),
    "mp4: noise": _member("mp4", lambda data: np.random.default_rng(0).bytes(5000)),
    "mp4: cut": _member("mp4", lambda data: data[: len(data) // 2]),
    "mp4: a frame alone": _member("mp4", _video(1)),
    "mp4: 3000 frames": _member("mp4", _video(3000)),
}


def damage_shards(data: Path, work: Path, only: str) -> list[bool]:
    """Every damage: `tkbench eval` has to name it in one line, or in the row of the clip, and goes on."""
    rules = work / "tamper.toml"
    rules.write_text(PSNR_ONLY)
    good = []
    for name, damage in DAMAGES.items():
        if only not in name:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder, out = Path(scratch) / "shards", Path(scratch) / "runs"
            shutil.copytree(data, folder)
            damage(folder)
            boards = str(Path(scratch) / "boards")
            command = [
                "eval",
                "--data",
                str(folder),
                "--model",
                "real",
                "--protocol",
                str(rules),
                "--out",
                str(out),
            ]
            answer = run([*command, "--leaderboards", boards, "--no-cache", "-w", "1"])
            named = answer[0] == 2 and "tkbench: " in answer[1]
            if answer[0] == 0:
                (made,) = bundle.find(next(out.iterdir()))
                rows = made.clips()
                bad = rows[rows["reason"] != ""]
                named = len(bad) > 0 and bad["detail"].str.len().min() > 0
                told = bad["detail"].iloc[0] if len(bad) else "scored as if nothing were wrong"
                answer = (answer[0], f"{answer[1]}\ntkbench: row: {told}", *answer[2:])
            good.append(judge(name, answer, named))
    return good


def prepared(work: Path) -> tuple[Path, Path, Path]:
    """(shards, bundle, videos): four synthetic clips, and videos of them that are a little blurred, scored."""
    data, videos, out = work / "shards", work / "videos", work / "runs"

    def tkbench(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "tkbench", *arguments], check=True, stdout=subprocess.DEVNULL)

    if not (data / "index.json").is_file():
        if not (work / "corpus" / "corpus.json").is_file():
            tkbench(
                "prep", "synth", "--clips", "4", "--speakers", "2", "--out", str(work / "corpus"), "-w", "1"
            )
        tkbench("prep", "folder", "--root", str(work / "corpus"), "--out", str(data), "--workers", "1")
    if not out.is_dir():
        import cv2

        opened = shards.open_shards(data)
        for sample in opened.iter():
            path = videos / f"{sample.key}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            frames = (cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in sample.video)
            media.write_video(path, frames, audio=sample.audio, quality=18)
        boards = ("--out", str(out), "--leaderboards", str(work / "boards"), "-w", "1")
        tkbench("eval", "--data", str(data), "--videos", str(videos), "--name", "mine", *boards)
        tkbench("eval", "--data", str(data), "--model", "real", *boards)
    (made,) = out.glob("*/mine")
    return data, made, videos


def main() -> int:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="Folder for what is made once.")
    parser.add_argument("--only", default="", help="Cases whose names hold this.")
    parser.add_argument("--part", choices=("bundles", "shards"), help="One of the two.")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    data, made, videos = prepared(options.work)
    # Imported once, so that no case pays for it.
    import torch

    import tkbench.cli
    import tkbench.results.proof
    import tkbench.scoring.rescore  # noqa: F401

    torch.set_num_threads(1)
    good = []
    if options.part != "shards":
        answer = run(["verify", str(made), "--data", str(data), "--videos", str(videos), "-w", "1"])
        good = [judge("untouched", answer, answer[0] == 0), *forge(made, data, videos, options.only)]
    if options.part != "bundles":
        good += damage_shards(data, options.work, options.only)
    print(f"{sum(good)} of {len(good)} as they should be")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
