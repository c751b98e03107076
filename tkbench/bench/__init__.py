"""Speed, measured: preparation stage by stage beside the loop that people write today; LSE beside its script."""

from tkbench.bench.prep import Report, Timing, bench_prep

__all__ = ["Report", "Timing", "bench_prep"]
