# SPDX-License-Identifier: Apache-2.0
"""What networks without a fixed image size ask of their input, and make of it."""

from __future__ import annotations

from torch import Tensor

from kd_perception.errors import ShapeError

INPUT_MULTIPLE = 32

_MEAN, _STANDARD_DEVIATION = 0.45, 0.225


def check_image_shape(
    image: Tensor, channels: int, *, smallest_side: int = INPUT_MULTIPLE
) -> None:
    """Refuse an image that cannot be halved five times.

    Args:
        image: to be looked at.
        channels: that it must have.
        smallest_side: height and width at least, a multiple of 32.

    Raises:
        ShapeError: wrong rank, channels or size.
    """
    shape = tuple(image.shape)
    fits = len(shape) == 4 and shape[1] == channels and min(shape[2:]) >= smallest_side
    if not fits or shape[2] % INPUT_MULTIPLE or shape[3] % INPUT_MULTIPLE:
        raise ShapeError(
            f'the input must be [batch, {channels}, height, width] with height and width '
            f'multiples of {INPUT_MULTIPLE} and at least {smallest_side}, got {list(shape)}; '
            'resize or pad the image'
        )


def normalized_image(image: Tensor) -> Tensor:
    """An image of 0 to 1, about centered and of unit spread, one rule for every channel.

    Reference:
        C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019: the
        constants of its published code.
    """
    return (image - _MEAN) / _STANDARD_DEVIATION
