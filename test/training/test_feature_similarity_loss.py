# SPDX-License-Identifier: Apache-2.0
"""Similarity of features: values known by hand, what it does not see, and its gradient."""

from __future__ import annotations

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

from kd_perception.errors import ShapeError
from training.losses import feature_similarity_loss


def two_places(first, second):
    return torch.tensor([first, second], dtype=torch.float64).T.reshape(1, 2, 1, 2)


def similarity(features):
    vectors = features.flatten(2)
    length = vectors.norm(dim=1)
    products = torch.einsum('icm,icn->imn', vectors, vectors)
    return products / (length[:, :, None] * length[:, None, :])


def test_orthogonal_against_identical_places():
    student, teacher = two_places([1, 0], [1, 0]), two_places([1, 0], [0, 3])
    assert feature_similarity_loss(student, teacher).item() == pytest.approx(0.5, abs=1e-7)
    assert feature_similarity_loss(teacher, student).item() == pytest.approx(0.5, abs=1e-7)


def test_divides_by_pairs_and_images():
    student, teacher = two_places([1, 0], [1, 0]), two_places([1, 0], [0, 3])
    wide = torch.cat([student] * 3, dim=3), torch.cat([teacher] * 3, dim=3)
    assert feature_similarity_loss(*wide).item() == pytest.approx(0.5, abs=1e-7)
    batch = torch.cat([student, teacher]), torch.cat([teacher, teacher])
    assert feature_similarity_loss(*batch).item() == pytest.approx(0.25, abs=1e-7)


@given(feature_pairs(teacher_channels=st.integers(1, 6)))
def test_loss_is_the_formula(pair):
    student, teacher = pair
    loss = feature_similarity_loss(student, teacher)
    places = student.shape[2] * student.shape[3]
    squares = (similarity(teacher) - similarity(student)) ** 2
    expected = squares.sum() / places**2 / student.shape[0]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-9)
    assert loss.item() >= 0.0
    assert loss.item() == pytest.approx(feature_similarity_loss(teacher, student).item())
    check_batch_is_the_mean_of_its_images(feature_similarity_loss, student, teacher)


@given(feature_pairs(), st.floats(0.1, 100.0))
def test_lengths_and_turns_of_features_are_not_seen(pair, scale):
    student, teacher = pair
    assert feature_similarity_loss(scale * teacher, teacher).item() < 1e-6
    loss = feature_similarity_loss(student, teacher).item()
    channels = student.shape[1]
    turn = torch.linalg.qr(normal(channels, channels)).Q
    turned = scale * torch.einsum('dc,bchw->bdhw', turn, student)
    assert feature_similarity_loss(turned, teacher).item() == pytest.approx(loss, abs=1e-6)


def test_only_the_student_learns_and_lengths_are_constants():
    student, teacher = normal(2, 3, 2, 2), normal(2, 5, 2, 2, seed=1)
    check_only_the_student_learns(feature_similarity_loss, student, teacher)
    student.requires_grad_()
    feature_similarity_loss(student, teacher).backward()
    directions = (student / student.norm(dim=1, keepdim=True).detach()).flatten(2)
    products = torch.einsum('icm,icn->imn', directions, directions)
    expected = torch.autograd.grad(((products - similarity(teacher)) ** 2).mean(), student)[0]
    torch.testing.assert_close(student.grad, expected, rtol=1e-6, atol=1e-9)


def test_silent_places_are_finite():
    student = torch.zeros(1, 3, 2, 2, requires_grad=True)
    loss = feature_similarity_loss(student, torch.ones(1, 3, 2, 2))
    loss.backward()
    assert loss.item() == pytest.approx(1.0)
    assert torch.isfinite(student.grad).all()


def test_half_precision_is_computed_in_float32():
    student, teacher = normal(2, 8, 4, 4, scale=2e3), normal(2, 6, 4, 4, seed=1)
    check_half_precision(feature_similarity_loss, student, teacher)


def test_autocast_does_not_round_the_products():
    student, teacher = normal(2, 1, 64, 4, 4).float()
    expected = feature_similarity_loss(student, teacher)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(feature_similarity_loss(student, teacher), expected)


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match='student_features must be of shape'):
        feature_similarity_loss(torch.zeros(2, 4, 4), torch.zeros(1, 2, 4, 4))
    with pytest.raises(ShapeError, match=r'teacher_features must be of shape \[1, any, 4, 4\]'):
        feature_similarity_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 8, 8))
