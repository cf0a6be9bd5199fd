# SPDX-License-Identifier: Apache-2.0
"""Cross-entropy, class weights and what is taken back of them: figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.losses import class_weights, cross_entropy_loss, prior_shift, segmentation_loss


def test_class_weights_are_those_of_the_formula():
    weight = class_weights(np.array([0.9, 0.1, 0.0]))
    np.testing.assert_allclose(weight, [1 / np.log(2.0), 1 / np.log(1.2), 1 / np.log(1.1)], 1e-5)


@given(
    st.lists(st.floats(0.01, 1.0), min_size=2, max_size=9),
    st.floats(0.0, 1.0),
    st.integers(0, 2**16),
)
def test_taking_all_weights_back_gives_the_posterior(parts, share, seed):
    """A loss with weights w is least at the posterior times w, so that is what logits say."""
    posterior = np.array(parts) / np.sum(parts)
    weight = np.random.default_rng(seed).uniform(0.5, 10.0, len(parts))
    logits = np.log(posterior * weight) + 3.0
    left = np.exp(logits - prior_shift(torch.from_numpy(weight), 1.0).numpy())
    np.testing.assert_allclose(left / left.sum(), posterior, rtol=1e-6)
    some = np.exp(logits - prior_shift(torch.from_numpy(weight), share).numpy())
    partly = posterior * weight ** (1.0 - share)
    np.testing.assert_allclose(some / some.sum(), partly / partly.sum(), rtol=1e-6)


def test_nothing_is_taken_from_the_class_that_weighs_least():
    shift = prior_shift(torch.tensor([4.0, 1.0, 2.0]), 0.5)
    torch.testing.assert_close(shift, torch.tensor([np.log(2.0), 0.0, 0.5 * np.log(2.0)]).float())


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


def test_cross_entropy_at_full_size():
    logits, label = torch.zeros(1, 9, 2, 2), torch.tensor([[[0, 1], [255, 255]]])
    loss = cross_entropy_loss(logits, label)
    assert loss == pytest.approx(np.log(9.0))
    weight = torch.arange(1.0, 10.0)
    torch.testing.assert_close(cross_entropy_loss(logits, label, weight=weight), loss)
    logits[0, 1, 0, 1] = 20.0  # the second pixel is right: weight 2 of 3 costs nothing
    assert cross_entropy_loss(logits, label, weight=weight) == pytest.approx(np.log(9.0) / 3.0)
    expected = torch.nn.functional.cross_entropy(logits, label, weight, ignore_index=255)
    torch.testing.assert_close(cross_entropy_loss(logits, label, weight=weight), expected)
    assert cross_entropy_loss(logits, torch.full_like(label, 255)) == 0.0
