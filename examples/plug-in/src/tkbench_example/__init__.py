"""A package that adds a model, a metric, a data set and a protocol to tkbench, one file each. Copy what you need."""

from pathlib import Path

PROTOCOL = Path(__file__).with_name("takes-v1.toml")
