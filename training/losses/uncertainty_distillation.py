# SPDX-License-Identifier: Apache-2.0
"""Depth taught by another network, the more the surer that one is."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from kd_perception.errors import ConfigError
from training.losses.covered import (
    certainty_weights,
    check_maps,
    covered_error,
    covered_mean,
    weighted_mean,
)
from training.tensor_checks import at_least_float32, check_option, check_positive

UncertaintyUse = Literal['uw', 'ut', 'uwt', 'ct']
Normalization = Literal['self', 'literal']


def uncertainty_weighted_distillation_loss(
    student_depth_m: Tensor,
    teacher_depth_m: Tensor,
    teacher_log_sigma: Tensor,
    *,
    use: UncertaintyUse = 'uw',
    normalization: Normalization = 'self',
    quantile: float | None = None,
    max_sigma: float | None = None,
    valid: Tensor | None = None,
    detach_sigma: bool = True,
) -> Tensor:
    """Weighted mean of |student - teacher|, L_U->S and L_S->U of mutual distillation.

    How the teacher's uncertainty is used, the rows of the paper's ablation:

    * `uw`: each pixel weighs 1 / sigma. The paper's choice.
    * `ut`: pixels of small sigma weigh the same, the others nothing. Small is at most the image's
      own `quantile` of sigma, or at most `max_sigma`.
    * `uwt`: both, 1 / sigma where sigma is small.
    * `ct`: as `ut`, but always by a constant, `max_sigma`. What else sets it apart from `ut` in
      the paper is not public.

    Args:
        student_depth_m: [batch, 1, height, width].
        teacher_depth_m: of the same shape; gets no gradient.
        teacher_log_sigma: natural logarithm of the teacher's sigma, of the same shape. Of any
            unit: that of a photometric loss will do for all but `max_sigma`.
        use: see above.
        normalization: `self` divides by the sum of the weights, so that the scale of sigma does
            not count; the paper's formula is not public. `literal`, of `uw` and `uwt` only,
            divides by the sum of sigma: three times the sigma then teaches a ninth.
        quantile: 0 < quantile <= 1, the share of an image's pixels that teach in `ut` and `uwt`;
            ties teach too.
        max_sigma: > 0, in the unit of the teacher's sigma.
        valid: bool of the same shape, which pixels count at all; None: all.
        detach_sigma: the teacher's sigma gets no gradient. Else it learns to be larger where the
            student is farther off than in the mean; thresholds have no gradient either way. Which
            the paper does is not public.

    Returns:
        The mean over the images of their weighted means, in meters (`literal`: in meters per
        squared unit of sigma): a scalar of at least 0, in float32 or a finer type. An image in
        which no pixel counts counts 0.

    Raises:
        ShapeError: shapes differ from that, or `valid` is not bool.
        ConfigError: an option is unknown or out of range, or does not belong to the others.

    Reference:
        J. Baek, G. Kim, S. Kim, "Semi-Supervised Learning with Mutual Distillation for Monocular
        Depth Estimation", ICRA 2022.
    """
    _check_options(use, normalization, quantile, max_sigma)
    check_maps(
        valid,
        student_depth_m=student_depth_m,
        teacher_depth_m=teacher_depth_m,
        teacher_log_sigma=teacher_log_sigma,
    )
    if valid is None:
        valid = torch.ones_like(student_depth_m, dtype=torch.bool)
    error = covered_error(student_depth_m, teacher_depth_m, valid)
    log_sigma = at_least_float32(teacher_log_sigma.detach() if detach_sigma else teacher_log_sigma)
    counted = valid & (log_sigma <= _limit(log_sigma, valid, quantile, max_sigma))
    if use in ('ut', 'ct'):
        return covered_mean(error, counted)
    if normalization == 'self':
        return weighted_mean(error, certainty_weights(log_sigma, counted))
    known = torch.where(counted, log_sigma, 0.0)
    sums = [
        torch.where(counted, part, 0.0).sum(dim=(1, 2, 3))
        for part in (error * torch.exp(-known), torch.exp(known))
    ]
    return (sums[0] / sums[1].clamp(min=torch.finfo(sums[1].dtype).tiny)).mean()


def _limit(
    log_sigma: Tensor, valid: Tensor, quantile: float | None, max_sigma: float | None
) -> Tensor:
    """The largest ln sigma that teaches, of each image, [batch, 1, 1, 1]."""
    if max_sigma is not None:
        return torch.full_like(log_sigma[:, :1, :1, :1], max_sigma).log()
    if quantile is None:
        return torch.full_like(log_sigma[:, :1, :1, :1], torch.inf)
    known = log_sigma.masked_fill(~valid, torch.nan).flatten(1)
    limit = torch.nanquantile(known, quantile, dim=1, interpolation='higher')
    return limit.reshape(-1, 1, 1, 1)


def _check_options(
    use: str, normalization: str, quantile: float | None, max_sigma: float | None
) -> None:
    check_option('use', use, get_args(UncertaintyUse))
    check_option('normalization', normalization, get_args(Normalization))
    thresholds = {'quantile': quantile, 'max_sigma': max_sigma}
    given = [name for name, value in thresholds.items() if value is not None]
    wanted: dict[str, list[list[str]]] = {'uw': [[]], 'ct': [['max_sigma']]}
    if given not in wanted.get(use, [['quantile'], ['max_sigma']]):
        raise ConfigError(
            "thresholds must be none for 'uw', max_sigma for 'ct', and quantile or max_sigma for "
            f"'ut' and 'uwt'; received {' and '.join(given) or 'none'} for {use!r}"
        )
    if normalization == 'literal' and use in ('ut', 'ct'):
        raise ConfigError(f"normalization of {use!r}, which has no weights, must be 'self'")
    if quantile is not None and not 0.0 < quantile <= 1.0:
        raise ConfigError(f'quantile must be above 0 and at most 1, received {quantile}')
    if max_sigma is not None:
        check_positive('max_sigma', max_sigma)
