# SPDX-License-Identifier: Apache-2.0
"""Depth [m], disparity [px] and a network's sigmoid output, one from another."""

from __future__ import annotations

import torch
from torch import Tensor

from kd_perception.errors import ConfigError


def disparity_from_depth(depth_m: Tensor, focal_px: Tensor, baseline_m: Tensor) -> Tensor:
    """Disparity of a rectified pair in pixels: left column minus right column of a point.

    Args:
        depth_m: [batch, ...]; where it is 0 or less (sky, no measurement) the disparity is 0.
        focal_px: of both cameras, [batch].
        baseline_m: [batch].
    """
    shape = (-1,) + (1,) * (depth_m.dim() - 1)
    known = depth_m > 0.0
    product = (focal_px * baseline_m).reshape(shape)
    return torch.where(known, product / torch.where(known, depth_m, 1.0), 0.0)


def depth_from_disparity(
    disparity_px: Tensor, focal_px: Tensor, baseline_m: Tensor, offset_px: float = 0.0
) -> Tensor:
    """Depth in meters, 0 where the disparity is no positive number of pixels.

    Args:
        disparity_px: [batch, ...].
        focal_px: of both cameras, [batch].
        baseline_m: [batch].
        offset_px: right minus left principal column (`doffs` of the Middlebury pairs).
    """
    return disparity_from_depth(disparity_px + offset_px, focal_px, baseline_m)


def depth_from_sigmoid(
    sigmoid: Tensor, *, min_depth_m: float = 0.1, max_depth_m: float = 100.0
) -> Tensor:
    """Depth from a network output of 0 (farthest) to 1 (nearest), linear in inverse depth.

    Raises:
        ConfigError: not 0 < min_depth_m < max_depth_m.

    Reference:
        C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019.
    """
    if not 0.0 < min_depth_m < max_depth_m:
        raise ConfigError(
            f'depths must be 0 < min < max, received {min_depth_m} and {max_depth_m} m'
        )
    far, near = 1.0 / max_depth_m, 1.0 / min_depth_m
    return 1.0 / (far + (near - far) * sigmoid)
