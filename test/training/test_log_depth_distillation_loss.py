# SPDX-License-Identifier: Apache-2.0
"""Distillation in the logarithm of depth: formula, weights of the teacher, who learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from depth_maps import drawn_maps, gradients, maps, row
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import check_half_precision, normal

from kd_perception.errors import ConfigError, ShapeError
from training.losses import log_depth_distillation_loss


def test_worked_example():
    """Twice and half the depth of the teacher are equally wrong; sigma ln 2 fits both."""
    student, teacher = row(2.0, 10.0), row(4.0, 5.0)
    log_sigma = row(1.0, 1.0) * math.log(math.log(2.0))
    loss = log_depth_distillation_loss(student, log_sigma, teacher)
    assert loss.item() == pytest.approx(1.0 + math.log(math.log(2.0)), rel=1e-12)


@given(drawn_maps(), st.booleans(), st.floats(0.1, 2.0))
def test_loss_is_the_formula(drawn, weighted, weight):
    """NaN, 0 and infinity of the teacher do not count, with or without a mask."""
    student, log_sigma, teacher, known = drawn
    sure = normal(*student.shape, seed=9) if weighted else None
    options = {'teacher_log_sigma': sure, 'uncertainty_weight': weight}
    loss = log_depth_distillation_loss(student, log_sigma, teacher, **options)
    means = []
    for i in range(len(student)):
        mask = known[i].numpy()
        s = log_sigma[i].numpy()[mask]
        cost = np.abs(np.log(student[i].numpy()[mask] / teacher[i].numpy()[mask]))
        cost = cost / np.exp(s) + weight * s
        weights = 1.0 / np.exp(sure[i].numpy()[mask]) if weighted else np.ones_like(s)
        means.append((weights * cost).sum() / weights.sum() if mask.any() else 0.0)
    assert loss.item() == pytest.approx(np.mean(means), rel=1e-9, abs=1e-12)
    masked = log_depth_distillation_loss(student, log_sigma, teacher, valid=known, **options)
    assert masked.item() == loss.item()


@given(drawn_maps(), st.floats(0.01, 100.0))
def test_unit_of_depth_and_scale_of_the_teachers_sigma_do_not_count(drawn, factor):
    student, log_sigma, teacher, _ = drawn
    sure = normal(*student.shape, seed=9)
    value = log_depth_distillation_loss(student, log_sigma, teacher, teacher_log_sigma=sure)
    other = log_depth_distillation_loss(
        factor * student, log_sigma, factor * teacher, teacher_log_sigma=sure + math.log(factor)
    )
    assert other.item() == pytest.approx(value.item(), rel=1e-9, abs=1e-9)


def test_only_the_student_learns_and_only_where_the_teacher_knows():
    student, log_sigma, teacher, known = maps(2, 5, 6)
    wild = torch.where(known, student, 0.0), torch.where(known, log_sigma, -1e4)
    sure = normal(*student.shape, seed=9)
    *learnt, of_depth, of_sigma = gradients(
        lambda d, s, t, u: log_depth_distillation_loss(d, s, t, teacher_log_sigma=u),
        *wild, teacher, sure,
    )  # fmt: skip
    assert (of_depth, of_sigma) == (None, None)
    for gradient in learnt:
        assert torch.isfinite(gradient).all()
        assert (gradient[~known] == 0.0).all()
        assert (gradient[known] != 0.0).all()
    detached = gradients(
        lambda d, s: log_depth_distillation_loss(
            d, s, teacher, teacher_log_sigma=sure, detach_depth=True
        ),
        *wild,
    )
    assert detached[0] is None
    assert torch.equal(detached[1], learnt[1])


def test_sigma_settles_at_the_error_over_the_weight():
    student, teacher = row(3.0), row(4.0)
    for weight in (1.0, 0.3):
        best = row(math.log(math.log(4.0 / 3.0) / weight))
        (gradient,) = gradients(
            lambda s, w=weight: log_depth_distillation_loss(
                student, s, teacher, uncertainty_weight=w
            ),
            best,
        )
        assert gradient.item() == pytest.approx(0.0, abs=1e-12)


def test_teacher_that_knows_nothing_teaches_nothing():
    student, log_sigma, _, valid = maps(2, 3, 4)
    for sure in (None, log_sigma):
        loss = log_depth_distillation_loss(
            student, log_sigma, torch.zeros_like(student), teacher_log_sigma=sure
        )
        assert loss.item() == 0.0
        masked = log_depth_distillation_loss(
            student, log_sigma, student, teacher_log_sigma=sure, valid=torch.zeros_like(valid)
        )
        assert masked.item() == 0.0


def test_half_precision_is_computed_in_float32():
    student, log_sigma, _, _ = maps(2, 6, 7)
    check_half_precision(
        lambda d, s: log_depth_distillation_loss(d, s, 1.1 * student.float()), student, log_sigma
    )


def test_wrong_shapes_and_weights_are_named():
    depth_m, log_sigma, _, valid = maps(2, 3, 4)
    with pytest.raises(ShapeError, match='student_depth_m must be of shape'):
        log_depth_distillation_loss(depth_m[0], log_sigma, depth_m)
    with pytest.raises(ShapeError, match='student_log_sigma must be of shape'):
        log_depth_distillation_loss(depth_m, log_sigma[:1], depth_m)
    with pytest.raises(ShapeError, match='teacher_depth_m must be of shape'):
        log_depth_distillation_loss(depth_m, log_sigma, depth_m[..., :2])
    with pytest.raises(ShapeError, match='teacher_log_sigma must be of shape'):
        log_depth_distillation_loss(depth_m, log_sigma, depth_m, teacher_log_sigma=log_sigma[0])
    with pytest.raises(ShapeError, match='valid must be bool'):
        log_depth_distillation_loss(depth_m, log_sigma, depth_m, valid=valid.float())
    with pytest.raises(ConfigError, match='uncertainty_weight must be above 0'):
        log_depth_distillation_loss(depth_m, log_sigma, depth_m, uncertainty_weight=0.0)
