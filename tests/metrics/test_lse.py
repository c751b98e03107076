"""LSE by named recipes: each link of the chain beside its reference, and known lags through the whole of it."""

from __future__ import annotations

import math
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import Gap
from test_sync import SMALL, Ear, frames_of, published_distances, published_lips, seeded

from tkbench import media, protocol, weights
from tkbench.errors import BadInput, UnknownName, UsageError
from tkbench.media import lossy
from tkbench.metrics import tracks
from tkbench.metrics.base import BuildContext
from tkbench.metrics.judge_check import late
from tkbench.metrics.lse import Lse, TrackScore, pool, score_pieces
from tkbench.metrics.lse_pieces import Piece, shrunk
from tkbench.metrics.lse_recipes import RECIPES
from tkbench.metrics.mfcc import mfcc, to_pcm16
from tkbench.metrics.sync import lse as values_of
from tkbench.metrics.syncnet import Judge, SyncNetSpec, save_syncnet
from tkbench.scoring.recipes import choose, extend
from tkbench.types import Reason, Sample


def sample_of(frames: int, size: int = 192, seed: int = 0, *, face: float = 0.7) -> Sample:
    """Soft pictures that flicker with the loudness of their sound, and a still face that fills `face` of them."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.7, 1, frames)  # less than a scene cut
    picture = cv2.GaussianBlur(rng.integers(60, 250, (size, size, 3)).astype(np.uint8), (0, 0), 4)
    low = (1 - face) / 2 * size
    points = rng.uniform(low, size - low, (478, 2)).astype(np.float32)
    points[0], points[1] = low, size - low
    return Sample(
        key="s/c",
        video=(picture * level[:, None, None, None]).astype(np.uint8),
        audio=(rng.normal(0, 0.1, frames * 640) * np.repeat(level, 640)).astype(np.float32),
        landmarks=np.repeat(points[None], frames, axis=0),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
    )


@pytest.fixture
def small_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A seeded small network in the place of the bundled judge; no other weight is there."""
    path = tmp_path / "syncnet_small.safetensors"
    save_syncnet(seeded(replace(SMALL, unit=False)), path, {})
    table = {
        "syncnet-synth": weights.Weight("syncnet-synth", path.name, "none", "tests", "tests"),
        "s3fd-syncnet": weights.Weight("s3fd-syncnet", "sfd_face.pth", "none", "tests", "tests"),
    }
    monkeypatch.setenv("TKBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(weights, "known", lambda: table)
    return path


def metric_of(recipe: str) -> Lse:
    return Lse(recipe=recipe, judge="syncnet-synth", context=BuildContext(lossy=lossy))


# -- the lossy generations -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lossy") / "clip.mp4"
    sample = sample_of(30, 128)
    # Noise, so that no way of shrinking it looks like another.
    media.write_video(path, frames_of(30, 128), audio=sample.audio, quality=18)
    return path


def test_jpegs_are_those_that_the_script_writes(clip_file: Path, tmp_path: Path) -> None:
    """The script's own commands, files and reader give the same bytes of picture and sound: no gap."""
    script = [media.ffmpeg_exe(), "-loglevel", "error", "-y", "-i", str(clip_file)]
    subprocess.run([*script, "-threads", "1", "-f", "image2", str(tmp_path / "%06d.jpg")], check=True)
    expected = np.stack([cv2.imread(str(path)) for path in sorted(tmp_path.glob("*.jpg"))])[..., ::-1]
    np.testing.assert_array_equal(np.stack(list(lossy.jpegs_of(clip_file))), expected)
    wav = tmp_path / "audio.wav"
    sound = ["-async", "1", "-ac", "1", "-vn", "-acodec", "pcm_s16le", "-ar", "16000", str(wav)]
    subprocess.run([*script, *sound], check=True)
    from scipy.io import wavfile

    np.testing.assert_array_equal(to_pcm16(lossy.sound_of(clip_file)), wavfile.read(wav)[1])


def test_jpegs_of_frames_differ_from_those_of_a_file_by_colour_rounding_alone() -> None:
    frames = sample_of(12, 128).video
    again = lossy.jpegs(frames)
    assert again.shape == frames.shape
    error = np.mean((again.astype(float) - frames) ** 2, axis=(1, 2, 3))
    assert (error > 0).all()
    assert 10 * np.log10(255**2 / error.mean()) > 28
    with pytest.raises(BadInput, match="expected uint8"):
        lossy.jpegs(frames.astype(np.float32))


def test_avi_repeats_two_pictures_and_its_sound_is_late() -> None:
    """What the scripts of the field do without saying so; seen with ffmpeg 9.0 and its mp3 of 1105 samples."""
    sample = sample_of(40, 128)
    coded = lossy.first_generation(sample.video, sample.audio, "avi")
    frames, heard = coded.pictures.stack(), coded.sound
    assert len(frames) == 42
    # Scenes are looked for in the AVI itself, which OpenCV reads without the repeated two.
    assert len(list(coded.frames())) == 40
    assert len(heard) > len(sample.audio)
    light = frames.mean(axis=(1, 2, 3))
    truth = sample.video.mean(axis=(1, 2, 3))
    assert np.corrcoef(light[2:], truth)[0, 1] > 0.95 > 0.5 > np.corrcoef(light[:-2], truth)[0, 1]
    coded = lossy.first_generation(sample.video, sample.audio, "mp4")
    heard = coded.sound
    assert len(coded.pictures) == 40 == len(list(coded.frames()))
    assert np.corrcoef(heard[: len(sample.audio)], sample.audio[: len(heard)])[0, 1] > 0.9
    with pytest.raises(BadInput, match="even"):
        lossy.first_generation(sample.video[:, :-1], sample.audio, "avi")


@pytest.mark.parametrize("container", ["avi", "mp4"])
def test_second_generation_keeps_length(container: str) -> None:
    sample = sample_of(20, 128)
    crops, heard = lossy.second_generation(sample.video, sample.audio, container)  # type: ignore[arg-type]
    assert crops.shape == sample.video.shape
    assert 0 < np.abs(crops.astype(int) - sample.video).mean() < 12
    assert abs(len(heard) - len(sample.audio)) <= 1024
    assert (container == "avi") == np.array_equal(to_pcm16(heard), to_pcm16(sample.audio))


# -- tracks and crops ----------------------------------------------------------------------------------------


def box(x: float, size: float = 120) -> np.ndarray:
    return np.array([[x, 10, x + size, 10 + size]])


def whole(seen: list[np.ndarray]) -> list[tuple[int, int]]:
    return [(0, len(seen))]


def test_a_gap_of_25_frames_is_filled_by_a_line_and_one_of_26_ends_a_track() -> None:
    nobody = np.empty((0, 4))
    seen = [box(t) for t in range(60)] + [nobody] * 24 + [box(84 + t) for t in range(60)]
    found, rejected = tracks.link(seen, whole(seen), min_track=100)
    assert rejected == []
    np.testing.assert_allclose(found[0].boxes[:, 0], np.arange(144), atol=1e-12)
    longer = seen[:60] + [nobody] * 25 + seen[84:]
    found, rejected = tracks.link(longer, whole(longer), min_track=50)
    assert [track.start for track in found] == [0, 85]
    assert tracks.link(longer, whole(longer), min_track=100) == ([], [60, 60])


def test_a_track_must_be_longer_than_its_minimum_and_its_face_larger() -> None:
    assert tracks.link([box(0)] * 100, [(0, 100)], min_track=100) == ([], [100])
    assert len(tracks.link([box(0)] * 101, [(0, 101)], min_track=100)[0]) == 1
    assert tracks.link([box(0, 100)] * 101, [(0, 101)], min_track=100) == ([], [0])
    assert tracks.link([box(0)] * 120, [(0, 60), (60, 120)], min_track=50)[0][1].start == 60
    assert tracks.link([np.empty((0, 4))] * 120, [(0, 120)], min_track=50) == ([], [])


def test_a_face_that_jumps_away_starts_a_track_of_its_own() -> None:
    seen = [box(0)] * 60 + [box(300)] * 60
    found, _ = tracks.link(seen, whole(seen), min_track=50)
    assert [(track.start, track.end) for track in found] == [(0, 60), (60, 120)]


def test_mocha_stops_at_the_first_face_that_does_not_fit() -> None:
    """The same two faces in changing order: the published loop finds both, MoChaBench's reading breaks off."""
    seen = [np.concatenate([box(0), box(300)] if t % 10 else [box(300), box(0)]) for t in range(110)]
    found, _ = tracks.link(seen, whole(seen), min_track=50)
    assert sorted(len(track.boxes) for track in found) == [110, 110]
    strict, rejected = tracks.link(seen, whole(seen), min_track=99, strict=True)
    assert len(strict) + len(rejected) > 2 or min(len(track.boxes) for track in strict) < 110


def test_boxes_are_smoothed_as_scipy_does() -> None:
    from scipy.signal import medfilt

    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (40, 2))
    boxes = np.concatenate([low, low + rng.uniform(100, 150, (40, 2))], axis=1)
    half, x, y = tracks.smooth_boxes(boxes)
    sides = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(half, medfilt(sides.max(axis=1) / 2, 13), atol=1e-12)
    np.testing.assert_allclose(x, medfilt((boxes[:, 0] + boxes[:, 2]) / 2, 13), atol=1e-12)
    np.testing.assert_allclose(y, medfilt((boxes[:, 1] + boxes[:, 3]) / 2, 13), atol=1e-12)


def test_crops_are_cut_from_a_padded_picture() -> None:
    """The whole padded picture, as the script makes it, gives the same crops; the face hangs over the border."""
    frames = frames_of(20, 160)
    boxes = np.repeat(np.array([[60.3, 40.7, 171.2, 155.1]]), 20, axis=0)
    found = tracks.crop_track(frames, tracks.BoxTrack(0, boxes), size=96)
    half, x, y = (value[9] for value in tracks.smooth_boxes(boxes))
    pad = int(half * 1.8)
    whole = np.pad(frames[9], ((pad, pad), (pad, pad), (0, 0)), constant_values=110)
    rows = slice(int(y + pad - half), int(y + pad + half * 1.8))
    columns = slice(int(x + pad - half * 1.4), int(x + pad + half * 1.4))
    np.testing.assert_array_equal(found[9], cv2.resize(whole[rows, columns], (96, 96)))
    with pytest.raises(BadInput, match="ends at frame"):
        tracks.crop_track(frames, tracks.BoxTrack(5, boxes))


def test_detector_equals_that_of_another_package(gap: Gap) -> None:
    """The six levels beside face-alignment's S3FD with the same random weights and one layer set as ours.

    The same layers in the same order.
    """
    from face_alignment.detection.sfd.net_s3fd import s3fd

    from tkbench.metrics.s3fd import S3FD

    torch.manual_seed(0)
    ours, other = S3FD().eval(), s3fd().eval()
    other.fc6.padding, other.fc6.dilation = (6, 6), (6, 6)
    names = [name for name, module in other.named_modules() if isinstance(module, torch.nn.Conv2d)]
    backbone = [n for n in names if "mbox" not in n]
    convs = [layer for layer in [*ours.vgg, *ours.extras] if isinstance(layer, torch.nn.Conv2d)]
    levels = ("conv3_3_norm", "conv4_3_norm", "conv5_3_norm", "fc7", "conv6_2", "conv7_2")
    pairs = list(zip(convs, backbone, strict=True))
    pairs += [(conf, f"{level}_mbox_conf") for conf, level in zip(ours.conf, levels, strict=True)]
    pairs += [(loc, f"{level}_mbox_loc") for loc, level in zip(ours.loc, levels, strict=True)]
    modules = dict(other.named_modules())
    for mine, name in pairs:
        torch.nn.init.kaiming_normal_(mine.weight)
        torch.nn.init.normal_(mine.bias, 0, 0.1)
        modules[name].load_state_dict(mine.state_dict())
    for mine, name, scale in ((ours.L2Norm3_3, "conv3_3_norm", 10), (ours.L2Norm4_3, "conv4_3_norm", 8),
                              (ours.L2Norm5_3, "conv5_3_norm", 5)):  # fmt: skip
        mine.weight.data.fill_(scale)
        modules[name].weight.data.fill_(scale)
    picture = torch.randn(1, 3, 64, 48) * 60
    with torch.no_grad():
        expected = other(picture)
        for place, (scores, offsets) in enumerate(ours.heads(picture)):
            for mine, theirs in ((scores, expected[2 * place]), (offsets, expected[2 * place + 1])):
                gap("S3FD's answers", mine, theirs, relative=True)
                torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_detections_are_decoded_and_suppressed() -> None:
    """A network that answers one level by hand: a face of 64 pixels at the middle of cell (2, 1)."""
    from tkbench.metrics import s3fd

    class OneFace(s3fd.S3FD):
        def heads(self, x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
            out = []
            for step in s3fd.STEPS:
                shape = (max(1, x.shape[2] // step), max(1, x.shape[3] // step))
                scores, offsets = torch.zeros(1, 2, *shape), torch.zeros(1, 4, *shape)
                scores[:, 0] = 9
                out.append((scores, offsets))
            scores, offsets = out[2]
            scores[0, :, 2, 1] = torch.tensor([0.0, 5.0])
            offsets[0, 0, 2, 1] = 1.0  # a tenth of 64 pixels to the right
            scores[0, :, 2, 2] = torch.tensor([0.0, 4.0])  # overlaps the first by more than 0.1
            return out

    frame = np.zeros((512, 512, 3), np.uint8)
    found = s3fd.detect(OneFace(), frame)
    # Quarter scale: centre ((1 + 0.5) * 16 + 6.4, (2 + 0.5) * 16), side 64; times 4 in the picture.
    np.testing.assert_allclose(
        found, [[(30.4 - 32) * 4, (40 - 32) * 4, (30.4 + 32) * 4, (40 + 32) * 4]], rtol=1e-5
    )
    with pytest.raises(BadInput, match="expected uint8"):
        s3fd.detect(OneFace(), frame.astype(np.float32))


def test_detector_gets_red_green_blue_less_their_means() -> None:
    """A picture of the mean colour, red 123, green 117, blue 104, is a picture of zeros to the network."""
    from tkbench.metrics import s3fd

    class Listener(s3fd.S3FD):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen = x.clone()
            return torch.zeros(0, 5)

    listener = Listener()
    assert s3fd.detect(listener, np.full((80, 120, 3), (123, 117, 104), np.uint8)).shape == (0, 4)
    assert listener.seen.shape == (1, 3, 20, 30)
    assert not listener.seen.any()
    s3fd.detect(listener, np.full((80, 120, 3), (133, 137, 134), np.uint8))
    assert listener.seen[0, :, 0, 0].tolist() == [10, 20, 30]


# -- the whole way -------------------------------------------------------------------------------------------


def test_wav2lip_lrs_equals_the_published_script(clip_file: Path, gap: Gap) -> None:
    """From a file: JPEGs, resizing, windows, cepstra, distances, median as SyncNetInstance computes them.

    The network is seeded, 80 pixels wide, three channels.
    """
    import python_speech_features

    net = seeded(replace(SMALL, channels=3, unit=False, region=(0.0, 0.0, 1.0, 1.0)))
    frames, audio = np.stack(list(lossy.jpegs_of(clip_file))), lossy.sound_of(clip_file)
    small = np.stack([cv2.resize(np.ascontiguousarray(frame[..., ::-1]), (80, 80)) for frame in frames])
    n = min(len(frames), math.floor(len(audio) / 640)) - 5
    lips = published_lips(net, small[..., ::-1], 0, n)
    cepstra = python_speech_features.mfcc(to_pcm16(audio), 16000).T
    windows = np.stack([cepstra[:, 4 * v : 4 * v + 20] for v in range(n)])[:, None].astype(np.float32)
    with torch.no_grad():
        voice = net.forward_aud(torch.from_numpy(windows)).numpy()
    curve = torch.from_numpy(published_distances(lips, voice, 15))
    expected = (float(curve.median() - curve.min()), float(curve.min()), 15 - int(curve.argmin()))
    piece = Piece(0, shrunk(frames, net.spec), audio)
    found = score_pieces(Judge(net), [[piece]], "zeros")[0][0].values
    assert found[2] == expected[2]
    gap("LSE-C, LSE-D by wav2lip-lrs", found[:2], expected[:2])
    np.testing.assert_allclose(found[:2], expected[:2], rtol=0, atol=1e-4)


@pytest.mark.parametrize("recipe", ["tkbench-v1", "wav2lip-lrs-canvas", "syncnet-real-canvas-mediapipe",
                                    "latentsync-canvas-mediapipe", "mocha-canvas-mediapipe"])  # fmt: skip
def test_every_recipe_finds_a_known_lag(
    recipe: str, small_judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through every encoder, from a video that is late by three frames; MoChaBench's chain adds two of its own."""
    monkeypatch.setattr("tkbench.metrics.lse.load_judge", lambda path, device, precision: AllEar())
    sample = sample_of(120)
    scored = metric_of(recipe).score(sample, late(sample.video, 3), sample.audio)
    confidence, _, offset = (value.value for value in scored.values.values())
    assert offset == (5 if recipe.startswith("mocha") else 3)
    assert confidence > 0.2
    assert scored.curve is not None
    assert int(scored.curve.argmin()) - 15 == offset
    detail = next(iter(scored.values.values())).detail
    assert detail.startswith("frames 0-12") == ("mediapipe" in recipe)


class AllEar(Ear):
    """A judge that hears brightness, for several clips at once."""

    def lips_of(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        return [self.lips(frames) for frames in clips]


def test_clips_share_batches_without_touching_each_other() -> None:
    judge = Judge(seeded(SMALL), batch=7)
    clips = [frames_of(n, 80, seed=n) for n in (30, 4, 9, 12)]
    together = judge.lips_of(clips)
    assert [len(rows) for rows in together] == [26, 0, 5, 8]
    for rows, frames in zip(together, clips, strict=True):
        np.testing.assert_allclose(rows, judge.lips(frames), rtol=0, atol=1e-6)


def test_bf16_is_close_and_carries_its_name(small_judge: Path) -> None:
    """Relative deviation of embeddings seen: 4e-3 to 1e-2; it is a choice, in its own column."""
    net = seeded(replace(SMALL, unit=False))
    exact, short = Judge(net), Judge(net, precision="bf16")
    frames = frames_of(30, 80)
    gap = np.abs(short.lips(frames) - exact.lips(frames)).max() / np.abs(exact.lips(frames)).max()
    assert 1e-5 < gap < 3e-2
    metric = Lse(recipe="wav2lip-lrs", judge="syncnet-synth", precision="bf16")
    assert metric.columns[0].name == "lse_c_wav2lip_lrs_synth_bf16"
    assert "precision:bf16" in metric.columns[0].signature
    assert Lse(judge="syncnet-synth").precision == "exact"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu() -> None:
    net = seeded(SyncNetSpec())
    frames = frames_of(30, 224)
    gap = np.abs(Judge(net, device="cuda").lips(frames) - Judge(net).lips(frames))
    assert gap.max() < 1e-4 * np.abs(Judge(net).lips(frames)).max()


def test_tracks_are_pooled_as_each_script_pools_them() -> None:
    curves = [np.full(31, 9.0), np.full(31, 8.0)]
    curves[0][15 - 4], curves[1][15 + 1] = 3.0, 5.0
    found = [TrackScore(0, 60, curve) for curve in curves]
    assert [values_of(curve) for curve in curves] == [(6.0, 3.0, 4), (3.0, 5.0, -1)]
    assert pool(RECIPES["latentsync"], found) == (4.5, 4.0, 1.0)
    assert pool(RECIPES["mocha"], found) == (6.0, 3.0, 4.0)
    assert pool(RECIPES["mocha"], found[::-1]) == (6.0, 3.0, 4.0)
    assert pool(RECIPES["wav2lip-lrs"], found[:1]) == (6.0, 3.0, 4.0)


@pytest.mark.parametrize("recipe", ["wav2lip-lrs-canvas", "latentsync-canvas-mediapipe"])
def test_every_odd_clip_gets_its_reason(recipe: str, small_judge: Path) -> None:
    metric = metric_of(recipe)
    sample = sample_of(60)

    def reason(of: Sample, video: np.ndarray, audio: np.ndarray) -> Reason | None:
        scored = metric.score(of, video, audio)
        assert set(scored.values) == {column.name for column in metric.columns}
        assert all(math.isnan(value.value) == (value.reason is not None) for value in scored.values.values())
        return scored.values[metric.columns[0].name].reason

    assert reason(sample, sample.video, sample.audio) is None
    assert reason(sample, sample.video[:-1], sample.audio) is Reason.WRONG_LENGTH
    assert reason(sample, sample.video.astype(float), sample.audio) is Reason.WRONG_SHAPE
    assert reason(sample, sample.video, np.full_like(sample.audio, np.nan)) is Reason.NOT_FINITE
    full = sample.audio / np.abs(sample.audio).max()
    assert reason(sample, sample.video, 3.9 * full) is None  # a decoder's overshoot
    assert reason(sample, sample.video, 4.1 * full) is Reason.WRONG_RANGE
    for frames in (0, 5):
        short = sample_of(frames)
        assert reason(short, short.video, short.audio) is Reason.TOO_SHORT
    tracked = recipe != "wav2lip-lrs-canvas"
    brief, small = sample_of(40), sample_of(60, face=0.3)
    assert reason(brief, brief.video, brief.audio) is (Reason.TOO_SHORT if tracked else None)
    assert reason(small, small.video, small.audio) is (Reason.FACE_TOO_SMALL if tracked else None)
    lost = replace(sample, landmarks=np.full_like(sample.landmarks, np.nan))
    assert reason(lost, lost.video, lost.audio) is (Reason.NOT_FINITE if tracked else None)


def test_recipes_and_judges_share_what_is_made_of_a_clip(small_judge: Path) -> None:
    """The first coding once for two recipes, the last ones once per recipe, whoever asks; nothing for another clip."""
    calls: list[str] = []

    class Counting:
        def jpegs(self, frames: np.ndarray) -> np.ndarray:
            calls.append("jpegs")
            return lossy.jpegs(frames)

        def first_generation(self, *clip: object) -> object:
            calls.append("first")
            return lossy.first_generation(*clip)  # type: ignore[arg-type]

        def second_generation(self, *clip: object) -> object:
            calls.append("second")
            return lossy.second_generation(*clip)  # type: ignore[arg-type]

    counting = Counting()
    sample = sample_of(120)
    names = ["wav2lip-lrs-canvas", "syncnet-real-canvas-mediapipe", "mocha-canvas-mediapipe"]
    context = BuildContext(lossy=counting)  # type: ignore[arg-type]
    made = [Lse(recipe=name, judge="syncnet-synth", context=context) for name in [*names, *names]]
    scored = [metric.score(sample, sample.video, sample.audio).values for metric in made]
    assert calls == ["jpegs", "first", "second", "second"]
    assert scored[:3] == scored[3:]
    other = sample_of(120, seed=1)
    assert made[0].score(other, other.video, other.audio).values != scored[0]
    assert calls.count("jpegs") == 2


def test_missing_detector_is_a_reason_and_a_command(small_judge: Path) -> None:
    sample = sample_of(12)
    scored = metric_of("latentsync-canvas").score(sample, sample.video, sample.audio)
    value = scored.values["lse_c_latentsync_canvas_synth"]
    assert value.reason is Reason.WEIGHTS_MISSING
    assert "tkbench weights fetch s3fd-syncnet" in value.detail or "weights add s3fd-syncnet" in value.detail


def test_recipes_are_named_in_columns_and_differ_in_signature(small_judge: Path) -> None:
    columns = [Lse(recipe=name, judge="syncnet-synth").columns for name in RECIPES]
    assert len({column.name for trio in columns for column in trio}) == 3 * len(RECIPES)
    assert len({trio[0].signature for trio in columns}) == len(RECIPES)
    with pytest.raises(UnknownName, match="mocha"):
        Lse(recipe="moca")
    with pytest.raises(UnknownName, match="bf16"):
        Lse(precision="bf61")  # type: ignore[arg-type]
    sample = sample_of(30)
    with pytest.raises(UsageError, match=r"BuildContext\(lossy=tkbench.media.lossy\)"):
        Lse(recipe="wav2lip-lrs-canvas", judge="syncnet-synth").score(sample, sample.video, sample.audio)


def test_a_protocol_takes_recipes_for_each_of_its_judges() -> None:
    rules = extend(protocol.load("tkbench-v1"), "all")
    added = [spec.settings for spec in rules.metrics if spec.name == "lse"]
    assert len(added) == 2 * (len(RECIPES) - 1)
    assert {item["judge"] for item in added} == {"syncnet-v2", "syncnet-synth"}
    assert rules.name == "tkbench-v1+lse"
    assert rules.signature() != protocol.load("tkbench-v1").signature()
    assert choose("mocha, mocha") == ["mocha"]
    with pytest.raises(UnknownName, match="wav2lip-lrs"):
        extend(rules, "wav2lip")


def test_cepstra_line_up_with_windows() -> None:
    """N frames of sound give N - 5 windows of both streams, as the published count says."""
    for frames in (6, 25, 61):
        audio = np.zeros(frames * 640, np.float32)
        piece = Piece(0, np.zeros((frames, 80, 80, 3), np.uint8), audio)
        judge = Judge(seeded(SMALL))
        assert piece.windows == frames - 5 == len(judge.voice(mfcc(to_pcm16(audio))))


def test_the_whole_picture_says_so_in_its_signature() -> None:
    """A recipe's signature names its cut and every coding: equal signatures mean comparable numbers."""
    assert (
        RECIPES["wav2lip-lrs"].signature()
        == "wav2lip-lrs,source:file,ends:zeros,crop:none,resize:cv2-linear,lossy:jpeg"
    )
    assert len({recipe.signature() for recipe in RECIPES.values()}) == len(RECIPES)
