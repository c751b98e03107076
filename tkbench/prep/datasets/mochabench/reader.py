"""MoChaBench: `mocha-generation/1p_emotion/1_name.mp4`, and the same for each model that somebody adds.

root     the clone of congwei1230/MoChaBench; videos of another model are put beside mocha-generation/, in a folder of
         the same form, as its README asks: `MODEL-generation/CATEGORY/NAME.mp4` or `MODEL/CATEGORY/NAME.mp4`
key      MODEL/CATEGORY/NAME; the 20 examples of four models in eval-viescore/example_results/ have the category
         `example_results`
speaker  the prompt, CATEGORY/NAME: intervals take all videos of a prompt together, so that models are compared on the
         same prompts
labels   model, category, prompt
split    none: all are in `test`
missing  a prompt that another model has a video for

The sound is that of the video. MoChaBench's own script scores against a voice without background, in benchmark/.

Sources: congwei1230/MoChaBench, README.md (categories, counts, folders), the tree of the repository (names,
example_results). The README counts 18, 34 and 38 videos in three categories where the repository holds 19, 33 and 39.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.prep.datasets.tree import SAFE, listing
from tkbench.types import Clip, Reason, Skipped

CATEGORIES = (
    "1p_camera_movement", "1p_closeup_facingcamera", "1p_emotion", "1p_generalize_chinese",
    "1p_mediumshot_actioncontrol", "1p_protrait", "2p_1clip_1talk", "2p_2clip_2talk",
)  # fmt: skip
EXAMPLES = "example_results"


def folders(root: Path) -> Iterator[tuple[str, str, Path]]:
    """(model, category, folder of its videos)."""
    for name in listing(root)[0]:
        if name != "benchmark" and SAFE.fullmatch(name):
            for category in listing(root / name)[0]:
                if category in CATEGORIES:
                    model = name.removesuffix("-generation")
                    # The same model as the folder MoCha of the examples.
                    yield "MoCha" if model == "mocha" else model, category, root / name / category
    for place in (root / "eval-viescore" / EXAMPLES, root / EXAMPLES):
        for name in listing(place)[0]:
            if SAFE.fullmatch(name):
                yield name, EXAMPLES, place / name


def read(root: Path, odd: list[Path] | None = None) -> Iterator[Clip | Skipped]:
    """The video of every model for every prompt, by key. odd: takes videos whose name cannot be one."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    where: dict[tuple[str, str], Path] = {}
    prompts: dict[str, dict[str, str]] = {}
    for model, category, folder in folders(root):
        where[model, category] = folder
        for name in listing(folder)[1]:
            stem = name.removesuffix(".mp4")
            if stem == name:
                continue
            if not SAFE.fullmatch(stem):
                if odd is not None:
                    odd.append(folder / name)
                continue
            found.setdefault((model, category), {})[stem] = f"{folder}/{name}"
            prompts.setdefault(category, {}).setdefault(stem, model)
    if not found:
        raise UsageError(
            f"{root}: not MoChaBench: no folder mocha-generation/1p_emotion or the like with videos in it"
        )
    for model, category in sorted(found, key=lambda place: f"{place[0]}/{place[1]}/"):
        for stem, other in sorted(prompts[category].items()):
            prompt = f"{category}/{stem}"
            labels = {"model": model, "category": category, "prompt": prompt}
            path = found[model, category].get(stem)
            if path is not None:
                yield Clip(f"{model}/{prompt}", path, "mochabench", "test", prompt, labels=labels)
            else:
                lost, why = f"{where[model, category]}/{stem}.mp4", f"{other} has a video for this prompt"
                yield Skipped(f"{model}/{prompt}", lost, Reason.MISSING_FILE, why, "test", prompt, labels)
