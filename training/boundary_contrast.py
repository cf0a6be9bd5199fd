# SPDX-License-Identifier: Apache-2.0
"""Contrast of an image across the outlines of labels, by class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.uncertainty import IGNORE_INDEX

Array = npt.NDArray[Any]


class BoundaryContrast:
    """Mean absolute difference of neighboring pixels of different classes.

    A pair counts for both of its classes. What an enhancement does to a class is the ratio of its
    contrasts after and before: for two levels a and b, squaring changes it by the factor a + b.

    Args:
        num_classes: ids 0 to num_classes - 1; 255 is left out.
    """

    def __init__(self, num_classes: int) -> None:
        self._sums = np.zeros(num_classes)
        self._counts = np.zeros(num_classes)

    def update(self, image: Array, label: Array) -> None:
        """Add a frame.

        Args:
            image: float [height, width].
            label: uint8 [height, width].

        Raises:
            ShapeError: they differ in shape.
        """
        if image.shape != label.shape or image.ndim != 2:
            raise ShapeError(
                'image and label must be [height, width] of the same size, got '
                f'{image.shape} and {label.shape}'
            )
        for axis in (0, 1):
            here, there = (_along(label, axis, k) for k in (0, 1))
            meet = (here != there) & (here != IGNORE_INDEX) & (there != IGNORE_INDEX)
            step = np.abs(_along(image, axis, 1).astype(float) - _along(image, axis, 0))[meet]
            for side in (here[meet], there[meet]):
                self._sums += np.bincount(side, step, len(self._sums))
                self._counts += np.bincount(side, minlength=len(self._sums))

    def mean(self) -> Array:
        """Contrast by class, float64 [num_classes]; NaN for a class without outline."""
        with np.errstate(invalid='ignore'):
            return np.asarray(self._sums / self._counts)


def _along(array: Array, axis: int, side: int) -> Array:
    """All pixels but the last (side 0) or the first (side 1) along an axis."""
    part = slice(0, -1) if side == 0 else slice(1, None)
    return array[part] if axis == 0 else array[:, part]
