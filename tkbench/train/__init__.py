"""Training: the reference generators, the sync expert that teaches them, and the bundled judge.

    config.py       what a run is, read from TOML
    objectives/     one file per model: what a step computes, term by term
    loop.py         the trainer: devices, precision, resume, logs; knows no model
    steps.py        the parts of a step
    state.py        files of a run: exact resume, averaged weights
    board.py        scalars and sample grids
    card.py         the model card
    judge.py        the bundled judge `syncnet-synth`, with a loop of its own
    voice.py        the map of the second opinion on sync: no network, one pass of sums

The expert that trains a model is never the judge that scores it: their files are of different kinds, and the
judge's is refused here.
"""
