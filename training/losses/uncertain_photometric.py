# SPDX-License-Identifier: Apache-2.0
"""Photometric error with its uncertainty, learnt together."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.covered import check_maps, covered_mean
from training.losses.laplacian_nll import laplacian_nll
from training.tensor_checks import at_least_float32


def uncertain_photometric_loss(error: Tensor, log_sigma: Tensor, covered: Tensor) -> Tensor:
    """Mean of error / sigma + ln sigma, L_U,u of mutual distillation.

    Take the error after the minimum over the sources and after the auto-mask: where that masks,
    sigma learns the error of standing still. Sigma is that of the photometric error, 0 to 1, and
    no length: compare it with that of another branch by order or ratio only.

    Args:
        error: photometric, [batch, 1, height, width], of a `Reprojection`.
        log_sigma: natural logarithm of sigma, of the same shape.
        covered: bool of the same shape, of the `Reprojection`.

    Returns:
        The mean over the covered pixels of each image, then over images: a scalar in float32 or a
        finer type, which may be negative. An image without covered pixels counts 0.

    Raises:
        ShapeError: shapes differ from that, or the mask is not bool.

    Reference:
        J. Baek, G. Kim, S. Kim, "Semi-Supervised Learning with Mutual Distillation for Monocular
        Depth Estimation", ICRA 2022.
        M. Poggi, F. Aleotti, F. Tosi, S. Mattoccia, "On the Uncertainty of Self-Supervised
        Monocular Depth Estimation", CVPR 2020.
    """
    check_maps(covered, error=error, log_sigma=log_sigma)
    known = torch.where(covered, at_least_float32(log_sigma), 0.0)
    return covered_mean(laplacian_nll(at_least_float32(error), known), covered)
