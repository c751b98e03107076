"""Batches through PyTorch's worker processes: the same batches in the same order for any number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch.utils.data import DataLoader


class BatchSource(Protocol):
    """What a loader reads: so many batches an epoch, each by (epoch, number)."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: tuple[int, int]) -> Mapping[str, Any]: ...


class Loader:
    """Iterates over one epoch, then stands at the next; tensors instead of arrays, pixels still uint8.

    `state()` says where it stands and `seek(**state)` goes on there, with the very batch that was next.
    """

    def __init__(
        self, windows: BatchSource, *, workers: int = 0, prefetch: int = 2, pin: bool = False
    ) -> None:
        self.windows = windows
        self.epoch = self.number = 0
        self._workers, self._prefetch, self._pin = workers, prefetch, pin
        self._made: DataLoader[Any] | None = None

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.windows)

    def state(self) -> dict[str, int]:
        """Epoch, and the number of the next batch in it."""
        return {"epoch": self.epoch, "number": self.number}

    def seek(self, epoch: int, number: int = 0) -> None:
        """Go on with batch `number` of `epoch`."""
        self.epoch, self.number = epoch + number // len(self), number % len(self)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._made is None:
            self._made = self._loader(_Rest(self))
        yield from self._moving(self._made)

    def endless(self) -> Iterator[dict[str, Any]]:
        """Epoch after epoch; workers are at the next one before this one is used up."""
        yield from self._moving(self._loader(_Endless(self)))

    def _moving(self, made: DataLoader[Any]) -> Iterator[dict[str, Any]]:
        for batch in made:
            # Moved on before the batch is used: a state that is saved after its step points at the next one.
            self.seek(self.epoch, self.number + 1)
            yield batch

    def _loader(self, sampler: _Rest | _Endless) -> DataLoader[Any]:
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


class _Rest:
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
    """Many workers share the cores better than many threads do."""
    import cv2

    cv2.setNumThreads(0)
