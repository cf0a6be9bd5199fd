# SPDX-License-Identifier: Apache-2.0
"""Edge attention: which pixels count, what they cost, and who learns from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import normal

from kd_perception.errors import ConfigError, ShapeError
from training.losses import edge_attention_loss


def logit(probability):
    return float(np.log(probability / (1.0 - probability)))


def test_only_pixels_that_look_like_a_boundary_count():
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 0] = torch.tensor([0.0, 5.0, 0.0, 3.0])
    label = torch.tensor([[[1, 0, 0, 255]]])
    edge = torch.tensor([[[[logit(0.81), logit(0.79), logit(0.9), logit(0.99)]]]])
    loss = edge_attention_loss(logits, label, edge)
    assert loss.item() == pytest.approx(np.log(2.0), rel=1e-6)
    everywhere = edge_attention_loss(logits, label, edge, threshold=0.5)
    expected = (2.0 * np.log(2.0) + np.log1p(np.exp(-5.0))) / 3.0
    assert everywhere.item() == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 2**20), st.floats(0.1, 0.9), st.booleans())
def test_loss_is_the_weighted_mean_over_the_chosen_pixels(seed, threshold, weighted):
    rng = np.random.default_rng(seed)
    scores, edge = rng.normal(size=(2, 3, 4, 5)) * 2.0, rng.normal(size=(2, 1, 4, 5)) * 2.0
    label = rng.choice([0, 1, 2, 255], (2, 4, 5))
    weight = np.array([1.0, 4.0, 9.0]) if weighted else np.ones(3)
    total = count = 0.0
    for b, y, x in np.ndindex(2, 4, 5):
        if 1.0 / (1.0 + np.exp(-edge[b, 0, y, x])) > threshold and label[b, y, x] != 255:
            own = weight[label[b, y, x]]
            row = scores[b, :, y, x]
            total += own * (np.log(np.exp(row).sum()) - row[label[b, y, x]])
            count += own
    found = edge_attention_loss(
        torch.from_numpy(scores), torch.from_numpy(label), torch.from_numpy(edge),
        threshold=threshold, weight=torch.from_numpy(weight).float() if weighted else None,
    )  # fmt: skip
    assert found.item() == pytest.approx(total / count if count else 0.0, rel=1e-4, abs=1e-6)


def test_the_boundary_map_chooses_and_does_not_learn():
    logits = normal(1, 3, 4, 4).requires_grad_()
    edge = normal(1, 1, 4, 4, seed=1, scale=4.0).requires_grad_()
    edge_attention_loss(logits, torch.zeros(1, 4, 4, dtype=torch.int64), edge).backward()
    assert edge.grad is None
    seen = (torch.sigmoid(edge) > 0.8).expand(1, 3, 4, 4)
    assert (logits.grad[seen] != 0.0).all() and (logits.grad[~seen] == 0.0).all()


def test_no_pixel_costs_nothing():
    logits = normal(1, 3, 4, 4).requires_grad_()
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    loss = edge_attention_loss(logits, label, torch.full((1, 1, 4, 4), -9.0))
    loss.backward()
    assert loss.item() == 0.0 and (logits.grad == 0.0).all()


def test_bad_arguments_are_named():
    logits, label = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)
    with pytest.raises(ShapeError, match='edge_logits must be of shape'):
        edge_attention_loss(logits, label, torch.zeros(1, 1, 2, 2))
    with pytest.raises(ShapeError, match=r'logits must be of shape \[1, any, 4, 4\]'):
        edge_attention_loss(torch.zeros(1, 3, 2, 2), label, torch.zeros(1, 1, 4, 4))
    with pytest.raises(ConfigError, match='threshold must be'):
        edge_attention_loss(logits, label, torch.zeros(1, 1, 4, 4), threshold=1.0)
