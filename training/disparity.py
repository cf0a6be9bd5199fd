# SPDX-License-Identifier: Apache-2.0
"""Depth [m], disparity [px] and a network's sigmoid output, one from another."""

from __future__ import annotations

import torch
from torch import Tensor

from kd_perception.errors import ConfigError


def disparity_from_depth(depth_m: Tensor, focal_px: Tensor, baseline_m: Tensor) -> Tensor:
    """Disparity of a rectified pair in pixels: left column minus right column of a point.

    Args:
        depth_m: [batch, ...]; where it is no positive number (sky, no measurement, NaN) the
            disparity is 0, which stands for infinitely far or unknown.
        focal_px: of both cameras, [batch]; negative after a flip, and so is the disparity then.
        baseline_m: [batch]; how far the right camera stands along +X of the left one.
    """
    return _quotient(_product(focal_px, baseline_m, depth_m), depth_m, depth_m > 0.0)


def depth_from_disparity(
    disparity_px: Tensor, focal_px: Tensor, baseline_m: Tensor, offset_px: float = 0.0
) -> Tensor:
    """Depth in meters, the inverse of `disparity_from_depth`, also of a mirrored pair.

    A point in front of both cameras has a disparity, the offset included, of the sign of focal
    length times baseline. Where it has not, is 0 (infinitely far) or NaN, the depth is 0: none.

    Args:
        disparity_px: [batch, ...].
        focal_px: of both cameras, [batch]; negative after a flip.
        baseline_m: [batch].
        offset_px: right minus left principal column (`doffs` of the Middlebury pairs); a flip
            negates it, too.
    """
    shifted_px = disparity_px + offset_px
    product = _product(focal_px, baseline_m, shifted_px)
    return _quotient(product, shifted_px, torch.sign(product) * shifted_px > 0.0)


def _product(focal_px: Tensor, baseline_m: Tensor, like: Tensor) -> Tensor:
    return (focal_px * baseline_m).reshape((-1,) + (1,) * (like.dim() - 1))


def _quotient(product: Tensor, divisor: Tensor, known: Tensor) -> Tensor:
    """0 where not known, with gradients that are finite there."""
    return torch.where(known, product / torch.where(known, divisor, 1.0), 0.0)


def depth_from_sigmoid(
    sigmoid: Tensor, *, min_depth_m: float = 0.1, max_depth_m: float = 100.0
) -> Tensor:
    """Depth from a network output of 0 (farthest) to 1 (nearest), linear in inverse depth.

    Raises:
        ConfigError: not 0 < min_depth_m < max_depth_m.

    Reference:
        C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019.
    """
    far, near = _inverse_depths(min_depth_m, max_depth_m)
    return 1.0 / (far + (near - far) * sigmoid)


def sigmoid_from_depth(
    depth_m: Tensor, *, min_depth_m: float = 0.1, max_depth_m: float = 100.0
) -> Tensor:
    """Network output of 0 to 1 that means a depth, the inverse of `depth_from_sigmoid`.

    Args:
        depth_m: above 0; what lies outside both depths becomes 1 or 0, with a gradient of 0.
        min_depth_m: of output 1.
        max_depth_m: of output 0.

    Raises:
        ConfigError: not 0 < min_depth_m < max_depth_m.
    """
    far, near = _inverse_depths(min_depth_m, max_depth_m)
    return ((1.0 / depth_m.clamp(min_depth_m, max_depth_m) - far) / (near - far)).clamp(0.0, 1.0)


def _inverse_depths(min_depth_m: float, max_depth_m: float) -> tuple[float, float]:
    """Inverse depths [1/m] of the farthest and of the nearest point."""
    if not 0.0 < min_depth_m < max_depth_m:
        raise ConfigError(
            f'depths must be 0 < min < max, received {min_depth_m} and {max_depth_m} m'
        )
    return 1.0 / max_depth_m, 1.0 / min_depth_m
