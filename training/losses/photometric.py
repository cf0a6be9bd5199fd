# SPDX-License-Identifier: Apache-2.0
"""How unlike two images are at every pixel: structural similarity and absolute difference."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from training.tensor_checks import at_least_float32, check_shape

_C1, _C2 = 0.01**2, 0.03**2
"""For images of 0 to 1."""


def photometric_error(image: Tensor, warped: Tensor, *, ssim_weight: float = 0.85) -> Tensor:
    """Error pe = w * (1 - SSIM) / 2 + (1 - w) * |image - warped| of every pixel.

    Each of both terms is the mean over the channels. SSIM is over 3x3 pixels of equal weight, the
    border mirrored without repeating the outermost pixels; its term is clamped to 0 to 1.

    Args:
        image: of the target camera, floats of 0 to 1, [batch, channels, height, width]: without
            the augmentation that the network saw.
        warped: another view brought to the target camera, of the same shape.
        ssim_weight: w, 0 to 1; 0.85 in Monodepth2.

    Returns:
        [batch, 1, height, width], 0 to 1, in float32 or a finer type. In float32 the rounding of
        SSIM's variances shows from the fourth decimal on where images are bright and even.

    Raises:
        ShapeError: shapes differ from that, an image has fewer than 2 rows or columns, or holds no
            floats.
        ConfigError: the weight is not within 0 to 1.

    Reference:
        C. Godard, O. Mac Aodha, M. Firman, G. Brostow, "Digging Into Self-Supervised Monocular
        Depth Estimation" (Monodepth2), ICCV 2019.
        Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
        TIP 2004.
    """
    check_shape('image', image, (None, None, None, None))
    check_shape('warped', warped, tuple(image.shape))
    if min(image.shape[-2:]) < 2:
        raise ShapeError(f'image must be at least 2x2 pixels, received {list(image.shape)}')
    for name, values in (('image', image), ('warped', warped)):
        if not values.is_floating_point():
            raise ShapeError(f'{name} must hold floats of 0 to 1, received {values.dtype}')
    if not 0.0 <= ssim_weight <= 1.0:
        raise ConfigError(f'ssim_weight must be within 0 to 1, received {ssim_weight}')
    image, warped = at_least_float32(image), at_least_float32(warped)
    difference = (image - warped).abs().mean(dim=1, keepdim=True)
    structure = _ssim_error(image, warped).mean(dim=1, keepdim=True)
    return ssim_weight * structure + (1.0 - ssim_weight) * difference


def _ssim_error(x: Tensor, y: Tensor) -> Tensor:
    """(1 - SSIM) / 2 of every pixel and channel, 0 to 1."""
    x, y = (functional.pad(image, (1, 1, 1, 1), mode='reflect') for image in (x, y))
    moments = _window_means(torch.cat([x, y, x * x, y * y, x * y], dim=1))
    mean_x, mean_y, square_x, square_y, product = moments.chunk(5, dim=1)
    # Rounded like twice the covariance where both images are one, so that those have no error.
    variances = (square_x - mean_x * mean_x) + (square_y - mean_y * mean_y)
    covariance = product - mean_x * mean_y
    numerator = (2.0 * mean_x * mean_y + _C1) * (2.0 * covariance + _C2)
    denominator = (mean_x * mean_x + mean_y * mean_y + _C1) * (variances + _C2)
    return ((1.0 - numerator / denominator) / 2.0).clamp(0.0, 1.0)


def _window_means(padded: Tensor) -> Tensor:
    """Means of all 3x3 windows: sums of shifted maps, on CPUs twice as fast as pooling."""
    rows = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
    return (rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]) / 9.0
