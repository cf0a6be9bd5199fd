# SPDX-License-Identifier: Apache-2.0
"""Boundary targets against distance transforms, class by class."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError
from training.losses import boundary_target


def by_distance_transforms(label, radius):
    """Union over the classes of what is near its outline, from inside and from outside."""
    near = np.zeros(label.shape, bool)
    for class_id in np.unique(label):
        mask = (label == class_id).astype(np.uint8)
        if mask.all():
            continue
        for side in (mask, 1 - mask):
            distance = cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            near |= (distance > 0) & (distance <= radius + 1e-4)
    return near.astype(np.uint8)


@st.composite
def labels(draw):
    """Blocks of classes, some pixels of which are changed."""
    height, width = draw(st.integers(2, 12)), draw(st.integers(2, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    blocks = rng.integers(0, draw(st.integers(1, 5)), (3, 4), dtype=np.uint8)
    label = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
    stray = rng.random(label.shape) < 0.05
    label[stray] = rng.integers(0, 5, int(stray.sum()), dtype=np.uint8)
    return label


@given(labels(), st.sampled_from([1.0, 2.0, 3.0, 5.0]))
def test_target_is_the_union_of_distance_transforms(label, radius):
    found = boundary_target(torch.from_numpy(label)[None], radius=radius)[0].numpy()
    np.testing.assert_array_equal(found, by_distance_transforms(label, radius))


def test_a_straight_boundary_is_as_wide_as_the_radius_on_either_side():
    label = torch.zeros(1, 5, 12, dtype=torch.int64)
    label[..., 6:] = 3
    expected = [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert boundary_target(label)[0].tolist() == [expected] * 5


def test_what_is_not_known_stays_so_and_has_no_boundary():
    label = torch.zeros(1, 1, 12, dtype=torch.uint8)
    label[..., 8:] = 255
    assert boundary_target(label).flatten().tolist() == [0] * 8 + [255] * 4
    label[..., 6:] = 1
    label[..., 10:] = 255
    expected = [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 255, 255]
    assert boundary_target(label).flatten().tolist() == expected


def published(label, num_classes):
    """The formula of `library/datasets/base_loader.py`, commit c372939 of the authors' repository.

    Classes count from 1, and each mask gets a border of zeros before its distance transforms.
    """
    near = np.zeros(label.shape, bool)
    for class_id in range(1, num_classes + 1):
        mask = np.pad((label == class_id).astype(np.uint8), 1)
        for side in (mask, 1 - mask):
            distance = cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
            near |= (distance > 0) & (distance <= 2.0 + 1e-4)
    return near.astype(np.uint8)


@given(labels())
def test_the_published_target_is_the_same_away_from_the_frame(label):
    inside = (slice(2, -2), slice(2, -2))
    found = boundary_target(torch.from_numpy(label)[None])[0].numpy()
    np.testing.assert_array_equal(found[inside], published(label, 5)[inside])


def test_the_published_target_has_the_frame_of_the_image_as_a_boundary():
    label = np.full((8, 10), 3)
    expected = np.ones((8, 10), np.uint8)
    expected[2:-2, 2:-2] = 0
    np.testing.assert_array_equal(published(label, 5), expected)
    assert not boundary_target(torch.from_numpy(label)[None]).any()
    assert not published(np.zeros((8, 10)), 5).any(), 'class 0 is left out'


def test_the_published_target_outlines_the_unknown_unless_it_is_beside_class_0():
    label = np.zeros((12, 20), np.int64)
    label[:, 10:] = 255
    middle = (6, slice(4, 16))
    assert not published(label, 5)[middle].any()
    label[:, :10] = 3
    assert published(label, 5)[middle].tolist() == [0] * 4 + [1] * 4 + [0] * 4
    ours = boundary_target(torch.from_numpy(label)[None])[0].numpy()
    assert ours[middle].tolist() == [0] * 6 + [255] * 6


def test_radius_is_checked():
    with pytest.raises(ConfigError, match='radius must be at least 1'):
        boundary_target(torch.zeros(1, 4, 4, dtype=torch.int64), radius=0.5)
