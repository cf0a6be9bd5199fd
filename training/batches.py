# SPDX-License-Identifier: Apache-2.0
"""Batches of a run in the order of its steps, drawn ahead by processes of their own if wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Draw = Callable[[int, int], tuple[Any, ...]]
Batch = tuple[Tensor, ...]

_AHEAD = 4


class _Draws(Dataset[tuple[Any, ...]]):
    """Samples by (step, index)."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def __getitem__(self, key: tuple[int, int]) -> tuple[Any, ...]:
        return self._draw(*key)


def batches(draw: Draw, steps: range, share: range, *, workers: int = 0) -> Iterator[Batch]:
    """The batch of each step, on the CPU; the same with any number of workers.

    Args:
        draw: `draw(step, index)` gives a sample, a tuple of arrays or tensors of one shape each,
            as a pure function of its arguments. With workers it must be picklable: they are
            started afresh, because a copy of a process with threads may wait for ever.
        steps: that are to come.
        share: indices of the batch of all processes that this process draws.
        workers: processes that draw ahead; 0 draws in this one when the batch is asked for.

    Raises:
        Exception: What `draw` raised.
    """
    keys = [[(step, index) for index in share] for step in steps]
    return iter(
        DataLoader(
            _Draws(draw),
            batch_sampler=keys,  # type: ignore[arg-type]
            num_workers=workers,
            collate_fn=stacked,
            prefetch_factor=_AHEAD if workers else None,
            worker_init_fn=_use_one_thread,
            multiprocessing_context='spawn' if workers else None,
        )
    )


def _use_one_thread(worker: int) -> None:
    cv2.setNumThreads(1)


def stacked(samples: Sequence[tuple[Any, ...]]) -> Batch:
    """Samples as one batch, part by part; named tuples keep their names.

    Batches are contiguous: np.stack keeps the order of a turned [height, width, channels] image,
    and with such a batch torch 2.13 writes beyond its memory in the backward pass on a CPU.
    """
    parts = [
        torch.stack(column).contiguous()
        if isinstance(column[0], Tensor)
        else torch.from_numpy(np.ascontiguousarray(np.stack(column)))
        for column in zip(*samples, strict=True)
    ]
    make = getattr(type(samples[0]), '_make', tuple)
    batch: Batch = make(parts)
    return batch


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; named tuples keep their names."""
    make = getattr(type(batch), '_make', tuple)
    there: Batch = make([part.to(device) for part in batch])
    return there
