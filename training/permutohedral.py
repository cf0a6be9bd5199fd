# SPDX-License-Identifier: Apache-2.0
"""Gaussian filtering of values at scattered places of a few dimensions, in time linear in them.

Each place is shared out among the corners of the simplex of the permutohedral lattice that it
lies in, values are blurred along the axes of the lattice, and read back.

Reference:
    A. Adams, J. Baek, M. A. Davis, "Fast High-Dimensional Filtering Using the Permutohedral
    Lattice", Eurographics 2010.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from kd_perception.errors import ConfigError, ShapeError

Array = npt.NDArray[Any]

_MAX_CELLS = 2**62


class Permutohedral:
    """The lattice of some places, for filtering any values at them.

    Args:
        features: the places, float [places, dimensions], in units of the Gaussian's deviation.

    Raises:
        ShapeError: the features are of another shape or not finite.
        ConfigError: they are too far apart for the lattice to be numbered.
    """

    def __init__(self, features: Array) -> None:
        if features.ndim != 2 or 0 in features.shape or not np.isfinite(features).all():
            raise ShapeError(
                f'features must be finite numbers [places, dimensions], got {features.shape}'
            )
        dimensions = features.shape[1]
        keys, shares = _simplices(np.asarray(features, np.float64))
        cells, strides = _numbered(keys)
        corners, index = np.unique(cells, return_inverse=True)
        rows = np.repeat(np.arange(len(features)), dimensions + 1)
        self._splat = csr_matrix(
            (shares.ravel(), (rows, index.ravel())), shape=(len(features), len(corners))
        )
        self._neighbors = [_neighbors(corners, strides, axis) for axis in range(dimensions + 1)]
        self._scale = 1.0 / (1.0 + 2.0**-dimensions)

    def filter(self, values: Array) -> Array:
        """Sum of the values of all places, weighted by a Gaussian of their distance.

        Args:
            values: float [places, channels].

        Returns:
            float64 of the same shape: close to sum_j exp(-|f_i - f_j|^2 / 2) v_j, with i itself.
        """
        grid = np.zeros((self._splat.shape[1] + 1, values.shape[1]))
        grid[:-1] = self._splat.T @ values
        for before, after in self._neighbors:
            grid[:-1] += 0.5 * (grid[before] + grid[after])
        return np.asarray(self._scale * (self._splat @ grid[:-1]), np.float64)


def _simplices(features: Array) -> tuple[Array, Array]:
    """Corners of the simplex of each place, and how it is shared out among them.

    Returns:
        int64 [places, dimensions + 1, dimensions], without the last coordinate, which follows from
        the others, and float64 [places, dimensions + 1], sum 1.
    """
    places, d = features.shape
    elevated = _elevated(features)
    nearest = np.rint(elevated / (d + 1)) * (d + 1)
    order = np.argsort(np.argsort(-(elevated - nearest), axis=1, kind='stable'), axis=1)
    surplus = np.rint(nearest.sum(axis=1) / (d + 1)).astype(np.int64)[:, None]
    rank = order + surplus
    nearest += (d + 1) * ((rank < 0).astype(np.int64) - (rank > d))
    rank = np.where(rank < 0, rank + d + 1, np.where(rank > d, rank - d - 1, rank))
    offsets = (elevated - nearest) / (d + 1)
    barycentric = np.zeros((places, d + 2))
    index = np.arange(places)[:, None]
    np.add.at(barycentric, (index, d - rank), offsets)
    np.add.at(barycentric, (index, d + 1 - rank), -offsets)
    barycentric[:, 0] += 1.0 + barycentric[:, d + 1]
    corner = np.arange(d + 1)[:, None] - (d + 1) * (
        np.arange(d + 1)[None, :] > d - np.arange(d + 1)[:, None]
    )
    keys = nearest[:, None, :].astype(np.int64) + corner[:, rank].transpose(1, 0, 2)
    return keys[:, :, :d], barycentric[:, : d + 1]


def _elevated(features: Array) -> Array:
    """Places in the plane of d + 1 coordinates whose sum is 0, scaled for a unit deviation."""
    d = features.shape[1]
    steps = np.arange(1, d + 1)
    scaled = features * (np.sqrt(2.0 / 3.0) * (d + 1) / np.sqrt(steps * (steps + 1.0)))
    above = np.cumsum(scaled[:, ::-1], axis=1)[:, ::-1]
    elevated = np.zeros((len(features), d + 1))
    elevated[:, :d] += above
    elevated[:, 1:] -= steps * scaled
    return elevated


def _numbered(keys: Array) -> tuple[Array, Array]:
    """One number per corner, and what a step along each coordinate adds to it."""
    low, high = keys.min(axis=(0, 1)), keys.max(axis=(0, 1))
    # Room for neighbors at both ends, so that no step leads into another row of numbers.
    margin = keys.shape[2] + 1
    sides = (high - low + 1 + 2 * margin).tolist()
    strides, cells = [], 1
    for side in sides[::-1]:
        strides.append(cells)
        cells *= side
    if cells >= _MAX_CELLS:
        raise ConfigError(f'features must lie within fewer deviations, got cells of {sides}')
    weights = np.array(strides[::-1], np.int64)
    return (keys - low + margin) @ weights, weights


def _neighbors(corners: Array, strides: Array, axis: int) -> tuple[Array, Array]:
    """Places of the corners before and after each one along an axis; the last is none."""
    d = len(strides)
    step = -int(strides.sum()) + ((d + 1) * int(strides[axis]) if axis < d else 0)
    found = []
    for wanted in (corners + step, corners - step):
        place = np.searchsorted(corners, wanted).clip(0, len(corners) - 1)
        found.append(np.where(corners[place] == wanted, place, len(corners)))
    return found[0], found[1]
