"""CALS (Park et al., "Exploring Phonetic Context-Aware Lip-Sync for Talking Face Generation", ICASSP 2024).

Audio-to-Lip turns each frame's sound, in its phonetic context, into a lip motion unit, and is pre-trained by
predicting masked units; Lip-to-Face draws the face that makes those movements.

What is known of the paper: the two modules, masked learning, a context window in frames (best at 15 on LRW and
about 13 on LRS2), and a sync loss of two parts, d_av and d_vv. Its code is not public. Layers, mask ratio,
targets, margins and weights are not known: they are ours here, and each says so.
"""
