# SPDX-License-Identifier: Apache-2.0
"""The edge hint: a mean squared error that teaches the student only."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from loss_properties import (
    check_batch_is_the_mean_of_its_images,
    check_half_precision,
    check_only_the_student_learns,
    feature_pairs,
    normal,
)

from kd_perception.errors import ShapeError
from training.losses import edge_hint_loss


def test_value_is_the_mean_over_all_elements():
    student = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 1, 2)
    teacher = torch.tensor([1.0, 0.0, 3.0, 1.0]).reshape(1, 2, 1, 2)
    assert edge_hint_loss(student, teacher).item() == pytest.approx(13.0 / 4.0)
    assert edge_hint_loss(student, student).item() == 0.0


@given(feature_pairs())
def test_properties(pair):
    student, teacher = pair
    loss = edge_hint_loss(student, teacher)
    assert loss.item() == pytest.approx(((student - teacher) ** 2).mean().item())
    assert loss.item() == edge_hint_loss(teacher, student).item()
    moved = edge_hint_loss(student + 2.0, teacher + 2.0)
    assert moved.item() == pytest.approx(loss.item(), rel=1e-9, abs=1e-12)
    check_batch_is_the_mean_of_its_images(edge_hint_loss, student, teacher)
    check_only_the_student_learns(edge_hint_loss, student, teacher)


def test_half_precision_is_computed_in_float32():
    student, teacher = normal(2, 2, 3, 4, 4, scale=300.0)
    check_half_precision(edge_hint_loss, student, teacher)


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match='student_hint must be of shape'):
        edge_hint_loss(torch.zeros(2, 4, 4), torch.zeros(2, 4, 4))
    with pytest.raises(ShapeError, match=r'teacher_hint must be of shape \[1, 2, 4, 4\]'):
        edge_hint_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4))
