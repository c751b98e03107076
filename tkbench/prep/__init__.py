"""Preparation: a data set on disk becomes shards in which every clip has the same form.

datasets/      a record, a reader, a check and a synthetic tree for each data set
plan.py        which clip goes into which shard
run.py         the run: locks its folder, makes the shards that are missing, writes the index
  lock.py, resume.py, live.py, summary.py    one run at a time; what an earlier one left; progress; final counts
make.py        one shard; isolate.py: its clips in a separate process
pipeline.py    one clip: scene.py looks, follow.py and track.py track, gates.py refuse, pack.py packs
official.py    a data set's own intervals and crops
estimate.py    what a run would take
retrack.py     landmarks on generated videos, found as those of the true video
backends/      face trackers
"""
