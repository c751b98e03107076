"""Where shards, models and metrics meet: one loop scores a clip, for `tkbench eval` and for `tkbench sensitivity`."""
