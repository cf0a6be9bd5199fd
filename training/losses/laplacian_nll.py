# SPDX-License-Identifier: Apache-2.0
"""Depth with its uncertainty: the likelihood of a measurement under a Laplace distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.covered import check_maps, covered_error, covered_mean
from training.tensor_checks import at_least_float32, check_positive


def laplacian_nll_loss(
    depth_m: Tensor,
    log_sigma: Tensor,
    target_m: Tensor,
    valid: Tensor,
    *,
    detach_depth: bool = False,
    uncertainty_weight: float = 1.0,
) -> Tensor:
    """Mean of |depth - target| / sigma + weight * ln sigma over the covered pixels.

    The negative log-likelihood but for a constant. A pixel's least is at sigma = error / weight,
    so that sigma [m] becomes the error that is to be expected. Learnt with depth, pixels of large
    sigma teach depth less; `detach_depth` avoids that.

    Args:
        depth_m: of the student, [batch, 1, height, width].
        log_sigma: natural logarithm of sigma [m], of the same shape.
        target_m: measured, of the same shape; of any value, also NaN, where not valid.
        valid: bool of the same shape, where there is a measurement.
        detach_depth: sigma learns from the error of depth, depth learns nothing: it needs a loss
            of its own, `depth_l1_loss`, as in MaskingDepth. Together in the paper.
        uncertainty_weight: of ln sigma, > 0; 1 in the paper. MaskingDepth, of the same group,
            takes 0.3 on KITTI and 0.1 on NYU: sigma is then that much larger than the error.

    Returns:
        The mean over the covered pixels of each image, then over images: a scalar in float32 or a
        finer type, which may be negative. An image without covered pixels counts 0.

    Raises:
        ShapeError: shapes differ from that, or `valid` is not bool.
        ConfigError: the weight is not above 0 and finite.

    Reference:
        J. Baek, G. Kim, S. Kim, "Semi-Supervised Learning with Mutual Distillation for Monocular
        Depth Estimation", ICRA 2022.
        M. Poggi, F. Aleotti, F. Tosi, S. Mattoccia, "On the Uncertainty of Self-Supervised
        Monocular Depth Estimation", CVPR 2020.
    """
    check_maps(valid, depth_m=depth_m, log_sigma=log_sigma, target_m=target_m)
    check_positive('uncertainty_weight', uncertainty_weight)
    error = covered_error(depth_m.detach() if detach_depth else depth_m, target_m, valid)
    # What stands in the uncovered pixels must not overflow: infinity times 0 would be NaN.
    known = torch.where(valid, at_least_float32(log_sigma), 0.0)
    return covered_mean(laplacian_nll(error, known, uncertainty_weight), valid)


def laplacian_nll(error: Tensor, log_sigma: Tensor, uncertainty_weight: float = 1.0) -> Tensor:
    """error / sigma + weight * ln sigma of every pixel, of any shape."""
    return error * torch.exp(-log_sigma) + uncertainty_weight * log_sigma
