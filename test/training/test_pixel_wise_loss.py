# SPDX-License-Identifier: Apache-2.0
"""Pixel-wise distillation: known values, both normalizations, class weights, its gradient."""

from __future__ import annotations

import math

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
from training.losses import pixel_wise_loss


def one_place(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log().reshape(1, -1, 1, 1)


def divergences(student, teacher, temperature):
    """KL(teacher || student) of arrays [batch, classes, height, width], per place."""
    softened = [np.exp(x / temperature) for x in (student, teacher)]
    p_student, p_teacher = (x / x.sum(axis=1, keepdims=True) for x in softened)
    return (p_teacher * np.log(p_teacher / p_student)).sum(axis=1)


def test_one_place():
    student, teacher = one_place(0.5, 0.5), one_place(0.2, 0.8)
    per_pixel = pixel_wise_loss(student, teacher, normalization='pixels').item()
    assert per_pixel == pytest.approx(0.2 * math.log(0.4) + 0.8 * math.log(1.6), rel=1e-12)
    assert per_pixel == pytest.approx(0.192745, abs=1e-6)
    assert pixel_wise_loss(student, teacher).item() == pytest.approx(0.096372, abs=1e-6)


@given(feature_pairs(), st.floats(0.5, 10.0))
def test_loss_is_the_formula(pair, temperature):
    student, teacher = pair

    def loss(a, b):
        return pixel_wise_loss(a, b, temperature=temperature, normalization='pixels')

    expected = divergences(student.numpy(), teacher.numpy(), temperature).mean()
    assert loss(student, teacher).item() == pytest.approx(
        temperature**2 * expected, rel=1e-9, abs=1e-11
    )
    elements = pixel_wise_loss(student, teacher, temperature=temperature)
    assert student.shape[1] * elements.item() == pytest.approx(loss(*pair).item(), rel=1e-12)
    assert loss(student, teacher).item() >= -1e-11
    assert loss(student, student).item() == 0.0
    check_batch_is_the_mean_of_its_images(loss, student, teacher)


def test_elements_are_the_mean_of_torch():
    """What the authors call: `KLDivLoss` with its default reduction."""
    student, teacher = normal(2, 2, 5, 3, 4)
    with pytest.warns(UserWarning, match='batchmean'):
        expected = torch.nn.KLDivLoss()(student.log_softmax(1), teacher.softmax(1))
    assert pixel_wise_loss(student, teacher).item() == pytest.approx(expected.item(), rel=1e-12)


@given(feature_pairs(), st.floats(0.5, 10.0))
def test_only_differences_between_classes_count(pair, temperature):
    student, teacher = pair
    shifts = normal(2, student.shape[0], 1, *student.shape[2:], scale=30.0)
    value = pixel_wise_loss(student, teacher, temperature=temperature).item()
    moved = pixel_wise_loss(student + shifts[0], teacher + shifts[1], temperature=temperature)
    assert moved.item() == pytest.approx(value, rel=1e-9, abs=1e-11)


@given(feature_pairs(), st.floats(0.5, 10.0))
def test_gradient_is_the_difference_of_probabilities(pair, temperature):
    student, teacher = pair
    student.requires_grad_()
    pixel_wise_loss(student, teacher, temperature=temperature, normalization='pixels').backward()
    pixels = student.numel() / student.shape[1]
    difference = (student.detach() / temperature).softmax(1) - (teacher / temperature).softmax(1)
    expected = temperature / pixels * difference
    torch.testing.assert_close(student.grad, expected, rtol=1e-9, atol=1e-12)


def test_places_weigh_as_the_class_of_the_teacher():
    student, teacher = normal(2, 2, 4, 3, 5)
    weight = torch.tensor([1.0, 2.0, 5.0, 0.5])
    loss = pixel_wise_loss(student, teacher, normalization='pixels', weight=weight)
    of_place = weight.numpy()[teacher.numpy().argmax(axis=1)]
    expected = np.average(divergences(student.numpy(), teacher.numpy(), 1.0), weights=of_place)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    scaled = pixel_wise_loss(student, teacher, normalization='pixels', weight=7.0 * weight)
    assert scaled.item() == pytest.approx(loss.item(), rel=1e-6)
    assert pixel_wise_loss(teacher, teacher, weight=weight).item() == 0.0
    level = pixel_wise_loss(student, teacher, weight=torch.full((4,), 3.0))
    assert level.item() == pytest.approx(pixel_wise_loss(student, teacher).item(), rel=1e-9)


def test_classes_of_places_may_be_told():
    """As maps need it that are no class scores: five channels, three classes."""
    student, teacher = normal(2, 2, 5, 3, 4)
    weight = torch.tensor([1.0, 2.0, 6.0])
    classes = torch.randint(0, 3, (2, 3, 4), generator=torch.Generator().manual_seed(0))
    loss = pixel_wise_loss(
        student, teacher, normalization='pixels', weight=weight, classes=classes
    )
    of_place = weight.numpy()[classes.numpy()]
    expected = np.average(divergences(student.numpy(), teacher.numpy(), 1.0), weights=of_place)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    likely = teacher.argmax(dim=1)
    longer = torch.arange(1.0, 6.0)
    assert torch.equal(
        pixel_wise_loss(student, teacher, weight=longer, classes=likely),
        pixel_wise_loss(student, teacher, weight=longer),
    )


def test_processes_that_share_a_batch_count_over_all():
    """Quotients of both halves by the mean count have the whole batch's value as their mean."""
    student, teacher = normal(2, 4, 4, 3, 5)
    weight = torch.tensor([1.0, 3.0, 9.0, 27.0], dtype=torch.float64)
    half = weight[teacher.argmax(dim=1)].sum() / 2
    whole = pixel_wise_loss(student, teacher, weight=weight).item()
    parts = [
        pixel_wise_loss(student[k], teacher[k], weight=weight, mean_count=lambda count: half)
        for k in (slice(2), slice(2, 4))
    ]
    assert (parts[0] + parts[1]).item() / 2 == pytest.approx(whole, rel=1e-9)
    apart = [
        pixel_wise_loss(student[k], teacher[k], weight=weight) for k in (slice(2), slice(2, 4))
    ]
    assert (apart[0] + apart[1]).item() / 2 != pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize('weight', [None, torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])])
def test_only_the_student_learns(weight):
    check_only_the_student_learns(
        lambda a, b: pixel_wise_loss(a, b, weight=weight), *normal(2, 2, 5, 3, 3)
    )


def test_sharp_logits_and_half_precision_are_finite():
    student, teacher = normal(2, 2, 9, 4, 4, scale=5e3)
    check_half_precision(pixel_wise_loss, student, teacher)
    weight = torch.arange(1.0, 10.0)
    check_half_precision(lambda a, b: pixel_wise_loss(a, b, weight=weight), student, teacher)
    sure, wrong = torch.tensor([[0.0, 4e4], [4e4, 0.0]]).reshape(2, 1, 2, 1, 1)
    assert torch.isinf(sure.softmax(1).log()).any()
    loss = pixel_wise_loss(sure, wrong, normalization='pixels')
    assert loss.item() == pytest.approx(4e4, rel=1e-6)


def test_memory_grows_with_the_number_of_places():
    student, teacher = normal(2, 1, 4, 24, 24)
    assert largest_tensor(pixel_wise_loss, student, teacher) == student.numel()


def test_wrong_arguments_are_named():
    logits = torch.zeros(1, 9, 4, 4)
    with pytest.raises(ShapeError, match='student_logits must be of shape'):
        pixel_wise_loss(logits[0], logits)
    with pytest.raises(ShapeError, match=r'teacher_logits must be of shape \[1, 9, 4, 4\]'):
        pixel_wise_loss(logits, torch.zeros(1, 19, 4, 4))
    with pytest.raises(ShapeError, match=r'weight must be of shape \[9\]'):
        pixel_wise_loss(logits, logits, weight=torch.ones(8))
    with pytest.raises(ShapeError, match=r'classes must be of shape \[1, 4, 4\]'):
        pixel_wise_loss(logits, logits, weight=torch.ones(3), classes=torch.zeros(1, 8, 8))
    with pytest.raises(ConfigError, match=r"one of \['elements', 'pixels'\], received 'mean'"):
        pixel_wise_loss(logits, logits, normalization='mean')
    for temperature in (0.0, -1.0, float('nan'), float('inf')):
        with pytest.raises(ConfigError, match='temperature must be above 0'):
            pixel_wise_loss(logits, logits, temperature=temperature)
