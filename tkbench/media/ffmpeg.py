"""The pinned ffmpeg: which binary, with which options, how it is run, and how its errors are reported."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Literal

import numpy as np

from tkbench.errors import BadMedia, Stopped, UsageError
from tkbench.media.watchdog import Patience, end
from tkbench.types import Array, Reason

if TYPE_CHECKING:
    from ffmpeg.nodes import OutputStream

Quality = Literal["lossless"] | int
""""lossless" keeps every YUV value; a number is the crf of x264."""
Options = dict[str, str | float | None]
"""Options of ffmpeg without their dash; None stands for a flag."""

SWS_FLAGS = "bilinear+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
"""Set on every conversion of size or colour."""
# Playlists, image patterns, subtitles and text "videos" are not among them: they open other files that they name, or
# find a picture in any text.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,flv,asf,ogg,nut,ivf,mxf,dv,rm,"
    "wav,flac,mp3,aac,w64"
)
"""Demuxers that may open a file."""
MUXERS = {".mp4": "mp4", ".mov": "mov", ".avi": "avi", ".mkv": "matroska", ".mpg": "mpeg", ".webm": "webm"}
"""Containers by the suffix of the file."""


def ffmpeg_exe() -> str:
    """The ffmpeg that is used: TKBENCH_FFMPEG, otherwise the binary of the imageio-ffmpeg wheel."""
    chosen = os.environ.get("TKBENCH_FFMPEG")
    if chosen:
        if not Path(chosen).is_file():
            raise UsageError(f"TKBENCH_FFMPEG={chosen!r} is not a file; unset it to use the bundled ffmpeg")
        return chosen
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


@lru_cache(maxsize=4)
def _ffmpeg_version(exe: str) -> str:
    printed = subprocess.run([exe, "-version"], capture_output=True, text=True, check=True).stdout
    return printed.split()[2]


def stack() -> dict[str, str]:
    """Versions of everything that can change a pixel or sample, for signatures and bundles."""
    from importlib.metadata import version

    import cv2

    packages = {name: version(name) for name in ("ai-edge-litert", "av", "numpy")}
    return {"ffmpeg": _ffmpeg_version(ffmpeg_exe()), "opencv": str(cv2.__version__), **packages}


GLOBAL_OPTIONS = (
    "-hide_banner",
    "-nostdin",
    "-loglevel",
    "error",
    "-filter_threads",
    "1",
    "-filter_complex_threads",
    "1",
)


TELLING_OPTIONS = tuple("level+warning" if word == "error" else word for word in GLOBAL_OPTIONS)
"""The same, with warnings: one of them tells that pictures change their size or kind on the way."""


# copyts: time stamps stay those of the file, so that the two streams keep their distance to each other.
INPUT_OPTIONS: Options = {
    "threads": 1,
    "format_whitelist": FORMATS,
    "protocol_whitelist": "file",
    "copyts": None,
}

BITEXACT: Options = {
    "fflags": "+bitexact",
    "flags:v": "+bitexact",
    "flags:a": "+bitexact",
    "map_metadata": -1,
}

MP4: Options = {**BITEXACT, "movflags": "+faststart", "video_track_timescale": 90000, "threads": 1}

MP4_COPY: Options = {"fflags": "+bitexact", "map_metadata": -1, "movflags": "+faststart"}


def ffmpeg_python() -> ModuleType:
    """The package ffmpeg-python, imported at first use; its graphs become the command lines of ffmpeg."""
    import ffmpeg

    return ffmpeg


def encoder_options(quality: Quality) -> Options:
    """Options of the x264 encoder for a quality. Raises UsageError for a quality that there is not."""
    if quality == "lossless":
        return {"vcodec": "libx264", "preset": "ultrafast", "qp": 0}
    if isinstance(quality, int) and 0 < quality <= 51:
        return {"vcodec": "libx264", "preset": "veryfast", "crf": quality}
    raise UsageError(f"quality {quality!r} is neither 'lossless' nor an x264 crf from 1 to 51")


def exact_rate(fps: float) -> str:
    """A frame rate as a fraction, so that 29.97 is 30000/1001.

    >>> exact_rate(29.97002997), exact_rate(25)
    ('30000/1001', '25/1')
    """
    from fractions import Fraction

    exact = Fraction(fps).limit_denominator(1001)
    return f"{exact.numerator}/{exact.denominator}"


def file_url(path: str | Path) -> str:
    """An absolute name behind `file:`, so that no dash, colon or blank in it means anything to ffmpeg."""
    return f"file:{Path(path).absolute()}"


def compile_graph(graph: OutputStream) -> list[str]:
    """The command line of an ffmpeg-python graph, with the options that every run has."""
    return list(graph.global_args(*GLOBAL_OPTIONS).compile(cmd=ffmpeg_exe(), overwrite_output=True))


def run(arguments: Sequence[str], name: str, *, stdin: Array | None = None) -> bytes:
    """Run ffmpeg with these arguments, `stdin` (any array's bytes) going in; its stdout.

    For what the functions of this package do not cover, such as the encoders that a published script happens to use.
    Raises BadMedia with the last line that ffmpeg wrote; `name` is how the file is called there.
    """
    command = [ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *arguments]
    data = b"" if stdin is None else np.ascontiguousarray(stdin).data.cast("B")
    return _run(command, Path(name), data)


def run_to_end(command: Sequence[str], file: Path) -> bytes:
    """Run to the end; its stdout, or BadMedia with the last line that it wrote."""
    return _run(command, file, None)


def _run(command: Sequence[str], file: Path, data: bytes | memoryview | None) -> bytes:
    """Run to the end, `data` going in; its stdout. Raises BadMedia, or Stopped."""
    stdin = subprocess.DEVNULL if data is None else subprocess.PIPE
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    patience = Patience(process)
    try:
        while True:
            try:
                # Any buffer will do; the stubs know of bytes only.
                out, errors = process.communicate(data, timeout=patience.tick)  # type: ignore[arg-type]
                break
            except subprocess.TimeoutExpired:
                data = None  # it goes on with what it was given first
                patience.wait_longer()
    except BaseException:
        _give_up(process)
        raise
    if process.returncode != 0:
        lines = clean_lines(errors, file)
        check_stopped(process.returncode, file)
        raise BadMedia(
            Reason.DECODE_ERROR, lines[-1] if lines else f"ffmpeg ended with code {process.returncode}"
        )
    return out


def _give_up(process: subprocess.Popen[bytes]) -> None:
    """End a process, and close its pipes."""
    end(process)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def feed(command: Sequence[str], chunks: Iterable[bytes | memoryview], file: Path) -> None:
    """Write chunks to the stdin of an encoder and wait for it."""
    command = [word for word in command if word != "-nostdin"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, bufsize=0
        )
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        patience = Patience(process)
        broken = False
        try:
            for chunk in chunks:
                left = memoryview(chunk).cast("B")
                while left:
                    patience.until_writable(process.stdin)
                    left = left[process.stdin.write(left) or 0 :]
            process.stdin.close()
            code = patience.until_ended()
        except BrokenPipeError:
            # The encoder ended first; its own message is the true error.
            broken, code = True, patience.until_ended()
        finally:
            end(process)
            with suppress(BrokenPipeError):
                process.stdin.close()
        lines = error_lines(errors, file)
    check_stopped(code, file)
    if code != 0 or broken:
        raise UsageError(
            f"{file.name}: could not be written: {lines[-1] if lines else f'ffmpeg code {code}'}"
        )


def check_stopped(code: int, file: Path) -> None:
    """Raises Stopped where ffmpeg was ended from outside: a batch system, Ctrl-C, the kernel out of memory.

    That says nothing about the file; a crash of ffmpeg itself (SIGSEGV, SIGABRT) does, and raises nothing here.
    """
    # ffmpeg catches SIGINT and SIGTERM, closes its files and ends with 255.
    stops = {
        getattr(signal, name, None) for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
    }  # Windows lacks two
    if -code in stops or code == 255:
        how = f"signal {-code}" if code < 0 else "a signal"
        raise Stopped(f"{file.name}: ffmpeg was ended by {how} from outside; run it again")


def error_lines(errors: IO[bytes], file: Path) -> list[str]:
    """The lines that ffmpeg wrote to its stderr, of at most 1 MiB, cleaned by `clean_lines`."""
    errors.seek(0)
    return clean_lines(errors.read(1 << 20), file)


def clean_lines(text: bytes, file: Path) -> list[str]:
    """The lines of ffmpeg without addresses and folder names, which differ from run to run."""
    lines: list[str] = []
    dropped = False
    for line in text.decode("utf-8", "replace").splitlines():
        changed = re.search(r"context - w: (\d+) h: (\d+).*incoming frame - w: (\d+) h: (\d+)", line)
        if changed is not None:
            old, new = "x".join(changed.group(1, 2)), "x".join(changed.group(3, 4))
            how = f", from {old} to {new}" if old != new else ""
            lines.append(f"the pictures change on the way{how}: brought to one size and kind")
        # A line about repetitions belongs to the one before.
        dropped = " [warning] " in f" {line}" or (dropped and "repeated" in line)
        if dropped:
            continue
        line = re.sub(r"\[(error|fatal|panic)\] ", "", line)
        short = re.sub(r"^\[([\w:/,.#]+)( [^\]]*)? @ 0x[0-9a-f]+\]", r"[\1]", line.strip())
        short = (
            re.sub(r" @ 0x[0-9a-f]+", "", short)
            .replace(file_url(file), file.name)
            .replace(str(file), file.name)
        )
        if short and (not lines or lines[-1] != short):
            lines.append(short)
    return lines


@contextmanager
def as_file(source: str | Path | bytes, suffix: str) -> Iterator[Path]:
    """The path itself, or a temporary file with these bytes: an mp4 cannot be read from a pipe."""
    if not isinstance(source, bytes):
        yield Path(source)
        return
    with tempfile.TemporaryDirectory(prefix="tkbench-") as folder:
        path = Path(folder) / f"member{suffix}"
        path.write_bytes(source)
        yield path


def sync_to_disk(path: Path) -> None:
    """Push a file to the disk before it gets its name, so that a crash leaves all of it or nothing."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
