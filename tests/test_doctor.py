"""`tkbench doctor`: the golden values, the verdict, and the stage that it names."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tkbench import doctor, media
from tkbench.errors import TkbenchError, UsageError

EXACT = ("file", "frames", "sound")


@pytest.fixture(scope="module")
def here() -> doctor.Examination:
    return doctor.examine()


def test_this_machine_decodes_to_the_golden_bytes(here: doctor.Examination) -> None:
    verdicts = {item.stage: item for item in doctor.compare(doctor.golden(), here)}
    for stage in EXACT:
        assert verdicts[stage].verdict == "same", verdicts[stage]
    assert verdicts["mfcc"].verdict in ("same", "close")
    # Networks may round differently on another processor: never by as much as a pixel.
    assert verdicts["landmarks"].gap < 0.5
    assert verdicts["distances"].gap < 0.02


def test_two_examinations_are_the_same_to_the_bit(here: doctor.Examination) -> None:
    assert {item.verdict for item in doctor.compare(here, doctor.examine())} == {"same"}


def test_the_judge_finds_the_clip_in_sync(here: doctor.Examination) -> None:
    (distances,) = (stage for stage in here.stages if stage.name == "distances")
    assert distances.values[2] == 0.0
    assert distances.values[0] > 0.05


def changed(found: doctor.Examination, name: str, by: float) -> doctor.Examination:
    stages = tuple(
        replace(stage, sha256="0" * 64, values=(stage.values[0] + by, *stage.values[1:]))
        if stage.name == name
        else stage
        for stage in found.stages
    )
    return replace(found, stages=stages)


@pytest.mark.parametrize(
    ("name", "by", "verdict"),
    [
        ("frames", 1.0, "different"),
        ("mfcc", 1e-9, "close"),
        ("mfcc", 1e-3, "different"),
        ("landmarks", 0.01, "close"),
        ("landmarks", 0.5, "different"),
        ("distances", 0.01, "different"),
        ("distances", float("nan"), "different"),
    ],
)
def test_a_changed_stage_is_named(here: doctor.Examination, name: str, by: float, verdict: str) -> None:
    found = doctor.compare(here, changed(here, name, by))
    assert {item.stage: item.verdict for item in found if item.verdict != "same"} == {name: verdict}
    first = doctor.first_difference(found)
    assert (first.stage if first else None) == (name if verdict == "different" else None)


def test_a_missing_stage_and_another_shape_are_different(here: doctor.Examination) -> None:
    shorter = replace(here, stages=here.stages[:-1])
    assert [d.stage for d in doctor.compare(here, shorter) if d.verdict == "different"] == ["distances"]
    assert [d.stage for d in doctor.compare(shorter, here) if d.verdict == "different"] == ["distances"]
    odd = replace(here, stages=(replace(here.stages[0], shape=(1,)), *here.stages[1:]))
    assert doctor.compare(here, odd)[0].gap == float("inf")


def test_an_examination_survives_its_file(here: doctor.Examination, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(here.to_json())
    assert doctor.read(file) == here


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', '{"format": "tkbench-doctor-1"}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"a\.json"):
        doctor.read(file)


def test_another_clip_differs_from_the_first_stage_on(here: doctor.Examination, tmp_path: Path) -> None:
    frames = media.read_video(doctor.golden_clip())
    dim = tmp_path / "dim.mp4"
    media.write_video(dim, (frame // 2 for frame in frames), audio=np.zeros(40 * 640, np.float32))
    first = doctor.first_difference(doctor.compare(here, doctor.examine(dim)))
    assert first is not None
    assert first.stage == "file"


def test_a_clip_without_a_face_is_said(tmp_path: Path) -> None:
    grey = tmp_path / "grey.mp4"
    media.write_video(grey, np.full((40, 64, 64, 3), 99, np.uint8), audio=np.zeros(40 * 640, np.float32))
    with pytest.raises(TkbenchError, match="no face in 40 of 40"):
        doctor.examine(grey)


def test_the_command_compares_and_says_where_they_part(
    here: doctor.Examination, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text(here.to_json())
    record = json.loads(changed(here, "crop", 40).to_json())
    record["stack"]["ffmpeg"] = "0.1"
    two.write_text(json.dumps(record))
    assert run_cli("doctor", "--compare", one, one)[0] == 0
    code, out, err = run_cli("doctor", "--compare", one, two)
    assert code == 1
    assert "first stage that differs: crop" in err
    assert "ffmpeg" in err
    assert "0.1" in err
    assert "different" in out
