"""Speed, measured: preparation stage by stage, and beside it the loop that people write today."""

from tkbench.bench.prep import Report, Timing, bench_prep

__all__ = ["Report", "Timing", "bench_prep"]
