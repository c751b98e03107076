"""A list of pairs: each line is a video, of one clip's picture and another clip's whole voice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.toy_shards import make_shards

from tkbench import models, protocol, shards
from tkbench.errors import UsageError
from tkbench.models.base import ModelCard
from tkbench.results import bundle
from tkbench.scoring import pairing
from tkbench.scoring.clips import Tools, generate_for, open_split
from tkbench.scoring.estimate import estimate
from tkbench.scoring.evaluate import EvalOptions, evaluate
from tkbench.scoring.rescore import rescore
from tkbench.types import Batch, Generated

FRAMES = {"a/x/0": 30, "a/x/1": 40, "b/y/0": 50, "b/y-z/2": 40}
LIST = """x/0 y/0
x/1 y/0
y/0 x/0
a/x/0 b/y-z/2

y/7 x/0
"""
"""Three can be scored; the voice of the third is longer than its picture, and the last names a clip that nobody has."""
ITEMS = ("b/y-z/2+a/x/0", "b/y/0+a/x/0", "b/y/0+a/x/1")
RULES = protocol.Protocol.model_validate(
    {"name": "sharp", "summary": "", "rank_by": "cpbd", "metrics": [{"name": "cpbd"}, {"name": "psnr"}]}
)
CROSSED = ModelCard(name="cross:it", summary="", licence="", drive="other")


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(
        tmp_path_factory.mktemp("toys"), {key: ("test", frames) for key, frames in FRAMES.items()}
    )


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.txt"
    path.write_text(LIST)
    return path


def test_items_are_the_lines_that_can_be_scored(toys: Path, pairs: Path) -> None:
    items = pairing.items_of(RULES, open_split(toys, None), CROSSED, pairs=pairs)
    assert items.keys == ITEMS
    assert [items.pictures[key] for key in ITEMS] == ["b/y-z/2", "b/y/0", "b/y/0"]
    assert [items.partners[key] for key in ITEMS] == ["a/x/0", "a/x/0", "a/x/1"]
    assert set(items.speakers.values()) == {"b"}
    digest = hashlib.sha256(LIST.encode()).hexdigest()[:12]
    assert items.signature == (f"pairs:list@{digest}(3 of 5)",)
    assert items.told == (
        f"pairs.txt: 3 of 5 pairs are scored; 1 have a picture shorter than the voice; 1 name a clip that {toys} lacks"
    )


def test_a_video_is_as_long_as_its_voice_and_hears_it_whole(toys: Path, pairs: Path) -> None:
    source = open_split(toys, None)
    items = pairing.items_of(RULES, source, CROSSED, pairs=pairs)
    for key in ITEMS:
        voice = items.partners[key]
        assert voice is not None
        sample = pairing.sample_of(source, key, items.pictures, voice)
        assert (sample.key, len(sample)) == (key, FRAMES[voice])
        heard: list[np.ndarray] = []

        def generate(batch: Batch, *, seed: int, heard: list[np.ndarray] = heard) -> list[Generated]:
            heard.extend(given.audio for given in batch)
            return [Generated(given.key, given.video) for given in batch]

        model = SimpleNamespace(card=CROSSED, generate=generate)
        driven, made = generate_for(Tools(source, RULES, None), model, sample, voice)  # type: ignore[arg-type]
        np.testing.assert_array_equal(heard[0], source.get_audio(voice))
        np.testing.assert_array_equal(driven.audio, source.get_audio(voice))
        np.testing.assert_array_equal(made.video, source.get(items.pictures[key]).video[: FRAMES[voice]])


def videos_of(toys: Path, folder: Path, items: tuple[str, ...] = ITEMS) -> Path:
    source = shards.open_shards(toys)
    for item in items:
        picture = next(key for key in sorted(FRAMES, key=len, reverse=True) if item.startswith(f"{key}+"))
        path = folder / "videos" / f"{item.replace('/', '__')}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.members(picture, ["mp4"])["mp4"])
    return folder / "videos"


def test_videos_of_pairs_are_scored_verified_and_estimated(toys: Path, pairs: Path, tmp_path: Path) -> None:
    videos = videos_of(toys, tmp_path)
    name = f"cross:files:{videos}"
    options = EvalOptions(name="mine", pairs=pairs)
    made = evaluate(toys, name, protocol=RULES, out=tmp_path / "runs", options=options)
    kept = bundle.read(made)
    rows = {(row.key, row.metric): row for row in bundle.rows_of(kept.clips())}
    assert {key for key, _ in rows} == set(ITEMS)
    assert all(rows[key, "cpbd"].reason is None for key in ITEMS)
    assert all(rows[key, "psnr"].reason == "other-voice" for key in ITEMS)
    assert "|pairs:list@" in kept.result.signature
    assert set(json.loads((made / "result.json").read_text())["files"]) >= {"videos.parquet"}
    guess = estimate(
        toys, [name], protocol=RULES, split=None, limit=None, workers=1, options=EvalOptions(pairs=pairs)
    )
    assert guess.clips == 3


def test_a_bundle_of_pairs_is_scored_again(
    toys: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "names", lambda: ("sharp",))
    monkeypatch.setattr(protocol, "load", lambda name: RULES)
    videos = videos_of(toys, tmp_path)
    made = evaluate(
        toys,
        f"cross:files:{videos}",
        protocol=RULES,
        out=tmp_path / "runs",
        options=EvalOptions(name="mine", pairs=pairs),
    )
    found = rescore(made, toys, f"files:{videos}")
    assert (found.clips, found.differences) == (3, ())
    source = shards.open_shards(toys)
    (videos / f"{ITEMS[1].replace('/', '__')}.mp4").write_bytes(source.members("a/x/1", ["mp4"])["mp4"])
    [line] = rescore(made, toys, f"files:{videos}").differences
    assert ITEMS[1] in line
    assert pairing.of_bundle("pairs:list@0(1 of 1)", ["b/y/0+nobody"], source) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a/x/0 b/y/0 c\n", "line 1 has 3 words, expected VOICE PICTURE"),
        ("a/x/0\n", "line 1 has 1 words"),
        ("nobody b/y/0\n", "none of its 1 lines can be scored: 1 name a clip"),
        ("\n0 b/y/0\n", "line 2: '0' is the end of several clips; name it whole"),
        ("b/y/0 a/x/0\n", "1 have a picture shorter than the voice"),
        ("", "none of its 0 lines"),
        ("\udcff", "is no text in UTF-8"),
    ],
)
def test_lists_that_cannot_be_used(toys: Path, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=said) as error:
        pairing.items_of(RULES, open_split(toys, None), CROSSED, pairs=path)
    assert "\n" not in str(error.value)


def test_a_model_with_its_own_voice_takes_no_list(toys: Path, pairs: Path) -> None:
    with pytest.raises(UsageError, match="real speaks with its own voice; give cross:MODEL"):
        pairing.items_of(RULES, open_split(toys, None), models.create("real").card, pairs=pairs)
    with pytest.raises(UsageError, match="no file of at most 64 MB"):
        pairing.items_of(RULES, open_split(toys, None), CROSSED, pairs=pairs.with_name("none.txt"))
