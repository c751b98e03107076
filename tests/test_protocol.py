"""Protocols: what is frozen stays frozen, and what is wrong is said in one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tkbench import protocol
from tkbench.errors import UnknownName, UsageError
from tkbench.types import Column

# A released protocol never changes: copy the file to a new version instead, and add its hash here.
FROZEN: dict[str, str] = {
    "lips-synth-v1": "4b057c3e97b2f0fa7181c85053bad14d352e5afe4b064db0a1fdb7aa117dd035",
    "lips-synth-v2": "bd46e2009f7fa7a841d044ee45ad05b2ae23488a70cfe7230b0edabf9cf01061",
    "lips-v1": "520d9c2bb9d4dfad622a6a366a37453a8c6907258634caffd204fb17063fc98a",
    "lips-v2": "41e5684512dd0f29b479873f5166878c0ae4d78ab4719d8d90d8b7de1c193680",
    "papers-v1": "cdc4d5e0725eee8515e5f16a748e0a784456b18caa3f3a0e0a04ce8607304140",
    "synth-v1": "63861c89a0643bd6d0aa01494a68c5ff9640dec78ba14ef109b8cabc85861bf0",
    "tkbench-v1": "09840fa9fb3e1a9128a57e32c30add4998e66205e27dd6c8f2b2cb244f5653e3",
    "tkbench-v2": "441e3441b7219928b003506aa4181f3763f365a37a63ccf52ef7edaec24c941d",
    "tkbench-v3": "19e005906f715e112041fb763e5a17958469c97c86e4542e4750bac5d3a0019a",
}


def test_every_bundled_protocol_loads_under_its_own_name() -> None:
    assert set(protocol.bundled()) == set(FROZEN), "every protocol that comes with the package is frozen"
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
