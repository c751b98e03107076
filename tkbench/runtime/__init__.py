"""What a run stands on: files and stores, processes, devices, progress, and the cache of features."""
