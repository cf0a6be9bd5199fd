# SPDX-License-Identifier: Apache-2.0
"""Soft cross-entropy: its least value, its gradient, and what temperature does to both."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import (
    check_batch_is_the_mean_of_its_images,
    check_half_precision,
    check_only_the_student_learns,
    feature_pairs,
    normal,
)

from kd_perception.errors import ConfigError, ShapeError
from training.losses import soft_cross_entropy_loss


def entropy(logits, temperature):
    distribution = torch.distributions.Categorical(logits=logits.movedim(1, -1) / temperature)
    return distribution.entropy().mean().item()


@pytest.mark.parametrize('temperature', [0.5, 1.0, 6.0, 50.0])
def test_nine_classes_without_opinion(temperature):
    level = torch.full((2, 9, 3, 4), 1.5, dtype=torch.float64)
    loss = soft_cross_entropy_loss(level, level, temperature=temperature)
    assert loss.item() == pytest.approx(math.log(9.0), abs=1e-12)
    assert loss.item() == pytest.approx(2.197225, abs=1e-6)


def test_default_is_the_temperature_of_cekd():
    student, teacher = normal(2, 1, 9, 2, 2)
    loss = soft_cross_entropy_loss(student, teacher)
    assert torch.equal(loss, soft_cross_entropy_loss(student, teacher, temperature=6.0))
    softened = soft_cross_entropy_loss(student / 6.0, teacher / 6.0, temperature=1.0)
    assert loss.item() == pytest.approx(softened.item(), rel=1e-6)


@given(feature_pairs(), st.floats(0.5, 20.0))
def test_least_where_both_agree(pair, temperature):
    student, teacher = pair

    def loss(a, b):
        return soft_cross_entropy_loss(a, b, temperature=temperature)

    value, least = loss(student, teacher).item(), loss(teacher, teacher).item()
    assert least == pytest.approx(entropy(teacher, temperature), rel=1e-9, abs=1e-12)
    assert value >= least - 1e-12
    assert least >= 0.0
    shift = normal(student.shape[0], 1, *student.shape[2:])
    assert loss(student + shift, teacher - shift).item() == pytest.approx(value, rel=1e-9)
    check_batch_is_the_mean_of_its_images(loss, student, teacher)


@given(feature_pairs(), st.floats(0.5, 20.0))
def test_gradient_is_the_difference_of_probabilities(pair, temperature):
    student, teacher = pair
    student.requires_grad_()
    soft_cross_entropy_loss(student, teacher, temperature=temperature).backward()
    pixels = student.numel() / student.shape[1]
    difference = (student.detach() / temperature).softmax(1) - (teacher / temperature).softmax(1)
    expected = difference / (temperature * pixels)
    torch.testing.assert_close(student.grad, expected, rtol=1e-9, atol=1e-12)


@given(feature_pairs(), st.floats(0.5, 20.0))
def test_weights_are_multiplied_to_what_the_teacher_says(pair, temperature):
    student, teacher = pair
    weight = torch.linspace(0.5, 3.0, teacher.shape[1], dtype=teacher.dtype)

    def loss(a, b):
        return soft_cross_entropy_loss(a, b, temperature=temperature, weight=weight).item()

    p = (teacher / temperature).softmax(1).numpy() * weight.numpy()[:, None, None]
    log_q = (student / temperature).log_softmax(1).numpy()
    assert loss(student, teacher) == pytest.approx(-(p * log_q).sum() / p.sum(), rel=1e-9)
    shifted = teacher + temperature * weight.log()[:, None, None]
    assert loss(shifted, teacher) <= loss(student, teacher) + 1e-12


@given(feature_pairs())
def test_a_place_may_weigh_as_a_whole(pair):
    student, teacher = pair
    weight = torch.linspace(0.5, 3.0, teacher.shape[1], dtype=teacher.dtype)
    classes = teacher.argmax(dim=1)
    found = soft_cross_entropy_loss(student, teacher, weight=weight, classes=classes)
    p, log_q = (teacher / 6.0).softmax(1), (student / 6.0).log_softmax(1)
    of_places = weight[classes]
    expected = -(of_places * (p * log_q).sum(1)).sum() / of_places.sum()
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    with pytest.raises(ShapeError, match='classes'):
        soft_cross_entropy_loss(student, teacher, weight=weight, classes=classes[:, 1:])


def test_equal_weights_change_nothing():
    student, teacher = normal(2, 2, 5, 3, 3)
    equal = soft_cross_entropy_loss(student, teacher, weight=torch.full((5,), 7.0))
    torch.testing.assert_close(equal.double(), soft_cross_entropy_loss(student, teacher).double())
    with pytest.raises(ShapeError, match='weight'):
        soft_cross_entropy_loss(student, teacher, weight=torch.ones(4))


def test_gradient_vanishes_in_agreement_and_spares_the_teacher():
    student, teacher = normal(2, 2, 5, 3, 3)
    check_only_the_student_learns(soft_cross_entropy_loss, student, teacher)
    same = teacher.clone().requires_grad_()
    soft_cross_entropy_loss(same, teacher).backward()
    assert same.grad.abs().max() < 1e-12


def test_huge_logits_and_half_precision_are_finite():
    student, teacher = normal(2, 2, 9, 4, 4, scale=5e3)
    check_half_precision(soft_cross_entropy_loss, student, teacher)
    certain = soft_cross_entropy_loss(1e6 * student, 1e6 * teacher, temperature=1.0)
    assert torch.isfinite(certain)


def test_wrong_shapes_and_temperatures_are_named():
    logits = torch.zeros(1, 9, 4, 4)
    with pytest.raises(ShapeError, match='student_logits must be of shape'):
        soft_cross_entropy_loss(logits[0], logits)
    with pytest.raises(ShapeError, match=r'teacher_logits must be of shape \[1, 9, 4, 4\]'):
        soft_cross_entropy_loss(logits, torch.zeros(1, 9, 8, 8))
    for temperature in (0.0, -1.0, float('nan'), float('inf')):
        with pytest.raises(ConfigError, match='temperature must be above 0'):
            soft_cross_entropy_loss(logits, logits, temperature=temperature)
