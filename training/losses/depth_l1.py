# SPDX-License-Identifier: Apache-2.0
"""Supervised depth: how far it is from what was measured."""

from __future__ import annotations

from torch import Tensor

from training.losses.covered import check_maps, covered_error, covered_mean


def depth_l1_loss(depth_m: Tensor, target_m: Tensor, valid: Tensor) -> Tensor:
    """Mean of |depth - target| over the covered pixels, L_S of mutual distillation.

    Args:
        depth_m: of the student, [batch, 1, height, width].
        target_m: measured, of the same shape; of any value, also NaN, where not valid.
        valid: bool of the same shape, where there is a measurement: about 3 % of the pixels of a
            KITTI frame.

    Returns:
        The mean over the covered pixels of each image, then over images, in meters: a scalar of at
        least 0, in float32 or a finer type; an image without covered pixels counts 0.

    Raises:
        ShapeError: shapes differ from that, or `valid` is not bool.

    Reference:
        J. Baek, G. Kim, S. Kim, "Semi-Supervised Learning with Mutual Distillation for Monocular
        Depth Estimation", ICRA 2022.
    """
    check_maps(valid, depth_m=depth_m, target_m=target_m)
    return covered_mean(covered_error(depth_m, target_m, valid), valid)
