"""The pure parts of evaluation: pairing of voices, checks of what a model returned, names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tkbench.errors import UsageError
from tkbench.protocol import Protocol
from tkbench.scoring.clips import build_metrics, choose_partner, fit_audio, match
from tkbench.scoring.evaluate import check_name
from tkbench.types import Generated, Reason, Sample


def make_sample(frames: int = 20, size: int = 16) -> Sample:
    return Sample(
        key="k",
        video=np.zeros((frames, size, size, 3), np.uint8),
        audio=np.arange(frames * 640, dtype=np.float32) / 1e6,
        landmarks=np.zeros((frames, 478, 2), np.float32),
        track_score=np.ones(frames, np.float32),
        dataset="test",
        split="test",
    )


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.sampled_from(["x", "y", None]), min_size=2)
)
def test_a_partner_is_another_clip_and_another_speaker_if_there_is_one(
    speakers: dict[str, str | None],
) -> None:
    keys = sorted(speakers)
    for key in keys:
        partner = choose_partner(key, keys, speakers, seed=0)
        assert partner in speakers
        assert partner != key
        if any(speakers[other] != speakers[key] for other in keys):
            assert speakers[partner] != speakers[key]
        assert partner == choose_partner(key, keys[::-1], speakers, seed=0)


def test_a_lone_clip_has_no_partner() -> None:
    assert choose_partner("a", ["a"], {"a": "x"}, seed=0) is None


@given(st.integers(1, 3000), st.integers(1, 8))
def test_another_voice_is_cut_or_repeated(samples: int, frames: int) -> None:
    audio = np.arange(samples, dtype=np.float32)
    fitted = fit_audio(audio, frames)
    assert fitted.shape == (frames * 640,)
    np.testing.assert_array_equal(fitted, audio[np.arange(frames * 640) % samples])


def test_equal_length_passes_untouched() -> None:
    sample = make_sample()
    made = Generated("k", sample.video)
    assert match(sample, made, slack=5) == (sample, made)


@pytest.mark.parametrize(("frames", "shared"), [(15, 15), (19, 19), (25, 20), (200, 20)])
def test_nearly_equal_lengths_are_cut_and_noted(frames: int, shared: int) -> None:
    sample, made = match(make_sample(), Generated("k", np.zeros((frames, 16, 16, 3), np.uint8)), slack=5)
    assert made.video is not None
    assert len(made.video) == len(sample) == len(sample.landmarks) == len(sample.track_score) == shared
    assert len(sample.audio) == shared * 640
    assert f"{frames} frames for 20" in made.detail


@pytest.mark.parametrize(
    ("video", "reason"),
    [
        (np.zeros((14, 16, 16, 3), np.uint8), Reason.WRONG_LENGTH),
        (np.zeros((0, 16, 16, 3), np.uint8), Reason.WRONG_LENGTH),
        (np.zeros((20, 16, 18, 3), np.uint8), Reason.WRONG_SHAPE),
        (np.zeros((20, 16, 16), np.uint8), Reason.WRONG_SHAPE),
        (np.zeros((20, 3, 16, 16), np.uint8), Reason.WRONG_SHAPE),
        (np.zeros((20, 16, 16, 3), np.float32), Reason.WRONG_SHAPE),
    ],
)
def test_what_cannot_be_compared_gets_a_reason(video: np.ndarray, reason: Reason) -> None:
    _, made = match(make_sample(), Generated("k", video), slack=5)
    assert made.video is None
    assert made.reason is reason
    assert "expected" in made.detail


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\\b", "x" * 81, "a\nb"])
def test_names_that_no_folder_or_table_can_hold(name: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        check_name(name)


@pytest.mark.parametrize("name", ["real", " still ", "shift:3", "blur"])
def test_the_names_of_anchors_are_for_anchors(name: str) -> None:
    with pytest.raises(UsageError, match="is the name of an anchor"):
        check_name(name)
    assert check_name(name, anchor=True) == name.strip()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rank_by": "psnrr"}, "rank_by = 'psnrr' is none of its columns: did you mean psnr?"),
        (
            {"metrics": [{"name": "psnr", "settings": {"poool": "clip"}}]},
            "metric 'psnr' has no setting 'poool': did you mean pool",
        ),
    ],
    ids=["rank_by", "settings"],
)
def test_a_protocol_that_cannot_rank_or_build_is_refused(change: dict[str, object], said: str) -> None:
    rules = {"name": "mine", "summary": "", "rank_by": "psnr", "metrics": [{"name": "psnr"}]} | change
    with pytest.raises(UsageError, match=said):
        build_metrics(Protocol.model_validate(rules))
