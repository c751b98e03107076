"""The model card that is written beside a checkpoint: what it was made from, how it went, what is not the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tkbench.models import kinds
from tkbench.models.checkpoint import EarlierTraining, Facts


def card(facts: Facts, reports: Sequence[Mapping[str, float]], file: str) -> str:
    """Markdown; numbers are those of the run, and nothing else is claimed."""
    run = facts.training
    blend = "blend and warp" if facts.spec.get("warp") else "blend"
    lines = [
        f"# {file}",
        "",
        f"{facts.kind}, trained by tkbench {run['tkbench']}.",
        "",
        "| | |",
        "|---|---|",
        f"| data | {run['dataset']}, {run['n_train']} training clips, sha256 {run['data'][:12]} |",
        f"| steps | {run['steps']} of {run['batch']} windows, seed {run['seed']} |",
        f"| time | {run['seconds']:.0f} s, {run['samples_per_second']:.1f} windows/s, "
        f"{run['wait']:.0%} of it waiting for data |",
        f"| device | {run['device']}, {run['precision']} |",
        f"| face | {facts.cut.recipe} at {facts.cut.size} x {facts.cut.size} |",
        f"| sizes | {dict(facts.spec)} |",
    ]
    if expert := run.get("expert"):
        lines.append(f"| expert | sha256 {expert[:12]}, frozen; never a judge |")
    for before in run.get("before", ()):
        what = (
            before.get("published")
            or f"{before['steps']} steps on {before['dataset']}, seed {before['seed']}"
        )
        when = f"drawing layers of {before['painter']}" if "painter" in before else "before that"
        lines.append(f"| {when} | {what}{begun(before)} |")
    note = kinds.registry.get(facts.kind).note.replace("{blend}", blend)
    lines += ["", f"What is ours: {note}", ""]
    names = [n for n in dict.fromkeys(n for r in reports for n in r) if n.startswith(("train/", "val/"))]
    if names:
        lines += ["| step | " + " | ".join(names) + " |", "|---:|" + "---:|" * len(names)]
        for report in thinned(reports):
            cells = (f"{report[name]:.4g}" if name in report else "" for name in names)
            lines.append(f"| {report['step']:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def begun(before: EarlierTraining) -> str:
    """About the checkpoint that a training began with: which it is, how it cut faces, and what it lacked."""
    if "sha256" not in before:
        return ""
    cut, fresh = before["cut"], before["fresh"]
    new = f"; {len(fresh)} tensors that it lacks began fresh, {fresh[0]} the first" if fresh else ""
    return f" (sha256 {before['sha256'][:12]}, {cut['recipe']} at {cut['size']}{new})"


def thinned(reports: Sequence[Mapping[str, float]], most: int = 20) -> list[Mapping[str, float]]:
    """At most `most` reports, evenly spaced, the first and the last among them."""
    if len(reports) <= most:
        return list(reports)
    return [reports[round(i * (len(reports) - 1) / (most - 1))] for i in range(most)]
