# SPDX-License-Identifier: Apache-2.0
"""Class weights of a batch, counted by hand."""

from __future__ import annotations

import pytest
import torch

from training.losses import batch_class_weights


def test_rare_classes_weigh_more_and_absent_ones_as_little_as_any():
    label = torch.tensor([[[0, 0, 0, 2], [0, 0, 2, 255], [0, 1, 255, 255]]])
    found = batch_class_weights(label, 4)
    expected = [2.0 - 6.0 / 9.0, 2.0 - 1.0 / 9.0, 2.0 - 2.0 / 9.0, 1.0]
    assert found.tolist() == pytest.approx(expected)


def test_nothing_known_weighs_alike():
    assert batch_class_weights(torch.full((1, 2, 2), 255), 3).tolist() == [1.0, 1.0, 1.0]
