"""HDTF (Zhang et al., CVPR 2021): annotated intervals of YouTube videos in high resolution."""
