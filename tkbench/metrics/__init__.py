"""Metrics by name. A protocol's settings are the keyword arguments of the class behind the name.

Other packages add theirs by an entry point in the group `tkbench.metrics`; `base.py` says what a metric has.
"""

from __future__ import annotations

from typing import Any

from tkbench.registry import Registry

registry: Registry[Any] = Registry("metric", "tkbench.metrics")
registry.add("sync", "tkbench.metrics.sync:Sync")
registry.add("lse", "tkbench.metrics.lse:Lse")
registry.add("psnr", "tkbench.metrics.image:Psnr")
registry.add("ssim", "tkbench.metrics.image:Ssim")
registry.add("psnr-wrapped-uint8", "tkbench.metrics.image_variants:PsnrWrapped")
registry.add("ssim-uniform", "tkbench.metrics.image_variants:SsimUniform")
registry.add("lpips", "tkbench.metrics.perceptual:Lpips")
registry.add("fid", "tkbench.metrics.fid:Fid")
registry.add("voice", "tkbench.metrics.voice:Voice")
registry.add("lmd", "tkbench.metrics.landmark:Lmd")
registry.add("lip", "tkbench.metrics.landmark:Lip")
registry.add("ms_ssim", "tkbench.metrics.msssim:MsSsim")
registry.add("cpbd", "tkbench.metrics.cpbd:Cpbd")
registry.add("csim", "tkbench.metrics.csim:Csim")
registry.add("distribution", "tkbench.metrics.distribution:Distribution")
registry.add("fvd", "tkbench.metrics.distribution:Fvd")
