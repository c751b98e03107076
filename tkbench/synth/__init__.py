"""The synthetic corpus: talking faces with exact truth.

speech (espeak-ng) -> visemes and articulation (dominance functions) -> mouth, render (a photographed face,
warped) -> clip -> corpus. Everything is drawn from a seed and comes out byte-identical.

`make_corpus` writes a folder, `make_clip` gives one clip in memory, `Knobs` make clips hard; all import on
first use.
"""

from __future__ import annotations

from typing import Any

_HOMES = {
    "make_corpus": "corpus",
    "write_clip": "corpus",
    "make_clip": "clip",
    "SynthClip": "clip",
    "Knobs": "knobs",
    "PRESETS": "knobs",
    "preset": "knobs",
}

__all__ = ["PRESETS", "Knobs", "SynthClip", "make_clip", "make_corpus", "preset", "write_clip"]


def __getattr__(name: str) -> Any:
    # OpenCV and scipy are slow to import: only what is asked for is loaded.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
