"""Training: the reference generators, the sync expert that teaches them, and the bundled judge.

    config.py       what a run is, read from TOML
    objectives/     one file per network: what a step computes, term by term
    loop.py         the trainer: devices, precision, resuming, logs; it knows no network
    steps.py        the parts of a step
    state.py        the state of a run: exact resuming, averaged weights
    board.py        scalars and sample grids
    card.py         the model card
    judge.py        the bundled judge `syncnet-synth`, with a loop of its own
    voice.py        the map of the metric `voice`: no network, one pass of sums

The expert that trains a generator is never the judge that scores it: their files are of different kinds, and a
judge's file is refused as an expert.
"""
