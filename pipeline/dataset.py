r"""Batches of galaxies, on the device, from a store."""

__all__ = ["Batch", "Batches", "Pixels", "class_weights"]

import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Barrier
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.augment import Augment, Draw
from pipeline.errors import ConfigError, DataError
from pipeline.stretch import Stretch

DEVICE_SHARE = 0.4
r"""The share of the free memory of a GPU that may be held where `resident` is `auto`."""

CHUNK_BYTES = 2**20


class Pixels(Protocol):
    r"""Where fluxes come from: a :class:`pipeline.store.Store`, or anything that gathers."""

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        r"""Returns the fluxes over the sky noise of some rows, with shape `(B, C, H, W)`."""


class Batch(NamedTuple):
    r"""Some galaxies, ready for a network.

    Arguments:
        images: The stretched images, float32, on the device, with shape `(B, C, H, W)`.
        labels: The index of the class of each, on the device, with shape `(B)`. -1 is unknown.
        rows: Their rows in the store, on the CPU, with shape `(B)`.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor


@dataclass(eq=False)
class Batches:
    r"""Iterates over galaxies of a store, once per epoch.

    The order of the batches and all that is random in them depend on the seed and on the epoch
    alone: not on the device, nor on where the pixels wait, nor on what was iterated before.
    With neither `shuffle` nor `augment`, as for validation and test, nothing is random.

    Arguments:
        store: The source of the fluxes.
        rows: The rows of the store to iterate over, with shape `(N)`.
        labels: The index of the class of each, with shape `(N)`. -1 is unknown.
        batch_size: The number of galaxies per batch; the last one of an epoch may have fewer.
        device: Where the batches are wanted.
        stretch: What makes images of fluxes.
        augment: What makes views of images. By default, images are left alone.
        mirror: The index of the mirror image of each class (see
            :class:`pipeline.labels.Scheme`). By default, each class is its own.
        shuffle: Whether each epoch is another permutation of the galaxies.
        balanced: Whether each class is drawn equally often. An epoch keeps its length: of a
            frequent class it sees a random part, of a rare one each galaxy several times, as
            evenly as possible.
        seed: Seeds the order and the views.
        resident: Whether to hold all fluxes on the device, in float16, from the first batch
            on. With `auto`, if they fit in :data:`DEVICE_SHARE` of the free memory of a GPU;
            on the CPU the memory map serves as well, and memory stays flat.
        prefetch: The number of batches gathered and moved ahead in the background, if they
            are not resident. 0 for none.

    Raises:
        ConfigError: If the arguments contradict each other.
        DataError: If there is not one label per row, or if a label is out of range.
    """

    store: Pixels
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    batch_size: int
    device: torch.device | str = "cpu"
    stretch: Stretch = field(default_factory=Stretch, kw_only=True)
    augment: Augment | None = field(default=None, kw_only=True)
    mirror: tuple[int, ...] | None = field(default=None, kw_only=True)
    shuffle: bool = field(default=False, kw_only=True)
    balanced: bool = field(default=False, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    resident: bool | Literal["auto"] = field(default="auto", kw_only=True)
    prefetch: int = field(default=2, kw_only=True)

    def __post_init__(self) -> None:
        self.device = torch.device(self.device)
        self.rows = np.asarray(self.rows, dtype=np.int64)
        self.labels = np.asarray(self.labels, dtype=np.int64)
        self.epoch = 0
        self._held: Tensor | None = None

        if self.batch_size < 1 or self.prefetch < 0 or self.resident not in (True, False, "auto"):
            raise ConfigError(
                f"batch_size={self.batch_size}, prefetch={self.prefetch}, resident="
                f"{self.resident!r}, expected 1 or more, 0 or more, and true, false or 'auto'"
            )
        if self.balanced and not self.shuffle:
            raise ConfigError("balanced batches are random, expected shuffle=True with them")
        if self.rows.shape != self.labels.shape or self.rows.ndim != 1:
            raise DataError(
                f"rows of shape {self.rows.shape} and labels of shape {self.labels.shape},"
                " expected one label per row"
            )
        classes = math.inf if self.mirror is None else len(self.mirror)
        if self.labels.size and not -1 <= self.labels.min() <= self.labels.max() < classes:
            raise DataError(
                f"labels from {self.labels.min()} to {self.labels.max()}, expected -1 (unknown)"
                f" to {classes - 1}"
            )
        if self.balanced and (self.labels < 0).any():
            raise DataError(f"{(self.labels < 0).sum()} unknown labels, balanced needs them all")

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        r"""Chooses the epoch that the next iteration is."""

        self.epoch = epoch

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        order = self._order(epoch)
        parts = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        if not parts:
            return

        for index, (part, fluxes) in enumerate(zip(parts, self._fluxes(parts), strict=True)):
            yield self._batch(part, fluxes, epoch, index)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(len(self.rows))

        random = np.random.default_rng([self.seed, epoch])
        if not self.balanced:
            return random.permutation(len(self.rows))

        return random.permutation(_balance(self.labels, random))

    def _fluxes(self, parts: list[NDArray[np.int64]]) -> Iterator[Tensor]:
        if self._is_resident():
            held = self._hold()
            for part in parts:
                yield held.index_select(0, torch.from_numpy(part).to(held.device))
        elif self.prefetch:
            yield from self._ahead(parts)
        else:
            yield from map(self._load, parts)

    def _is_resident(self) -> bool:
        if self.resident != "auto" or self._held is not None:
            return bool(self.resident)
        if torch.device(self.device).type != "cuda":
            return False

        size = len(self.rows) * self.store.gather(self.rows[:1]).nbytes

        return size <= DEVICE_SHARE * torch.cuda.mem_get_info(self.device)[0]

    def _hold(self) -> Tensor:
        if self._held is None:
            shape = self.store.gather(self.rows[:1]).shape[1:]
            held = torch.empty(len(self.rows), *shape, dtype=torch.float16, device=self.device)
            for start in range(0, len(self.rows), 1024):
                part = np.arange(start, min(start + 1024, len(self.rows)))
                held[start : start + 1024] = _mine(self._load(part))
            self._held = held

        return self._held

    def _load(self, part: NDArray[np.int64]) -> Tensor:
        fluxes = torch.from_numpy(self.store.gather(self.rows[part]))
        if torch.device(self.device).type != "cuda":
            return fluxes.to(self.device)

        # Pinned, and on its own stream: the copy passes beside the computation.
        with torch.cuda.stream(torch.cuda.Stream(self.device)):
            moved = fluxes.pin_memory().to(self.device, non_blocking=True)
            torch.cuda.current_stream(self.device).synchronize()

        return moved

    def _ahead(self, parts: list[NDArray[np.int64]]) -> Iterator[Tensor]:
        waiting: deque[Future[Tensor]] = deque()
        pool = ThreadPoolExecutor(1, "batches", *_same_device(self.device))
        try:
            for part in parts:
                waiting.append(pool.submit(self._load, part))
                if len(waiting) > self.prefetch:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _batch(self, part: NDArray[np.int64], fluxes: Tensor, epoch: int, index: int) -> Batch:
        labels = torch.from_numpy(self.labels[part])
        rows = torch.from_numpy(self.rows[part])
        fluxes = _mine(fluxes)
        if self.augment is None:
            return Batch(self._images(fluxes, None), labels.to(self.device), rows)

        seed = np.random.SeedSequence([self.seed, epoch, index]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(seed[0]))
        draw = self.augment.draw(tuple(fluxes.shape), generator)
        if self.mirror is not None:
            mirrored = torch.tensor((*self.mirror, -1))[labels]  # -1 stays -1
            labels = torch.where(draw.reflected, mirrored, labels)

        return Batch(self._images(fluxes, draw), labels.to(self.device), rows)

    def _images(self, fluxes: Tensor, draw: Draw | None) -> Tensor:
        size = len(fluxes)
        if fluxes.device.type != "cpu":
            return self._view(fluxes, draw)

        # Chunks that stay in the cache of a core, each made by one thread from end to end, are
        # several times as fast as one batch that all threads share operation by operation. And
        # numpy asks for huge pages, without which writing new memory costs more than the work.
        images = torch.from_numpy(np.empty(fluxes.shape, np.float32))
        step = max(1, CHUNK_BYTES // (4 * fluxes[0].numel()))

        def fill(start: int) -> None:
            stop = min(start + step, size)
            part = None if draw is None else draw.part(start, stop)
            images[start:stop] = self._view(fluxes[start:stop], part)

        threads = torch.get_num_threads() if size > step else 1
        run = map if threads == 1 else _pool(threads).map
        list(run(fill, range(0, size, step)))

        return images

    def _view(self, fluxes: Tensor, draw: Draw | None) -> Tensor:
        if draw is None or self.augment is None:
            return self.stretch(fluxes)

        return self.augment.apply(fluxes, draw, self.stretch)


def class_weights(labels: NDArray[np.int64], classes: int, power: float = 1.0) -> Tensor:
    r"""Weighs classes against their counts, for a loss.

    .. math:: w_k \propto n_k^{-p}, \quad \sum_k n_k w_k = \sum_k n_k

    Arguments:
        labels: The index of the class of each galaxy, with shape `(N)`. -1 is left out.
        classes: The number of classes :math:`K`.
        power: The exponent :math:`p`: 0 for equal weights, 1 for classes of equal weight.

    Returns:
        The weights, float32, 1 on average over the galaxies, with shape `(K)`. A class without
        any galaxy has weight 1.
    """

    counts = np.bincount(labels[labels >= 0], minlength=classes).astype(np.float64)
    weights = np.maximum(counts, 1) ** -power
    total = (counts * weights).sum()
    weights = np.where(counts > 0, weights * counts.sum() / max(total, 1e-300), 1.0)

    return torch.from_numpy(weights.astype(np.float32))


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(threads, "images", torch.set_num_threads, (1,))
    started = Barrier(threads + 1)
    for _ in range(threads):
        pool.submit(started.wait)
    started.wait()
    # A thread sets the number for itself and for threads to come, which are not concerned.
    torch.set_num_threads(threads)

    return pool


# A forked process has the pool, but none of its threads.
os.register_at_fork(after_in_child=_pool.cache_clear)


def _same_device(device: str | torch.device) -> tuple[Any, ...]:
    r"""Returns how a thread begins, so that it has the device of this one and not the first."""

    if torch.device(device).type != "cuda":
        return ()

    return torch.cuda.set_device, (torch.cuda.current_device(),)


def _mine(fluxes: Tensor) -> Tensor:
    # The memory came from another stream: it is not free before this one has read it.
    if fluxes.is_cuda:
        fluxes.record_stream(torch.cuda.current_stream(fluxes.device))

    return fluxes


def _balance(labels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    classes = np.unique(labels)
    quotas = np.diff(np.linspace(0, len(labels), len(classes) + 1).round().astype(int))
    chosen = []
    for label, quota in zip(classes, quotas, strict=True):
        members = np.flatnonzero(labels == label)
        turns = [random.permutation(members) for _ in range(-(-quota // len(members)))]
        chosen.append(np.concatenate(turns)[:quota])

    return np.concatenate(chosen)
