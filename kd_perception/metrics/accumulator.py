# SPDX-License-Identifier: Apache-2.0
"""What all metrics share: sums that may be added over images, batches and processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError

Array = npt.NDArray[Any]

SomeAccumulator = TypeVar('SomeAccumulator', bound='Accumulator')


class Accumulator(ABC):
    """A metric as sums; only :meth:`compute` divides.

    Every accumulator has an ``update`` of its own arguments. In a training of several processes,
    add the arrays of all processes, then load the sum::

        total = torch.from_numpy(metric.as_array())
        torch.distributed.all_reduce(total)
        metric.load_array(total.numpy())

    Args:
        sums: Zeros of the shape and type that the metric needs.

    Attributes:
        sums: All that was gathered, int64 or float64. Its size does not depend on the data.
    """

    def __init__(self, sums: Array) -> None:
        self.sums = sums

    @property
    @abstractmethod
    def settings(self) -> tuple[object, ...]:
        """What must be equal for two accumulators to be added."""

    @abstractmethod
    def compute(self) -> Any:
        """Divide the sums gathered so far."""

    def merge(self: SomeAccumulator, other: SomeAccumulator) -> None:
        """Add the sums of another accumulator of the same kind and settings.

        Raises:
            ShapeError: Kind or settings differ.
        """
        if type(other) is not type(self) or other.settings != self.settings:
            raise ShapeError(
                'merged metrics must be of the same kind and settings; received '
                f'{type(self).__name__}{self.settings} and {type(other).__name__}{other.settings}'
            )
        self.sums += other.sums

    def as_array(self) -> Array:
        """Return a copy of the sums; adding those of several accumulators merges them."""
        return self.sums.copy()

    def load_array(self, sums: Array) -> None:
        """Replace the sums, for example by those of all processes together.

        Raises:
            ShapeError: The shape or type is not that of :meth:`as_array`.
        """
        if sums.shape != self.sums.shape or sums.dtype != self.sums.dtype:
            raise ShapeError(
                f'sums must be {self.sums.dtype} {self.sums.shape}; received {sums.dtype} '
                f'{sums.shape}: load what as_array of a metric of the same settings gave'
            )
        self.sums = np.array(sums)
