"""The synthetic corpus: speech, articulation, files, knobs. For its pictures see test_faces.py."""

from __future__ import annotations

import builtins
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tkbench import media
from tkbench.errors import MissingExtra, UsageError
from tkbench.synth import PRESETS, ClipOptions, Knobs, make_clip, make_corpus, preset, write_clip
from tkbench.synth.articulation import SHORTEST, Articulation, Style
from tkbench.synth.clip import speaker_of, teeth_of
from tkbench.synth.corpus import _reach, splits_of
from tkbench.synth.sentences import sentence
from tkbench.synth.visemes import PARAMETERS, VISEMES, gestures
from tkbench.types import Word

SHORT = (1.8, 2.0)
SMALL = ClipOptions(seconds=SHORT, size=128, knobs={1: "vfr"})
TIME = 1e-4


@pytest.fixture(scope="module")
def speech():
    pytest.importorskip("espeakng_loader")
    from tkbench.synth import speech

    return speech


# speech


def test_sentences_vary_and_are_plain_english():
    rng = np.random.default_rng(0)
    said = [sentence(rng) for _ in range(300)]
    assert len(set(said)) > 290
    assert all(s[0].isupper() and s[-1] in ".?" and "{" not in s and "  " not in s for s in said)
    assert not any(
        f" {a} {v}" in s for s in said for a in ("a",) for v in ("apple", "old", "umbrella", "empty")
    )


def test_same_text_and_voice_give_the_same_samples_whatever_came_before(speech):
    voice = speech.Voice("en-us+m3")
    first = speech.synthesize("Bob moved five big apples.", voice)
    speech.synthesize("Something else entirely.", speech.Voice("en-us+f2", pitch=70))
    again = speech.synthesize("Bob moved five big apples.", voice)
    np.testing.assert_array_equal(first.audio, again.audio)
    assert first.phonemes == again.phonemes


def test_phonemes_are_a_partition_of_the_speech(speech):
    said = speech.synthesize("Peter may buy a small boat, or two.", speech.Voice("en-us+f3"))
    assert said.audio.dtype == np.float32
    assert 0.69 < np.abs(said.audio).max() <= 0.701
    assert all(abs(a.end - b.start) < TIME for a, b in pairwise(said.phonemes))
    assert abs(said.phonemes[-1].end - len(said.audio) / 16_000) < 0.001
    assert [w.text for w in said.words] == ["Peter", "may", "buy", "a", "small", "boat", "or", "two"]
    assert all(w.start < w.end for w in said.words)


@pytest.mark.parametrize("name", ["en-us+m3", "en-us+f2", "en-gb-x-rp+m1"])
def test_phoneme_times_agree_with_the_energy_of_the_wave(speech, name):
    """Vowels are loud, and the closures of p, t, k (which espeak-ng reports late) are silent."""
    said = speech.synthesize("A pack of apples, a top copy, a cup of tea at a party.", speech.Voice(name))

    def level(start: float, end: float) -> float:
        piece = said.audio[round(start * 16_000) : round(end * 16_000)]
        return float(np.sqrt(np.mean(np.square(piece)))) if len(piece) else 0.0

    vowels = [level(p.start + 0.01, p.end - 0.01) for p in said.phonemes if p.text[:1] in ("ˈ", "ˌ")]
    # The first half of a voiceless stop between vowels is its closure.
    stops = [
        level(b.start + 0.004, b.start + 0.4 * (b.end - b.start))
        for a, b, c in zip(said.phonemes, said.phonemes[1:], said.phonemes[2:], strict=False)
        if b.text in ("p", "t", "k") and a.text and c.text and b.end - b.start > 0.06
    ]
    assert len(vowels) >= 5
    assert len(stops) >= 4
    # Largest seen: 0.14, where a voice's breath leaks into a closure.
    assert max(stops) < 0.2 * np.median(vowels)


def test_resampling_keeps_tones_and_their_place(speech):
    n = np.arange(22_050)
    tone = np.sin(2 * np.pi * 3000 * n / 22_050).astype(np.float32)
    got = speech.resample(tone, 22_050, 16_000)
    expected = np.sin(2 * np.pi * 3000 * np.arange(len(got)) / 16_000)
    assert len(got) == 16_000
    # Largest gap seen: 7e-6 (the window's ripple).
    np.testing.assert_allclose(got[100:-100], expected[100:-100], atol=5e-5)
    above = np.sin(2 * np.pi * 10_000 * n / 22_050).astype(np.float32)
    assert np.abs(speech.resample(above, 22_050, 16_000))[100:-100].max() < 1e-3


def test_missing_wheel_and_unknown_voice_say_what_to_do(speech, monkeypatch):
    with pytest.raises(UsageError, match="no voice"):
        speech.synthesize("Hello.", speech.Voice("tlh+nobody"))
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "espeakng_loader":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'espeakng-loader>="):
        speech.synthesize("Hello.", speech.Voice("en-us"))


# articulation

letters = st.sampled_from(sorted(v for v in VISEMES if v))
phones = st.lists(st.tuples(letters, st.floats(0.04, 0.25)), min_size=1, max_size=12)


def _words(spans: list[tuple[str, float]]) -> tuple[Word, ...]:
    at, found = 0.3, []
    for text, length in spans:
        found.append(Word(text, at, at + length))
        at += length
    return tuple(found)


@settings(max_examples=60)
@given(spans=phones, opening=st.floats(0.7, 1.3))
def test_parameters_stay_in_range_and_the_mouth_rests_in_silence(spans, opening):
    phonemes = _words(spans)
    mouth = Articulation.of(phonemes, Style(opening=opening))
    values = mouth(np.linspace(-0.5, phonemes[-1].end + 1.5, 200))
    assert values.shape == (200, len(PARAMETERS))
    assert np.isfinite(values).all()
    assert values[:, 0].min() >= 0
    assert values[:, 0].max() <= 1
    assert np.abs(values[:, 1]).max() <= 1
    assert values[[0, -1], 0].max() < 0.02


@settings(max_examples=60)
@given(spans=phones, place=st.integers(0, 11), letter=st.sampled_from("pbm"))
def test_bilabials_close_the_lips_in_any_context_and_for_at_least_one_frame(spans, place, letter):
    place = min(place, len(spans))
    phonemes = _words([*spans[:place], (letter, 0.06), *spans[place:]])
    it = phonemes[place]
    middle = (it.start + it.end) / 2
    near = middle + np.linspace(-0.49, 0.49, 9) * SHORTEST
    assert Articulation.of(phonemes)(near)[:, 0].max() == 0.0
    # 48 ms hold a frame of 40 ms wherever the frames fall.
    assert SHORTEST > 1 / 25


@settings(max_examples=40)
@given(spans=phones)
def test_dominance_is_a_weighted_mean_so_context_only_blends_targets(spans):
    mouth = Articulation.of(_words(spans))
    times = np.linspace(0.2, 1.5, 60)
    pull = mouth.dominance(times)
    assert (pull > 0).all()
    targets = np.array([g.viseme.target for g in mouth.gestures])
    mean = (pull * targets).sum(1) / pull.sum(1)
    assert (mean <= targets.max(0) + 1e-9).all()
    assert (mean >= targets.min(0) - 1e-9).all()


def test_rounding_is_anticipated_and_consonants_take_the_shape_of_their_vowel():
    """The t of "too" is rounded, the t of "tea" is not; the ones of "tah" lie between."""

    def width(vowel: str) -> float:
        mouth = Articulation.of(_words([("t", 0.1), (vowel, 0.2)]))
        return float(mouth(np.array([0.35]))[0, 1])

    assert width("u") < -0.35
    assert width("i") > 0.2
    assert width("u") < width("ɑ") < width("i")


def test_poses_of_the_cardinal_sounds_differ():
    at = {s: Articulation.of(_words([(s, 0.25)]))(np.array([0.425]))[0] for s in ("ɑ", "u", "m", "f", "i")}
    aperture, width, tuck, protrusion = 0, 1, 5, 2
    assert at["ɑ"][aperture] > 0.65 > 0.45 > at["i"][aperture] > at["m"][aperture] == 0
    assert at["u"][width] < -0.6
    assert at["i"][width] > 0.6
    assert at["u"][protrusion] > 0.6
    assert at["f"][tuck] > 0.6
    assert max(at[s][tuck] for s in "ɑuim") < 0.05


def test_diphthongs_length_marks_and_unknown_letters_share_the_time_of_their_event():
    found = gestures((Word("ˈaɪ", 0.0, 0.2), Word("ɔːɹ", 0.2, 0.4), Word("ʲ", 0.4, 0.5), Word("", 0.5, 0.7)))
    assert [round(g.end - g.start, 3) for g in found] == pytest.approx(
        [0.111, 0.089, 0.138, 0.062, 0.2], abs=2e-3
    )
    assert found[0].emphasis == 1.0
    assert found[2].emphasis < 1.0


# corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, speech):
    """Two clips, one of them with uneven frame times."""
    root = tmp_path_factory.mktemp("synth") / "one"
    make_corpus(root, clips=2, speakers=2, seed=4, workers=1, options=SMALL)
    return root


def _bytes(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_corpus_has_the_agreed_files_and_truth(corpus):
    record = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    assert record["format"] == "tkbench-synth-1"
    assert [c["key"] for c in record["clips"]] == ["s000/c0000", "s001/c0001"]
    assert record["knobs"] == {"s001/c0001": {"fps": 24.0, "vfr": True}}
    assert (corpus / record["sheet"]).read_bytes()[:4] == b"\x89PNG"
    for clip in record["clips"]:
        truth = json.loads((corpus / f"{clip['key']}.json").read_text(encoding="utf-8"))
        audio, rate = soundfile.read(corpus / f"{clip['key']}.wav")
        assert rate == 16_000
        assert len(audio) == truth["n_frames"] * 640
        assert len(truth["aperture"]) == truth["n_frames"]
        assert truth["speaker"] == clip["speaker"] == clip["key"].split("/")[0]
        assert truth["split"] == "test"
        assert truth["text"].split()[0].strip(",") == truth["words"][0]["text"]
        assert 0 <= truth["phonemes"][0]["start"] < truth["phonemes"][-1]["end"] <= truth["n_frames"] / 25
    assert media.probe(corpus / "s000/c0000.mp4").vfr is False
    assert media.probe(corpus / "s001/c0001.mp4").vfr is True


def test_corpus_is_byte_identical_with_two_workers(corpus, tmp_path):
    seen = []
    make_corpus(
        tmp_path / "two",
        clips=2,
        speakers=2,
        seed=4,
        workers=2,
        options=SMALL,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert _bytes(corpus) == _bytes(tmp_path / "two")
    assert seen == [(1, 2), (2, 2)]


def test_corpus_refuses_what_it_cannot_do(corpus, tmp_path):
    with pytest.raises(UsageError, match="already holds a corpus"):
        make_corpus(corpus, clips=1, speakers=1, seed=0)
    with pytest.raises(UsageError, match="at least one clip"):
        make_corpus(tmp_path / "x", clips=0, speakers=1, seed=0)
    with pytest.raises(UsageError, match="clips run from 0 to 1"):
        make_corpus(tmp_path / "x", clips=2, speakers=1, seed=0, options=ClipOptions(knobs={5: Knobs()}))
    with pytest.raises(UsageError, match="did you mean stereo"):
        preset("sterio")


def test_splits_are_by_speaker_and_small_corpora_are_all_test():
    assert splits_of(12) == ["test"] * 12
    large = splits_of(60)
    assert (large.count("train"), large.count("val"), large.count("test")) == (42, 6, 12)
    # The people of every small corpus are strangers to whatever was trained on a large one.
    assert large[:12] == ["test"] * 12


def test_sound_in_the_file_starts_with_the_first_frame(corpus):
    """No encoder priming: the decoded sound lies on the master to the sample."""
    master, _ = soundfile.read(corpus / "s000/c0000.wav", dtype="float32")
    heard = media.read_audio(corpus / "s000/c0000.mp4")
    n = min(len(master), len(heard))
    assert abs(len(heard) - len(master)) <= 640
    spectrum = np.fft.rfft(heard[:n], 2 * n) * np.conj(np.fft.rfft(master[:n], 2 * n))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    assert lag == 0


# knobs


def test_plain_knobs_record_nothing_and_every_preset_is_strict_json():
    assert Knobs().plain
    assert Knobs().record() == {}
    for name, knobs in PRESETS.items():
        assert json.loads(json.dumps(knobs.record(), allow_nan=False)) is not None, name
        assert knobs.plain == (name == "plain")
    with pytest.raises(UsageError, match="multiple of 90"):
        Knobs(rotation=45)
    with pytest.raises(UsageError, match="audio_offset"):
        Knobs(audio_offset=-0.1)


def _probe(knobs: Knobs, folder: Path, size: int = 128):
    clip = make_clip(seed=9, speaker=0, index=0, seconds=SHORT, size=size, knobs=knobs)
    return clip, media.probe(write_clip(clip, folder / "clip"))


@pytest.mark.parametrize("fps", [30000 / 1001, 30.0, 50.0])
def test_frame_rates(fps, tmp_path, speech):
    clip, facts = _probe(Knobs(fps=fps), tmp_path)
    assert facts.fps == pytest.approx(fps, abs=0.01)
    assert not facts.vfr
    assert facts.n_frames == len(clip.frames) == round(clip.truth["n_frames"] / 25 * fps)


def test_stereo_rotation_and_delayed_sound_are_in_the_container(tmp_path, speech):
    knobs = Knobs(sample_rate=44_100, stereo=True, rotation=90)
    clip, facts = _probe(knobs, tmp_path)
    assert (facts.sample_rate, facts.channels, facts.rotation) == (44_100, 2, 90)
    shown = media.read_video(tmp_path / "clip.mp4")
    # Upright again: 2 grey levels of mean error come from crf 16 and the noise.
    assert np.abs(shown[5].astype(float) - clip.frames[5]).mean() < 4
    (tmp_path / "late").mkdir()
    clip, facts = _probe(Knobs(audio_offset=0.2), tmp_path / "late")
    assert facts.start_offset > 0.1
    heard = media.read_audio(tmp_path / "late/clip.mp4")
    assert np.abs(heard[: round(0.12 * 16_000)]).max() < 1e-3


def test_silent_mute_and_two_faces(tmp_path, speech):
    clip, facts = _probe(Knobs(silent=True, two_faces=True), tmp_path)
    assert facts.sample_rate == 16_000
    assert not clip.audio.any()
    assert clip.frames.shape[1:] == (128, 256, 3)
    assert (facts.width, facts.height) == (256, 128)
    (tmp_path / "mute").mkdir()
    assert _probe(Knobs(mute=True), tmp_path / "mute")[1].sample_rate is None


def test_offset_moves_the_mouth_and_not_the_voice(speech):
    plain = make_clip(seed=9, seconds=SHORT, size=64)
    late = make_clip(seed=9, seconds=SHORT, size=64, knobs=Knobs(offset_frames=3))
    np.testing.assert_array_equal(plain.audio, late.audio)
    np.testing.assert_allclose(plain.truth["aperture"][:-3], late.truth["aperture"][3:], atol=1e-4)
    assert late.truth["offset_frames"] == 3
    assert late.truth["knobs"] == {"offset_frames": 3}


def test_a_face_that_leaves_and_a_cut_change_the_picture_at_their_time(speech):
    gone = make_clip(seed=9, seconds=SHORT, size=64, knobs=Knobs(no_face=(0.4, 0.8)))
    middle = gone.frames.astype(float)[:, 16:48, 16:48]
    jumps = np.abs(np.diff(middle, axis=0)).mean((1, 2, 3))
    assert sorted(np.argsort(jumps)[-2:]) == [9, 19]
    cut = make_clip(seed=9, seconds=SHORT, size=64, knobs=Knobs(cut=0.6))
    jumps = np.abs(np.diff(cut.frames.astype(float), axis=0)).mean((1, 2, 3))
    assert int(np.argmax(jumps)) == 14
    hidden = make_clip(seed=9, seconds=SHORT, size=64, knobs=Knobs(occlusion=(0.4, 0.9)))
    plain = make_clip(seed=9, seconds=SHORT, size=64)
    changed = np.abs(hidden.frames.astype(float) - plain.frames)[:, 40:].mean((1, 2, 3))
    assert changed[16] > 5
    assert changed[5] == changed[30] == 0


def test_slow_mouths_need_more_context_and_the_corpus_says_how_much(corpus: Path) -> None:
    record = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    rows = record["clips"]
    assert 1 <= record["reach_frames"] <= 4
    slow = [{**row, "knobs": {"sluggishness": 0.4}} for row in rows]
    assert _reach(corpus, record["seed"], slow) > record["reach_frames"]

    plain, slower = (
        np.array(make_clip(size=64, knobs=Knobs(sluggishness=s)).truth["aperture"]) for s in (1.0, 0.4)
    )
    assert np.abs(np.diff(slower)).sum() < 0.8 * np.abs(np.diff(plain)).sum()


def test_the_truth_of_a_clip_states_how_its_speaker_articulates() -> None:
    """From the stated style and phonemes alone the stated aperture comes back."""
    clip = make_clip(size=64, knobs=Knobs(sluggishness=0.4))
    style = Style(**clip.truth["style"])
    assert style.sluggishness == pytest.approx(0.4 * speaker_of(0, 0).style.sluggishness)
    phonemes = tuple(Word(p["phone"], p["start"], p["end"]) for p in clip.truth["phonemes"])
    drawn = Articulation.of(phonemes, style)(np.arange(clip.truth["n_frames"]) / 25)
    np.testing.assert_allclose(drawn[:, 0], clip.truth["aperture"], atol=6e-5)
    with pytest.raises(UsageError, match="sluggishness 0 scales how fast"):
        Knobs(sluggishness=0.0)


def test_teeth_are_where_the_mouth_is_open_and_light() -> None:
    clip = make_clip(seed=7, speaker=2, index=2, seconds=SHORT, size=128)
    masks = teeth_of(seed=7, speaker=2, index=2, seconds=SHORT, size=128)
    assert masks.shape == clip.frames.shape[:3]
    aperture = np.array(clip.truth["aperture"])
    shown = masks.reshape(len(masks), -1).sum(axis=1)
    assert shown[aperture < 0.02].max(initial=0) < 2
    opened = aperture > np.median(aperture)
    assert shown[opened].mean() > 5
    grey = clip.frames[opened].mean(axis=-1)
    sure = masks[opened] > 0.8
    # The dark of the mouth and the lips around are in the same rows and columns.
    rows, columns = np.flatnonzero(sure.any(axis=(0, 2))), np.flatnonzero(sure.any(axis=(0, 1)))
    around = grey[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert grey[sure].mean() > 1.2 * around.mean()
