"""What splits share is found, and clean ones give no alarm: planted leaks of every kind, other takes, real clips."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tkbench import media, shards
from tkbench.data import matching
from tkbench.data.fingerprints import Print, face_likeness, face_print, sound_errors, sound_print
from tkbench.data.leaks import Found, find_leaks
from tkbench.errors import UsageError
from tkbench.media.codecs import Coding, coded_sound

AAC = Coding("aac", "48k", ".m4a")


def voice(seed: int, seconds: float = 4.0, *, sentence: int | None = None) -> np.ndarray:
    """(S,) a voice: harmonics of a wandering pitch under a spectrum that changes twelve times a second.

    sentence: the changes of the spectrum and of the level come from it; the seed then gives the pitch and moves each
    change by up to 30 ms, as another take does.
    """
    n = int(seconds * 16_000)
    rng = np.random.default_rng(seed)
    said = np.random.default_rng(seed if sentence is None else 1000 + sentence)
    knots = np.linspace(0, n, int(seconds * 12))
    jitter = rng.uniform(-480, 480, len(knots)) if sentence is not None else 0.0
    at = np.sort(knots + jitter)
    pitch = np.interp(np.arange(n), knots, rng.uniform(100, 200, len(knots)))
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    sound = np.zeros(n)
    for k in range(2, 14):
        sound += np.interp(np.arange(n), at, said.uniform(0, 1, len(knots))) ** 2 * np.sin(k * phase)
    sound *= np.interp(np.arange(n), at, said.uniform(0.05, 1, len(knots)))
    studio = 0.3 * np.sin(2 * np.pi * 400 * np.arange(n) / 16_000)
    return (0.08 * (sound + studio) + rng.normal(0, 0.002, n)).astype(np.float32)


def face(seed: int, seconds: float = 4.0) -> np.ndarray:
    """(T, 68, 2) a face whose points wander smoothly about their places."""
    frames = round(seconds * 25)
    rng = np.random.default_rng([seed, 7])
    base = np.random.default_rng(0).uniform(30, 90, (68, 2))
    base[36], base[45] = (30, 50), (90, 50)
    moves = rng.normal(0, 6, (frames + 6, 68, 2))
    smooth = np.stack([moves[i : frames + i] for i in range(7)]).mean(axis=0)
    return (base + smooth).astype(np.float32)


@dataclass(frozen=True)
class Toy:
    """A clip of toy shards."""

    split: str
    audio: np.ndarray
    landmarks: np.ndarray
    speaker: str | None = None
    sha: str = ""


def make(folder: Path, clips: Mapping[str, Toy], dataset: str = "toys") -> Path:
    """Shards without pictures: nothing here reads them."""
    folder.mkdir()
    rows, records = [], []
    for split in sorted({clip.split for clip in clips.values()}):
        name = f"{split}-000000.tar"
        with shards.ShardWriter(folder / name) as writer:
            for key, clip in clips.items():
                if clip.split != split:
                    continue
                n = min(len(clip.landmarks), len(clip.audio) // 640)
                arrays = {"landmarks": clip.landmarks[:n], "score": np.ones(n, np.float32)}
                members: dict[str, bytes | Path] = {
                    "mp4": b"",
                    "flac": media.write_flac(clip.audio[: n * 640]),
                    "npz": shards.pack_arrays(arrays),
                    "json": b"{}",
                }
                facts = {"key": key, "clip": key, "path": key, "dataset": dataset, "split": split}
                facts |= {"speaker": clip.speaker, "source_sha256": clip.sha or None}
                place = {"shard": name, "offset": writer.add(key, members), "n_frames": n, "status": "ok"}
                rows.append(facts | place)
            records.append(writer.commit(split))
    rows.sort(key=lambda row: str(row["key"]))
    shards.write_index(folder, records, rows, dataset=dataset, protocol="x", signature="x", settings={})
    return folder


def pairs(found: Found) -> dict[tuple[str, str], str]:
    return {(leak.a, leak.b): leak.kind for leak in found.leaks}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake split with a leak of each kind among clips that share nothing."""
    train = {f"a{i}": Toy("train", voice(i), face(i), f"p{i}", f"{i}" * 64) for i in range(8)}
    late = 33 * 320 + 113
    recoded = coded_sound(voice(1), AAC)
    noise = np.random.default_rng(5).normal(0, 0.15, face(1).shape)
    test = {
        "interval": Toy("test", voice(0)[late:], face(0)[17:], "q0"),
        "recoded": Toy("test", 0.4 * recoded, (0.5 * face(1) + 40 + noise).astype(np.float32), "q1"),
        "renamed-sound": Toy("test", voice(2), face(52), "q2"),
        "dubbed": Toy("test", voice(53), face(3), "q3"),
        "speaker": Toy("test", voice(54), face(54), "p4"),
        "source": Toy("test", voice(55), face(55), "q5", "5" * 64),
        "clean": Toy("test", voice(56), face(56), "q6"),
    }
    return make(tmp_path_factory.mktemp("leaks") / "shards", {**train, **test})


def test_every_planted_leak_is_found_and_nothing_else(planted: Path) -> None:
    found = find_leaks([planted])
    assert pairs(found) == {
        ("interval", "a0"): "same-recording",
        ("recoded", "a1"): "same-recording",
        ("renamed-sound", "a2"): "same-sound",
        ("dubbed", "a3"): "same-face",
        ("speaker", "a4"): "same-speaker",
        ("source", "a5"): "same-source",
    }
    assert (found.clips, found.unread, found.unnamed) == ((7, 8), (), 0)
    by_name = {leak.a: leak for leak in found.leaks}
    assert "-0.6" in by_name["interval"].detail  # the copy begins 0.667 s later
    assert by_name["recoded"].seconds == pytest.approx(4.0, abs=0.3)


def test_the_command_lists_them_and_writes_a_file(
    planted: Path, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run_cli("data", "check", planted, "--csv", tmp_path / "leaks.csv", "-w", 1)
    assert code == 0, err
    for kind in ("same-speaker", "same-source", "same-recording", "same-sound", "same-face"):
        assert kind in out
    rows = list(csv.DictReader((tmp_path / "leaks.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 6
    assert {row["split_a"] for row in rows} == {"test"}
    code, out, _ = run_cli("data", "check", planted, "--fast")
    assert code == 0
    assert "same-source" in out
    assert "same-sound" not in out
    for arguments in (["lrs2"], ["nowhere"], [planted, "--annotations", "x"], [planted, planted]):
        code, _, err = run_cli("data", "check", *arguments)
        assert code == 2
        assert len(err.strip().splitlines()) == 1, err


def test_two_data_sets_are_compared_by_content_and_not_by_names(planted: Path, tmp_path: Path) -> None:
    other = make(
        tmp_path / "other",
        {
            "b0": Toy("test", voice(7)[8000:], face(7)[12:], "p1"),
            "b1": Toy("test", voice(70), face(70), "p2"),
        },
        dataset="others",
    )
    found = find_leaks([planted, other])
    across = {pair: kind for pair, kind in pairs(found).items() if {"b0", "b1"} & set(pair)}
    assert across == {("a7", "b0"): "same-recording"}
    assert found.several_folders
    assert any(
        one.endswith("shards: train") and two.endswith("other: test") for _, one, two, _ in found.table()
    )


def test_other_takes_of_a_sentence_in_one_studio_are_no_alarm(tmp_path: Path) -> None:
    """Thirty takes of two sentences by two people, in one room with one hum, in three splits."""
    clips = {
        f"t{i:02d}": Toy(
            ("train", "val", "test")[i % 3], voice(200 + i, sentence=i % 2), face(200 + i), f"{i % 3}s{i % 2}"
        )
        for i in range(30)
    }
    assert find_leaks([make(tmp_path / "studio", clips)]).leaks == ()


def test_copies_inside_of_a_split_leak_nothing(tmp_path: Path) -> None:
    clips = {
        "a": Toy("train", voice(1), face(1), "x"),
        "b": Toy("train", voice(1), face(1), "x"),
        "c": Toy("test", voice(2), face(2), "y"),
    }
    assert find_leaks([make(tmp_path / "one", clips)]).leaks == ()


def test_one_split_alone_has_nothing_to_be_held_against(tmp_path: Path) -> None:
    folder = make(tmp_path / "one", {"a": Toy("train", voice(1), face(1))})
    with pytest.raises(UsageError, match="one split train"):
        find_leaks([folder])


def test_damaged_clips_are_told(tmp_path: Path) -> None:
    clips = {"a": Toy("train", voice(1), face(1)), "b": Toy("test", voice(1), face(1))}
    folder = make(tmp_path / "shards", clips)
    opened = shards.open_shards(folder)
    path = folder / "test-000000.tar"
    data = bytearray(path.read_bytes())
    at = bytes(data).index(b"fLaC")
    data[at : at + 4] = b"XXXX"
    path.write_bytes(bytes(data))
    index = (folder / "index.json").read_text(encoding="utf-8")
    old = next(s["sha256"] for s in opened.index["shards"] if s["name"] == path.name)
    from tkbench.runtime.storage import sha256_of

    (folder / "index.json").write_text(index.replace(old, sha256_of(path)), encoding="utf-8")
    found = find_leaks([folder])
    assert found.leaks == ()
    assert len(found.unread) == 1
    assert found.unread[0].startswith("b: its sound cannot be read")
    assert found.unnamed == 2


def test_offsets_and_level_do_not_matter_to_a_sound() -> None:
    sound = voice(9, 6.0)
    one = Print(*sound_print(sound), np.zeros((0, 7), np.int8))
    late = Print(*sound_print(0.1 * sound[50 * 320 :]), np.zeros((0, 7), np.int8))
    assert sound_errors(one, late, 50) == (0.0, int((one.loud[50:] & late.loud).sum()))
    assert sound_errors(late, one, -50)[0] == 0.0
    assert sound_errors(one, late, 57)[0] > 0.2
    assert sound_errors(one, late, 10_000) == (0.5, 0)
    other = Print(*sound_print(voice(10, 6.0)), np.zeros((0, 7), np.int8))
    assert 0.35 < sound_errors(one, other, 0)[0] < 0.65


def test_size_place_and_a_tilted_camera_do_not_matter_to_a_face() -> None:
    points = face(3)
    one = Print(np.zeros(0, np.uint32), np.zeros(0, bool), face_print(points))
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    other = Print(one.sound, one.loud, face_print(2.5 * points @ turn + 70))
    assert face_likeness(one, other, 0)[0] > 0.999
    assert abs(face_likeness(one, other, 9)[0]) < 0.6
    assert face_likeness(one, Print(one.sound, one.loud, face_print(face(4))), 0)[0] < 0.5


def test_what_very_many_clips_share_is_passed_over() -> None:
    """A jingle that all clips of a show begin with: its hashes alone would make every pair a candidate."""
    count = matching.COMMONEST + 10
    loud = np.ones(60, bool)
    sound = np.random.default_rng(0).integers(0, 2**32, 60, dtype=np.uint64).astype(np.uint32)
    prints = [Print(sound, loud, np.zeros((0, 7), np.int8))] * count
    assert matching.find(prints, [i % 2 for i in range(count)]) == []
    assert len(matching.find(prints[:6], [0, 0, 0, 1, 1, 1])) == 9


def test_candidates_are_far_fewer_than_pairs() -> None:
    """Blocking: among 400 unlike clips, hashes ask for less than one comparison of a hundred pairs."""
    rng = np.random.default_rng(0)
    sounds = [rng.integers(0, 2**32, 150, dtype=np.uint64).astype(np.uint32) for _ in range(400)]
    compared = 0
    original = matching._same_sound

    def counted(*arguments: object) -> object:
        nonlocal compared
        compared += 1
        return original(*arguments)  # type: ignore[arg-type]

    matching._same_sound = counted  # type: ignore[assignment]
    try:
        prints = [Print(sound, np.ones(150, bool), np.zeros((0, 7), np.int8)) for sound in sounds]
        assert matching.find(prints, [i % 2 for i in range(400)]) == []
    finally:
        matching._same_sound = original
    assert compared < 400


def test_real_sounds_differ_and_their_copies_do_not(clips: Path) -> None:
    """Every pair of GRID's sentences and news, and each of them against its own copy at 48 kbit/s."""
    names = sorted(clips.glob("LipNet__*.mpg")) + sorted(clips.glob("SadTalker__*.mp4"))
    assert len(names) >= 5
    nothing = np.zeros((0, 7), np.int8)
    sounds = [media.read_audio(name)[: 5 * 16_000] for name in names]
    prints = [Print(*sound_print(sound), nothing) for sound in sounds]
    copies = [Print(*sound_print(coded_sound(sound[4000:], AAC)), nothing) for sound in sounds]
    found = matching.find([*prints, *copies], [0] * len(prints) + [1] * len(copies))
    assert [(match.a, match.b - len(prints)) for match in found] == [(i, i) for i in range(len(prints))]
    assert all(match.sound_offset == pytest.approx(0.25, abs=0.021) for match in found)
    assert matching.find(prints, range(len(prints))) == []
