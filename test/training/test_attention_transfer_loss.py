# SPDX-License-Identifier: Apache-2.0
"""Attention transfer: values known by hand, what its maps do not see, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import (
    check_batch_is_the_mean_of_its_images,
    check_half_precision,
    check_only_the_student_learns,
    feature_pairs,
    largest_tensor,
    normal,
)

from kd_perception.errors import ConfigError, ShapeError
from training.losses import attention_transfer_loss


def attention(features, power):
    """Maps of an array [channels, height, width], as the formula has them."""
    sums = (np.abs(features) ** power).sum(axis=0).ravel()
    return sums / np.sqrt((sums**2).sum())


def test_disjoint_places():
    student = torch.tensor([[[[3.0, 0.0]]]], dtype=torch.float64)
    teacher = torch.tensor([[[[0.0, 7.0]], [[0.0, 1.0]]]], dtype=torch.float64)
    assert attention_transfer_loss(student, teacher).item() == pytest.approx(1.0, rel=1e-12)


def test_three_and_four():
    student = torch.tensor([[[[3.0, -4.0]]]], dtype=torch.float64)
    level = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    loss = attention_transfer_loss(student, level, power=1.0)
    expected = ((0.6 - 0.5**0.5) ** 2 + (0.8 - 0.5**0.5) ** 2) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@given(feature_pairs(teacher_channels=st.integers(1, 6)), st.sampled_from([1.0, 2.0, 3.5]))
def test_loss_is_the_formula(pair, power):
    def loss(a, b):
        return attention_transfer_loss(a, b, power=power)

    images = zip(*(x.numpy() for x in pair), strict=True)
    squares = [(attention(s, power) - attention(t, power)) ** 2 for s, t in images]
    assert loss(*pair).item() == pytest.approx(np.mean(squares), rel=1e-9, abs=1e-14)
    assert loss(pair[0], pair[0]).item() == 0.0
    check_batch_is_the_mean_of_its_images(loss, *pair)


@given(feature_pairs(), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_scales_signs_and_order_of_channels_are_not_seen(pair, first, second):
    student, teacher = pair
    loss = attention_transfer_loss(student, teacher).item()
    other = attention_transfer_loss(-first * student.flip(1), second * teacher).item()
    assert other == pytest.approx(loss, rel=1e-9, abs=1e-14)


def test_gradient_is_that_of_the_formula():
    student, teacher = normal(2, 2, 3, 2, 4)
    check_only_the_student_learns(attention_transfer_loss, student, teacher)
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: attention_transfer_loss(x, teacher), student)


def test_silent_images_are_finite():
    student = torch.zeros(2, 3, 2, 2, requires_grad=True)
    loss = attention_transfer_loss(student, torch.ones(2, 3, 2, 2))
    loss.backward()
    assert loss.item() == pytest.approx(0.25)
    assert torch.isfinite(student.grad).all()


def test_high_powers_do_not_overflow():
    student, teacher = normal(2, 1, 3, 4, 4, scale=1e30).float()
    loss = attention_transfer_loss(student, teacher, power=4.0)
    expected = attention_transfer_loss(student / 1e30, teacher / 1e30, power=4.0)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_half_precision_is_computed_in_float32():
    student, teacher = normal(2, 2, 8, 4, 4, scale=1e4)
    check_half_precision(attention_transfer_loss, student, teacher)


def test_memory_grows_with_the_number_of_places():
    student, teacher = normal(2, 1, 4, 24, 24)
    assert largest_tensor(attention_transfer_loss, student, teacher) == student.numel()


def test_wrong_shapes_and_powers_are_named():
    maps = torch.zeros(1, 2, 4, 4)
    with pytest.raises(ShapeError, match='student_features must be of shape'):
        attention_transfer_loss(maps[0], maps)
    with pytest.raises(ShapeError, match=r'teacher_features must be of shape \[1, any, 4, 4\]'):
        attention_transfer_loss(maps, torch.zeros(1, 2, 8, 8))
    for power in (0.0, 0.5, -2.0, float('nan'), float('inf')):
        with pytest.raises(ConfigError, match='power must be'):
            attention_transfer_loss(maps, maps, power=power)
