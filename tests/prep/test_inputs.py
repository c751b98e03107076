"""Odd files, each made from its recipe: preparation is right to half a frame, or says by its name what is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tkbench import media, shards
from tkbench.models.files import Files
from tkbench.prep.run import prepare
from tkbench.types import Array, Batch, Generated, Reason, Sample

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import fuzz_prep

INPUTS = Path(__file__).parent / "inputs"
H264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-pix_fmt", "yuv420p"]
ffmpeg = fuzz_prep.ffmpeg


@dataclass(frozen=True)
class Base:
    """The clip that the files are made of: 94 frames of 256 x 256 at 25 a second."""

    mkv: Path
    mp4: Path
    wav: Path
    frames: Array
    """(94, 32, 32) grey: enough to tell one from the other."""
    sound: Array
    """(S,) float32 at 16 kHz."""


def small(video: Array) -> Array:
    import cv2

    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video]
    return np.stack([cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA) for frame in grey]).astype(
        np.float32
    )


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    from tkbench.synth.corpus import make_corpus

    corpus = tmp_path_factory.mktemp("base") / "corpus"
    make_corpus(corpus, clips=4, speakers=2, seed=3)
    mp4 = corpus / "s001" / "c0001.mp4"
    wav, mkv = mp4.with_suffix(".wav"), corpus / "base.mkv"
    ffmpeg("-i", mp4, "-i", wav, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "copy", mkv)
    return Base(mkv, mp4, wav, small(media.read_video(mp4)), media.read_audio(wav))


@dataclass(frozen=True)
class Found:
    """What preparation made of one file."""

    row: dict[str, object]
    frames: int = 0
    lag: float = 0.0
    """Frames by which the sound that is heard with a picture is later in the source than the picture."""
    drift: int = 0
    """Largest number of frames by which a picture is off the line of the others."""
    heard: float = 0.0
    """Share of the clip's fifths in which the voice is the source's."""
    mirrored: bool = False

    @property
    def says(self) -> str:
        return f"{self.row['fixes']} {self.row['detail']}"


def prepared(file: Path, base: Base, folder: Path, *, first: int | None = None, **named: object) -> Found:
    """Prepare one file in a folder of its own and compare it (its first frames) with the clip that it was made of."""
    root = folder / "in"
    root.mkdir(exist_ok=True)
    if file.parent != root:
        shutil.copyfile(file, root / file.name)
    prepare(root, folder / "out", **named)  # type: ignore[arg-type]
    opened = shards.open_shards(folder / "out")
    row = opened.manifest().iloc[0].to_dict()
    if row["status"] != "ok":
        return Found(row)
    sample = opened.get(row["key"])
    canvas, voice = sample.video[:first], sample.audio[: None if first is None else first * 640]
    if canvas.shape[1] != 256 and sample.canvas["kind"] == "head":
        return Found(row, frames=len(canvas))
    mine = small(canvas)
    both = [
        np.abs(mine[:, None] - other[None]).mean(axis=(2, 3))
        for other in (base.frames, base.frames[:, :, ::-1])
    ]
    mirrored = bool(both[1].min() < both[0].min())
    # Of the pictures that look the same (the face rests), the one that fits the others.
    steps = [float(np.mean([row[n + k] for n, row in enumerate(both[mirrored]) if 0 <= n + k < row.size]))
             for k in range(-30, 60)]  # fmt: skip
    offset = int(np.argmin(steps)) - 30
    nearest = both[mirrored].argmin(axis=1) - np.arange(len(mine)) - offset
    begin, likeness = place_of(voice, base.sound, offset / 25)
    fifths = np.array_split(voice, 5)
    starts = np.cumsum([0, *(len(part) for part in fifths[:-1])])
    heard = [
        place_of(part, base.sound, begin + at / 16000)[1] for part, at in zip(fifths, starts, strict=True)
    ]
    assert likeness > 0.2, "the voice is another one"
    return Found(
        row,
        len(sample),
        begin * 25 - offset,
        int(np.median(np.abs(nearest))),
        float(np.mean(np.array(heard) > 0.4)),
        mirrored,
    )


def place_of(sound: Array, source: Array, near: float) -> tuple[float, float]:
    """Seconds of the source at which `sound` begins, within half a second of `near`, and how alike they are."""
    reach = 16_000
    pad = np.concatenate([np.zeros(5 * reach), source, np.zeros(8 * reach)])
    left = round(near * 16_000) + 5 * reach - reach
    part = pad[left : left + len(sound) + 2 * reach]
    found = fuzz_prep.correlate(part, sound)
    energy = np.sqrt(np.convolve(part**2, np.ones(len(sound)), "valid"))
    likeness = found / np.maximum(energy * np.sqrt(float((sound**2).sum())), 1e-6)
    best = int(np.argmax(np.abs(likeness)))
    return near + (best - reach) / 16_000, float(abs(likeness[best]))


# -- the files of the list -----------------------------------------------------------------------------------


def size_changes(base: Base, out: Path) -> None:
    vp8 = ["-c:v", "libvpx", "-b:v", "2M", "-deadline", "realtime", "-c:a", "libopus"]
    parts = [out.with_name("a.webm"), out.with_name("b.webm")]
    ffmpeg("-i", base.mkv, "-t", 1.88, "-vf", "scale=128:128", *vp8, parts[0])
    ffmpeg("-ss", 1.88, "-i", base.mkv, *vp8, "-output_ts_offset", 1.88, parts[1])
    fuzz_prep.join_packets(parts, out)


def channels_change(base: Base, out: Path) -> None:
    mp2 = ["-c:a", "mp2", "-b:a", "96k", "-ar", 48000, "-muxdelay", 0, "-muxpreload", 0]
    parts = [out.with_name("a.ts"), out.with_name("b.ts")]
    ffmpeg("-i", base.mkv, "-t", 1.92, *H264, "-bf", 0, *mp2, "-ac", 1, parts[0])
    ffmpeg("-ss", 1.92, "-i", base.mkv, *H264, "-bf", 0, *mp2, "-ac", 2, "-output_ts_offset", 1.92, parts[1])
    fuzz_prep.join_packets(parts, out)


def starts_inside_gop(base: Base, out: Path) -> None:
    import av

    whole = out.with_name("whole.mkv")
    ffmpeg(
        "-stream_loop",
        3,
        "-i",
        base.mkv,
        *H264,
        "-g",
        50,
        "-keyint_min",
        50,
        "-sc_threshold",
        0,
        "-bf",
        0,
        "-c:a",
        "aac",
        whole,
    )
    with av.open(str(whole)) as box, av.open(str(out), "w") as target:
        sources = [box.streams.video[0], box.streams.audio[0]]
        streams = [target.add_stream_from_template(source) for source in sources]
        # The first 44 pictures, and the sound of their time.
        for packet in box.demux(sources):
            if packet.dts is not None and packet.pts * packet.time_base > 1.755:
                packet.stream = streams[sources.index(packet.stream)]
                target.mux(packet)


def clock_restarts(base: Base, out: Path) -> None:
    parts = [out.with_name("a.ts"), out.with_name("b.ts")]
    ffmpeg("-i", base.mkv, "-t", 1.96, *H264, "-bf", 0, "-c:a", "mp2", parts[0])
    ffmpeg("-ss", 1.96, "-i", base.mkv, *H264, "-bf", 0, "-c:a", "mp2", parts[1])
    out.write_bytes(b"".join(part.read_bytes() for part in parts))


def sound_2s_longer(base: Base, out: Path) -> None:
    coding = (
        [*H264, "-c:a", "aac"]
        if out.suffix != ".webm"
        else ["-c:v", "libvpx", "-b:v", "2M", "-c:a", "libopus"]
    )
    ffmpeg("-i", base.mkv, "-map", "0:v", "-map", "0:a", "-af", "apad=pad_dur=2", *coding, out)


def default_audio_is_second(base: Base, out: Path) -> None:
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=4"]
    which = [
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-map",
        "0:a",
        "-disposition:a:0",
        0,
        "-disposition:a:1",
        "default",
    ]
    ffmpeg("-i", base.mkv, *tone, *which, *H264, "-c:a", "aac", out)


def cover_before_video(base: Base, out: Path) -> None:
    cover = out.with_name("cover.jpg")
    ffmpeg("-f", "lavfi", "-i", "color=red:size=200x200", "-frames:v", 1, cover)
    kinds = ["-disposition:v:0", "attached_pic", "-disposition:v:1", "default"]
    ffmpeg(
        "-i", base.mkv, "-i", cover, "-map", "1:v", "-map", "0:v", "-map", "0:a", "-c", "copy", *kinds, out
    )


def antiphase_stereo(base: Base, out: Path) -> None:
    ffmpeg("-i", base.mkv, "-af", "pan=stereo|c0=c0|c1=-1*c0", *H264, "-c:a", "aac", out)


def mirror_matrix(base: Base, out: Path) -> None:
    stored = out.with_name(f"stored{out.suffix}")
    ffmpeg("-i", base.mkv, "-vf", "scale=720:720,pad=720:1280:0:280", *H264, "-c:a", "aac", stored)
    ffmpeg("-display_hflip", "-i", stored, "-c", "copy", out)


def as_it_is(base: Base, out: Path) -> None:
    shutil.copyfile(INPUTS / out.name, out)


@dataclass(frozen=True)
class Right:
    """The right answer to a file."""

    make: Callable[[Base, Path], None]
    status: str = "ok"
    frames: tuple[int, int] = (93, 95)
    says: str = ""
    or_refused: str = ""


RIGHT = {
    "size_changes.webm": Right(size_changes),
    "channels_change.ts": Right(channels_change, frames=(92, 94)),
    "starts_inside_gop.mkv": Right(starts_inside_gop, frames=(320, 328), says="before the first keyframe"),
    "clock_restarts.ts": Right(clock_restarts, or_refused="clock-restarts"),
    "sound_2s_longer.mkv": Right(sound_2s_longer, says="sound cut by 2.0"),
    "sound_2s_longer.webm": Right(sound_2s_longer, says="sound cut by 2.0"),
    "default_audio_is_second.mkv": Right(default_audio_is_second, says="two audio tracks: the default one"),
    "cover_before_video.mkv": Right(cover_before_video),
    "antiphase_stereo.mp4": Right(antiphase_stereo, says="one channel taken: they cancel"),
    "mirror_matrix.mp4": Right(mirror_matrix, says="mirrored"),
    "avi_stretch_c21.avi": Right(as_it_is, "stretched", says="1.3 s of sound and 30 pictures for 311"),
    "path_in_manifest_a02.mp4": Right(as_it_is, "skipped"),
}


@pytest.mark.parametrize("name", list(RIGHT))
def test_a_file_of_the_list_is_right(name: str, base: Base, tmp_path: Path) -> None:
    right = RIGHT[name]
    file = tmp_path / name
    right.make(base, file)
    # The longer one is the clip four times over, from its frame 50 on.
    found = prepared(file, base, tmp_path, first=40 if name.startswith("starts") else None)
    assert str(tmp_path) not in str(found.row)
    if right.or_refused and found.row["reason"] == right.or_refused:
        return
    if right.status != "ok":
        assert found.row["status"] == "skipped"
        assert right.status in ("skipped", found.row["reason"])
        assert right.says in found.says
        return
    assert found.row["status"] == "ok", found.says
    assert right.frames[0] <= found.frames <= right.frames[1]
    assert right.says in found.says
    if name == "mirror_matrix.mp4":
        return
    assert abs(found.lag) < 0.5
    assert found.drift == 0
    assert found.heard >= 0.8


@pytest.mark.parametrize("kind", list(fuzz_prep.KINDS))
@pytest.mark.parametrize("member", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_other_members_of_each_kind(kind: str, member: int, tmp_path: Path) -> None:
    """Other containers, codecs and places in the file, judged by what the canvas shows and the voice says."""
    found = fuzz_prep.run_case(fuzz_prep.draw(member, 17, kind), tmp_path / "case")
    assert found.result in ("right", "refused"), found.detail


def test_the_fuzz_script_finds_breaks(tmp_path: Path) -> None:
    assert fuzz_prep.seeded_breaks(tmp_path) == []


# -- the same door for generated videos --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sample(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    root = tmp_path_factory.mktemp("door")
    (root / "in").mkdir()
    shutil.copyfile(base.mp4, root / "in" / "c0001.mp4")
    prepare(root / "in", root / "out")
    return shards.open_shards(root / "out").get("c0001")


def read_as_generated(sample: Sample, folder: Path) -> Generated:
    return Files(str(folder)).generate(Batch((sample,)), seed=0)[0]


def test_a_generated_video_whose_sound_is_longer_is_read(base: Base, sample: Sample, tmp_path: Path) -> None:
    longer = ["-map", "0:v", "-map", "1:a", "-af", "apad=pad_dur=1.6", "-c:v", "copy", "-c:a", "aac"]
    ffmpeg("-i", base.mp4, "-i", base.wav, *longer, tmp_path / "c0001.mkv")
    made = read_as_generated(sample, tmp_path)
    assert made.video is not None
    assert np.array_equal(made.video, sample.video)
    assert "sound cut by 1.6" in made.detail


@pytest.mark.parametrize(("seconds", "name"), [(0.2, "c0001.mp4"), (0.12, "c0001.mkv"), (0.4, "c0001.MP4")])
def test_a_generated_video_that_starts_late_has_the_lag_that_preparation_finds(
    base: Base, sample: Sample, tmp_path: Path, seconds: float, name: str
) -> None:
    late = [
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:v",
        "copy",
        "-c:a",
        "aac",
        "-f",
        "matroska" if "mkv" in name else "mp4",
    ]
    ffmpeg("-itsoffset", seconds, "-i", base.mp4, "-i", base.wav, *late, tmp_path / name)
    made = read_as_generated(sample, tmp_path)
    frames = round(seconds * 25)
    assert made.video is not None
    assert f"starts {seconds:.3f} s after its sound" in made.detail
    assert np.array_equal(made.video[frames:], sample.video)
    # Preparation cuts what is heard before the first picture: the same pairs of picture and sound.
    found = prepared(tmp_path / name, base, tmp_path)
    assert found.lag == pytest.approx(frames, abs=0.3)


def test_a_refusal_shows_the_files_own_count_and_rate(base: Base, sample: Sample, tmp_path: Path) -> None:
    from tkbench.scoring.clips import match

    ffmpeg("-i", base.mp4, "-vf", "setpts=PTS*25/30", "-r", 30, "-an", *H264, tmp_path / "c0001.mp4")
    _, refused = match(sample, read_as_generated(sample, tmp_path), 5)
    assert refused.reason is Reason.WRONG_LENGTH
    assert "94 frames at 30 fps are 78 at 25, expected 94" in refused.detail


# -- faces --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A speaker who is seen all the time, and a listener who is larger and nearer, and seen at first only."""

    seed: int
    speaker: int
    """Side of the speaker's picture, pixels."""
    listener: int
    seen: int
    """Frames in which the listener looks at the camera."""
    left: bool
    """The speaker is on the left."""


SCENES = [
    Scene(seed, 150 + 10 * (seed % 4), 240 + 10 * (seed % 5), 3 + 2 * (seed % 5), bool(seed % 2))
    for seed in range(10)
]


def render(scene: Scene, base: Base, out: Path) -> tuple[int, int]:
    """Write the scene; the columns between which the speaker is."""
    import cv2

    speaker, listener = (
        media.read_video(base.mp4),
        media.read_video(base.mp4.parents[1] / "s000" / "c0000.mp4"),
    )
    rng = np.random.default_rng(scene.seed)
    back = cv2.GaussianBlur(rng.integers(40, 120, (360, 720, 3)).astype(np.uint8), (0, 0), 9)
    x = int(rng.integers(10, 60)) + (0 if scene.left else 440)
    y, there = int(rng.integers(30, 90)), 440 if scene.left else 0
    frames = []
    for n in range(90):
        frame = back.copy()
        frame[y : y + scene.speaker, x : x + scene.speaker] = cv2.resize(speaker[n], (scene.speaker,) * 2)
        near = cv2.resize(listener[min(n, len(listener) - 1)], (scene.listener,) * 2)
        # Then the listener turns away: no face is left, only its colours.
        near = near if n < scene.seen else cv2.GaussianBlur(near[::-1], (0, 0), 14)
        frame[80 : 80 + scene.listener, there : there + scene.listener] = near
        frames.append(frame)
    media.write_video(out, frames, audio=base.sound[: 90 * 640], quality=18)
    return x, x + scene.speaker


@pytest.mark.parametrize(
    "scene",
    [SCENES[0], SCENES[1], *(pytest.param(scene, marks=pytest.mark.slow) for scene in SCENES[2:])],
    ids=str,
)
def test_the_speaker_wins_over_a_larger_listener_who_is_seen_first(
    scene: Scene, base: Base, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    low, high = render(scene, base, tmp_path / "in" / "scene.mp4")
    prepare(tmp_path / "in", tmp_path / "out")
    opened = shards.open_shards(tmp_path / "out")
    rows = opened.manifest()
    assert (rows.status == "ok").all(), rows.detail.tolist()
    assert rows.kept.sum() > 0.85
    for key in opened.keys():
        found = opened.get(key)
        scale = found.canvas["width"] / found.canvas["out_width"]
        columns = found.canvas["x"] + found.landmarks[..., 0].mean(axis=1) * scale
        assert ((columns > low) & (columns < high)).all()


# -- hostile files -------------------------------------------------------------------------------------------


def test_a_pipe_with_a_videos_name_is_a_row(base: Base, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe.mp4")
    script = (
        f"from tkbench.prep.run import prepare; prepare({str(tmp_path / 'in')!r}, {str(tmp_path / 'out')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, capture_output=True)
    row = shards.open_shards(tmp_path / "out").manifest().iloc[0]
    assert (row["status"], row["reason"]) == ("skipped", "not-a-file")


def test_a_name_that_is_not_utf8_is_prepared(base: Base, tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    shutil.copyfile(base.mp4, os.fsencode(root) + b"/caf\xe9.mp4")
    prepare(root, tmp_path / "out")
    row = shards.open_shards(tmp_path / "out").manifest().iloc[0]
    assert row["status"] == "ok", row["detail"]
    assert shards.KEY.fullmatch(row["key"])


def test_a_picture_too_large_is_refused_by_its_header(tmp_path: Path) -> None:
    import struct
    import zlib

    from tkbench.errors import BadMedia
    from tkbench.generate import read_photo

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(30_000 * (1 + 30_000 // 8)), 9)
    file = tmp_path / "bomb.png"
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    with pytest.raises(BadMedia, match="30000x30000"):
        read_photo(file)
