# SPDX-License-Identifier: Apache-2.0
"""Scores, calibration and the loss: figures that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.data.real_tiles import load_real_tiles
from training.evaluation import calibration_metrics, infer, score
from training.losses import class_weights, segmentation_loss


class BrightIsPerson(torch.nn.Module):
    """Logits that say person where the input is bright, unlabeled elsewhere."""

    def forward(self, image):
        mean = torch.nn.functional.avg_pool2d(image, 4)
        logits = torch.full((1, 9, *mean.shape[2:]), -50.0)
        logits[:, 0], logits[:, 2] = 20.0 * (0.5 - mean[:, 0]), 20.0 * (mean[:, 0] - 0.5)
        return logits


def half_bright(size=(240, 320)):
    label = np.zeros(size, np.uint8)
    label[:, size[1] // 2 :] = 2
    return np.where(label > 0, 9000, 8000).astype(np.uint16), label


def test_right_network_scores_one_hundred_percent():
    scores = score(BrightIsPerson(), [half_bright(), half_bright((480, 640))])
    assert scores.metrics['iou']['person'] == pytest.approx(1.0, abs=0.01)
    assert scores.metrics['miou_nanmean'] == pytest.approx(1.0, abs=0.01)
    assert scores.metrics['iou']['car'] is None
    right = scores.logits.argmax(axis=1) == scores.labels
    assert len(right) > 1000
    assert right.mean() > 0.99


def test_unknown_pixels_do_not_count():
    image, label = half_bright()
    label[:, :200] = 255
    wrong = image.copy()
    wrong[:, :100] = 9000
    scores = score(BrightIsPerson(), [(wrong, label)])
    assert scores.metrics['iou']['person'] == pytest.approx(1.0, abs=0.01)
    assert (scores.labels == 255).mean() == pytest.approx(200 / 320, abs=0.02)


def test_tall_frames_are_scored_where_they_lie_in_the_network_input():
    label = np.zeros((320, 160), np.uint8)
    label[160:] = 2
    image = np.where(label > 0, 9000, 8000).astype(np.uint16)
    logits, box = infer(BrightIsPerson(), image)
    assert logits.shape == (1, 9, 120, 160)
    assert box.content_size == (480, 240)
    assert score(BrightIsPerson(), [(image, label)]).metrics['iou']['person'] > 0.98


def test_calibration_figures_of_a_known_case():
    logits = np.log(np.tile([0.8, 0.2], (1000, 1)))
    labels = np.repeat([0, 1], [600, 400]).astype(np.uint8)
    found = calibration_metrics(logits, labels, 1.0)
    assert found['ece'] == pytest.approx(0.2, abs=1e-4)
    assert found['nll'] == pytest.approx(-0.6 * np.log(0.8) - 0.4 * np.log(0.2), abs=1e-4)


def test_class_weights_are_those_of_the_formula():
    weight = class_weights(np.array([0.9, 0.1, 0.0]))
    np.testing.assert_allclose(weight, [1 / np.log(2.0), 1 / np.log(1.2), 1 / np.log(1.1)], 1e-5)


def test_loss_ignores_unknown_pixels_and_weighs_classes():
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 1] = 2.0
    label = torch.full((1, 16, 16), 255)
    label[0, 1, 1], label[0, 3, 3] = 0, 1
    weight = torch.tensor([3.0, 1.0])
    wrong, right = np.log1p(np.exp(2.0)), np.log1p(np.exp(-2.0))
    loss = segmentation_loss(logits, label, weight=weight)
    assert float(loss) == pytest.approx((3.0 * wrong + right) / 4.0, abs=1e-5)
    moved = label.clone()
    moved[0, 0, 0] = 1  # not on the grid of the loss
    assert float(segmentation_loss(logits, moved, weight=weight)) == float(loss)


def test_loss_is_aligned_with_the_labels():
    """Logits made from a label by averaging 4x4 cells have their least loss without a shift."""
    label = torch.zeros(1, 64, 64, dtype=torch.long)
    label[:, 20:44, 12:36] = 1
    cells = torch.nn.functional.avg_pool2d(label[:, None].float(), 4)
    logits = torch.cat([0.5 - cells, cells - 0.5], 1) * 20.0
    losses = {
        shift: float(
            segmentation_loss(logits, label.roll((shift, shift), (1, 2)), weight=torch.ones(2))
        )
        for shift in (-3, -2, -1, 0, 1, 2, 3)
    }
    assert min(losses, key=losses.get) in (0, 1)  # the grid samples odd rows and columns


def test_real_tiles_have_class_ids_as_labels(real_data):
    tiles = load_real_tiles()
    assert len(tiles) == 4
    for thermal, label in tiles:
        assert thermal.shape == label.shape == (280, 372)
        assert set(np.unique(label)) <= {*range(9), 255}
    assert sum((label == 2).sum() for _, label in tiles) > 500
