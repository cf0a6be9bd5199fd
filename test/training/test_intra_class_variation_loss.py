# SPDX-License-Identifier: Apache-2.0
"""Variation within classes: known values, labels that do not count, and its gradient."""

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

from kd_perception.errors import ShapeError
from training.losses import intra_class_variation_loss


def cosines(features, label, num_classes):
    """Arrays [channels, height, width] and [height, width] -> [height, width], as the formula."""
    centers = features.copy()
    for k in range(num_classes):
        if (label == k).any():
            centers[:, label == k] = features[:, label == k].mean(axis=1, keepdims=True)
    lengths = np.sqrt((features**2).sum(axis=0) * (centers**2).sum(axis=0))
    return (features * centers).sum(axis=0) / lengths


def labels(shape, seed, *, high=3):
    """Classes 0 to high - 1, and 255 in their midst."""
    drawn = np.random.default_rng(seed).integers(0, high + 1, shape)
    return torch.from_numpy(np.where(drawn == high, 255, drawn))


def test_orthogonal_against_identical_places():
    """Both places lie 45 degrees from their mean in the student, on it in the teacher."""
    student = torch.eye(2, dtype=torch.float64).reshape(1, 2, 1, 2)
    target = torch.zeros(1, 1, 2, dtype=torch.long)
    loss = intra_class_variation_loss(student, torch.ones_like(student), target, num_classes=2)
    assert loss.item() == pytest.approx((1 - 0.5**0.5) ** 2, rel=1e-9)
    target[0, 0, 1] = 255
    loss = intra_class_variation_loss(student, torch.ones_like(student), target, num_classes=2)
    assert loss.item() == pytest.approx(0.0, abs=1e-14), 'one labeled place is its own mean'


@given(feature_pairs(teacher_channels=st.integers(1, 6)), st.integers(0, 2**20))
def test_loss_is_the_formula(pair, seed):
    target = labels((len(pair[0]), *pair[0].shape[2:]), seed)
    loss = intra_class_variation_loss(*pair, target, num_classes=3)
    images = zip(*(x.numpy() for x in (*pair, target)), strict=True)
    squares = [((cosines(s, y, 3) - cosines(t, y, 3)) ** 2).mean() for s, t, y in images]
    assert loss.item() == pytest.approx(np.mean(squares), rel=1e-6, abs=1e-9)
    same = intra_class_variation_loss(pair[0], 3.0 * pair[0], target, num_classes=3)
    assert same.item() == pytest.approx(0.0, abs=1e-14)


def test_one_place_per_class_teaches_nothing():
    target = torch.arange(6).reshape(1, 2, 3)
    student, teacher = normal(2, 1, 4, 2, 3)
    loss = intra_class_variation_loss(student, teacher, target, num_classes=6)
    assert loss.item() == pytest.approx(0.0, abs=1e-14)


def test_means_are_those_of_one_image():
    pair = normal(2, 3, 4, 3, 3)
    target = labels((1, 3, 3), 5).repeat(3, 1, 1)
    check_batch_is_the_mean_of_its_images(
        lambda a, b: intra_class_variation_loss(a, b, target[: len(a)], num_classes=3), *pair
    )


def test_labels_that_are_no_class_do_not_teach():
    student, teacher = normal(2, 1, 4, 3, 3)
    target = labels((1, 3, 3), 1)
    loss = intra_class_variation_loss(student, teacher, target, num_classes=3)
    beyond = torch.where(target == 255, 3, target)
    assert torch.equal(intra_class_variation_loss(student, teacher, beyond, num_classes=3), loss)
    hidden = torch.where(target == 0, 255, target)
    expected = intra_class_variation_loss(student, teacher, hidden, num_classes=3)
    value = intra_class_variation_loss(student, teacher, target, num_classes=3, ignore_index=0)
    assert torch.equal(value, expected) and not torch.equal(value, loss)
    student.requires_grad_()
    intra_class_variation_loss(student, teacher, target, num_classes=3).backward()
    assert (student.grad[0, :, target[0] == 255] == 0).all()


def test_large_labels_are_read_at_their_nearest():
    student, teacher = normal(2, 1, 4, 2, 3)
    target = labels((1, 8, 9), 2)
    loss = intra_class_variation_loss(student, teacher, target, num_classes=3)
    small = target[:, ::4, ::3]
    assert torch.equal(intra_class_variation_loss(student, teacher, small, num_classes=3), loss)
    as_bytes = intra_class_variation_loss(student, teacher, small.to(torch.uint8), num_classes=3)
    assert torch.equal(as_bytes, loss)


def test_gradient_passes_through_the_means():
    student, teacher = normal(2, 1, 3, 2, 3)
    target = torch.tensor([[[0, 0, 1], [0, 1, 255]]])

    def loss(a, b):
        return intra_class_variation_loss(a, b, target, num_classes=2)

    check_only_the_student_learns(loss, student, teacher)
    assert torch.autograd.gradcheck(lambda x: loss(x, teacher), student.requires_grad_())


def test_silent_places_and_half_precision_are_finite():
    target = labels((2, 4, 4), 3)

    def loss(a, b):
        return intra_class_variation_loss(a, b, target, num_classes=3)

    check_half_precision(loss, *normal(2, 2, 8, 4, 4, scale=1e4))
    silent = torch.zeros(2, 3, 4, 4, requires_grad=True)
    loss(silent, torch.ones(2, 3, 4, 4)).backward()
    assert torch.isfinite(silent.grad).all()


def test_memory_grows_with_the_number_of_places():
    student, teacher = normal(2, 1, 8, 24, 24)
    target = labels((1, 24, 24), 4)
    largest = largest_tensor(
        lambda a, b: intra_class_variation_loss(a, b, target, num_classes=3), student, teacher
    )
    assert largest == student.numel()


def test_wrong_shapes_are_named():
    maps, target = torch.zeros(1, 2, 4, 4), torch.zeros(1, 8, 8)
    with pytest.raises(ShapeError, match='student_features must be of shape'):
        intra_class_variation_loss(maps[0], maps, target, num_classes=2)
    with pytest.raises(ShapeError, match=r'teacher_features must be of shape \[1, any, 4, 4\]'):
        intra_class_variation_loss(maps, torch.zeros(1, 2, 8, 8), target, num_classes=2)
    with pytest.raises(ShapeError, match=r'target must be of shape \[1, any, any\]'):
        intra_class_variation_loss(maps, maps, target[0], num_classes=2)
