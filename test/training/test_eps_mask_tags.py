# SPDX-License-Identifier: Apache-2.0
"""Tags that follow from masks: from the share on that tags of labels ask for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.tagging.extraction import TAG_SHARE, least_pixels, tags_from_label
from training.data.tagged_frames import TaggedFrame
from training.recipes.eps_scores import tags_of_masks

CLASSES = ('car', 'person')
CONFIG = SimpleNamespace(
    classes=CLASSES,
    tagged_size=(),
    segmentation=SimpleNamespace(image_size=(64, 64), modality='thermal'),
)


def says(masks):
    """A network that says one mask after the other."""
    remaining = iter(masks)
    return lambda image: torch.eye(3)[next(remaining).long()].permute(2, 0, 1)[None]


def mask_with(*pixels):
    """A mask of 100x100 with so many pixels of each class."""
    mask = torch.zeros(100 * 100, dtype=torch.uint8)
    for number, count in enumerate(pixels, start=1):
        mask[1000 * number : 1000 * number + count] = number
    return mask.view(100, 100)


def frames(*tags):
    heat = np.full((64, 64), 9, np.uint8)
    return [TaggedFrame(str(k), np.array(each), thermal=heat) for k, each in enumerate(tags)]


def test_a_speck_is_no_presence():
    masks = [mask_with(1, 29), mask_with(30, 0), mask_with(29, 31)]
    found = tags_of_masks(says(masks), frames((0, 0), (1, 0), (0, 1)), CONFIG)
    assert found['accuracy'] == 1.0 and found['class_accuracy'] == {'car': 1.0, 'person': 1.0}
    found = tags_of_masks(says(masks), frames((1, 1), (1, 0), (1, 1)), CONFIG)
    assert found['class_accuracy'] == {'car': pytest.approx(1 / 3, abs=1e-4), 'person': 0.6667}


@given(st.integers(16, 80), st.integers(16, 80), st.integers(0, 40))
def test_masks_and_labels_are_tagged_by_one_rule(height, width, count):
    label = np.zeros(height * width, np.uint8)
    label[:count] = 1
    label = label.reshape(height, width)
    there = count > 0 and count >= TAG_SHARE * label.size
    assert tags_from_label(label, CLASSES) == (there, False)
    assert (count >= least_pixels(label.size)) == there
    found = tags_of_masks(says([torch.from_numpy(label)]), frames((there, False)), CONFIG)
    assert found['accuracy'] == 1.0
