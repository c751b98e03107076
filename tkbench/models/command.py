"""`cmd:COMMAND`: a model in its own environment, run as a subprocess for each clip or for a list of them.

    cmd:python infer.py --face {video} --audio {audio} --out {out}      one run per clip
    cmd:python infer.py --jobs {list}                                    one run per batch

`{video}` is the clip as mp4 (lossless, 25 frames/s, with its voice), `{audio}` the voice to speak as 16 kHz wav,
`{out}` the mp4 to write. `{list}` is a file with one JSON object per line: key, video, audio, out. The command is
split as a shell would split it, but no shell runs: pipes and `;` are arguments like any other.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from tkbench import media
from tkbench.errors import UsageError
from tkbench.models.base import ModelCard
from tkbench.models.files import Files
from tkbench.runtime.storage import Scratch
from tkbench.types import Batch, Generated, Reason, Sample

TIMEOUT = 3600.0
"""Seconds that one run may take."""
PLACES = ("video", "audio", "out", "list")


def _at_home(word: str) -> str:
    """A path that begins with `~/`, as a shell would have written it."""
    return str(Path(word).expanduser()) if word.startswith("~/") else word


class Command:
    """Runs a command; reads the videos that it writes as `files:` does."""

    runs_outside = True
    """In processes of its own: its memory is theirs."""

    def __init__(self, command: str) -> None:
        try:
            self.words = [_at_home(word) for word in shlex.split(command)]
        except ValueError as error:
            raise UsageError(f"model 'cmd:{command}': cannot be split into words ({error})") from error
        named = set(re.findall(r"{(\w*)}", command))
        unknown = sorted(named - set(PLACES))
        if unknown or not ("out" in named) ^ ("list" in named):
            found = f"found {{{unknown[0]}}}; " if unknown else ""
            raise UsageError(
                f"model 'cmd:{command}': {found}expected {{video}}, {{audio}} and {{out}}, or {{list}} alone, as in "
                f"cmd:python infer.py --face {{video}} --audio {{audio}} --out {{out}}"
            )
        if shutil.which(self.words[0]) is None:
            raise UsageError(
                f"model 'cmd:{command}': {self.words[0]} is no program on this machine; install it, or give its path"
            )
        self.per_batch = "list" in named
        self._scratch = Scratch("tkbench-cmd-")
        """Holds the files of the last call: metrics may start at them, and their hashes are kept."""
        name = next(
            (Path(w).name for w in self.words if w.endswith((".py", ".sh"))), Path(self.words[0]).name
        )
        self.card = ModelCard(name=f"cmd:{name}", summary=f"A command: {command}", licence="unknown")

    def generate(self, batch: Batch, *, seed: int) -> list[Generated]:
        """`seed` is passed as the environment variable TKBENCH_SEED."""
        base = self._scratch.new()
        made = base / "out"
        made.mkdir()
        jobs = [self._job(sample, base, made) for sample in batch]
        if self.per_batch:
            listing = base / "list.jsonl"
            listing.write_text("".join(json.dumps(job) + "\n" for job in jobs), encoding="utf-8")
            fault = self._run({"list": str(listing)}, seed)
            faults = dict.fromkeys(batch.keys, fault)
        else:
            faults = {job["key"]: self._run(job, seed) for job in jobs}
        answers = Files(str(made)).generate(batch, seed=seed)
        return [self._explain(answer, faults[answer.key]) for answer in answers]

    @staticmethod
    def _job(sample: Sample, base: Path, made: Path) -> dict[str, str]:
        stem = sample.key.replace("/", "__")
        video, voice = base / f"{stem}.mp4", base / f"{stem}.wav"
        media.write_video(video, sample.video, audio=sample.audio, quality="lossless")
        media.write_wav(voice, sample.audio)
        return {"key": sample.key, "video": str(video), "audio": str(voice), "out": str(made / f"{stem}.mp4")}

    def _run(self, job: dict[str, str], seed: int) -> str:
        """What went wrong, in one line; empty where the command succeeded."""
        import os

        words = [re.sub(r"{(\w+)}", lambda place: job[place[1]], word) for word in self.words]
        try:
            done = subprocess.run(
                words,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                env={**os.environ, "TKBENCH_SEED": str(seed)},
            )
        except subprocess.TimeoutExpired:
            return f"{self.words[0]} took more than {TIMEOUT:.0f} s"
        except OSError as error:
            return f"{self.words[0]} could not be started ({error})"
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        return (
            f"exit code {done.returncode}: {lines[-1] if lines else 'it printed nothing'}"
            if done.returncode
            else ""
        )

    @staticmethod
    def _explain(answer: Generated, fault: str) -> Generated:
        if answer.video is not None or not fault:
            return answer
        return Generated(answer.key, None, Reason.MODEL_ERROR, fault)
