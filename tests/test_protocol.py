"""Protocols: what is frozen stays frozen, and what is wrong is said in one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tkbench import metrics, protocol
from tkbench.errors import UnknownName, UsageError
from tkbench.prep import datasets
from tkbench.prep.datasets.hdtf.split import published
from tkbench.prep.plan import Settings
from tkbench.types import Column

# A released protocol never changes: copy the file to a new version instead, and add its hash here.
FROZEN: dict[str, str] = {
    "hdtf-v1": "3cd66754c20453553753968560988a0b89c177117f87913f0e1d6ee271e7e084",
    "lips-synth-v1": "4b057c3e97b2f0fa7181c85053bad14d352e5afe4b064db0a1fdb7aa117dd035",
    "lips-synth-v2": "bd46e2009f7fa7a841d044ee45ad05b2ae23488a70cfe7230b0edabf9cf01061",
    "lips-v1": "520d9c2bb9d4dfad622a6a366a37453a8c6907258634caffd204fb17063fc98a",
    "lips-v2": "41e5684512dd0f29b479873f5166878c0ae4d78ab4719d8d90d8b7de1c193680",
    "lrs2-v1": "77510bda71cd6c4b8d18fcd7de3404595f07e3fae6c0dc6b0259769759fb14cc",
    "lrw-v1": "4f21e04ce094d1ff4200a0e2b5bddb4a3875b282645ade91bc9cb5cc7e8ef0f7",
    "papers-v1": "cdc4d5e0725eee8515e5f16a748e0a784456b18caa3f3a0e0a04ce8607304140",
    "synth-v1": "63861c89a0643bd6d0aa01494a68c5ff9640dec78ba14ef109b8cabc85861bf0",
    "tkbench-v1": "09840fa9fb3e1a9128a57e32c30add4998e66205e27dd6c8f2b2cb244f5653e3",
    "tkbench-v2": "441e3441b7219928b003506aa4181f3763f365a37a63ccf52ef7edaec24c941d",
    "tkbench-v3": "19e005906f715e112041fb763e5a17958469c97c86e4542e4750bac5d3a0019a",
}


# A draft may change until somebody has seen the list of clips that it is for; then it is frozen.
DRAFTS = {"lrs3-v1"}


def test_every_bundled_protocol_loads_under_its_own_name() -> None:
    assert set(protocol.bundled()) == set(FROZEN) | DRAFTS, (
        "what comes with the package is frozen, or a draft"
    )
    folder = protocol.path_of("synth-v1").parent
    assert protocol.sums(folder) == {f"{name}.toml": digest for name, digest in FROZEN.items()}
    for name in protocol.bundled():
        assert protocol.load(name).name == name


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_released_protocols_are_frozen(name: str) -> None:
    assert hashlib.sha256(protocol.bundled()[name].read_bytes()).hexdigest() == FROZEN[name]


def test_the_second_choice_ranks_only_where_the_first_lacks_its_network() -> None:
    rules = protocol.load("tkbench-v3")
    kept = set(protocol.load("tkbench-v2").signature().split("|")) - {"tkbench-v2"}
    assert set(rules.signature().split("|")) - kept == {"tkbench-v3", "rank-without:voice_score"}
    there, missing = (
        Column("lse_c", "LSE-C", "distance", "higher", 3, signature=f"lse[net:syncnet-v2@{sha},shift:15]")
        for sha in ("0123456789ab", "missing")
    )
    other = Column("psnr", "PSNR", "dB", "higher", 2, signature="psnr[net:x@missing]")
    assert rules.ranks_by([there, other]) == "lse_c"
    assert rules.ranks_by([missing, other]) == "voice_score"
    assert protocol.load("tkbench-v2").ranks_by([missing]) == "lse_c"


def test_signature_moves_with_every_setting(tmp_path: Path) -> None:
    text = protocol.bundled()["synth-v1"].read_text()
    seen = {protocol.load("synth-v1").signature()}
    changes = [
        ("length_slack = 5", "length_slack = 4"),
        ("\nseed = 0\n\n[stats]", "\nseed = 3\n\n[stats]"),
        ("n_boot = 2000", "n_boot = 500"),
        ("level = 0.95", "level = 0.9"),
        ('judge = "syncnet-synth"', 'judge = "syncnet-v2"'),
        ('[[metrics]]\nname = "ssim"', ""),
        ('name = "synth-v1"', 'name = "mine"'),
    ]
    for old, new in changes:
        assert old in text
        path = tmp_path / "mine.toml"
        path.write_text(text.replace(old, new, 1))
        seen.add(protocol.load(path).signature())
    assert len(seen) == len(changes) + 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("name = ", "not a TOML file"),
        ("name = 'x'\nsummary = ''\nrank_by = 'psnr'\nmetrics = []", "metrics"),
        ("name = 'x'\nsummary = ''\nrank_by = 'psnr'\nspeed = 3\n[[metrics]]\nname = 'psnr'", "speed"),
        (
            "name = 'x'\nsummary = ''\nrank_by = 'psnr'\ncoverage_min = 2\n[[metrics]]\nname = 'psnr'",
            "coverage_min",
        ),
    ],
)
def test_a_wrong_file_is_named_with_its_entry(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=what) as error:
        protocol.load(path)
    assert "p.toml" in str(error.value)


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="synth-v1"):
        protocol.load("synth-v2")


# -- a data set's own ------------------------------------------------------------------------------------------


def own() -> list[str]:
    return [name for name in protocol.bundled() if protocol.load(name).data is not None]


def test_each_data_set_has_its_own() -> None:
    found = {protocol.load(name).data.dataset: protocol.status_of(protocol.path_of(name)) for name in own()}  # type: ignore[union-attr]
    assert found == {"hdtf": "frozen", "lrs2": "frozen", "lrs3": "draft", "lrw": "frozen"}


@pytest.mark.parametrize("name", own())
def test_what_a_data_sets_protocol_says_is_there(name: str) -> None:
    """Its split is one of the data set's, its count is the published one, its crops and metrics exist."""
    rules = protocol.load(name)
    data = rules.data
    assert data is not None
    record = datasets.find(data.dataset)
    assert data.split in record.splits
    if record.counted_by == "split":
        assert record.published[data.split].split()[0] == str(data.clips)
    else:
        assert (data.clips, data.sha256) == (
            published()["splits"]["test"]["clips"],
            published()["splits"]["test"]["sha256"],
        )
    prepared = f"|{Settings().signature()}|"
    assert all(f"|{crop}(" in prepared for crop in data.crops)
    assert all(spec.name in metrics.registry for spec in rules.metrics)
    assert {spec.how for spec in data.pairs} >= {"self", "seeded"}


def test_the_list_of_lrw_is_its_rule() -> None:
    """500 words with 50 clips each. The words are in no file here: the hash was made of those in Wav2Lip's pairs."""
    data = protocol.load("lrw-v1").data
    assert data is not None
    assert data.clips == 500 * 50


def test_a_frozen_file_that_changes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine-v1.toml"
    path.write_text(
        protocol.bundled()["synth-v1"].read_text().replace('name = "synth-v1"', 'name = "mine-v1"')
    )
    assert protocol.status_of(path) == "open"
    digest = protocol.freeze(path)
    assert protocol.status_of(path) == "frozen"
    assert (tmp_path / "SHA256SUMS").read_text() == f"{digest}  mine-v1.toml\n"
    assert protocol.load(path).name == "mine-v1"
    path.write_text(path.read_text().replace("seed = 0", "seed = 1", 1))
    for step in (protocol.load, protocol.freeze):
        with pytest.raises(UsageError, match="changed after it was frozen"):
            step(path)
    (tmp_path / "SHA256SUMS").write_text("nothing\n")
    with pytest.raises(UsageError, match="line 1"):
        protocol.load(path)


def test_a_draft_cannot_be_frozen_without_its_list(tmp_path: Path) -> None:
    path = tmp_path / "lrs3-v1.toml"
    path.write_bytes(protocol.bundled()["lrs3-v1"].read_bytes())
    with pytest.raises(UsageError, match="nobody has seen its list"):
        protocol.freeze(path)


def test_settings_tell_every_difference() -> None:
    one, two = (protocol.settings(protocol.load(name)) for name in ("tkbench-v2", "lrs2-v1"))
    differing = {key for key in {*one, *two} if one.get(key) != two.get(key)}
    assert {
        "name",
        "summary",
        "data.dataset",
        "data.sha256",
        "metrics.sync(judge=syncnet-synth)",
    } <= differing
    assert not differing & {"rank_by", "stats.n_boot", "metrics.psnr()"}
