"""Batches through PyTorch's worker processes: the same batches in the same order for any number of workers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Protocol, TypedDict

from tkbench.types import Array, Float32, UInt8

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader


class WindowBatch(TypedDict, total=False):
    """B windows of F frames as numpy arrays; pixels are RGB uint8, frames are counted from the clip's first."""

    video: UInt8
    """(B, margin + F + margin, h, w, 3)"""
    reference: UInt8
    """(B, F, h, w, 3) other frames of the same clip."""
    mel: Float32
    """(B, 80, 16 * F // 5) the sound of the window, from its first frame on."""
    mels: Float32
    """(B, sound + F + sound, 80, 16) 0.2 s around each frame, from 40 ms before it on; silent outside the clip."""
    mouth: Float32
    """(B, F, 8), with `WindowSpec.mouths` only: the lengths of `metrics.mouth.NAMES` in eye distances, less their
    medians over the clip."""
    opening: UInt8
    """(B, F, h, w), with `WindowSpec.openings` only: 1 where the true mouth is open, between the inner lips."""
    reference_mel: Float32
    """As mel, of the reference: sound of the same voice that does not belong to `video`."""
    frame: Array
    """(B,) int64, the first of the F frames."""
    reference_frame: Array
    """(B,) int64, the same of the reference."""
    key: list[str]
    speaker: list[str]


class TensorBatch(TypedDict, total=False):
    """The same with tensors for arrays, as a `Loader` gives it."""

    video: torch.Tensor
    reference: torch.Tensor
    mel: torch.Tensor
    mels: torch.Tensor
    mouth: torch.Tensor
    opening: torch.Tensor
    reference_mel: torch.Tensor
    frame: torch.Tensor
    reference_frame: torch.Tensor
    key: list[str]
    speaker: list[str]


class LoaderState(TypedDict):
    """Where a loader stands."""

    epoch: int
    number: int
    """Of the next batch in the epoch."""


class BatchSource(Protocol):
    """What a loader reads: a number of batches per epoch, each by (epoch, number)."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: tuple[int, int]) -> WindowBatch: ...


class Loader:
    """Iterates over one epoch, then stands at the next; tensors instead of arrays, pixels still uint8.

    `state()` says where it stands, and `seek(**state)` continues there with the batch that was next.
    """

    def __init__(
        self, windows: BatchSource, *, workers: int = 0, prefetch: int = 2, pin: bool = False
    ) -> None:
        self.windows = windows
        self.epoch = self.number = 0
        self._workers, self._prefetch, self._pin = workers, prefetch, pin
        self._made: DataLoader[TensorBatch] | None = None

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.windows)

    def state(self) -> LoaderState:
        """Epoch, and the number of the next batch in it."""
        return {"epoch": self.epoch, "number": self.number}

    def seek(self, epoch: int, number: int = 0) -> None:
        """Continue with batch `number` of `epoch`."""
        self.epoch, self.number = epoch + number // len(self), number % len(self)

    def __iter__(self) -> Iterator[TensorBatch]:
        if self._made is None:
            self._made = self._loader(_RestOfEpoch(self))
        yield from self._counted(self._made)

    def endless(self) -> Iterator[TensorBatch]:
        """Epoch after epoch without an end; workers begin the next one before this one is used up."""
        yield from self._counted(self._loader(_Endless(self)))

    def _counted(self, made: DataLoader[TensorBatch]) -> Iterator[TensorBatch]:
        for batch in made:
            # Counted before the batch is used: a state that is saved after its step points at the next one.
            self.seek(self.epoch, self.number + 1)
            yield batch

    def _loader(self, sampler: _RestOfEpoch | _Endless) -> DataLoader[TensorBatch]:
        from torch.utils.data import DataLoader

        return DataLoader(
            self.windows,  # type: ignore[arg-type,unused-ignore]
            batch_size=None,
            sampler=sampler,
            num_workers=self._workers,
            prefetch_factor=self._prefetch if self._workers else None,
            persistent_workers=self._workers > 0,
            pin_memory=self._pin,
            worker_init_fn=_one_thread,
        )


class _RestOfEpoch:
    """(epoch, number) of the batches from where a loader stands to the end of its epoch."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self._loader.epoch
        return iter([(epoch, number) for number in range(self._loader.number, len(self._loader))])

    def __len__(self) -> int:
        return len(self._loader) - self._loader.number


class _Endless:
    """(epoch, number) of the batches from where a loader stands, without an end."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[tuple[int, int]]:
        # The loader moves on as its batches are used; this runs ahead of it.
        length = len(self._loader)
        for place in count(self._loader.epoch * length + self._loader.number):
            yield divmod(place, length)


def _one_thread(worker: int) -> None:
    """OpenCV on one thread: many workers share the cores better than many threads do."""
    import cv2

    cv2.setNumThreads(0)
