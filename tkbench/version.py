"""The version of tkbench and the address of its documents, said once; pyproject.toml reads the version here."""

__version__ = "0.1.0"
DOCUMENTS = "https://github.com/tkbench/tkbench/blob/main/docs"
"""Where the documents are read without a checkout: messages and pages name them by this address."""
