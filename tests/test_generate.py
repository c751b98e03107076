"""`tkbench generate`: a photo or a video and a voice become one video, or one line says why not."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tkbench import media
from tkbench.errors import BadMedia, UsageError
from tkbench.generate import back_and_forth, generate, read_photo
from tkbench.models import checkpoint, kinds
from tkbench.models.face import Cut

SPEC = {"size": 64, "width": 0.05}


@pytest.fixture(scope="module")
def made_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained generator, a photo, a video of it and a voice of 0.6 s."""
    folder = tmp_path_factory.mktemp("generate")
    torch.manual_seed(0)
    facts = checkpoint.Facts("wav2lip", SPEC, Cut("steady-172", 64))
    checkpoint.save(folder / "w.safetensors", kinds.registry.get("wav2lip").build(SPEC).state_dict(), facts)
    photo = cv2.imread(str(resources.files("tkbench") / "synth" / "data" / "astronaut.png"))
    photo = photo[: photo.shape[0] // 2 * 2 - 1]  # an odd height, as photos have
    cv2.imwrite(str(folder / "me.png"), photo)
    frames = [np.ascontiguousarray(np.roll(photo[:-1], t, axis=1)[..., ::-1]) for t in range(4)]
    media.write_video(folder / "me.mp4", frames, quality=10)
    voice = 0.1 * np.sin(np.arange(9600) / 20)
    media.write_wav(folder / "voice.wav", voice.astype(np.float32))
    return folder


@pytest.mark.parametrize("face", ["me.png", "me.mp4"])
def test_a_face_says_a_voice(face: str, made_of: Path, tmp_path: Path) -> None:
    news: list[tuple[int, int]] = []
    found = generate(
        f"wav2lip:{made_of / 'w.safetensors'}",
        made_of / face,
        made_of / "voice.wav",
        tmp_path / "said.mp4",
        progress=lambda done, total, message: news.append((done, total)),
    )
    sources = 1 if face.endswith("png") else 4
    assert found == {"frames": 15, "source_frames": sources, "filled": 0}
    video = media.read_video(tmp_path / "said.mp4")
    photo = read_photo(made_of / "me.png")
    assert len(video) == 15
    assert video.shape[1] == photo.shape[0] - 1
    assert abs(len(media.read_audio(tmp_path / "said.mp4")) - 9600) < 640
    # Drawn in the middle of the face, untouched in the corners.
    difference = np.abs(video[0].astype(int) - photo[:-1]).max(axis=2)
    assert difference.max() > 40
    assert difference[:20, :20].max() < 20
    assert news[-1] == (sources + 15, sources + 15)
    assert [done for done, _ in news] == sorted(done for done, _ in news)


def test_every_frame_of_a_long_video_is_its_own(
    made_of: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video that is longer than its voice is streamed: each picture is drawn on once, whatever is drawn together."""
    photo = read_photo(made_of / "me.png")[:400, :400]
    shades = (np.arange(24) * 37 + 11) % 200
    frames = []
    for shade in shades:
        frame = photo.copy()
        frame[:16, :16] = shade
        frames.append(frame)
    media.write_video(tmp_path / "long.mp4", frames, quality=10)
    monkeypatch.setattr("tkbench.generate.TOGETHER", 4 * photo.nbytes)
    model = f"wav2lip:{made_of / 'w.safetensors'}"
    found = generate(model, tmp_path / "long.mp4", made_of / "voice.wav", tmp_path / "said.mp4")
    assert found["source_frames"] == 15
    said = media.read_video(tmp_path / "said.mp4")[:, 4:12, 4:12].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(said, shades[:15], atol=8)


def test_what_cannot_be_used_is_said(
    made_of: Path, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    def call(**other: object) -> str:
        settings = {
            "model": "wav2lip",
            "checkpoint": made_of / "w.safetensors",
            "video": made_of / "me.png",
            "audio": made_of / "voice.wav",
            "out": tmp_path / "said.mp4",
        } | other
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        code, out, err = run_cli("generate", *words)
        assert code == 2
        assert out == ""
        (line,) = (part for part in err.splitlines() if part.startswith("tkbench: "))
        return line

    assert "holds a wav2lip, expected a cals" in call(model="cals")
    assert "must end in .mp4" in call(out="said.avi")
    assert "no such file" in call(video="nobody.png")
    assert "not a picture" in call(video=_bad_photo(tmp_path))
    assert "did you mean cals" in call(model="calls")
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), np.full((128, 128, 3), 120, np.uint8))
    with pytest.raises(BadMedia, match="no face was found"):
        generate(f"wav2lip:{made_of / 'w.safetensors'}", grey, made_of / "voice.wav", tmp_path / "x.mp4")
    with pytest.raises(UsageError, match="is no generator"):
        generate("still", grey, made_of / "voice.wav", tmp_path / "x.mp4")


def _bad_photo(folder: Path) -> Path:
    path = folder / "bad.png"
    path.write_bytes(b"not a picture")
    return path


def test_back_and_forth_never_jumps() -> None:
    for frames in (1, 2, 5, 50):
        order = back_and_forth(frames, 120)
        assert order[0] == 0
        assert 0 <= order.min() <= order.max() < frames
        assert np.abs(np.diff(order)).max() == (frames > 1)
