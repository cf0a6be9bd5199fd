# SPDX-License-Identifier: Apache-2.0
"""Masks that follow the edges of an image: mean field in a fully connected random field.

The package that papers use for this is no longer kept, so it is written anew: Potts penalties with
a Gaussian of places and one of places and colors, symmetrically normalized, filtered through the
permutohedral lattice.

Reference:
    P. Kraehenbuehl, V. Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
    Potentials", NIPS 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, ShapeError
from training.permutohedral import Permutohedral

Array = npt.NDArray[Any]

_LEAST = 1.0e-5


@dataclass(frozen=True)
class DenseCrfConfig:
    """Strengths and reaches; the defaults are those of DeepLab-V2 and of EPS.

    Args:
        iterations: of the mean field, >= 1.
        smoothness_weight: of the Gaussian of places.
        smoothness_px: its deviation.
        appearance_weight: of the Gaussian of places and colors.
        appearance_px: its deviation in places.
        appearance_levels: its deviation in colors, of 255.
    """

    iterations: int = 10
    smoothness_weight: float = 3.0
    smoothness_px: float = 1.0
    appearance_weight: float = 4.0
    appearance_px: float = 67.0
    appearance_levels: float = 3.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        reaches = (self.smoothness_px, self.appearance_px, self.appearance_levels)
        if self.iterations < 1 or not all(0.0 < reach < np.inf for reach in reaches):
            raise ConfigError(f'iterations must be >= 1 and reaches above 0, got {self}')
        if not min(self.smoothness_weight, self.appearance_weight) >= 0.0:
            raise ConfigError(f'weights must be >= 0, got {self}')


def refine(probabilities: Array, image: Array, config: DenseCrfConfig) -> Array:
    """Probabilities that agree with those of alike pixels nearby.

    Args:
        probabilities: of each class, [classes, height, width], 0 to 1.
        image: uint8 [height, width, 3], or [height, width] of heat as shown.
        config: how much.

    Returns:
        float64 [classes, height, width], sum 1 over the classes.

    Raises:
        ShapeError: the two do not have one size.
    """
    if probabilities.ndim != 3 or probabilities.shape[1:] != image.shape[:2]:
        raise ShapeError(
            'probabilities [classes, height, width] and image must have one size, received '
            f'{probabilities.shape} and {image.shape}'
        )
    classes = len(probabilities)
    unary = np.log(np.clip(probabilities.reshape(classes, -1).T, _LEAST, None))
    kernels = [
        (weight, Normalized(features)) for weight, features in _features(image, config) if weight
    ]
    belief = _softmax(unary)
    for _ in range(config.iterations):
        support = unary.astype(np.float64)
        for weight, kernel in kernels:
            support = support + weight * kernel.filter(belief)
        belief = _softmax(support)
    return np.asarray(belief.T.reshape(probabilities.shape), np.float64)


class Normalized:
    """A Gaussian filter whose weights are divided by the roots of both ends' sums.

    Args:
        features: of the pixels, [pixels, dimensions], in deviations.
    """

    def __init__(self, features: Array) -> None:
        self._lattice = Permutohedral(features)
        ones = np.ones((len(features), 1))
        self._norm = 1.0 / np.sqrt(self._lattice.filter(ones) + 1.0e-20)

    def filter(self, values: Array) -> Array:
        """Filter values [pixels, channels]."""
        return np.asarray(self._norm * self._lattice.filter(self._norm * values))


def _features(image: Array, config: DenseCrfConfig) -> list[tuple[float, Array]]:
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)
    colors = image.reshape(height * width, -1).astype(np.float64)
    both = np.hstack([places / config.appearance_px, colors / config.appearance_levels])
    return [
        (config.smoothness_weight, places / config.smoothness_px),
        (config.appearance_weight, both),
    ]


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
