# SPDX-License-Identifier: Apache-2.0
"""Means over the pixels of maps that count: those a lidar measured, or those in view."""

from __future__ import annotations

import torch
from torch import Tensor

from training.tensor_checks import at_least_float32, check_mask, check_shape


def check_maps(valid: Tensor | None, **maps: Tensor) -> None:
    """Raise unless all maps are [batch, 1, height, width] of one size, and `valid` a mask of it.

    Args:
        valid: bool, or None where there is no mask.
        **maps: at least one, by the names that the message shall use.

    Raises:
        ShapeError: they are not.
    """
    shape: tuple[int | None, ...] = (None, 1, None, None)
    for name, values in maps.items():
        check_shape(name, values, shape)
        shape = tuple(values.shape)
    if valid is not None:
        check_mask('valid', valid, shape)


def covered_error(values: Tensor, target: Tensor, covered: Tensor) -> Tensor:
    """|values - target|, in float32 or a finer type; 0 where not covered, whatever is there.

    Args:
        values: of any shape.
        target: of the same shape; gets no gradient.
        covered: bool of the same shape.
    """
    difference = at_least_float32(values) - at_least_float32(target.detach())
    # Left out before the absolute value, so that NaN has a gradient of 0 on every device.
    return torch.where(covered, difference, 0.0).abs()


def covered_mean(values: Tensor, covered: Tensor) -> Tensor:
    """Mean over the covered pixels of each image, then over the images.

    An image without any counts 0 and teaches nothing, so that a batch is the mean of its images
    however many pixels each has.

    Args:
        values: finite where covered; anything elsewhere, [batch, 1, height, width].
        covered: bool of the same shape.

    Returns:
        A scalar, with gradients of 0 where not covered.
    """
    kept = torch.where(covered, values, 0.0)
    count = covered.sum(dim=(1, 2, 3)).clamp(min=1)
    return (kept.sum(dim=(1, 2, 3)) / count).mean()


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of each image by weights whose largest is 1, or all 0 (counts 0); then over images.

    Args:
        values: finite, [batch, 1, height, width].
        weights: at least 0, of the same shape.
    """
    total = (weights * values).sum(dim=(1, 2, 3))
    return (total / weights.sum(dim=(1, 2, 3)).clamp(min=1.0)).mean()


def certainty_weights(log_sigma: Tensor, counted: Tensor) -> Tensor:
    """1 / sigma of the pixels that count, of each image's surest one 1, and 0 elsewhere.

    Only ratios of sigma matter, and no weight overflows.

    Args:
        log_sigma: [batch, 1, height, width]; detach it where it must not learn.
        counted: bool of the same shape.
    """
    log_sigma = at_least_float32(log_sigma)
    lowest = log_sigma.detach().masked_fill(~counted, torch.inf).amin(dim=(1, 2, 3), keepdim=True)
    # What does not count must not overflow: its gradient would be NaN.
    return torch.where(counted, torch.exp(torch.where(counted, lowest - log_sigma, 0.0)), 0.0)
