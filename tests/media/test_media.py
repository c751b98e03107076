"""Files in and out: what is written comes back, at the right time, in the right size, or fails with a reason."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tkbench import media
from tkbench.errors import BadInput, BadMedia, UsageError
from tkbench.media.interval import locate_part
from tkbench.types import FPS, Array, Reason, UInt8

H, W = 48, 64


def resample_indices(times: Array, fps: float = FPS, *, end: float | None = None) -> Array:
    """Which source picture each output frame shows; the law that the `fps` filter of ffmpeg follows.

    times: (N,) seconds, rising, with the first at any value. end: when the last picture ends, by default one
    usual step after it began -> (M,) int64 indices, where M is the length of the clip in output frames,
    rounded.

    >>> resample_indices(np.arange(6) / 30).tolist()
    [0, 1, 2, 4, 5]
    """
    times = np.asarray(times, np.float64)
    if end is None:
        end = float(times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 1 / fps))
    slots = np.floor((times - times[0]) * fps + 0.5).astype(np.int64)
    length = int(np.floor((end - times[0]) * fps + 0.5))
    return np.searchsorted(slots, np.arange(length), side="right") - 1


def grey(level: int) -> UInt8:
    return np.full((H, W, 3), level, np.uint8)


def levels(count: int) -> list[int]:
    """A grey level for each frame that tells which frame it is."""
    return [20 + 4 * i for i in range(count)]


def clip(count: int) -> list[UInt8]:
    return [grey(level) for level in levels(count)]


def which(video: UInt8) -> list[int]:
    """The number of each frame of a `clip`, read back from its grey level."""
    return [round((float(frame.mean()) - 20) / 4) for frame in video]


def beep(seconds: float, at: float, rate: int = 16000) -> np.ndarray:
    """Silence with a tone from `at` on."""
    time = np.arange(int(seconds * rate)) / rate
    return np.where(time >= at, 0.5 * np.sin(2 * np.pi * 440 * time), 0.0).astype(np.float32)


def onset(audio: np.ndarray) -> float:
    return float(np.argmax(np.abs(audio) > 0.05)) / 16000


@pytest.mark.parametrize(
    "name", ["plain.mp4", "a b.mp4", "-dash.mp4", 'it\'s "q".mkv', "ünï-視頻.mov", "50%d.avi"]
)
def test_names_of_every_kind_work(tmp_path: Path, name: str) -> None:
    media.write_video(tmp_path / name, clip(5), audio=media.Sound(beep(0.2, 0.0), codec="pcm"))
    assert which(media.read_video(tmp_path / name)) == list(range(5))
    assert media.probe(tmp_path / name).n_frames == 5
    assert len(media.read_audio(tmp_path / name)) >= 3200


def test_lossless_keeps_every_luma_and_bytes_are_equal_from_two_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (4, H, W, 1), np.uint8).repeat(3, axis=3)
    for name in ("a.mp4", "b.mp4"):
        media.write_video(tmp_path / name, frames, audio=beep(0.16, 0.0))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    # Grey goes to 220 luma steps and back: two levels at most.
    assert np.abs(media.read_video(tmp_path / "a.mp4").astype(int) - frames).max() <= 2


def test_bytes_are_read_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    media.write_video(path, clip(4), audio=beep(0.16, 0.0))
    assert np.array_equal(media.read_video(path.read_bytes()), media.read_video(path))
    assert np.array_equal(media.read_audio(path.read_bytes()), media.read_audio(path))


def test_a_variable_rate_is_resampled_by_time_stamps(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.12, 0.13, 0.30, 0.34, 0.38, 0.55]
    media.write_video(tmp_path / "v.mp4", clip(len(times)), frame_times=times)
    facts = media.probe(tmp_path / "v.mp4")
    assert facts.vfr
    assert facts.n_frames == len(times)
    law = resample_indices(np.array(times), end=facts.duration).tolist()
    assert which(media.read_video(tmp_path / "v.mp4")) == law


@pytest.mark.parametrize("fps", [24.0, 30000 / 1001, 30.0, 50.0])
def test_another_rate_follows_the_same_law(tmp_path: Path, fps: float) -> None:
    media.write_video(tmp_path / "v.mp4", clip(24), fps=fps)
    assert media.probe(tmp_path / "v.mp4").fps == pytest.approx(fps, abs=0.01)
    law = resample_indices(np.arange(24) / fps).tolist()
    assert which(media.read_video(tmp_path / "v.mp4")) == law
    assert len(law) == pytest.approx(24 / fps * 25, abs=0.6)


@given(st.lists(st.floats(0.002, 0.3), min_size=1, max_size=40), st.floats(-5, 5))
@settings(deadline=None)
def test_the_index_law_never_runs_ahead_and_never_goes_back(steps: list[float], start: float) -> None:
    times = start + np.concatenate([[0.0], np.cumsum(steps)])
    indices = resample_indices(times)
    assert (np.diff(indices) >= 0).all()
    shown = times[indices] - times[0]
    # Half a frame at most before its time, plus the rounding of floats.
    assert (shown <= (np.arange(len(indices)) + 0.5) / 25 + 1e-9).all()


@given(st.integers(1, 200))
@settings(deadline=None)
def test_the_index_law_keeps_a_clip_of_25_fps(count: int) -> None:
    assert resample_indices(np.arange(count) / 25).tolist() == list(range(count))


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_rotation_flag_is_obeyed(tmp_path: Path, turn: int) -> None:
    frame = np.zeros((H, W, 3), np.uint8)
    frame[: H // 2, : W // 2] = 255
    media.write_video(tmp_path / "r.mp4", [frame] * 3, rotation=turn)
    facts = media.probe(tmp_path / "r.mp4")
    shown = np.rot90(frame, -turn // 90)
    assert facts.rotation == turn
    assert (facts.height, facts.width) == shown.shape[:2]
    assert np.abs(media.read_video(tmp_path / "r.mp4")[0].astype(int) - shown).mean() < 2
    looked = media.sample_pictures(tmp_path / "r.mp4", facts=facts, limit=2)[0]
    assert np.abs(looked.astype(int) - shown).mean() < 3


@pytest.mark.parametrize(
    ("offset", "codec"), [(0.0, "aac"), (0.2, "aac"), (-0.2, "aac"), (0.2, "pcm"), (-0.2, "pcm")]
)
def test_the_start_offset_of_the_sound_is_kept(tmp_path: Path, offset: float, codec: str) -> None:
    media.write_video(
        tmp_path / "o.mp4", clip(40), audio=media.Sound(beep(1.6, 0.5), codec=codec, offset=offset)
    )
    assert onset(media.read_audio(tmp_path / "o.mp4")) == pytest.approx(0.5 + offset, abs=0.004)


def test_stereo_of_another_rate_becomes_mono_of_16_khz(tmp_path: Path) -> None:
    left = beep(1.0, 0.25, 44100)
    media.write_video(
        tmp_path / "s.mp4", clip(25), audio=media.Sound(np.stack([left, left], 1), rate=44100, codec="pcm")
    )
    facts = media.probe(tmp_path / "s.mp4")
    assert (facts.sample_rate, facts.channels) == (44100, 2)
    audio = media.read_audio(tmp_path / "s.mp4")
    assert abs(len(audio) - 16000) <= 2
    assert onset(audio) == pytest.approx(0.25, abs=0.002)
    assert np.abs(audio[8000:]).max() == pytest.approx(0.5, abs=0.02)


def test_flac_in_memory_is_exact() -> None:
    sound = np.random.default_rng(1).integers(-32768, 32767, 6400).astype(np.int16)
    assert np.array_equal(media.read_flac(media.write_flac(sound)), sound.astype(np.float32) / 32768)
    assert np.array_equal(media.to_int16(sound.astype(np.float32) / 32768), sound)


def test_stream_writes_the_canvas_that_it_shows(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    frames = rng.integers(0, 256, (6, H, W, 3), np.uint8)
    media.write_video(tmp_path / "v.mp4", frames, audio=beep(0.24, 0.0))
    facts = media.probe(tmp_path / "v.mp4")
    cut = media.Cut(8, 4, 32, 32, 16, 16)
    shown = np.stack(
        [
            frame.copy()
            for frame in media.stream_frames(
                tmp_path / "v.mp4",
                facts,
                picture=media.PictureFormat(cut=cut),
                outputs=media.SideOutputs(canvas=tmp_path / "c.mp4", sound=tmp_path / "s.raw"),
            )
        ]
    )
    assert shown.shape == (6, 16, 16, 3)
    assert np.array_equal(media.read_video(tmp_path / "c.mp4"), shown)
    assert (tmp_path / "s.raw").stat().st_size == pytest.approx(2 * 0.24 * 16000, abs=2100)
    planes = [
        p.copy()
        for p in media.stream_frames(
            tmp_path / "v.mp4", facts, picture=media.PictureFormat(cut=cut, pixels="yuv420p")
        )
    ]
    tags = media.color_tags(tmp_path / "v.mp4")
    assert tags == {"colorspace": "bt709", "range": "limited"}
    media.encode_planes(tmp_path / "e.mp4", planes, size=(16, 16), quality="lossless", tags=tags)
    assert np.array_equal(media.read_video(tmp_path / "e.mp4"), shown)


def test_a_stream_that_is_left_early_leaves_no_process(tmp_path: Path) -> None:
    media.write_video(tmp_path / "v.mp4", clip(50))
    stream = media.stream_frames(tmp_path / "v.mp4", media.probe(tmp_path / "v.mp4"))
    assert next(stream).shape == (H, W, 3)
    stream.close()  # type: ignore[attr-defined]
    assert next(stream, None) is None


def broken(tmp_path: Path, content: bytes, name: str = "x.mp4") -> BadMedia:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadMedia) as caught:
        media.probe(tmp_path / name)
    assert "\n" not in str(caught.value)
    return caught.value


def test_files_that_are_no_clips_say_why(tmp_path: Path) -> None:
    assert broken(tmp_path, b"").reason is Reason.EMPTY_FILE
    assert broken(tmp_path, b"just some text, not a video\n" * 50).reason is Reason.NOT_A_VIDEO
    # A playlist could name any file of this machine; an SDP file or a concat list as well.
    assert broken(tmp_path, b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n").reason is Reason.NOT_A_VIDEO
    assert broken(tmp_path, b"ffconcat version 1.0\nfile '/etc/passwd'\n").reason is Reason.NOT_A_VIDEO
    with pytest.raises(BadMedia) as caught:
        media.probe(tmp_path / "is not there.mp4")
    assert caught.value.reason is Reason.MISSING_FILE


def test_cut_files_say_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (20, H, W, 3), np.uint8)
    media.write_video(tmp_path / "v.mp4", frames)
    whole = (tmp_path / "v.mp4").read_bytes()
    assert broken(tmp_path, whole[: len(whole) // 2]).reason is Reason.TRUNCATED
    assert broken(tmp_path, whole[:200]).reason is Reason.TRUNCATED
    media.write_video(tmp_path / "v.avi", frames, audio=media.Sound(beep(0.8, 0.0), codec="pcm"))
    whole = (tmp_path / "v.avi").read_bytes()
    assert broken(tmp_path, whole[: len(whole) // 2], "y.avi").reason is Reason.TRUNCATED


def test_a_file_with_sound_alone_has_no_video(tmp_path: Path) -> None:
    media.write_wav(tmp_path / "a.wav", beep(0.5, 0.1))
    with pytest.raises(BadMedia) as caught:
        media.probe(tmp_path / "a.wav")
    assert caught.value.reason is Reason.NO_VIDEO
    assert onset(media.read_audio(tmp_path / "a.wav")) == pytest.approx(0.1, abs=0.001)


def test_no_sound_is_a_fact_for_probe_and_an_error_for_read_audio(tmp_path: Path) -> None:
    media.write_video(tmp_path / "v.mp4", clip(3))
    assert media.probe(tmp_path / "v.mp4").sample_rate is None
    with pytest.raises(BadMedia) as caught:
        media.read_audio(tmp_path / "v.mp4")
    assert caught.value.reason is Reason.NO_AUDIO


def test_wrong_arguments_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    out = tmp_path / "v.mp4"
    with pytest.raises(BadInput, match="even sides"):
        media.write_video(out, [np.zeros((47, 64, 3), np.uint8)])
    with pytest.raises(BadInput, match="expected uint8"):
        media.write_video(out, [grey(0), np.zeros((H, W + 2, 3), np.uint8)])
    with pytest.raises(BadInput, match="no frame"):
        media.write_video(out, [])
    with pytest.raises(UsageError, match="crf"):
        media.write_video(out, clip(2), quality=99)
    with pytest.raises(UsageError, match=r"use \.mp4"):
        media.write_video(tmp_path / "v.exe", clip(2))
    with pytest.raises(BadInput, match="rise"):
        media.write_video(out, clip(2), frame_times=[0.1, 0.1])
    assert list(tmp_path.iterdir()) == []


def test_the_stack_names_what_decides_pixels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert {"ffmpeg", "av", "opencv", "ai-edge-litert"} <= set(media.stack())
    monkeypatch.setenv("TKBENCH_FFMPEG", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="TKBENCH_FFMPEG"):
        media.ffmpeg_exe()


@pytest.mark.parametrize("kind", ["25.mp4", "30.mkv", "29.97.mp4", "vfr.mp4", "25.avi"])
def test_an_interval_is_that_part_of_the_whole_file(tmp_path: Path, kind: str) -> None:
    """Sought or read from the start, at any rate: the frames are those of the whole, and so is the sound."""
    rate, _, suffix = kind.rpartition(".")
    file = tmp_path / f"v.{suffix}"
    rng = np.random.default_rng(0)
    fps = 25.0 if rate == "vfr" else 30000 / 1001 if rate == "29.97" else float(rate)
    count = int(9 * fps)
    frames = [
        np.kron(rng.integers(20, 230, (3, 4, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
        for _ in range(count)
    ]
    times = None
    if rate == "vfr":
        # One picture is held for three seconds: the interval begins in the middle of it.
        steps = np.where(np.arange(count) == 75, 3.0, rng.uniform(0.02, 0.05, count))
        times = (np.cumsum(steps) - steps[0]).tolist()
    sound = (0.3 * rng.normal(size=9 * 16000)).astype(np.float32)
    codec: Literal["aac", "pcm"] = "pcm" if suffix == "avi" else "aac"
    media.write_video(file, frames, fps=fps, audio=media.Sound(sound, codec=codec), frame_times=times)
    facts = media.probe(file)
    whole, heard = media.read_video(file), media.read_audio(file)
    for interval in [(0.0, 0.48), (4.0, 5.0), (4.98, 6.5), (6.0, 60.0)]:
        first, last = media.frames_of(interval)
        sound_file = tmp_path / "sound"
        stream = media.stream_frames(
            file,
            facts,
            select=media.FrameSelection(interval=interval),
            outputs=media.SideOutputs(sound=sound_file),
        )
        part = np.stack([frame.copy() for frame in stream])
        np.testing.assert_array_equal(part, whole[first:last])
        voice = np.frombuffer(sound_file.read_bytes(), "<i2") / 32768.0
        np.testing.assert_array_equal(voice, media.read_audio(file, interval=interval))
        np.testing.assert_array_equal(voice, heard[first * 640 : last * 640])


def test_an_interval_is_never_copied_or_empty(tmp_path: Path) -> None:
    media.write_video(tmp_path / "v.mp4", clip(30))
    facts = media.probe(tmp_path / "v.mp4")
    stream = media.stream_frames(
        tmp_path / "v.mp4",
        facts,
        select=media.FrameSelection(interval=(0.0, 1.0)),
        outputs=media.SideOutputs(canvas=tmp_path / "c.mp4", canvas_quality="copy"),
    )
    with pytest.raises(BadInput, match="never copied"):
        next(stream)
    for interval in [(2.0, 2.0), (3.0, 1.0), (-1.0, 1.0)]:
        with pytest.raises(BadInput, match="does not hold one frame"):
            media.frames_of(interval)


def test_looks_of_an_interval_come_from_it(tmp_path: Path) -> None:
    media.write_video(tmp_path / "v.mp4", clip(50))
    facts = media.probe(tmp_path / "v.mp4")
    for dense in (False, True):  # one keyframe, at the start: all of the interval is decoded
        pictures = media.sample_pictures(
            tmp_path / "v.mp4", facts=facts, limit=4, dense=dense, interval=(0.8, 1.6)
        )
        assert 2 <= len(pictures) <= 4
        assert all(20 <= number < 40 for number in which(np.stack(pictures)))


def test_a_small_window_is_brought_up(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(20, 230, W).astype(np.uint8)[None, :, None], H, 0).repeat(3, 2)
    media.write_video(tmp_path / "v.mp4", [ramp] * 2)
    facts = media.probe(tmp_path / "v.mp4")
    cut = media.Cut(8, 4, 32, 32, 128, 128)
    frame = next(media.stream_frames(tmp_path / "v.mp4", facts, picture=media.PictureFormat(cut=cut))).astype(
        int
    )
    assert frame.shape == (128, 128, 3)
    # Smooth, as the ramp is: an enlargement by repeated pixels would have steps of four.
    assert np.abs(np.diff(frame[64, 8:-8, 1], 2)).max() <= 3


@pytest.mark.parametrize("name", ["groups.mp4", "groups.mkv", "late.mkv", "cut.mp4"])
def test_an_interval_is_sought_and_still_exact(tmp_path: Path, name: str) -> None:
    """Files with many groups of pictures, that begin late or amid a group: what a download looks like."""
    rng = np.random.default_rng(1)
    frames = [
        np.kron(rng.integers(20, 230, (3, 4, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
        for _ in range(270)
    ]
    sound = (0.3 * rng.normal(size=9 * 44100)).astype(np.float32)
    whole = tmp_path / "whole.mp4"
    media.write_video(whole, frames, fps=30000 / 1001, audio=media.Sound(sound, rate=44100), quality=20)
    file = tmp_path / name
    flags = {"groups": [], "late": ["-output_ts_offset", "5"], "cut": ["-ss", "1.3"]}[file.stem]
    encode = (
        ["-c", "copy"] if file.stem == "cut" else ["-c:v", "libx264", "-g", "20", "-bf", "3", "-c:a", "copy"]
    )
    before = flags if file.stem == "cut" else []
    after = [] if before else flags
    command = [
        media.ffmpeg_exe(),
        "-loglevel",
        "error",
        *before,
        "-i",
        str(whole),
        *encode,
        *after,
        str(file),
    ]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    facts, all_of_it, heard = media.probe(file), media.read_video(file), media.read_audio(file)
    for interval in [(3.0, 4.0), (5.48, 7.0)]:
        first, last = media.frames_of(interval)
        part = np.stack(
            [
                frame.copy()
                for frame in media.stream_frames(file, facts, select=media.FrameSelection(interval=interval))
            ]
        )
        np.testing.assert_array_equal(part, all_of_it[first:last])
        np.testing.assert_array_equal(
            media.read_audio(file, interval=interval), heard[first * 640 : last * 640]
        )
        if file.stem != "cut":
            assert locate_part(file, interval).seek > 2.5  # found, not read from the start


def test_tags_need_not_be_utf8(tmp_path: Path) -> None:
    """Old cameras write tags in whatever they had; a picture is a picture."""
    media.write_video(tmp_path / "v.mp4", np.zeros((5, 32, 32, 3), np.uint8), quality="lossless")
    title = b"title=caf\xe9"
    done = subprocess.run(
        [
            media.ffmpeg_exe(),
            "-y",
            "-i",
            tmp_path / "v.mp4",
            "-c:v",
            "mjpeg",
            "-r",
            "25",
            "-metadata",
            title,
            tmp_path / "t.avi",
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"caf\xe9" in (tmp_path / "t.avi").read_bytes()
    assert media.probe(tmp_path / "t.avi").width == 32
    assert len(media.read_video(tmp_path / "t.avi")) == 5


WIDE = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Light in BT.709's primaries -> BT.2020's (ITU-R BT.2087)."""
LUMA = np.array([0.2627, 0.6780, 0.0593])


def signal_of(light: Array, transfer: str) -> Array:
    """(H, W, 3) cd/m2 in BT.2020 -> the signal, 0 to 1, by the equations of ITU-R BT.2100."""
    if transfer == "smpte2084":
        share = np.clip(light / 10_000, 0, 1) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * share) / (1 + 18.6875 * share)) ** 78.84375
    shown = light / 1000
    scene = shown * np.maximum((shown * LUMA).sum(axis=-1, keepdims=True), 1e-9) ** (1 / 1.2 - 1)
    dark, a, b, c = np.sqrt(3 * np.maximum(scene, 0)), 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, dark, a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def write_hdr(file: Path, light: Array, transfer: str) -> None:
    """Five pictures of this light in BT.709's primaries, (H, W, 3) cd/m2, as 10-bit BT.2100."""
    coded = signal_of(light @ WIDE.T, transfer)
    y = coded @ LUMA
    planes = [
        876 * y + 64,
        896 * (coded[..., 2] - y) / 1.8814 + 512,
        896 * (coded[..., 0] - y) / 1.4746 + 512,
    ]
    raw = np.stack([np.stack(planes)] * 5).round().astype("<u2")
    shape = [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv444p10le",
        "-s",
        f"{light.shape[1]}x{light.shape[0]}",
        "-r",
        "25",
    ]
    tags = [
        "-color_trc",
        transfer,
        "-color_primaries",
        "bt2020",
        "-colorspace",
        "bt2020nc",
        "-color_range",
        "tv",
    ]
    codec = ["-c:v", "libx265", "-x265-params", "log-level=error:lossless=1", "-pix_fmt", "yuv444p10le"]
    media.run([*shape, *tags, "-i", "pipe:", *codec, *tags, str(file)], "hdr", stdin=raw)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_a_picture_that_was_put_into_hdr_at_reference_white_comes_back(transfer: str, tmp_path: Path) -> None:
    """Made by the equations of BT.2100 and BT.2408, not by ffmpeg. A photograph and a ramp of greys."""
    import cv2
    from skimage import data

    photo = cv2.resize(data.astronaut()[:400, :400], (256, 256), interpolation=cv2.INTER_AREA)
    ramp = np.repeat(np.linspace(0, 255, 16).astype(np.uint8), 16)
    picture = np.concatenate([photo, np.tile(ramp[None, :, None], (256, 1, 3))], axis=1)
    file = tmp_path / "hdr.mp4"
    write_hdr(file, (picture / 255.0) ** 2.4 * 203, transfer)
    facts = media.probe(file)
    assert facts.reading.transfer == {"smpte2084": "pq", "arib-std-b67": "hlg"}[transfer]
    shown = media.read_video(file)[2].astype(float)
    assert shown.mean() == pytest.approx(picture.mean(), abs=2)
    # Greys: all but the last two, which lie above the knee, within 2; white within 8.
    greys = shown[:, 264::16].mean(axis=(0, 2))
    assert np.abs(greys - ramp[8::16])[:-2].max() < 2
    assert np.abs(greys - ramp[8::16]).max() < 8
    # Colours: half of their planes is lost in 4:2:0. libzimg applies HLG's gamma to each colour alone, BT.2100 to all.
    off = np.abs(shown[:, :256] - photo)
    assert off.mean() < {"smpte2084": 2.5, "arib-std-b67": 6.0}[transfer]
    assert np.ptp(shown[:, 264::16], axis=2).max() <= 2


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_highlights_above_white_stay_apart(transfer: str, tmp_path: Path) -> None:
    levels = [100, 203, 400, 1000]
    file = tmp_path / "hdr.mp4"
    write_hdr(file, np.tile(np.repeat(np.array(levels, float), 32)[None, :, None], (64, 1, 3)), transfer)
    seen = [media.read_video(file)[2][:, 32 * k + 8 : 32 * k + 24].mean() for k in range(len(levels))]
    assert all(dark + 0.9 < light for dark, light in pairwise(seen)), seen
    assert seen[0] == pytest.approx(255 * (100 / 203) ** (1 / 2.4), abs=2)
    assert seen[-1] > 253
