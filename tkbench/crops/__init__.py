"""Crops of a face: how each is placed by the landmarks (`recipes`), and the affine of each frame (`align`)."""
