"""Which files of LRS2 are there: each list against its folder, then each folder against its lists."""

from __future__ import annotations

from pathlib import Path

from tkbench.dataset import Check, Ledger
from tkbench.errors import UsageError
from tkbench.prep.datasets.ledger import check_transcript, count_clip, sizes
from tkbench.prep.datasets.lrs2 import reader as lrs2
from tkbench.prep.datasets.tree import lines_of, listing


def check(ledger: Ledger, root: Path, how: Check) -> None:
    """Each list against its folder, then each folder against its lists."""
    base = lrs2.find_base(root)
    seen: dict[str, dict[str, set[str]]] = {"main": {}, "pretrain": {}}
    files: dict[tuple[str, str], dict[str, int]] = {}
    lists = {split: lrs2.list_file(base, split) for split in lrs2.SPLITS}
    if not any(lists.values()):
        raise UsageError(
            f"{base}: no train.txt, val.txt, test.txt or pretrain.txt; they are separate downloads of LRS2"
        )
    for done, (split, file) in enumerate(lists.items()):
        inner = lrs2.folder_of(split)
        if file is None:
            ledger.add(
                "missing-list", split, "", base / f"{split}.txt", None, "the split has no clips without it"
            )
            continue
        if not (base / inner).is_dir():
            ledger.add("missing-folder", split, "", base / inner, None, "the split is not in this copy")
        entries, bad = lrs2.parse_list(lines_of(file))
        for line, what in bad:
            ledger.add("bad-line", split, "", file, line, what)
        for entry in entries:
            key = f"{entry.source}/{entry.number}"
            numbers = seen[inner].setdefault(entry.source, set())
            if entry.number in numbers:
                ledger.add("listed-twice", split, key, file, entry.line, "the first place counts")
                continue
            numbers.add(entry.number)
            ledger.listed[split] += 1
            folder = base / inner / entry.source
            if (inner, entry.source) not in files:
                files[inner, entry.source] = sizes(folder)
            count_clip(ledger, split, key, folder, entry.number, files[inner, entry.source])
            if not how.fast and f"{entry.number}.txt" in files[inner, entry.source]:
                check_transcript(ledger, split, key, folder / f"{entry.number}.txt")
        how.progress(done + 1, len(lists), f"{split}.txt")
    for inner, sources in seen.items():
        if not sources and not (base / inner).is_dir():
            continue
        for source in listing(base / inner)[0]:
            there = files.get((inner, source)) or sizes(base / inner / source)
            for name in there:
                if name.endswith(".mp4") and name[:-4] not in sources.get(source, set()):
                    file = base / inner / source / name
                    ledger.add(
                        "not-listed", "-", f"{source}/{name[:-4]}", file, None, f"in {inner}/, in no list"
                    )
