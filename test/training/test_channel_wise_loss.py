# SPDX-License-Identifier: Apache-2.0
"""Channel-wise distillation: known values, its normalization, its gradient and its limits."""

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
    largest_tensor,
    normal,
)

from kd_perception.errors import ConfigError, ShapeError
from training.losses import channel_wise_loss


def one_channel(*rows):
    return torch.tensor(rows, dtype=torch.float64)[None, None]


@pytest.mark.parametrize(('temperature', 'value'), [(4.0, 1.775106), (1.0, 0.603052)])
def test_two_places(temperature, value):
    loss = channel_wise_loss(
        one_channel([0.0, 0.0]), one_channel([0.0, 4.0]), temperature=temperature
    )
    assert loss.item() == pytest.approx(value, abs=1e-6)


def test_four_places():
    peak, level = one_channel([4.0, 0.0], [0.0, 0.0]), one_channel([0.0, 0.0], [0.0, 0.0])
    loss = channel_wise_loss(level, peak, temperature=4.0)
    high, low = math.e / (math.e + 3.0), 1.0 / (math.e + 3.0)
    expected = 16.0 * (high * math.log(4.0 * high) + 3.0 * low * math.log(4.0 * low))
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert loss.item() == pytest.approx(1.887886, abs=1e-6)
    turned = channel_wise_loss(peak, level, temperature=4.0)
    assert turned.item() < 0.95 * loss.item(), 'the divergence has a direction'


@given(feature_pairs(), st.floats(0.5, 10.0))
def test_only_differences_between_places_count(pair, temperature):
    student, teacher = pair

    def loss(a, b):
        return channel_wise_loss(a, b, temperature=temperature)

    value = loss(student, teacher).item()
    assert value >= -1e-12
    assert loss(student, student).item() == 0.0
    constants = normal(2, *student.shape[:2], 1, 1, scale=30.0)
    moved = loss(student + constants[0], teacher + constants[1]).item()
    assert moved == pytest.approx(value, rel=1e-9, abs=1e-9)
    check_batch_is_the_mean_of_its_images(loss, student, teacher)


def test_scale_counts():
    student, teacher = one_channel([0.0, 1.0]), one_channel([0.0, 2.0])
    assert channel_wise_loss(student, teacher, temperature=1.0).item() > 0.01
    larger = channel_wise_loss(3 * student, 3 * teacher, temperature=1.0)
    assert larger.item() != pytest.approx(
        channel_wise_loss(student, teacher, temperature=1.0).item(), rel=1e-2
    )


@given(feature_pairs(), st.floats(0.5, 10.0))
def test_copies_of_images_channels_and_places_change_nothing(pair, temperature):
    value = channel_wise_loss(*pair, temperature=temperature).item()
    for dim in (0, 1, 2):
        copies = [torch.cat([x, x], dim=dim) for x in pair]
        copied = channel_wise_loss(*copies, temperature=temperature).item()
        assert copied == pytest.approx(value, rel=1e-9, abs=1e-12)


@given(feature_pairs(), st.floats(0.5, 10.0))
def test_gradient_is_the_difference_of_distributions(pair, temperature):
    student, teacher = pair
    student.requires_grad_()
    teacher.requires_grad_()
    channel_wise_loss(student, teacher, temperature=temperature).backward()
    assert teacher.grad is None
    places = [(x.detach() / temperature).flatten(2).softmax(2) for x in pair]
    expected = temperature / (student.shape[0] * student.shape[1]) * (places[0] - places[1])
    torch.testing.assert_close(student.grad.flatten(2), expected, rtol=0.0, atol=1e-12)
    assert student.grad.sum(dim=(2, 3)).abs().max() < 1e-12


def test_only_the_student_learns():
    student, teacher = normal(2, 2, 3, 4, 4)
    check_only_the_student_learns(
        lambda a, b: channel_wise_loss(a, b, temperature=4.0), student, teacher
    )


def test_high_temperature_is_half_the_squared_difference():
    student, teacher = normal(2, 2, 3, 5, 7)
    loss = channel_wise_loss(student, teacher, temperature=1e3)
    difference = student - teacher
    centered = difference - difference.mean(dim=(2, 3), keepdim=True)
    assert loss.item() == pytest.approx(0.5 * (centered**2).mean().item(), rel=1e-3)


def test_sharp_maps_stay_finite():
    """The logarithm of a softmax, as in the authors' code, is infinite here."""
    sharp, level = one_channel([0.0, 4e4]).float(), one_channel([4e4, 0.0]).float()
    assert torch.isinf((sharp.flatten(2) / 4.0).softmax(2).log()).any()
    loss = channel_wise_loss(sharp, level, temperature=4.0)
    assert loss.item() == pytest.approx(16.0 * 1e4, rel=1e-6)


def test_half_precision_is_computed_in_float32():
    student, teacher = normal(2, 2, 3, 8, 8, scale=1e4)
    check_half_precision(lambda a, b: channel_wise_loss(a, b, temperature=1.0), student, teacher)


def test_memory_grows_with_the_number_of_places():
    student, teacher = normal(2, 1, 4, 24, 24)
    largest = largest_tensor(
        lambda a, b: channel_wise_loss(a, b, temperature=4.0), student, teacher
    )
    assert largest == student.numel()


def test_wrong_shapes_and_temperatures_are_named():
    maps = torch.zeros(1, 9, 4, 4)
    with pytest.raises(ShapeError, match='student must be of shape'):
        channel_wise_loss(maps[0], maps, temperature=4.0)
    with pytest.raises(ShapeError, match=r'teacher must be of shape \[1, 9, 4, 4\]'):
        channel_wise_loss(maps, torch.zeros(1, 19, 4, 4), temperature=4.0)
    for temperature in (0.0, -4.0, float('nan'), float('inf')):
        with pytest.raises(ConfigError, match='temperature must be above 0'):
            channel_wise_loss(maps, maps, temperature=temperature)
