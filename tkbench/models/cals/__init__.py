"""CALS (Park et al., "Exploring Phonetic Context-Aware Lip-Sync for Talking Face Generation", ICASSP 2024).

Audio-to-Lip turns each frame's sound, in its phonetic context, into a lip motion unit, and is pre-trained by
predicting masked units; Lip-to-Face draws the face that makes those movements.

What is known of the paper: the two modules, masked learning, a context window in frames (best at 15 on LRW and
about 13 on LRS2), and a sync loss of two parts, d_av and d_vv. Its code is not public. Layers, mask ratio,
targets, margins and weights are not known: they are ours here, and each says so.
"""

from __future__ import annotations

from tkbench.models.kinds import NetworkKind

RECORD = NetworkKind(
    name="cals",
    network="tkbench.models.cals.model:CALS",
    spec="tkbench.models.cals.spec:CALSSpec",
    objective="tkbench.train.objectives.cals:CALSObjective",
    black=-1.0,
    loss="tkbench.train.objectives.terms:CALSLoss",
    paper="Park et al., ICASSP 2024, arXiv 2305.19556",
    bundled="cals-synth",
    note="The paper's code is not public. Known of it: Audio-to-Lip with masked learning and a context window, "
    "Lip-to-Face, a sync loss of d_av and d_vv. Everything else is ours: layers, targets (in the small configuration "
    "the shapes of true mouths, too), mask, InfoNCE, weights.",
)
