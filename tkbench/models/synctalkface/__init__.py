"""SyncTalkFace (Park et al., "Talking Face Generation with Precise Lip-Syncing via Audio-Lip Memory", AAAI 2022).

An encoder for the voice, one for the lips, one for the looks, a decoder, and between them the Audio-Lip Memory:
the lips teach it what each sound looks like, and at inference the voice alone calls that up.

Written from the equations of arXiv 2211.00924 and from facts about the authors' code (commit 9d5d08d, withdrawn,
none of it copied). Where the two differ, the code is followed and the docstring says so; where both are silent
the choice is ours and the docstring says that.
"""
