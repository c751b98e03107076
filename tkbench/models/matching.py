"""Which video of a folder is which clip's: by name, never by position.

A clip is called by its key, which may hold `/`, as in `s000/c0000`. Its video is looked for in this order:

    s000/c0000.mp4                the key as a path below the folder
    s000__c0000.mp4, s000_c0000.mp4    the key with its `/` replaced
    S000/C0000.MP4                the same without regard to case
    take2/s000/c0000.mp4          the same in a sub-folder, if exactly one is there

A pattern says how names are made where they are made otherwise: `{key}_result.mp4`, or `{name}_out.mp4` with the last
part of the key alone. Its suffix says nothing: any of `SUFFIXES` is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tkbench.errors import UsageError
from tkbench.runtime import storage

SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm")
PLAIN = "{key}"
MOST_LISTED = 500_000
"""Files of a folder that are looked at; more are no folder of results."""
TRIED = 40
"""Keys and names from which a pattern is guessed."""


def parse_pattern(text: str) -> str:
    """A pattern without the suffix of a video.

    >>> parse_pattern("{key}_result.mp4"), parse_pattern("out/{name}.v2")
    ('{key}_result', 'out/{name}.v2')
    """
    places = re.findall(r"{[^{}]*}", text)
    bare = re.sub(r"{(key|name)}", "", text)
    if len(places) != 1 or "{" in bare or "}" in bare:
        raise UsageError(
            f"pattern {text!r}: expected {{key}} (the clip's whole name) or {{name}} (what follows its last /), once, "
            "as in '{key}_result.mp4'"
        )
    if text.startswith("/") or ".." in Path(text).parts:
        raise UsageError(f"pattern {text!r}: leads out of the folder; give the part below it")
    return text[: -len(suffix)] if (suffix := suffix_of(text)) else text


def suffix_of(name: str) -> str:
    """The suffix of a video in a name, as it is written; "" for another file."""
    return next((name[-len(s) :] for s in SUFFIXES if name.lower().endswith(s)), "")


def divided(setting: str) -> tuple[str, str]:
    """(folder, pattern) of what stands behind `files:`.

    >>> divided("out"), divided("out/{key}_result.mp4"), divided("s3://b/out/v2/x_{name}")
    (('out', '{key}'), ('out', '{key}_result.mp4'), ('s3://b/out/v2', 'x_{name}'))
    """
    if "{" not in setting:
        return setting, PLAIN
    before = setting[: setting.index("{")]
    folder, _, start = before.rpartition("/")
    return folder or ("/" if before.startswith("/") else "."), start + setting[setting.index("{") :]


def stems(key: str, pattern: str) -> list[str]:
    """The names below the folder, without suffix, that a clip's video may have.

    >>> stems("s0/c1", "{key}"), stems("s0/c1", "{name}_out")
    (['s0/c1', 's0__c1', 's0_c1'], ['c1_out'])
    """
    name = key.rpartition("/")[2]
    forms = (key, key.replace("/", "__"), key.replace("/", "_")) if "{key}" in pattern else (name,)
    place = "{key}" if "{key}" in pattern else "{name}"
    return list(dict.fromkeys(pattern.replace(place, form) for form in forms))


@dataclass(frozen=True, slots=True)
class Match:
    """A clip's video, or why there is none."""

    path: Path | None
    why: str = ""


class VideoFolder:
    """The videos below a folder, or behind a URL, by the names of clips."""

    def __init__(self, folder: Path, pattern: str = PLAIN) -> None:
        self.folder, self.pattern = folder, parse_pattern(pattern)
        self._remote = storage.as_remote(folder) is not None
        self._names: dict[str, Path] | None = None
        self._tails: dict[str, list[str]] | None = None

    def names(self) -> dict[str, Path]:
        """Every video by its path below the folder, in sorted order; listed once."""
        if self._names is None:
            self._names = dict(sorted(self._listed()))
        return self._names

    def _listed(self) -> Iterable[tuple[str, Path]]:
        root, inside = str(self.folder), None if self._remote else self.folder.resolve()
        for count, path in enumerate(self.folder.rglob("*")):
            if count >= MOST_LISTED:
                raise UsageError(
                    f"{self.folder}: holds over {MOST_LISTED} files; give the folder of the videos"
                )
            name = str(path)[len(root) :].lstrip("/") if self._remote else path.relative_to(root).as_posix()
            if not suffix_of(name) or any(part.startswith(".") for part in name.split("/")):
                continue
            if inside is None or path.resolve().is_relative_to(inside):
                yield name, path

    def find(self, key: str) -> Match:
        """The video of a clip."""
        wanted = stems(key, self.pattern)
        for stem in wanted:
            if (path := self._exact(stem)) is not None:
                return Match(path)
        for stem in wanted:
            found = self._by_tail().get(stem.lower(), [])
            whole = [name for name in found if _bare(name) == stem.lower()]
            found = whole or found
            if len({_bare(name) for name in found}) > 1:
                return Match(
                    None, f"{found[0]} and {found[1]} are both called so; give the folder of one of them"
                )
            if len({name[: -len(suffix_of(name))] for name in found}) > 1:
                return Match(None, f"{found[0]} and {found[1]} differ in case alone; remove one of them")
            if found:
                best = min(found, key=lambda name: SUFFIXES.index(suffix_of(name).lower()))
                return Match(self.names()[best])
        return Match(None)

    def _exact(self, stem: str) -> Path | None:
        """As it is written; a file that was written since the folder was listed is found, too."""
        for suffix in (*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES)):
            if self._remote:
                if (found := self.names().get(f"{stem}{suffix}")) is not None:
                    return found
                continue
            path = self.folder / f"{stem}{suffix}"
            if path.is_file() and path.resolve().is_relative_to(self.folder.resolve()):
                return path
        return None

    def _by_tail(self) -> dict[str, list[str]]:
        """Names by each end of their path, in lower case and without suffix."""
        if self._tails is None:
            self._tails = {}
            for name in self.names():
                parts = _bare(name).split("/")
                for start in range(len(parts)):
                    self._tails.setdefault("/".join(parts[start:]), []).append(name)
        return self._tails

    def check(self, keys: Sequence[str]) -> list[str]:
        """The clips without a video. UsageError where no clip has one, or where one video would be that of two."""
        missing: list[str] = []
        owners: dict[Path, str] = {}
        for key in keys:
            path = self.find(key).path
            if path is None:
                missing.append(key)
            elif path in owners:
                raise UsageError(
                    f"{path}: would be the video of two clips, {owners[path]} and {key}; name each by its whole key"
                )
            else:
                owners[path] = key
        if keys and not owners:
            raise UsageError(self._nothing(keys))
        return missing

    def unclaimed(self, keys: Iterable[str]) -> list[str]:
        """The videos, by their paths below the folder, that are those of none of these clips."""
        taken = {match.path for key in keys if (match := self.find(key)).path is not None}
        return [name for name, path in self.names().items() if path not in taken]

    def _nothing(self, keys: Sequence[str]) -> str:
        there = list(self.names())
        if not there:
            return f"{self.folder}: holds no video; expected one per clip, such as {keys[0]}.mp4"
        if why := self.find(keys[0]).why:
            return f"{self.folder}: clip {keys[0]}: {why}"
        pattern, fits = guess(there, keys)
        advice = "name each by its clip, or say how they are named with --pattern '{key}_result.mp4'"
        if pattern:
            advice = f"--pattern '{pattern}' would fit {fits} of them"
        count = f"{len(there)} video{'s' * (len(there) != 1)}"
        asked = "" if self.pattern == PLAIN else f" by the pattern {self.pattern}"
        return (
            f"{self.folder}: holds {count} ({', '.join(there[:3])}{', ...' * (len(there) > 3)}), none of them of "
            f"one of the {len(keys)} clips{asked} ({', '.join(keys[:3])}{', ...' * (len(keys) > 3)}); {advice}"
        )


def _bare(name: str) -> str:
    return name[: -len(suffix_of(name))].lower()


def guess(names: Sequence[str], keys: Sequence[str]) -> tuple[str, int]:
    """The pattern by which most names are made from keys, and how many; ("", 0) where none holds a key.

    >>> guess(["out_a1.mp4", "out_a2.mp4"], ["a1", "a2"]), guess(["1.mp4"], ["a1"])
    (('out_{key}.mp4', 2), ('', 0))
    >>> guess(["v/c1_result.mp4", "v/c2_result.mp4"], ["s0/c1", "s1/c2", "s2/c3"])
    ('{name}_result.mp4', 2)
    """
    # The name without its folder, in lower case: sub-folders and case are found in any case.
    there = {_bare(name).rpartition("/")[2] for name in names}
    patterns: dict[str, str] = {}
    for key in keys[:TRIED]:
        for form, place in [
            *((form, "{key}") for form in stems(key, PLAIN)),
            (key.rpartition("/")[2], "{name}"),
        ]:
            for name in names[: TRIED * 10]:
                file = name.rpartition("/")[2]
                bare = file[: -len(suffix_of(file))]
                at = bare.lower().find(form.lower())
                if form and at >= 0:
                    pattern = bare[:at] + place + bare[at + len(form) :]
                    patterns.setdefault(pattern, pattern + suffix_of(file).lower())
    best, most = "", 0
    for pattern, shown in patterns.items():
        fits = sum(any(stem.lower() in there for stem in stems(key, pattern)) for key in keys)
        if fits > most:
            best, most = shown, fits
    return best, most
