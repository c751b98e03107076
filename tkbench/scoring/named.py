"""Videos of a model that are named like the files that the shards were prepared from.

`files:DIR` looks for a clip's video by the clip's key. A model that read the user's own files names its videos like
these, and `take 1.mp4` is not the key `take_1` (`shards.originals`). So a video that has no key's name is looked for by
the name of the clip's file, by the same rules (`models.matching`) and the same pattern.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from tkbench import models, shards
from tkbench.errors import UsageError
from tkbench.models.base import Model
from tkbench.models.files import Files, Size
from tkbench.models.matching import Match, VideoFolder
from tkbench.runtime.words import counted
from tkbench.shards.originals import originals, stem

KIND = "files"


def create(name: str, source: shards.Shards) -> Model:
    """The model of this name; a folder of videos also finds those that are named like the files of the clips."""
    kind, _, setting = name.partition(":")
    if kind == KIND and setting and (names := _names(source)):
        return NamedFiles(setting, names)
    return models.create(name)


def _names(source: shards.Shards) -> dict[str, str]:
    """Key -> the name of its file, where that is no other clip's, too."""
    found = {key: stem(path) for key, path in originals(source).items()}
    often = Counter(found.values())
    return {key: name for key, name in found.items() if often[name] == 1}


class NamedFolder(VideoFolder):
    """A folder of videos that carry the names of clips or of the clips' files."""

    def __init__(self, folder: VideoFolder, names: Mapping[str, str]) -> None:
        super().__init__(folder.folder, folder.pattern)
        self.originals = names

    def find(self, key: str) -> Match:
        """The video of a clip: by its key, then by its file."""
        match = super().find(key)
        if match.path is not None or match.why or key not in self.originals:
            return match
        # File systems write the same letters in two forms.
        for name in _forms(self.originals[key]):
            match = super().find(name)
            if match.path is not None or match.why:
                return match
        return match

    def check(self, keys: Sequence[str]) -> list[str]:
        """The clips without a video; the advice of a refusal fits names of files, too."""
        try:
            return super().check(keys)
        except UsageError as error:
            names = [self.originals.get(key, key) for key in keys]
            try:
                VideoFolder(self.folder, self.pattern).check(names)
            except UsageError as other:
                if "would fit" in str(other) and "would fit" not in str(error):
                    raise other from error
            raise

    def by_file(self, keys: Sequence[str]) -> dict[str, str]:
        """Clip -> the name of its video below the folder, of those that no key's name has found."""
        found = {}
        for key in keys:
            if key in self.originals and super().find(key).path is None:
                path = self.find(key).path
                if path is not None:
                    found[key] = path.name
        return found


def _forms(name: str) -> list[str]:
    return list(dict.fromkeys([name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]))


class NamedFiles(Files):
    """`files:DIR` whose videos may be named like the clips' files."""

    def __init__(self, setting: str, names: Mapping[str, str]) -> None:
        super().__init__(setting)
        self._named = NamedFolder(self._videos, names)
        self._videos = self._named

    def check(self, keys: Sequence[str], sizes: Mapping[str, Sequence[Size]]) -> list[str]:
        """What is to be said before any work, with how many videos were found by the names of files."""
        said = super().check(keys, sizes)
        found = self._named.by_file(keys)
        if found:
            key, name = next(iter(found.items()))
            like = "is named like its clip's file" if len(found) == 1 else "are named like their clips' files"
            said.append(f"{self.folder}: {counted(len(found), 'video')} {like}: {name} is clip {key}")
        return said
