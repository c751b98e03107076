"""The version of tkbench, said once: the package, the command line and pyproject.toml read it here."""

__version__ = "0.1.0"
