# SPDX-License-Identifier: Apache-2.0
"""Depth taught by a sure teacher: values known by hand, every variant, and who learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from depth_maps import drawn_maps, gradients, maps, row
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import (
    check_batch_is_the_mean_of_its_images,
    check_half_precision,
    check_only_the_student_learns,
    normal,
)

from kd_perception.errors import ConfigError, ShapeError
from training.losses import uncertainty_weighted_distillation_loss as distillation_loss

DEPTHS = row(1.0, 2.0, 3.0), row(2.0, 2.0, 5.0)
SIGMA = row(1.0, 2.0, 4.0)

VARIANTS = {
    'uw': {},
    'literal': {'normalization': 'literal'},
    'ut': {'use': 'ut', 'quantile': 0.5},
    'ut, constant': {'use': 'ut', 'max_sigma': 1.2},
    'uwt': {'use': 'uwt', 'quantile': 0.5},
    'uwt, literal': {'use': 'uwt', 'max_sigma': 1.2, 'normalization': 'literal'},
    'ct': {'use': 'ct', 'max_sigma': 1.2},
}
every_variant = pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)


def by_hand(student, teacher, sigma, use='uw', normalization='self', **threshold):
    """One image in NumPy, from arrays of the pixels that count."""
    if not sigma.size:
        return 0.0
    small = np.ones(sigma.shape, bool)
    if 'max_sigma' in threshold:
        small = sigma <= threshold['max_sigma']
    if 'quantile' in threshold:
        rank = int(np.ceil(threshold['quantile'] * (sigma.size - 1)))
        small = sigma <= np.sort(sigma)[rank]
    if not small.any():
        return 0.0
    error, sigma = np.abs(student - teacher)[small], sigma[small]
    weight = 1.0 / sigma if 'w' in use else np.ones_like(sigma)
    return (weight * error).sum() / (sigma if normalization == 'literal' else weight).sum()


@pytest.mark.parametrize(
    ('options', 'value'),
    [
        ({}, 0.857143),
        ({'normalization': 'literal'}, 0.214286),
        ({'use': 'ut', 'max_sigma': 2.0 + 1e-9}, 0.5),
        ({'use': 'ut', 'quantile': 0.5}, 0.5),
        ({'use': 'ut', 'quantile': 1.0}, 1.0),
        ({'use': 'ct', 'max_sigma': 1.0 + 1e-9}, 1.0),
        ({'use': 'ct', 'max_sigma': 0.5}, 0.0),
        ({'use': 'uwt', 'quantile': 0.5}, 1.0 / 1.5),
        ({'use': 'uwt', 'max_sigma': 3.0, 'normalization': 'literal'}, 1.0 / 3.0),
    ],
)
def test_worked_example(options, value):
    loss = distillation_loss(*DEPTHS, SIGMA.log(), **options)
    assert loss.item() == pytest.approx(value, abs=1e-6)


@every_variant
@given(drawn=drawn_maps())
def test_loss_is_the_formula(options, drawn):
    student, log_sigma, _, valid = drawn
    teacher = 10.0 + normal(*student.shape, seed=7)
    loss = distillation_loss(student, teacher, log_sigma, valid=valid, **options)
    values = [
        by_hand(*(np.asarray(part[i][valid[i]]) for part in (student, teacher, log_sigma.exp())),
                **options)
        for i in range(len(student))
    ]  # fmt: skip
    assert loss.item() == pytest.approx(np.mean(values), rel=1e-9, abs=1e-12)


@given(drawn_maps(), st.floats(0.01, 100.0))
def test_scale_of_sigma_does_not_count_unless_read_literally(drawn, factor):
    student, log_sigma, _, _ = drawn
    teacher = 10.0 + normal(*student.shape, seed=7)

    def value(shift, **options):
        return distillation_loss(student, teacher, log_sigma + shift, **options).item()

    shift = float(np.log(factor))
    assert value(shift) == pytest.approx(value(0.0), rel=1e-9)
    assert value(shift, use='uwt', quantile=1.0) == pytest.approx(value(0.0), rel=1e-9)
    literal = value(0.0, normalization='literal')
    assert value(shift, normalization='literal') == pytest.approx(literal / factor**2, rel=1e-9)


@given(drawn_maps(), st.floats(0.1, 10.0))
def test_even_sigma_is_the_plain_mean(drawn, sigma):
    student = drawn.depth_m
    teacher = 10.0 + normal(*student.shape, seed=7)
    even = torch.full_like(student, float(np.log(sigma)))
    mean = (student - teacher).abs().mean().item()
    for options in ({}, {'use': 'ut', 'quantile': 0.2}, {'use': 'uwt', 'quantile': 0.2}):
        loss = distillation_loss(student, teacher, even, **options)
        assert loss.item() == pytest.approx(mean, rel=1e-9)


@every_variant
def test_only_the_student_learns(options):
    student, log_sigma, _, _ = maps(2, 5, 6)
    teacher = 10.0 + normal(*student.shape, seed=7)

    def loss(a, b, s=log_sigma):
        return distillation_loss(a, b, s, **options)

    check_only_the_student_learns(loss, student, teacher)
    assert gradients(loss, student, teacher, log_sigma)[1:] == [None, None]
    check_half_precision(lambda a, b: loss(a, b, log_sigma.float()), student, teacher)
    check_batch_is_the_mean_of_its_images(
        lambda a, b: distillation_loss(a, b, 0.3 * a.detach() - 5.0, **options), student, teacher
    )


@pytest.mark.parametrize('options', [{}, {'normalization': 'literal'},
                                     {'use': 'uwt', 'quantile': 0.6}])  # fmt: skip
def test_sigma_of_the_teacher_may_learn_what_it_taught_too_surely(options):
    student, log_sigma, _, valid = maps(2, 4, 5)
    teacher = 10.0 + normal(*student.shape, seed=7)
    log_sigma = torch.where(valid, log_sigma, -1e3)  # overflows in float32 and must not count

    def loss(a, b, s):
        return distillation_loss(a, b, s, valid=valid, detach_sigma=False, **options)

    assert loss(student, teacher, log_sigma) == distillation_loss(
        student, teacher, log_sigma, valid=valid, **options
    )
    taught, of_teacher, of_sigma = gradients(loss, student, teacher, log_sigma)
    assert of_teacher is None and taught.any()
    assert of_sigma[valid].any() and (of_sigma[~valid] == 0.0).all()
    step = 1e-6
    for place in zip(*torch.nonzero(valid, as_tuple=True), strict=True):
        moved = torch.zeros_like(log_sigma)
        moved[place] = step
        values = [loss(student, teacher, log_sigma + sign * moved) for sign in (1.0, -1.0)]
        slope = float(values[0] - values[1]) / (2.0 * step)
        assert float(of_sigma[place]) == pytest.approx(slope, rel=1e-4, abs=1e-7)
    (narrow,) = gradients(lambda s: loss(student, teacher, s), log_sigma.float())
    assert torch.isfinite(narrow).all()


def test_gradient_is_the_weight_of_the_pixel():
    student, log_sigma, _, valid = maps(1, 5, 6)
    teacher = 10.0 + normal(*student.shape, seed=7)
    (gradient,) = gradients(
        lambda a: distillation_loss(a, teacher, log_sigma, valid=valid), student
    )
    weight = torch.where(valid, torch.exp(-log_sigma), 0.0)
    expected = torch.sign(student - teacher) * weight / weight.sum()
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=0.0)


def test_more_certain_pixels_teach_more_and_some_share_always():
    student, log_sigma, _, _ = maps(1, 10, 10)
    teacher = 10.0 + normal(*student.shape, seed=7)
    for quantile in (0.05, 0.5, 0.9):
        (gradient,) = gradients(
            lambda a, q=quantile: distillation_loss(a, teacher, log_sigma, use='ut', quantile=q),
            student,
        )
        taught = gradient != 0.0
        assert quantile <= taught.double().mean().item() <= quantile + 0.02
        assert log_sigma[taught].max() < log_sigma[~taught].min()


def test_extreme_sigma_and_unknown_depth_stay_finite():
    student, log_sigma, unknown, valid = maps(2, 4, 5)
    extreme = torch.where(log_sigma > 0.0, 300.0, -300.0).float()
    (gradient,) = gradients(
        lambda a: distillation_loss(a, unknown.float(), extreme, valid=valid), student.float()
    )
    assert torch.isfinite(gradient).all()
    assert (gradient[~valid] == 0.0).all()
    assert gradient[valid & (extreme < 0.0)].abs().sum().item() == pytest.approx(1.0)


@every_variant
def test_no_pixel_that_counts_teaches_nothing(options):
    student, log_sigma, _, valid = maps(2, 3, 4)
    nothing = torch.zeros_like(valid)

    def loss(a):
        return distillation_loss(a, 1.0 + student, log_sigma, valid=nothing, **options)

    assert loss(student).item() == 0.0
    assert (gradients(loss, student)[0] == 0.0).all()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'use': 'weight'}, "use must be one of 'uw', 'ut', 'uwt', 'ct'"),
        ({'normalization': 'sum'}, "normalization must be one of 'self', 'literal'"),
        ({'max_sigma': 1.0}, "received max_sigma for 'uw'"),
        ({'use': 'ut'}, "received none for 'ut'"),
        ({'use': 'uwt', 'quantile': 0.5, 'max_sigma': 1.0}, 'received quantile and max_sigma'),
        ({'use': 'ct', 'quantile': 0.5}, "received quantile for 'ct'"),
        ({'use': 'ct', 'max_sigma': 1.0, 'normalization': 'literal'}, "must be 'self'"),
        ({'use': 'ut', 'quantile': 0.0}, 'quantile must be above 0 and at most 1'),
        ({'use': 'ut', 'quantile': 1.5}, 'quantile must be above 0 and at most 1'),
        ({'use': 'ct', 'max_sigma': 0.0}, 'max_sigma must be above 0'),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        distillation_loss(*DEPTHS, SIGMA.log(), **options)


def test_wrong_shapes_are_named():
    depth_m, log_sigma, _, valid = maps(2, 3, 4)
    with pytest.raises(ShapeError, match='student_depth_m must be of shape'):
        distillation_loss(depth_m[0], depth_m, log_sigma)
    with pytest.raises(ShapeError, match='teacher_depth_m must be of shape'):
        distillation_loss(depth_m, depth_m[:1], log_sigma)
    with pytest.raises(ShapeError, match='teacher_log_sigma must be of shape'):
        distillation_loss(depth_m, depth_m, log_sigma[..., :2])
    with pytest.raises(ShapeError, match='valid must be bool'):
        distillation_loss(depth_m, depth_m, log_sigma, valid=valid.int())
