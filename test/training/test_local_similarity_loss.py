# SPDX-License-Identifier: Apache-2.0
"""Similarity to eight neighbors: explicit sums, borders, what is not seen, and its gradient."""

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
    largest_tensor,
    normal,
)

from kd_perception.errors import ConfigError, ShapeError
from training.losses import local_similarity_loss


@st.composite
def pairs(draw):
    batch, height, width = (
        draw(st.integers(1, 2)),
        draw(st.integers(3, 5)),
        draw(st.integers(3, 5)),
    )
    channels, seed = draw(st.tuples(*[st.integers(1, 4)] * 2)), draw(st.integers(0, 2**20))
    return tuple(normal(batch, n, height, width, seed=seed + n, scale=3.0) for n in channels)


def explicit(features, compare):
    """What `compare` says of each inner place and neighbor, [batch, height, width, 8]."""
    batch, _, height, width = features.shape
    values = np.zeros((batch, height - 2, width - 2, 8))
    for image, row, column in np.ndindex(values.shape[:3]):
        patch = features[image, :, row : row + 3, column : column + 3].reshape(-1, 9)
        others = [patch[:, k] for k in range(9) if k != 4]
        values[image, row, column] = [compare(patch[:, 4], other) for other in others]
    return values


def squared_distance(a, b):
    return ((a - b) ** 2).sum()


def cosine(a, b):
    return a @ b / (np.sqrt(a @ a) * np.sqrt(b @ b))


def test_a_single_peak():
    """In the middle of 3x3 places all eight distances are 2² = 4, in the teacher 3² = 9."""
    peak = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    peak[0, 0, 1, 1] = 1.0
    assert local_similarity_loss(2 * peak, 3 * peak).item() == (8 * 4 - 8 * 9) ** 2
    border = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    border[0, 0, 0, 2] = 1.0
    assert local_similarity_loss(2 * border, 3 * border).item() == (4 - 9) ** 2


@given(pairs())
def test_distances_are_the_explicit_sum(pair):
    student, teacher = (explicit(x.numpy(), squared_distance).sum(axis=3) for x in pair)
    expected = ((student - teacher) ** 2).mean()
    assert local_similarity_loss(*pair).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert local_similarity_loss(pair[0], pair[0]).item() == 0.0
    check_batch_is_the_mean_of_its_images(local_similarity_loss, *pair)


@given(pairs())
def test_cosines_are_the_explicit_ones(pair):
    def loss(a, b):
        return local_similarity_loss(a, b, similarity='cosine')

    student, teacher = (explicit(x.numpy(), cosine) for x in pair)
    expected = ((student - teacher) ** 2).mean()
    assert loss(*pair).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert loss(pair[0], 5.0 * pair[0]).item() == pytest.approx(0.0, abs=1e-12)
    check_batch_is_the_mean_of_its_images(loss, *pair)


@given(pairs())
def test_constants_and_turns_of_features_are_not_seen(pair):
    student, teacher = pair
    channels = student.shape[1]
    turn = torch.linalg.qr(normal(channels, channels)).Q
    moved = torch.einsum('dc,bchw->bdhw', turn, student) + normal(1, channels, 1, 1)
    loss = local_similarity_loss(student, teacher).item()
    assert local_similarity_loss(moved, teacher).item() == pytest.approx(loss, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize('similarity', ['distance', 'cosine'])
def test_gradient_is_that_of_the_formula(similarity):
    def loss(a, b):
        return local_similarity_loss(a, b, similarity=similarity)

    student, teacher = normal(2, 1, 3, 3, 4)
    check_only_the_student_learns(loss, student, teacher)
    assert torch.autograd.gradcheck(lambda x: loss(x, teacher), student.requires_grad_())


@pytest.mark.parametrize('similarity', ['distance', 'cosine'])
def test_half_precision_is_computed_in_float32(similarity):
    student, teacher = normal(2, 2, 8, 4, 4, scale=2.0)
    check_half_precision(
        lambda a, b: local_similarity_loss(a, b, similarity=similarity), student, teacher
    )


@pytest.mark.parametrize('similarity', ['distance', 'cosine'])
def test_memory_grows_with_the_number_of_places(similarity):
    student, teacher = normal(2, 1, 8, 24, 24)
    largest = largest_tensor(
        lambda a, b: local_similarity_loss(a, b, similarity=similarity), student, teacher
    )
    assert largest == student.numel()


def test_wrong_arguments_are_named():
    maps = torch.zeros(1, 2, 4, 4)
    with pytest.raises(ShapeError, match='student_features must be of shape'):
        local_similarity_loss(maps[0], maps)
    with pytest.raises(ShapeError, match=r'teacher_features must be of shape \[1, any, 4, 4\]'):
        local_similarity_loss(maps, torch.zeros(1, 2, 8, 8))
    with pytest.raises(ShapeError, match='at least 3, received 2 and 4'):
        local_similarity_loss(maps[:, :, :2], maps[:, :, :2])
    with pytest.raises(ConfigError, match=r"\['distance', 'cosine'\], received 'dot'"):
        local_similarity_loss(maps, maps, similarity='dot')
