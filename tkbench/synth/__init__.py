"""The synthetic corpus: talking faces with exact truth.

    sentences.py                   what is said, from a small grammar
    speech.py                      text to speech with phoneme times (espeak-ng)
    visemes.py, articulation.py    phonemes -> mouth parameters over time (dominance functions)
    people.py, identity.py, ...    who speaks: a photographed face, reshaped, recoloured and dressed
    mouth.py, render.py, scene.py  parameters -> pictures: the face is warped along its landmarks
    knobs.py                       difficulties: offsets, frame rates, occlusion, cuts, ...
    clip.py, corpus.py             one clip in memory; a folder of them

Everything is drawn from a seed: equal arguments give equal bytes. `make_corpus` writes a folder, `make_clip` gives one
clip in memory, `Knobs` are the difficulties of a clip. Each is imported when it is first used.
"""

from __future__ import annotations

FORMAT = "tkbench-synth-1"
"""Of corpus.json: raised when its meaning changes, or that of the truth beside each clip."""
_HOMES = {
    "make_corpus": "corpus",
    "ClipOptions": "corpus",
    "write_clip": "corpus",
    "make_clip": "clip",
    "SynthClip": "clip",
    "Knobs": "knobs",
    "PRESETS": "knobs",
    "preset": "knobs",
}

__all__ = ["PRESETS", "ClipOptions", "Knobs", "SynthClip", "make_clip", "make_corpus", "preset", "write_clip"]


def __getattr__(name: str) -> object:
    # OpenCV and scipy are slow to import: only what is asked for is loaded.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
