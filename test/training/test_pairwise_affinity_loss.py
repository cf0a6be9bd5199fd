# SPDX-License-Identifier: Apache-2.0
"""Affinity of patches: explicit sums, the pools of three codes, and what is not seen."""

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
from training.losses import feature_similarity_loss, pairwise_affinity_loss

POOLS = st.sampled_from(['none', '2x2', 'half'])


def patch_maxima(features, patch):
    """Largest value of each patch of an array [channels, height, width]; ends are cut off."""
    _, height, width = features.shape
    corners = [(y, x) for y in range(0, height, patch[0]) for x in range(0, width, patch[1])]
    patches = [features[:, y : y + patch[0], x : x + patch[1]] for y, x in corners]
    return np.stack([p.max(axis=(1, 2)) for p in patches])


def affinity(features, pool):
    _, height, width = features.shape
    half = max(height // 2, 1), max(width // 2, 1)
    vectors = patch_maxima(features, {'none': (1, 1), '2x2': (2, 2), 'half': half}[pool])
    vectors = vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    return vectors @ vectors.T


@given(feature_pairs(teacher_channels=st.integers(1, 6)), POOLS)
def test_loss_is_the_formula(pair, pool):
    def loss(a, b):
        return pairwise_affinity_loss(a, b, pool=pool)

    images = zip(*(x.numpy() for x in pair), strict=True)
    squares = [((affinity(s, pool) - affinity(t, pool)) ** 2).mean() for s, t in images]
    assert loss(*pair).item() == pytest.approx(np.mean(squares), rel=1e-6, abs=1e-9)
    assert loss(pair[0], pair[0]).item() == 0.0
    check_batch_is_the_mean_of_its_images(loss, *pair)


@given(feature_pairs(teacher_channels=st.integers(1, 6)))
def test_without_pool_it_is_the_loss_of_cekd(pair):
    assert torch.equal(pairwise_affinity_loss(*pair), feature_similarity_loss(*pair))


@given(feature_pairs(), POOLS, st.floats(0.01, 100.0))
def test_scale_of_the_student_is_not_seen(pair, pool, scale):
    _, teacher = pair
    loss = pairwise_affinity_loss(scale * teacher, teacher, pool=pool)
    assert loss.item() == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize(
    ('side', 'pool', 'patches'),
    [(64, 'half', 2), (65, 'half', 3), (3, 'half', 3), (1, 'half', 1), (5, '2x2', 3)],
)
def test_patches_of_a_side(side, pool, patches):
    """Only the first place differs: one patch's row and column of the affinities change."""
    teacher = torch.ones(1, 2, side, 1, dtype=torch.float64)
    student = teacher.clone()
    student[0, 0, 0] = 1e6
    changed = 2 * (patches - 1) / patches**2
    loss = pairwise_affinity_loss(student, teacher, pool=pool).item()
    assert loss == pytest.approx(changed * (1 - 0.5**0.5) ** 2, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize('pool', ['none', '2x2', 'half'])
def test_only_the_student_learns_and_half_precision_is_finite(pool):
    def loss(a, b):
        return pairwise_affinity_loss(a, b, pool=pool)

    student, teacher = normal(2, 2, 8, 4, 6, scale=2e3)
    check_only_the_student_learns(loss, student, teacher)
    check_half_precision(loss, student, teacher)


def test_memory_is_that_of_the_pairs_of_patches():
    student, teacher = normal(2, 1, 2, 24, 24)
    sizes = {
        pool: largest_tensor(
            lambda a, b, p=pool: pairwise_affinity_loss(a, b, pool=p), student, teacher
        )
        for pool in ('none', '2x2', 'half')
    }
    assert sizes == {'none': (24 * 24) ** 2, '2x2': (12 * 12) ** 2, 'half': student.numel()}


def test_wrong_arguments_are_named():
    maps = torch.zeros(1, 2, 4, 4)
    with pytest.raises(ShapeError, match='student_features must be of shape'):
        pairwise_affinity_loss(maps[0], maps)
    with pytest.raises(ShapeError, match=r'teacher_features must be of shape \[1, any, 4, 4\]'):
        pairwise_affinity_loss(maps, torch.zeros(1, 2, 8, 8), pool='2x2')
    with pytest.raises(ConfigError, match=r"\['none', '2x2', 'half'\], received '4x4'"):
        pairwise_affinity_loss(maps, maps, pool='4x4')
