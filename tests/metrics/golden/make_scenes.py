"""Makes scenes.json: where the released wheels of PySceneDetect cut the videos of tests/support/moving_pictures.py.

    python tests/metrics/golden/make_scenes.py --scenedetect DIR

DIR holds the folders 0.5.1, 0.6.1, 0.6.6 and 0.6.7.1, each made by
`pip install --no-deps --target DIR/0.5.1 scenedetect==0.5.1` and so on. Each wheel runs in a process of its own, driven
as the LSE scripts drive it (VideoManager, ContentDetector with its defaults, one scene where it finds none); 0.6.7.1
also by its newer interface. The videos are lossless, so that a test can draw the same pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
RELEASES = ("0.5.1", "0.6.1", "0.6.6", "0.6.7.1")
CHILD = """
import json, sys, logging
import cv2
plain = cv2.split
cv2.split = lambda *a: list(plain(*a))  # as OpenCV answered when 0.5.1 was written
import scenedetect
logging.disable(logging.CRITICAL)
from scenedetect.detectors import ContentDetector
from scenedetect.scene_manager import SceneManager
from scenedetect.stats_manager import StatsManager

def by_manager(file):
    from scenedetect.video_manager import VideoManager
    video, scenes = VideoManager([file]), SceneManager(StatsManager())
    scenes.add_detector(ContentDetector())
    base = video.get_base_timecode()
    video.set_downscale_factor()
    video.start()
    scenes.detect_scenes(frame_source=video)
    found = scenes.get_scene_list(base)
    return found or [(video.get_base_timecode(), video.get_current_timecode())]

def by_stream(file):
    scenes = SceneManager(StatsManager())
    scenes.add_detector(ContentDetector())
    scenes.detect_scenes(scenedetect.open_video(file))
    return scenes.get_scene_list(start_in_scene=True)

how = by_stream if sys.argv[1] == "stream" else by_manager
out = [[[start.get_frames(), stop.get_frames()] for start, stop in how(file)] for file in sys.argv[2:]]
print(json.dumps([scenedetect.__version__, out]))
"""


def main() -> None:
    """Draw, write, ask every wheel."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenedetect", type=Path, required=True)
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from support.moving_pictures import CASES, frames_of

    from tkbench.media.ffmpeg import run

    found: dict[str, object] = {"cases": CASES}
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, case in enumerate(CASES):
            width, height, _, _ = case
            file = f"{folder}/{number}.avi"
            raw = [
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-s",
                f"{width}x{height}",
                "-r",
                "25",
                "-i",
                "pipe:0",
            ]
            run([*raw, "-c:v", "ffv1", "-pix_fmt", "bgr0", file], file, stdin=frames_of(*case))
            files.append(file)
        for release in RELEASES:
            for how in ("manager", "stream") if release == "0.6.7.1" else ("manager",):
                path = os.pathsep.join(
                    [str((given.scenedetect / release).resolve()), os.environ.get("PYTHONPATH", "")]
                )
                done = subprocess.run([sys.executable, "-c", CHILD, how, *files], env=os.environ | {"PYTHONPATH": path},
                                      stdout=subprocess.PIPE, text=True, check=True)  # fmt: skip
                says, scenes = json.loads(done.stdout.splitlines()[-1])
                if says.removeprefix("v") != release:
                    raise SystemExit(f"{given.scenedetect / release} holds {says}")
                found[f"{release} {how}"] = scenes
    lines = ",\n ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
    Path(__file__).with_name("scenes.json").write_text(f"{{{lines}}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
