"""Wav2Lip (Prajwal et al., "A Lip Sync Expert Is All You Need", ACM MM 2020): the baseline.

Layer order, kernel sizes and parameter names are facts of Rudrabha/Wav2Lip models/, so its published
checkpoints load at width 1 and size 96. SyncTalkFace took its encoders and its decoder from here.
"""
