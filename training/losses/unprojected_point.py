# SPDX-License-Identifier: Apache-2.0
"""Filtering of unprojected points: where no lidar measured, uncertainty must not stay small."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from training.losses.covered import check_maps, covered_mean
from training.losses.laplacian_nll import laplacian_nll
from training.tensor_checks import at_least_float32, check_option, check_positive

FilteringForm = Literal['const', 'hinge', 'none']


def unprojected_point_loss(
    log_sigma: Tensor,
    valid: Tensor,
    *,
    magnitude_m: float = 5.0,
    form: FilteringForm = 'const',
) -> Tensor:
    """What sigma costs at the pixels that no measurement covers.

    The likelihood of the measurements says nothing there, and depth that nobody checked would be
    taught with confidence. With M the magnitude, the mean over these pixels of M / sigma + ln
    sigma (`const`: an error of M is assumed, the least is at sigma = M), or of max(0, M - sigma)
    (`hinge`: any sigma from M on will do). The paper's formula is not public; both forms and M are
    readings of ours. Depth is no argument, so that nothing flows to it.

    Args:
        log_sigma: natural logarithm of the student's sigma [m], [batch, 1, height, width].
        valid: bool of the same shape, where there *is* a measurement.
        magnitude_m: M, > 0: several times the error of covered pixels.
        form: `const`, `hinge`, or `none` for the paper's ablation, which is always 0.

    Returns:
        The mean over the uncovered pixels of each image, then over images: a scalar in float32 or
        a finer type. An image that is covered everywhere counts 0.

    Raises:
        ShapeError: shapes differ from that, or `valid` is not bool.
        ConfigError: the magnitude is not above 0 and finite, or the form is another one.

    Reference:
        J. Baek, G. Kim, S. Kim, "Semi-Supervised Learning with Mutual Distillation for Monocular
        Depth Estimation", ICRA 2022.
    """
    check_maps(valid, log_sigma=log_sigma)
    check_positive('magnitude_m', magnitude_m)
    check_option('form', form, get_args(FilteringForm))
    uncovered = ~valid & (form != 'none')
    log_sigma = torch.where(uncovered, at_least_float32(log_sigma), 0.0)
    if form == 'hinge':
        # M - sigma in a form whose gradient stays finite however large sigma is.
        cost = -magnitude_m * torch.expm1((log_sigma - math.log(magnitude_m)).clamp(max=0.0))
    else:
        cost = laplacian_nll(torch.full_like(log_sigma, magnitude_m), log_sigma)
    return covered_mean(cost, uncovered)
