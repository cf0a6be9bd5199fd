# SPDX-License-Identifier: Apache-2.0
"""Checks of images of class ids, shared by the metrics of masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError

Array = npt.NDArray[Any]

LEVELS = 256


def require_classes(num_classes: int, ignore_index: int) -> None:
    """Raise unless all ids fit into a byte and the ignored one is no class.

    Raises:
        ShapeError: They do not.
    """
    if not 1 <= num_classes <= ignore_index < LEVELS:
        raise ShapeError(
            f'num_classes must be from 1 to ignore_index and that below {LEVELS}; '
            f'received {num_classes} and {ignore_index}'
        )


def require_one_shape(mask: Array, target: Array) -> None:
    """Raise unless mask and target have one shape.

    Raises:
        ShapeError: They differ.
    """
    if mask.shape != target.shape:
        raise ShapeError(
            f'mask and target must have one shape; received {mask.shape} and {target.shape}'
        )


def require_known(pixels: Array, num_classes: int, ignore_index: int, name: str) -> None:
    """Raise if an id that occurs is neither a class nor the ignored one.

    Args:
        pixels: How often each of the 256 ids occurs.
        num_classes: Ids below are classes.
        ignore_index: The other id that may occur.
        name: Of the image, for the message.

    Raises:
        ShapeError: A stray id occurs.
    """
    stray = np.flatnonzero(pixels)
    stray = stray[(stray >= num_classes) & (stray != ignore_index)]
    if stray.size:
        raise ShapeError(
            f'{name} ids must be below {num_classes} or {ignore_index}; received '
            f'{stray[:5].tolist()}: check that the label ids are those of the student'
        )


def byte_ids(ids: Array, name: str) -> npt.NDArray[np.uint8]:
    """Return class ids as bytes.

    Raises:
        ShapeError: They are no integers from 0 to 255.
    """
    if ids.dtype == np.uint8:
        return ids
    if ids.dtype.kind not in 'iu':
        raise ShapeError(f'{name} must hold integers from 0 to 255; received {ids.dtype}')
    if ids.size and not 0 <= ids.min() <= ids.max() < LEVELS:
        raise ShapeError(
            f'{name} must hold integers from 0 to 255; received {ids.min()} to {ids.max()}'
        )
    return ids.astype(np.uint8)
