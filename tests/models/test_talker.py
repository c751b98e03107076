"""Generators behind the Model protocol: what they may see, how the face is put back, what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tkbench import models, weights
from tkbench.crops.recipes import IBUG_OF_MESH, RECIPES
from tkbench.errors import UnknownName, UsageError, WeightsRefused
from tkbench.models import checkpoint, kinds
from tkbench.models.face import Cut, feather, generator_input, hidden, oval, paste_faces, pixels, scaled
from tkbench.models.network import FaceNetwork
from tkbench.models.picture import ReferenceWarp
from tkbench.models.settings import build
from tkbench.models.talker import Talker
from tkbench.train.config import Config, load_config, with_new_names
from tkbench.types import Batch, Reason, Sample

CUT = Cut("steady-172", 64)
SPECS = {
    "synctalkface": {"size": 64, "width": 0.05, "slots": 6},
    "cals": {"size": 64, "width": 0.05, "voice": {"width": 0.0625, "layers": 2, "heads": 4, "units": 8}},
    "wav2lip": {"size": 64, "width": 0.05},
}


def make_sample(frames: int = 7, size: int = 160) -> Sample:
    """A face whose eyes and nose lie as the template has them."""
    rng = np.random.default_rng(0)
    points = rng.uniform(46, 110, (478, 2))
    points[list(IBUG_OF_MESH[27:45])] = np.array(RECIPES["atvg-128"].template) * 0.6 + (36, 30)
    return Sample(
        key="a/b",
        video=rng.integers(0, 256, (frames, size, size, 3), dtype=np.uint8),
        audio=rng.normal(0, 0.1, frames * 640).astype(np.float32),
        landmarks=np.repeat(points[None], frames, axis=0).astype(np.float32),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
    )


def make_checkpoint(
    kind: str, folder: Path, training: checkpoint.Training | None = None, **more: object
) -> Path:
    torch.manual_seed(0)
    path = folder / f"{kind}-tiny.safetensors"
    spec = {**SPECS[kind], **more}
    facts = checkpoint.Facts(kind, spec, CUT, training={"dataset": "toys", **(training or {})})
    net = kinds.registry.get(kind).build(spec)
    # Norms that know their inputs: without that, a fresh network's answer is the same for every voice.
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
        if isinstance(layer, ReferenceWarp):
            torch.nn.init.normal_(layer.field[-1].weight)
    assert isinstance(net, FaceNetwork)
    with torch.no_grad():
        net(net.embed_voice(torch.randn(8 + 2 * net.context, 80, 16)), torch.rand(8, 6, 64, 64))
    checkpoint.save(path, net.state_dict(), facts)
    return path


@pytest.mark.parametrize("more", [{}, {"blend": True, "warp": 0.1}], ids=["drawn", "moved"])
@pytest.mark.parametrize("kind", sorted(SPECS))
def test_generators_never_see_the_lower_half_of_a_target(
    kind: str, more: dict[str, object], tmp_path: Path
) -> None:
    """Whatever lies below the middle of the cut, in all frames but the first, moves no generated pixel."""
    model = models.create(f"{kind}:{make_checkpoint(kind, tmp_path, **more)}")
    assert model.card.name == f"{kind}:{kind}-tiny"
    assert model.card.trained_on == ("toys",)
    sample = make_sample()
    (made,) = model.generate(Batch((sample,)), seed=0)
    assert made.video is not None
    assert made.video.shape == sample.video.shape
    assert (made.video != sample.video).any()
    # The inner part of the lower half: all of it is generated.
    matrices = CUT.matrices(sample.landmarks)
    mask = np.zeros((64, 64), np.uint8)
    mask[36:58, 6:58] = 255
    inner = put_mask(mask, matrices[0], sample.video.shape[1])
    other = sample.video.copy()
    other[1:, inner] = 255 - other[1:, inner]
    (again,) = model.generate(Batch((replace(sample, video=other),)), seed=1)
    np.testing.assert_array_equal(again.video, made.video)
    # The voice does move pixels, and only within the cut.
    loud = replace(sample, audio=np.clip(sample.audio * 4 + 0.1, -1, 1).astype(np.float32))
    (heard,) = model.generate(Batch((loud,)), seed=0)
    moved = (heard.video != made.video).any(axis=(0, 3))
    assert moved.any()
    whole = put_mask(np.full((64, 64), 255, np.uint8), matrices[0], sample.video.shape[1], grow=2)
    assert not moved[~whole].any()


def put_mask(mask: np.ndarray, matrix: np.ndarray, size: int, grow: int = -2) -> np.ndarray:
    """(size, size) bool: canvas pixels whose place in the cut lies in `mask`, shrunk or grown a little."""
    import cv2

    back = cv2.invertAffineTransform(matrix)
    found = cv2.warpAffine(mask, back, (size, size), flags=cv2.INTER_NEAREST)
    kernel = np.ones((2 * abs(grow) + 1,) * 2, np.uint8)
    return (cv2.dilate if grow > 0 else cv2.erode)(found, kernel) > 0


def test_pose_prior_has_no_lower_half() -> None:
    target, reference = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    shown = generator_input(target, reference)
    assert shown.shape == (2, 6, 8, 8)
    assert (shown[:, :3, 4:] == 0).all()
    torch.testing.assert_close(shown[:, :3, :4], target[:, :, :4])
    torch.testing.assert_close(shown[:, 3:], reference)
    assert (hidden(target)[:, :, :4] == target[:, :, :4]).all()
    assert target[:, :, 4:].abs().sum() > 0  # its argument stays as it was


def test_scales_of_pixels() -> None:
    """Red 255, green 128, blue 0 become blue first."""
    rgb = torch.tensor([[[[255, 128, 0]]]], dtype=torch.uint8)
    torch.testing.assert_close(scaled(rgb, 0.0).flatten(), torch.tensor([0, 128 / 255, 1]))
    torch.testing.assert_close(scaled(rgb, -1.0).flatten(), torch.tensor([-1, 256 / 255 - 1, 1]))
    for low in (0.0, -1.0):
        assert torch.equal(pixels(scaled(rgb, low), low), rgb)


def test_cut_by_eyes_and_nose_does_not_follow_the_jaw() -> None:
    sample = make_sample(1)
    points = sample.landmarks.copy()
    below = points[0, :, 1] > 85
    points[0, below, 1] += 12
    np.testing.assert_array_equal(CUT.matrices(points), CUT.matrices(sample.landmarks))
    box = Cut("face-128", 64)
    assert np.abs(box.matrices(points) - box.matrices(sample.landmarks)).max() > 0.01


def test_the_steady_cut_has_the_mouth_in_its_lower_half() -> None:
    """On a face of common proportions: nose tip above the middle, chin inside."""
    template = np.array(RECIPES["steady-172"].template) / 172
    eyes, tip, base = template[9:, 1].mean(), template[3, 1], template[4:9, 1].mean()
    assert tip < 0.5 < base
    chin = base + 1.45 * (base - eyes)
    assert 0.8 < chin < 0.95
    with pytest.raises(UnknownName, match="face-128"):
        Cut("face-129", 64)


def test_a_cut_face_goes_back_where_it_was() -> None:
    import cv2

    sample = make_sample(2)
    smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), 4) for frame in sample.video])
    matrices = CUT.matrices(sample.landmarks)
    back = paste_faces(smooth, CUT.faces(smooth, matrices), matrices)
    assert np.abs(back.astype(int) - smooth).max() <= 4
    soft = feather(64)
    assert (soft[:28] == 0).all()
    assert (soft[32:60, 4:60] == 1).all()
    assert (np.diff(soft[26:34, 32]) >= 0).all()
    assert soft[:, 0].max() < 0.2


@pytest.mark.parametrize("recipe", ["steady-172", "face-128", "wav2lip-96"])
def test_an_enlarged_cut_is_the_cut_of_that_size(recipe: str) -> None:
    points = make_sample().landmarks
    small = Cut(recipe, 64)
    large, matrices = small.enlarged(small.matrices(points), 3)
    assert large == Cut(recipe, 192)
    np.testing.assert_allclose(matrices, large.matrices(points), rtol=1e-9, atol=1e-6)


def test_what_is_shown_keeps_the_detail_of_the_video(tmp_path: Path) -> None:
    """A network that draws nothing and moves nothing gives the first frame's lower half back, beyond its own pixels."""
    import cv2

    path = make_checkpoint("wav2lip", tmp_path, blend=True, warp=0.1)
    talker = models.create(f"wav2lip:{path}")
    assert isinstance(talker, Talker)
    end = talker.net.output_block
    with torch.no_grad():
        end[1].weight[3], end[1].bias[3] = 0, -100
        end.mover.field[-1].weight.zero_()
    sample = make_sample(3)
    soft = cv2.GaussianBlur(sample.video[0], (0, 0), 1)
    still = replace(sample, video=np.repeat(soft[None], 3, axis=0))
    (made,) = talker.generate(Batch((still,)), seed=0)
    lost = np.abs(made.video.astype(int) - still.video).mean()
    matrices = CUT.matrices(still.landmarks)
    coarse = paste_faces(still.video, CUT.faces(still.video, matrices), matrices)
    assert lost < 0.1 * np.abs(coarse.astype(int) - still.video).mean()


def test_a_card_names_all_that_the_weights_have_seen(tmp_path: Path) -> None:
    """Data of every training, and the licence of published weights, however often they were trained since."""
    before = [{"dataset": "first", "data": "a" * 64, "steps": 3, "seed": 0}, {"published": "wav2lip_gan.pth"}]
    training = {"dataset": "mine", "data": "b" * 64, "before": before}
    net = kinds.registry.get("wav2lip").build(SPECS["wav2lip"])
    path = tmp_path / "w.safetensors"
    checkpoint.save(
        path, net.state_dict(), checkpoint.Facts("wav2lip", SPECS["wav2lip"], CUT, training=training)
    )
    card = models.create(f"wav2lip:{path}").card
    assert card.trained_on == ("mine", "first")
    assert card.train_data == ("b" * 64, "a" * 64)
    assert card.licence == "non-commercial research (Wav2Lip)"
    assert "trained by tkbench" in card.summary


def test_a_speech_is_the_same_in_any_pieces(tmp_path: Path) -> None:
    talker = models.create(f"cals:{make_checkpoint('cals', tmp_path, blend=True, warp=0.1)}")
    assert isinstance(talker, Talker)
    sample = make_sample(9)
    matrices = CUT.matrices(sample.landmarks)
    speech = talker.speech(sample.audio, 9, sample.video[0], matrices[0])
    pieces = [
        speech.say(start, sample.video[start : start + 4], matrices[start : start + 4]) for start in (0, 4, 8)
    ]
    gap = np.abs(np.concatenate(pieces).astype(int) - talker.speak(sample))
    assert gap.max() <= 1


def test_cals_hears_what_is_around_a_clip_where_its_sound_is_cut(tmp_path: Path) -> None:
    """As many frames as the clip has; a voice that changes out of reach of a frame leaves it as it is."""
    voice = {**SPECS["cals"]["voice"], "window": 2, "cut": True}
    talker = Talker("cals", make_checkpoint("cals", tmp_path, voice=voice))
    sample = make_sample(12)
    (made,) = talker.generate(Batch((sample,)), seed=0)
    later = sample.audio.copy()
    later[6 * 640 :] = 0
    (other,) = talker.generate(Batch((replace(sample, audio=later),)), seed=0)
    assert made.video is not None
    assert other.video is not None
    assert made.video.shape == sample.video.shape
    # Frame 2 hears frames 0 to 4, and half a transform of the mel (25 ms) beyond them.
    np.testing.assert_array_equal(made.video[:3], other.video[:3])
    assert (made.video[5] != other.video[5]).any()


def test_a_window_that_was_never_trained_is_refused(tmp_path: Path) -> None:
    trained: checkpoint.Training = {"config": {"data": {"frames": 15}}}
    voice = SPECS["cals"]["voice"]
    Talker("cals", make_checkpoint("cals", tmp_path, trained, voice={**voice, "window": 13}))
    path = make_checkpoint("cals", tmp_path, trained, voice={**voice, "window": -1})
    with pytest.raises(UsageError, match=r"window = -1 hears the whole clip, .* windows of 15 frames"):
        Talker("cals", path)


def test_a_model_without_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        models.create("cals:nowhere.safetensors")
    path = make_checkpoint("cals", tmp_path)
    with pytest.raises(Exception, match="holds a cals, expected a wav2lip"):
        models.create(f"wav2lip:{path}")


@pytest.mark.parametrize("kind", models.references())
def test_bundled_models_are_pinned_and_follow_the_voice(kind: str) -> None:
    path = weights.find(f"{kind}-synth")
    assert path.stat().st_size < 7_000_000
    facts = checkpoint.read_facts(path)
    judge = weights.get("syncnet-synth").sha256
    assert len(facts.training["expert"]) == 64
    assert facts.training["expert"] != judge
    # Weights of other trainings came before it, and for CALS the drawing layers of SyncTalkFace.
    before = facts.training["before"]
    assert {len(training["sha256"]) for training in before} == {64}
    own = [training for training in before if "painter" not in training]
    assert len(own) == (3 if kind == "synctalkface" else 2)
    assert {t["painter"] for t in before if "painter" in t} == ({"synctalkface"} if kind == "cals" else set())
    assert {training["data"] for training in before} == {facts.training["data"]}
    model = models.create(kind)
    assert model.card.name == kind
    sample = make_sample()
    (made,) = model.generate(Batch((sample,)), seed=0)
    silent = replace(sample, audio=np.zeros_like(sample.audio))
    (mute,) = model.generate(Batch((silent,)), seed=0)
    assert made.video is not None
    assert (made.video != mute.video).any()


@pytest.mark.parametrize("kind", models.references())
def test_the_documented_configuration_made_what_is_bundled(kind: str) -> None:
    facts = checkpoint.read_facts(weights.find(f"{kind}-synth"))
    # Settings that are newer than the checkpoint have their defaults in it.
    assert build(Config, with_new_names(facts.training["config"]), kind) == load_config(f"{kind}-clean", kind)


def test_settings_are_read_strictly() -> None:
    with pytest.raises(UsageError, match="spec: voice: layres is not a setting: did you mean layers"):
        build(type(kinds.registry.get("cals").build(SPECS["cals"]).spec), {"voice": {"layres": 2}}, "spec")
    with pytest.raises(UsageError, match="expected a whole number"):
        build(Cut, {"size": "64"}, "cut")
    assert build(Cut, {"size": 64}, "cut") == Cut("face-128", 64)


def test_other_voices(tmp_path: Path) -> None:
    path = make_checkpoint("wav2lip", tmp_path)
    sample = make_sample()
    plain, cross, mute = (models.create(f"{way}wav2lip:{path}") for way in ("", "cross:", "mute:"))
    assert (cross.card.drive, mute.card.drive) == ("other", "own")
    assert cross.card.name == "cross:wav2lip:wav2lip-tiny"
    (own,), (other,), (none,) = (m.generate(Batch((sample,)), seed=0) for m in (plain, cross, mute))
    np.testing.assert_array_equal(own.video, other.video)  # `evaluate` brings the other voice
    silence = replace(sample, audio=np.zeros_like(sample.audio))
    (expected,) = plain.generate(Batch((silence,)), seed=0)
    np.testing.assert_array_equal(none.video, expected.video)
    assert (none.video != own.video).any()
    with pytest.raises(UsageError, match="does not use the voice"):
        models.create("mute:still")


COPY = """
import json, os, shutil, sys
if sys.argv[1] == "list":
    for line in open(sys.argv[2]):
        job = json.loads(line)
        shutil.copy(job["video"], job["out"])
elif sys.argv[1] == "fail":
    print("no weights here")
    sys.exit(3)
else:
    assert os.path.exists(sys.argv[2]) and os.environ["TKBENCH_SEED"] == "7"
    shutil.copy(sys.argv[1], sys.argv[3])
"""


@pytest.mark.parametrize("form", ["{video} {audio} {out}", "list {list}"])
def test_a_command_makes_videos(form: str, tmp_path: Path) -> None:
    script = tmp_path / "copy it.py"
    script.write_text(COPY, encoding="utf-8")
    model = models.create(f"cmd:{sys.executable} '{script}' {form}")
    assert model.card.name == "cmd:copy it.py"
    sample = make_sample()
    (made,) = model.generate(Batch((sample,)), seed=7)
    assert made.video is not None, made.detail
    assert made.video.shape == sample.video.shape


def test_a_command_that_fails_is_this_clips_result(tmp_path: Path) -> None:
    script = tmp_path / "fail.py"
    script.write_text(COPY, encoding="utf-8")
    model = models.create(f"cmd:{sys.executable} {script} fail {{video}} {{out}}")
    (made,) = model.generate(Batch((make_sample(),)), seed=7)
    assert made.reason is Reason.MODEL_ERROR
    assert made.detail == "exit code 3: no weights here"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python x.py", "expected {video}"),
        ("python x.py {vidoe} {out}", "found {vidoe}"),
        ("python 'x.py {out}", "split"),
        ("no-such-program {out}", "no program"),
        ("python {list} {out}", "{list} alone"),
    ],
)
def test_commands_that_cannot_be_run_are_refused(command: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        models.create(f"cmd:{command}")
    assert said in str(error.value)


def test_within_an_outline_what_stands_beside_the_face_stays(tmp_path: Path) -> None:
    """Around the face the video moves on; the mouth is drawn as without."""
    talker, sample = Talker("cals", make_checkpoint("cals", tmp_path)), make_sample(5)
    matrices = CUT.matrices(sample.landmarks)
    given = (sample.audio, 5, sample.video[0], matrices[0])
    whole = talker.speech(*given).say(0, sample.video, matrices)
    points = sample.landmarks[0]
    outline = np.float32(points[points[:, 1].argsort()[:400]])
    part = talker.speech(*given, outline).say(0, sample.video, matrices)
    share = oval(outline, matrices[0], 64)
    assert share.shape == (64, 64)
    assert 0 <= share.min() < share.max() <= 1
    assert (share <= feather(64)).all()
    assert (share[:28] == 0).all()
    # The rim of the crop, far from any landmark, is the video's own; in the middle nothing is different.
    changed = (part != sample.video).any(axis=(0, 3))
    assert changed.sum() < (whole != sample.video).any(axis=(0, 3)).sum()
    x, y = outline.mean(axis=0).astype(int)
    assert np.array_equal(part[:, y + 8, x], whole[:, y + 8, x])


def test_weights_that_tkbench_knows_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cals:cals-synth` is the bundled file; a file of that name comes first, and another kind's is refused."""
    named, own = models.create("cals:cals-synth"), models.create("cals")
    assert named.card.weights == own.card.weights == weights.sha256(weights.find("cals-synth"))
    with pytest.raises(WeightsRefused, match=r"cals_synth\.safetensors: holds"):
        models.create("synctalkface:cals-synth")
    with pytest.raises(UsageError, match="no such file"):
        models.create("cals:cals-synht")
    monkeypatch.chdir(tmp_path)
    Path("cals-synth").write_bytes(b"mine")
    with pytest.raises(WeightsRefused, match="cals-synth"):
        models.create("cals:cals-synth")
