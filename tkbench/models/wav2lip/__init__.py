"""Wav2Lip (Prajwal et al., "A Lip Sync Expert Is All You Need", ACM MM 2020): the baseline, and the sync expert.

Layer order, kernel sizes and parameter names are facts of Rudrabha/Wav2Lip models/, so its published
checkpoints load at width 1 and size 96. SyncTalkFace took its encoders and its decoder from here.
"""

from __future__ import annotations

from tkbench.models.kinds import NetworkKind

PUBLISHED_CUT = ("wav2lip-96", 96)

RECORD = NetworkKind(
    name="wav2lip",
    network="tkbench.models.wav2lip.generator:Wav2Lip",
    spec="tkbench.models.wav2lip.spec:Wav2LipSpec",
    objective="tkbench.train.objectives.wav2lip:Wav2LipObjective",
    black=0.0,
    loss="tkbench.train.objectives.terms:Wav2LipLoss",
    paper="Prajwal et al., ACM MM 2020, arXiv 2008.10010",
    published=("wav2lip-gan", "wav2lip"),
    published_cut=PUBLISHED_CUT,
    note="Networks and weights follow the authors' code. Ours: the sync loss starts at a step, the "
    "discriminator's loss on logits, its first weights; and what the small configuration has beyond it: "
    "{blend}, the mouth's weight, the blur before the expert.",
)

EXPERT = NetworkKind(
    name="expert",
    network="tkbench.models.wav2lip.expert:Expert",
    spec="tkbench.models.wav2lip.spec:ExpertSpec",
    objective="tkbench.train.objectives.expert:ExpertObjective",
    loss="tkbench.train.objectives.terms:ExpertLoss",
    black=0.0,
    draws_faces=False,
    bundled="expert-synth",
    published_cut=PUBLISHED_CUT,
    note="The network follows the authors' code. Ours: the contrast term and the weight of motion, where they are "
    "not 0 and 1.",
)
