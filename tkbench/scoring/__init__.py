"""Where shards, models and metrics meet: `tkbench eval` and `tkbench sensitivity`.

evaluate.py     a model on shards -> a result bundle
sensitivity.py  the true video with one change at a time -> how far each score moves
clips.py        the loop that scores one clip, for both
recipes.py      LSE recipes added to a protocol
"""
