"""SyncTalkFace (Park et al., "Talking Face Generation with Precise Lip-Syncing via Audio-Lip Memory", AAAI 2022).

An encoder for the voice, one for the lips, one for the identity, a decoder, and between them the Audio-Lip Memory:
in training the lips teach it what each sound looks like; at inference the voice alone recalls that.

Written from the equations of arXiv 2211.00924 and from facts about the authors' code (commit 9d5d08d, withdrawn,
none of it copied). Where the two differ, the code is followed and the docstring says so; where both are silent
the choice is ours and the docstring says that.
"""

from __future__ import annotations

from tkbench.models.kinds import NetworkKind

RECORD = NetworkKind(
    name="synctalkface",
    network="tkbench.models.synctalkface.model:SyncTalkFace",
    spec="tkbench.models.synctalkface.spec:SyncTalkFaceSpec",
    objective="tkbench.train.objectives.synctalkface:SyncTalkFaceObjective",
    black=-1.0,
    loss="tkbench.train.objectives.terms:SyncTalkFaceLoss",
    paper="Park et al., AAAI 2022, arXiv 2211.00924",
    bundled="synctalkface-synth",
    note="Networks, memory and weights follow the authors' code. Ours: the discriminator's loss on logits "
    "(theirs saturates), its first weights, the norms in L_vv, the cut of the face where it is "
    "steady-172, the schedule; and what the small configuration has beyond it: the phase without pictures, the shapes "
    "of true mouths as a target, {blend}, the mouth's weight, the blur before the expert.",
)
