"""Crops of a face: how a box hangs on landmarks (`recipes`), and the affine of each frame that cuts it (`align`)."""
