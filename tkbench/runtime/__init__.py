"""Services that every part uses: files and object stores, processes, devices, progress, and the cache of features."""
