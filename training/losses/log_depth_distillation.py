# SPDX-License-Identifier: Apache-2.0
"""Depth and uncertainty of a fast student from a teacher's depth, in the logarithm of depth."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.covered import (
    certainty_weights,
    check_maps,
    covered_error,
    covered_mean,
    weighted_mean,
)
from training.losses.laplacian_nll import laplacian_nll
from training.tensor_checks import at_least_float32, check_positive


def log_depth_distillation_loss(
    student_depth_m: Tensor,
    student_log_sigma: Tensor,
    teacher_depth_m: Tensor,
    *,
    teacher_log_sigma: Tensor | None = None,
    valid: Tensor | None = None,
    detach_depth: bool = False,
    uncertainty_weight: float = 1.0,
) -> Tensor:
    """Mean of |ln student - ln teacher| / sigma + weight * ln sigma, with the student's own sigma.

    The same share of depth costs the same near and far, where a loss in meters would look at what
    is far only. Sigma is that of ln depth, without unit: 0.1 is about 10 % of the depth. It says
    how far student and teacher are apart; how far the teacher is from the truth it cannot say.

    Args:
        student_depth_m: above 0, [batch, 1, height, width].
        student_log_sigma: natural logarithm of the student's sigma, of the same shape.
        teacher_depth_m: of the same shape; gets no gradient. Pixels where it is not above 0 and
            finite do not count.
        teacher_log_sigma: natural logarithm of the teacher's uncertainty, of the same shape, by
            whose inverse a pixel weighs; gets no gradient. Only ratios within an image matter. Of
            a sigma in meters take ln(sigma / depth). None: all weigh the same.
        valid: bool of the same shape, which pixels count at all; None: all.
        detach_depth: sigma learns from the error of depth, depth learns nothing.
        uncertainty_weight: of ln sigma, > 0; a pixel's least is at sigma = error / weight.

    Returns:
        The mean over the images of their (weighted) means: a scalar in float32 or a finer type,
        which may be negative. An image in which no pixel counts counts 0.

    Raises:
        ShapeError: shapes differ from that, or `valid` is not bool.
        ConfigError: the weight is not above 0 and finite.

    Reference:
        D. Eigen, C. Puhrsch, R. Fergus, "Depth Map Prediction from a Single Image using a
        Multi-Scale Deep Network", NIPS 2014 (the logarithm).
        M. Poggi, F. Aleotti, F. Tosi, S. Mattoccia, "On the Uncertainty of Self-Supervised
        Monocular Depth Estimation", CVPR 2020 (uncertainty learnt from a teacher).
    """
    maps = {
        'student_depth_m': student_depth_m,
        'student_log_sigma': student_log_sigma,
        'teacher_depth_m': teacher_depth_m,
    }
    if teacher_log_sigma is not None:
        maps['teacher_log_sigma'] = teacher_log_sigma
    check_maps(valid, **maps)
    check_positive('uncertainty_weight', uncertainty_weight)
    counted = (teacher_depth_m > 0.0) & torch.isfinite(teacher_depth_m)
    counted = counted if valid is None else counted & valid
    student = student_depth_m.detach() if detach_depth else student_depth_m
    error = covered_error(_log(student, counted), _log(teacher_depth_m, counted), counted)
    log_sigma = torch.where(counted, at_least_float32(student_log_sigma), 0.0)
    cost = laplacian_nll(error, log_sigma, uncertainty_weight)
    if teacher_log_sigma is None:
        return covered_mean(cost, counted)
    return weighted_mean(cost, certainty_weights(teacher_log_sigma.detach(), counted))


def _log(depth_m: Tensor, counted: Tensor) -> Tensor:
    """Natural logarithm where it counts, 0 with a gradient of 0 elsewhere."""
    return torch.where(counted, at_least_float32(depth_m), 1.0).log()
