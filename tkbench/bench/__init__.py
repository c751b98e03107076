"""Speed, measured: preparation stage by stage beside the loop that people write today; LSE beside its script."""
