"""The synthetic corpus: talking faces with exact truth.

speech (espeak-ng) -> visemes and articulation (dominance functions) -> mouth, render (a photographed face, warped)
-> clip -> corpus. Everything is drawn from a seed and comes out byte-identical.
"""
