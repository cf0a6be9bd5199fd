# SPDX-License-Identifier: Apache-2.0
"""Transforms of a tile by a few numbers whose zero is the identity.

A tile spans -1 to 1 in x (right) and in y (down). The numbers are given as shares of a range each,
-1 to 1, as the network of InverseForm estimates them; the matrix takes a point of the true
boundary to where it is in the predicted map:

    [[R S D, t], [p, 1]]    R a rotation, S a shear of x, D a scaling, t a shift, p perspective

Four numbers are two shifts and two scales, six add rotation and shear, eight add perspective.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.tensor_checks import check_positive, check_shape

Array = npt.NDArray[Any]

COUNTS = (4, 6, 8)
NAMES = (
    *('shift_x', 'shift_y', 'log_scale_x', 'log_scale_y'),
    *('angle_deg', 'shear', 'perspective_x', 'perspective_y'),
)
"""What the numbers are, in their order."""


@dataclass(frozen=True)
class TransformRanges:
    """The largest value of each kind, above 0.

    Args:
        shift: in halves of a tile.
        log_scale: natural logarithm of the largest zoom.
        angle_deg: of the rotation.
        shear: change of x per y.
        perspective: change of the depth per half of a tile, below 0.5: two of them must not bring
            a corner of the tile behind the viewer.
    """

    shift: float = 0.15
    log_scale: float = math.log(1.25)
    angle_deg: float = 15.0
    shear: float = 0.1
    perspective: float = 0.05

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ('shift', 'log_scale', 'angle_deg', 'shear', 'perspective'):
            check_positive(name, getattr(self, name))
        if self.perspective >= 0.5:
            raise ConfigError(f'perspective must be below 0.5, received {self.perspective}')

    def values(self, count: int) -> tuple[float, ...]:
        """The ranges of the first numbers, in the order of `NAMES`.

        Raises:
            ConfigError: the count is not one of `COUNTS`.
        """
        check_count(count)
        every = (self.shift, self.shift, self.log_scale, self.log_scale)
        every = (*every, self.angle_deg, self.shear, self.perspective, self.perspective)
        return every[:count]


def check_count(count: int) -> None:
    """Raise unless a number of parameters is one of `COUNTS`."""
    if count not in COUNTS:
        raise ConfigError(f'parameters must be one of {list(COUNTS)}, got {count}')


def matrices_from_parameters(parameters: Tensor, ranges: TransformRanges) -> Tensor:
    """The matrices of transforms.

    Args:
        parameters: [number, 4, 6 or 8], shares of the ranges.
        ranges: of the parameters.

    Returns:
        [number, 3, 3], of the same type.

    Raises:
        ShapeError: the parameters have another shape.
        ConfigError: their number is not one of `COUNTS`.
    """
    check_shape('parameters', parameters, (None, None))
    number, count = parameters.shape
    values = parameters * parameters.new_tensor(ranges.values(count))
    full = functional.pad(values, (0, len(NAMES) - count))
    shift, log_scale, angle, shear, perspective = full.split((2, 2, 1, 1, 2), dim=1)
    cosine, sine = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
    wide, high = log_scale.exp().split(1, dim=1)
    rows = [
        torch.cat([wide * cosine, high * (cosine * shear - sine), shift[:, :1]], dim=1),
        torch.cat([wide * sine, high * (sine * shear + cosine), shift[:, 1:]], dim=1),
        torch.cat([perspective, torch.ones_like(angle)], dim=1),
    ]
    return torch.stack(rows, dim=1).reshape(number, 3, 3)


def pixel_matrices(matrices: Array, tile: int) -> Array:
    """The same transforms between pixels of a tile, whose first center is (0, 0); [..., 3, 3]."""
    half, middle = tile / 2.0, (tile - 1) / 2.0
    to_pixels = np.array([[half, 0.0, middle], [0.0, half, middle], [0.0, 0.0, 1.0]])
    from_pixels = np.diag([1.0 / half, 1.0 / half, 1.0])
    from_pixels[:2, 2] = -middle / half
    found: Array = to_pixels @ matrices @ from_pixels
    return found


def looked_up(images: Tensor, matrices: Tensor) -> Tensor:
    """Images seen through transforms: each place shows what is where the matrix takes it.

    Args:
        images: [batch, channels, height, width].
        matrices: [batch, 3, 3].

    Returns:
        Of the same shape; bilinear, 0 beyond the image.
    """
    height, width = images.shape[2:]
    theta = torch.eye(2, 3, dtype=images.dtype, device=images.device)
    plane = functional.affine_grid(theta[None], [1, 1, height, width], align_corners=False)
    points = functional.pad(plane.reshape(-1, 2), (0, 1), value=1.0)
    moved = points @ matrices.mT
    grid = (moved[..., :2] / moved[..., 2:]).reshape(-1, height, width, 2)
    return functional.grid_sample(images, grid, align_corners=False)
