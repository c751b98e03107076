"""CALS keeps to its context window, hides what it says it hides, and learns units from context."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tkbench import audio
from tkbench.errors import UsageError
from tkbench.models.cals.audio_to_lip import (
    AudioToLip,
    AudioToLipSpec,
    band,
    draw_mask,
    shares,
    unit_loss,
)
from tkbench.models.cals.model import CALS
from tkbench.models.cals.spec import CALSSpec

TINY = AudioToLipSpec(width=0.0625, layers=3, heads=4, units=10)


def small(window: int, layers: int = 3) -> AudioToLip:
    torch.manual_seed(0)
    return AudioToLip(AudioToLipSpec(width=0.0625, layers=layers, heads=4, units=10, window=window)).eval()


@pytest.mark.parametrize("window", [0, 1, 2, 4, 8, 13, 15])
def test_no_frame_outside_the_window_moves_a_unit(window: int) -> None:
    net = small(window)
    frames, middle = 40, 20
    mel = torch.randn(1, frames, 80, 16)
    with torch.no_grad():
        units = net(mel)[0]
        for place in range(frames):
            other = mel.clone()
            other[0, place] = 3 * torch.randn(80, 16)
            moved = (net(other)[0, middle] - units[middle]).abs().max().item()
            if abs(place - middle) > window:
                assert moved == 0, f"frame {place} reaches unit {middle} through a window of {window}"
            elif abs(place - middle) in (0, window):
                assert moved > 0, (
                    f"frame {place} does not reach unit {middle}, a window of {window} should let it"
                )


@pytest.mark.parametrize("window", [0, 1, 2, 3, 5, 13])
def test_where_the_sound_is_cut_nothing_beyond_the_window_is_heard(window: int) -> None:
    """Steps of the mel are changed one by one; those of all frames within the window are heard, and no other."""
    torch.manual_seed(0)
    net = AudioToLip(
        AudioToLipSpec(width=0.0625, layers=2, heads=4, units=10, window=window, cut=True)
    ).eval()
    first, count = 20, 5
    at, frame = 2, first + 2
    frames = np.arange(first - window, first + count + window)

    def units(spectrum: np.ndarray) -> torch.Tensor:
        with torch.no_grad():
            return net(torch.from_numpy(audio.windows(spectrum, frames, lead=1))[None])[0]

    rng = np.random.default_rng(0)
    spectrum = rng.normal(size=(80, 160)).astype(np.float32)
    before = units(spectrum)
    assert before.shape == (count, 10)
    heard = []
    for step in range(160):
        other = spectrum.copy()
        other[:, step] = 3 * rng.normal(size=80)
        if bool((units(other)[at] != before[at]).any()):
            heard.append(step)
    # Frame f lies between the steps 3.2 f and 3.2 (f + 1); a piece begins up to one step before its frame.
    low, high = 3.2 * (frame - window), 3.2 * (frame + window + 1)
    assert heard == list(range(heard[0], heard[-1] + 1))
    assert low - 1 < heard[0] < low + 1.3, (window, heard)
    assert high - 2.3 < heard[-1] < high, (window, heard)


def test_a_cut_unit_is_the_same_alone_and_in_a_clip() -> None:
    """Each unit has its own sequence: what else is in the clip changes nothing, whatever its length."""
    spec = CALSSpec(size=64, width=0.05, voice=replace(TINY, window=4, cut=True))
    torch.manual_seed(0)
    net = CALS(spec).eval()
    assert net.context == 4
    mel = torch.randn(8 + 150, 80, 16)
    with torch.inference_mode():
        whole = net.embed_voice(mel)
        assert whole.shape == (150, 10)
        for place in (0, 63, 64, 149):
            torch.testing.assert_close(
                net.embed_voice(mel[place : place + 9])[0], whole[place], rtol=1e-4, atol=1e-5
            )


def test_what_is_hidden_is_hidden_where_the_sound_is_cut() -> None:
    for window in (1, 4):
        net = AudioToLip(replace(TINY, window=window, cut=True)).eval()
        frames = 6 + 2 * window
        mel, masked = torch.randn(2, frames, 80, 16), torch.zeros(2, frames, dtype=torch.bool)
        masked[1, window + 2] = True
        other = mel.clone()
        other[1, window + 2] += 5
        with torch.no_grad():
            assert torch.equal(net(mel, masked), net(other, masked))
            assert not torch.equal(net(mel), net(other))


def test_a_cut_needs_a_window() -> None:
    with pytest.raises(
        UsageError, match=r"cut = true, window = -1: sound is cut to a window; set window to 0"
    ):
        AudioToLipSpec(cut=True)


@pytest.mark.parametrize(
    ("window", "frames", "seen"), [(13, 15, True), (15, 15, False), (-1, 25, False), (0, 5, True)]
)
def test_a_window_that_the_weights_have_not_seen_is_refused(window: int, frames: int, seen: bool) -> None:
    net = CALS(CALSSpec(size=64, width=0.05, voice=replace(TINY, window=window)))
    if seen:
        net.check_heard(frames)
    else:
        with pytest.raises(UsageError, match=rf"window = {window} hears .* on windows of {frames} frames"):
            net.check_heard(frames)
    CALS(CALSSpec(size=64, width=0.05, voice=replace(TINY, window=20, cut=True))).check_heard(5)


def test_whole_clip_is_seen_without_a_window() -> None:
    net = small(-1)
    mel = torch.randn(1, 30, 80, 16)
    other = mel.clone()
    other[0, 0] += 1
    with torch.no_grad():
        assert (net(mel)[0, -1] != net(other)[0, -1]).any()


def test_windows_are_given_out_whole() -> None:
    for window in range(20):
        for layers in (1, 2, 4):
            assert sum(shares(window, layers)) == window
    assert band(3, 1).tolist() == [[True, True, False], [True, True, True], [False, True, True]]
    assert band(3, -1).all()


def test_units_depend_on_distances_and_not_on_the_clock() -> None:
    """A sound late in a long clip gives the unit that it gives early in a short one, as far as the window goes."""
    net = small(4)
    with torch.no_grad():
        for layer in net.layers:
            layer.distance.normal_()
        mel = torch.randn(1, 60, 80, 16)
        torch.testing.assert_close(net(mel)[:, 45], net(mel[:, 40:51])[:, 5], rtol=1e-4, atol=1e-5)


def test_a_hidden_frame_is_hidden() -> None:
    net = small(-1)
    mel, masked = torch.randn(1, 8, 80, 16), torch.zeros(1, 8, dtype=torch.bool)
    masked[0, 3] = True
    other = mel.clone()
    other[0, 3] += 5
    with torch.no_grad():
        assert torch.equal(net(mel, masked), net(other, masked))
        assert not torch.equal(net(mel), net(other))


def test_masks_hide_their_share_in_runs() -> None:
    generator = torch.Generator().manual_seed(0)
    masked = draw_mask(50, 29, 0.3, 5, generator)
    assert (masked.sum(dim=1) == 9).all()
    assert draw_mask(4, 5, 0.99, 5, generator).sum(dim=1).tolist() == [4] * 4
    again = draw_mask(50, 29, 0.3, 5, torch.Generator().manual_seed(0))
    assert torch.equal(masked, again)


def test_unit_loss_on_known_values() -> None:
    units = torch.randn(2, 3, 4)
    assert unit_loss(units, units).item() == pytest.approx(0, abs=1e-6)
    assert unit_loss(-units, units).item() == pytest.approx(2 + 2 * units.abs().mean().item(), rel=1e-5)
    where = torch.tensor([[True, False, False], [False, False, False]])
    expected = (units[0, 0] - 0).abs().mean() + 1
    assert unit_loss(torch.zeros_like(units), units, where).item() == pytest.approx(expected.item(), rel=1e-5)


def test_masked_prediction_beats_the_mean() -> None:
    """Tones glide, lips follow the tone: what a hidden frame held can be told from its neighbours."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(1)

    def clips(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        frames = 12
        start = torch.rand(count, 1, generator=generator)
        pace = 0.03 * (2 * torch.rand(count, 1, generator=generator) - 1)
        pitch = start + pace * torch.arange(frames)
        angle = 6.3 * pitch[:, :, None] + torch.arange(10) * 0.6
        bands = torch.linspace(0, 1, 80)
        mel = torch.exp(-(((bands - pitch[:, :, None]) / 0.2) ** 2))[..., None].expand(-1, -1, -1, 16)
        return 4 * mel - 2, torch.sin(angle)

    net = AudioToLip(TINY)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(60):
        mel, target = clips(4)
        masked = draw_mask(4, 12, 0.3, 3, generator)
        loss = unit_loss(net(mel, masked), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    mel, target = clips(16)
    masked = draw_mask(16, 12, 0.3, 3, generator)
    with torch.no_grad():
        made = net(mel, masked)
        error = (made - target)[masked].square().mean().item()
    mean = (target - target.mean(dim=(0, 1)))[masked].square().mean().item()
    assert error < 0.5 * mean


def test_units_alone_decide_the_mouth_of_a_face() -> None:
    spec = CALSSpec(size=64, width=0.05, voice=TINY)
    net = CALS(spec).eval()
    mel, faces = torch.randn(2, 6, 80, 16), torch.rand(2, 6, 6, 64, 64)
    made = net.draw_clips(mel, faces)
    assert made.shape == (2, 6, 3, 64, 64)
    units = net.audio_to_lip(mel)
    torch.testing.assert_close(net(units[1], faces[1]), made[1], rtol=1e-4, atol=1e-5)
