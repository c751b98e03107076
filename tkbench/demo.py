"""`tkbench demo`: corpus, preparation, scores, leaderboard and report in one command, without any data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tkbench.models import ANCHORS, references
from tkbench.prep.run import prepare
from tkbench.report import publish
from tkbench.runtime.parallel import pool
from tkbench.runtime.progress import bar
from tkbench.runtime.words import counted
from tkbench.scoring import finished
from tkbench.scoring.evaluate import EvalOptions, evaluate, kept_from_stopped
from tkbench.synth.corpus import make_corpus

if TYPE_CHECKING:
    from rich.console import RenderableType


def run(
    out: Path,
    *,
    clips: int,
    speakers: int,
    seed: int,
    workers: int,
    width: int,
    show: Callable[[RenderableType], None],
    say: Callable[[str], None],
) -> Path:
    """Make a corpus, prepare it, score the anchors and the reference models, publish; returns the report's path.

    A second run resumes: it keeps a finished corpus and finished shards, and of a run that was stopped the models
    that it scored; otherwise it computes the scores again.
    """
    begin = time.perf_counter()
    corpus, shards = out / "corpus", out / "shards"
    if not (corpus / "corpus.json").exists():
        with bar("1/4 corpus   ") as progress:
            make_corpus(
                corpus,
                clips=clips,
                speakers=speakers,
                seed=seed,
                split="test",
                workers=workers,
                progress=lambda done, total: progress(done, total, "talking faces made"),
            )
    with bar("2/4 prep     ") as progress:
        prepare(corpus, shards, workers=workers, progress=progress)
    bundles: list[Path] = []
    runs, settings = out / "runs", EvalOptions(cache=out / "features", one_of_several=True)
    scored = (*ANCHORS, *references())
    with pool(workers) as workforce:
        for place, model in enumerate(scored, start=1):
            kept = kept_from_stopped(shards, model, out=runs, options=settings)
            if kept is not None:
                say(f"{model}: kept from the stopped run")
                bundles.append(kept)
                continue
            with bar(f"3/4 score {place}/{len(scored)}") as progress:
                options = replace(settings, progress=progress)
                bundles.append(evaluate(shards, model, out=runs, workers=workforce, options=options))
    with bar("4/4 report   ") as progress:
        progress(0, 1, "leaderboard and page")
        made = publish.publish(bundles, out / "leaderboards")
        finished.published(bundles)
        progress(1, 1, "done")
    for part in publish.rich_tables(made.folder, width):
        show(part)
    say(
        f"{counted(clips, 'clip')}, {len(scored)} models, {time.perf_counter() - begin:.0f} s.\n"
        f"leaderboard: {made.csv}\n"
        f"Open {made.report.resolve()} in a browser."
    )
    return made.report
