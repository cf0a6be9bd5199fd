# SPDX-License-Identifier: Apache-2.0
"""Photometric error with its uncertainty, learnt together."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.covered import check_maps, covered_mean
from training.losses.laplacian_nll import laplacian_nll
from training.tensor_checks import at_least_float32


def uncertain_photometric_loss(
    error: Tensor, log_sigma: Tensor, covered: Tensor, *, unmoved: Tensor | None = None
) -> Tensor:
    """Mean of error / sigma + ln sigma, L_U,u of mutual distillation.

    Without `unmoved`, take the error after the minimum over the sources and after the auto-mask:
    where that masks, sigma learns the error of standing still. With it, the auto-mask comes after
    sigma: it compares error / sigma + ln sigma with the error of standing still, and where it
    masks neither depth nor sigma learns. The smaller sigma becomes, the less it masks. Which the
    paper does is not public; for the minimum over sources the order makes no difference.

    Sigma is that of the photometric error, 0 to 1, and no length: compare it with that of another
    branch by order or ratio only.

    Args:
        error: photometric, [batch, 1, height, width], of a `Reprojection`; its `warped` where
            `unmoved` is given.
        log_sigma: natural logarithm of sigma, of the same shape.
        covered: bool of the same shape, of the `Reprojection`.
        unmoved: of the same shape, of the `Reprojection`; gets no gradient.

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
    if unmoved is None:
        return covered_mean(laplacian_nll(at_least_float32(error), known), covered)
    check_maps(covered, unmoved=unmoved)
    cost = laplacian_nll(torch.where(covered, at_least_float32(error), 0.0), known)
    still = at_least_float32(unmoved.detach())
    return covered_mean(torch.where(cost < still, cost, still), covered)
