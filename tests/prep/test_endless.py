"""A clip or an ffmpeg that never ends becomes a row, and is prepared by `--retry-failed` once it does end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from tkbench import media, shards
from tkbench.errors import BadMedia
from tkbench.media import decode, watchdog
from tkbench.prep.run import Run, prepare
from tkbench.synth.clip import SynthClip, make_clip
from tkbench.types import Reason

REAL = imageio_ffmpeg.get_ffmpeg_exe()
ONLY_DECODING = f"""#!/bin/sh
case "$*" in *rawvideo*) ;; *) exec {REAL} "$@";; esac
"""
"""The first lines of a false ffmpeg: whatever does not give raw pictures is done by the true one."""
WAITS = "exec sleep 1000\n"
WAITS_BEHIND_A_SHELL = "sleep 1000\nexit 0\n"
GIVES_PICTURES = "exec cat /dev/zero\n"
SLEEPS_THEN_WORKS = f"""{sys.executable} -c 'import time
end = time.process_time() + 2
while time.process_time() < end: pass'
exec {REAL} "$@"
"""


@pytest.fixture(scope="module")
def clip() -> SynthClip:
    return make_clip(seed=1, seconds=(1.4, 2.0))


@pytest.fixture
def folder(clip: SynthClip, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    media.write_video(tmp_path / "in" / "clip.mp4", clip.frames, audio=clip.audio, quality=18)
    return tmp_path


def false_ffmpeg(folder: Path, rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "ffmpeg"
    program.write_text(f"{ONLY_DECODING}{rest}")
    program.chmod(0o755)
    media.stack()  # its version is that of the true one
    monkeypatch.setenv("TKBENCH_FFMPEG", str(program))


def row_of(folder: Path, **how: bool) -> dict[str, object]:
    prepare(folder / "in", folder / "out", run=Run(**how))  # type: ignore[arg-type]
    row: dict[str, object] = shards.open_shards(folder / "out").manifest().iloc[0].to_dict()
    return row


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        (WAITS, Reason.STALLED),
        (WAITS_BEHIND_A_SHELL, Reason.STALLED),
        (GIVES_PICTURES, Reason.ENDLESS),
    ],
    ids=["waits", "waits behind a shell", "gives pictures without end"],
)
def test_an_ffmpeg_that_never_ends_is_a_row_and_is_done_again(
    rest: str, reason: Reason, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TKBENCH_STALL_SECONDS", "1.5")
    with monkeypatch.context() as false:
        false_ffmpeg(folder, rest, false)
        row = row_of(folder)
        assert (row["status"], row["reason"]) == ("skipped", reason.value), row["detail"]
    # It stays a row, until it is asked for again.
    assert row_of(folder)["status"] == "skipped"
    assert row_of(folder, retry_failed=True)["status"] == "ok"


def test_an_ffmpeg_that_works_and_gives_nothing_is_a_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts seconds of the processor: ffmpeg's own, asked for on its command line."""
    for_ever = (
        f'limit=$2; exec {REAL} -nostdin -loglevel error -timelimit "$limit" -f lavfi -i testsrc2 -f null -\n'
    )
    false_ffmpeg(folder, for_ever, monkeypatch)
    monkeypatch.setattr(decode, "_work_limit", lambda _: 1)
    row = row_of(folder)
    assert (row["status"], row["reason"]) == ("skipped", Reason.ENDLESS.value), row["detail"]


def test_an_ffmpeg_that_works_for_longer_than_the_limit_is_not_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what waits without working is given up: the bytes are the same on a machine that is busy."""
    prepare(folder / "in", folder / "plain")
    false_ffmpeg(folder, SLEEPS_THEN_WORKS, monkeypatch)
    monkeypatch.setenv("TKBENCH_STALL_SECONDS", "1.5")
    prepare(folder / "in", folder / "out")
    mine, plain = (shards.open_shards(folder / name).get("clip") for name in ("out", "plain"))
    assert np.array_equal(mine.video, plain.video)
    assert np.array_equal(mine.audio, plain.audio)
    assert np.array_equal(mine.landmarks, plain.landmarks)


@pytest.mark.parametrize("what", ["sound", "encoder"])
def test_other_runs_of_ffmpeg_are_given_up_too(
    what: str, folder: Path, clip: SynthClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = folder / "ffmpeg"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setenv("TKBENCH_STALL_SECONDS", "1.5")
    monkeypatch.setenv("TKBENCH_FFMPEG", str(program))
    runs: dict[str, Callable[[], object]] = {
        "sound": lambda: media.read_audio(folder / "in" / "clip.mp4"),
        "encoder": lambda: media.write_video(folder / "made.mp4", clip.frames),
    }
    with pytest.raises(BadMedia) as caught:
        runs[what]()
    assert caught.value.reason is Reason.STALLED
    assert not (folder / "made.mp4").exists()


def test_a_limit_that_is_no_number_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "soon", "-1", "0"):
        monkeypatch.setenv("TKBENCH_STALL_SECONDS", text)
        assert watchdog.stall_seconds() == watchdog.STALL_SECONDS


def test_a_clip_whose_sound_never_ends_is_no_disk_full(folder: Path, clip: SynthClip) -> None:
    """The sound's clock leaps by a day amid the clip: a day of silence is neither written nor kept."""
    import av

    source, file = folder / "in" / "clip.mp4", folder / "leap.mkv"
    with av.open(str(source)) as box, av.open(str(file), "w") as target:
        streams = [
            target.add_stream_from_template(stream) for stream in (box.streams.video[0], box.streams.audio[0])
        ]
        for packet in box.demux(box.streams.video[0], box.streams.audio[0]):
            if packet.dts is None:
                continue
            sound = packet.stream.type == "audio"
            if sound and packet.pts * packet.time_base > len(clip.frames) / 50:
                packet.pts += round(86_400 / packet.time_base)
                packet.dts = packet.pts
            packet.stream = streams[sound]
            target.mux(packet)
    source.unlink()
    shutil.move(file, folder / "in" / "clip.mkv")
    row = row_of(folder)
    assert (row["status"], row["reason"]) == ("skipped", Reason.STRETCHED.value), row["fixes"]
    assert "the sound leaps from" in str(row["detail"])


def test_sound_that_goes_on_for_long_is_read_for_a_minute_only(folder: Path, tmp_path: Path) -> None:
    source = folder / "in" / "clip.mp4"
    padded = ["-af", "apad=pad_dur=300", "-c:v", "copy", "-c:a", "flac", str(folder / "in" / "clip.mkv")]
    media.run(["-i", str(source), *padded], "clip.mkv")
    source.unlink()
    row = row_of(folder)
    assert row["status"] == "ok", row["detail"]
    assert "sound cut by a minute or more" in str(row["fixes"])
