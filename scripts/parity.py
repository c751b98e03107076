"""How far each metric is from its reference: measures the table of docs/metrics.md anew.

    python scripts/parity.py --write docs/metrics.md

It runs the parity tests. Each of them records its gaps (the fixture `gap` of tests/conftest.py); the table has the
largest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from between import rewrite

TESTS = Path(__file__).parents[1] / "tests"


@dataclass(frozen=True, slots=True)
class Parity:
    """One test that holds a metric against its reference."""

    metric: str
    reference: str
    """A package of which the installed version is named, or repository@commit, or a definition."""
    test: str
    """file::function, below tests/."""
    package: str = ""


ROWS = (
    Parity("MFCC of LSE", "python_speech_features", "metrics/test_mfcc.py::test_equals_python_speech_features",
           "python_speech_features"),
    Parity("SyncNet", "joonson/syncnet_python@6efbb1c, layers as published",
           "metrics/test_sync.py::test_fast_pass_equals_the_published_form"),
    Parity("distance curve of LSE", "calc_pdist of joonson/syncnet_python@6efbb1c",
           "metrics/test_sync.py::test_zero_padded_curve_equals_calc_pdist"),
    Parity("LSE-C, LSE-D, AVOffset", "evaluation of Rudrabha/Wav2Lip@5c90fa9, from a file",
           "metrics/test_lse.py::test_wav2lip_lrs_equals_the_published_script"),
    Parity("S3FD", "face-alignment", "metrics/test_lse.py::test_detector_equals_that_of_another_package",
           "face-alignment"),
    Parity("PSNR", "scikit-image", "metrics/test_image.py::test_psnr_equals_skimage", "scikit-image"),
    Parity("SSIM", "scikit-image", "metrics/test_image.py::test_ssim_equals_skimage", "scikit-image"),
    Parity("SSIM uniform (its defaults)", "scikit-image",
           "metrics/test_image.py::test_uniform_ssim_equals_skimage_left_alone", "scikit-image"),
    Parity("MS-SSIM", "pytorch-msssim", "metrics/test_cpbd.py::test_ms_ssim_equals_pytorch_msssim",
           "pytorch-msssim"),
    Parity("MS-SSIM at fewer scales", "pytorch-msssim",
           "metrics/test_cpbd.py::test_fewer_scales_equal_pytorch_msssim_with_the_renormalised_weights",
           "pytorch-msssim"),
    Parity("CPBD", "0x64746b/python-cpbd@09c99a4, answers kept in tests/metrics/golden",
           "metrics/test_cpbd.py::test_cpbd_equals_python_cpbd"),
    Parity("LPIPS", "lpips", "metrics/test_perceptual.py::test_lpips_equals_the_package", "lpips"),
    Parity("FID's network", "pytorch-fid", "metrics/test_perceptual.py::test_fid_features_and_value_equal_pytorch_fid",
           "pytorch-fid"),
    Parity("FID's distance", "pytorch-fid", "metrics/test_perceptual.py::test_frechet_equals_pytorch_fid",
           "pytorch-fid"),
    Parity("FID's distance, both ranks", "pytorch-fid",
           "metrics/test_distribution.py::test_frechet_equals_pytorch_fid_in_both_ways_of_taking_the_root",
           "pytorch-fid"),
    Parity("FVD's network (I3D)", "JunyaoHu/common_metrics_on_video_quality, its VideoGPT form, answers kept",
           "metrics/test_fvd.py::test_i3d_equals_the_public_one"),
    Parity("FVD's distance", "the same, its StyleGAN-V and VideoGPT forms, answers kept",
           "metrics/test_fvd.py::test_the_distance_equals_those_of_public_fvd_code"),
    Parity("KID", "torch-fidelity's formula, pair by pair",
           "metrics/test_distribution.py::test_kid_equals_the_sum_over_pairs_and_is_unbiased"),
    Parity("CSIM", "insightface arcface_torch's iresnet, by hand in torch functions",
           "metrics/test_csim.py::test_embeddings_equal_the_forward_pass_by_hand"),
    Parity("LMD family", "the scripts' loops (ATVGnet, yuangan/evaluation_eat@0fd6e2e, ER-NeRF, ViCo)",
           "metrics/test_landmark.py::test_distance_equals_the_published_loops"),
    Parity("soft-DTW", "its definition, over all alignments (Cuturi and Blondel 2017)",
           "metrics/test_aligned.py::test_soft_dtw_equals_the_sum_over_all_alignments"),
    Parity("motion (THEval's five)", "Newbyl/THEval@cfe23fe, answers kept in tests/metrics/golden",
           "metrics/test_motion.py::test_motion_equals_theval"),
    Parity("voice", "canonical correlation by orthonormal bases (Bjorck and Golub 1973)",
           "metrics/test_voice.py::test_without_ridge_the_fit_is_canonical_correlation"),
)  # fmt: skip


def measure() -> dict[str, dict[str, float]]:
    """Test -> what was compared -> largest gap over the test's cases; empty for a test that was skipped."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "parity.xml"
        wanted = [str(TESTS / row.test) for row in ROWS]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-o",
                "junit_family=xunit1",
                f"--junitxml={report}",
                *wanted,
            ],
            cwd=TESTS.parent,
            check=False,
        )
        if done.returncode:
            raise SystemExit("a parity test failed: nothing is written")
        root = ET.parse(report).getroot()
    found: dict[str, dict[str, float]] = {row.test: {} for row in ROWS}
    for case in root.iter("testcase"):
        file = case.get("classname", "").removeprefix("tests.").replace(".", "/") + ".py"
        test = f"{file}::{case.get('name', '').partition('[')[0]}"
        for fact in case.iter("property"):
            name = fact.get("name", "")
            if name.startswith("gap: "):
                gaps = found[test]
                what = name.removeprefix("gap: ")
                gaps[what] = max(gaps.get(what, 0.0), float(fact.get("value", "nan")))
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """The table in Markdown."""
    lines = ["| metric | reference | largest gap | test |", "|---|---|---|---|"]
    for row in ROWS:
        reference = (
            f"{row.reference} {version(row.package)}" if row.package and found[row.test] else row.reference
        )
        gaps = "; ".join(
            f"{what}: {gap:.1e}" if gap else f"{what}: none" for what, gap in found[row.test].items()
        )
        lines.append(
            f"| {row.metric} | {reference} | {gaps or 'not measured: the package is not here'} | `{row.test}` |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, then print or write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--write", type=Path, help="a document with the marks of this table; by default it is printed"
    )
    given = parser.parse_args()
    text = table(measure())
    if given.write:
        rewrite(given.write, "parity", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
