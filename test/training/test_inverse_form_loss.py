# SPDX-License-Identifier: Apache-2.0
"""InverseForm: what the network is shown, which tiles count, who learns, the published defect."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import normal
from torch import nn
from torch.nn import functional

from kd_perception.errors import ShapeError
from training.losses import geodesic_distance, inverse_form_loss


def difference(predicted, true):
    """A stand-in for the network: mean difference and mean of the true map."""
    axes = (1, 2, 3)
    return torch.stack([(predicted - true).mean(dim=axes), true.mean(dim=axes)], dim=1)


def target_of(seed, size=(8, 12), batch=2):
    rng = np.random.default_rng(seed)
    return torch.from_numpy((rng.random((batch, *size)) < 0.3).astype(np.uint8))


@given(st.integers(0, 2**20), st.booleans())
def test_loss_is_the_mean_or_the_sum_over_tiles(seed, sum_over_tiles):
    logits, target = normal(2, 1, 8, 12, seed=seed), target_of(seed)
    loss = inverse_form_loss(logits, target, difference, tile=4, sum_over_tiles=sum_over_tiles)
    norms = []
    for b, y, x in np.ndindex(2, 2, 3):
        part = (b, slice(4 * y, 4 * y + 4), slice(4 * x, 4 * x + 4))
        seen = 1.0 / (1.0 + np.exp(-logits.numpy()[:, 0][part]))
        true = target.numpy()[part].astype(float)
        norms.append(np.hypot((seen - true).mean(), true.mean()))
    expected = np.sum(norms) / 2 if sum_over_tiles else np.mean(norms)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_maps_are_scaled_to_whole_tiles():
    shapes = []

    def seen(predicted, true):
        shapes.append((tuple(predicted.shape), tuple(true.shape)))
        return difference(predicted, true)

    logits, target = torch.zeros(2, 1, 8, 12), target_of(0)
    inverse_form_loss(logits, target, seen, tile=5)
    inverse_form_loss(logits, target, seen, tile=5, size=(10, 20))
    assert [s[0] for s in shapes] == [(8, 1, 5, 5), (16, 1, 5, 5)]
    assert all(one == other for one, other in shapes)


def test_another_distance_sees_what_the_network_says():
    def said(predicted, true):
        return torch.eye(3).expand(len(true), 3, 3) * 1.2

    loss = inverse_form_loss(
        torch.zeros(1, 1, 8, 8), target_of(0, (8, 8), 1), said, tile=4, distance=geodesic_distance
    )
    assert loss.item() == pytest.approx(0.1 * 3 * 0.04, rel=1e-5)


def test_tiles_without_boundary_can_be_left_out():
    target = torch.zeros(1, 4, 8, dtype=torch.uint8)
    target[0, 1, 4:7] = 1
    logits = normal(1, 1, 4, 8)
    kept = inverse_form_loss(logits[..., 4:], target[..., 4:], difference, tile=4)
    loss = inverse_form_loss(logits, target, difference, tile=4, min_edge_pixels=3)
    assert loss.item() == pytest.approx(kept.item())
    none = inverse_form_loss(
        logits.requires_grad_(), target, difference, tile=4, min_edge_pixels=4
    )
    none.backward()
    assert none.item() == 0.0 and (logits.grad == 0.0).all()


def test_unknown_pixels_are_empty_in_both_maps():
    target = target_of(1, (4, 4), 1)
    target[0, :, 2:] = 255
    seen = []
    logits = normal(1, 1, 4, 4).requires_grad_()
    loss = inverse_form_loss(
        logits, target, lambda p, t: seen.append((p, t)) or difference(p, t), tile=4
    )
    assert all((part[..., 2:] == 0.0).all() and part[..., :2].any() for part in seen[0])
    loss.backward()
    assert (logits.grad[..., 2:] == 0.0).all() and (logits.grad[..., :2] != 0.0).all()


def test_the_map_learns_and_the_frozen_network_does_not():
    torch.manual_seed(0)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(32, 4)

        def forward(self, predicted, true):
            return self.layer(torch.cat([predicted.flatten(1), true.flatten(1)], dim=1))

    network = Network().requires_grad_(False)
    logits = normal(2, 1, 8, 8).float().requires_grad_()
    inverse_form_loss(logits, target_of(0, (8, 8)), network, tile=4).backward()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.isfinite(logits.grad).all() and (logits.grad != 0.0).any()
    assert torch.autograd.gradcheck(
        lambda x: inverse_form_loss(x, target_of(0), difference, tile=4),
        [normal(2, 1, 8, 12).requires_grad_()],
    )


def test_the_published_term_is_zero_and_teaches_nothing():
    """A log-softmax over one channel, which the authors' code feeds to the network."""
    logits = normal(2, 1, 8, 8, scale=5.0).requires_grad_()
    published = functional.log_softmax(logits, dim=1)
    assert (published == 0.0).all()
    difference(published, target_of(0, (8, 8))[:, None].double()).norm(dim=1).sum().backward()
    assert (logits.grad == 0.0).all()
    ours = logits.detach().clone().requires_grad_()
    inverse_form_loss(ours, target_of(0, (8, 8)), difference, tile=4).backward()
    assert (ours.grad != 0.0).all()


def test_autocast_changes_nothing():
    layer = torch.nn.Linear(16, 4).requires_grad_(False)
    logits, target = normal(1, 1, 4, 4).float(), target_of(0, (4, 4), 1)

    def network(predicted, true):
        return layer((predicted - true).flatten(1))

    expected = inverse_form_loss(logits, target, network, tile=4)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(inverse_form_loss(logits, target, network, tile=4), expected)


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match='edge_logits must be of shape'):
        inverse_form_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4), difference, tile=4)
    with pytest.raises(ShapeError, match=r'edge_target must be of shape \[1, 4, 4\]'):
        inverse_form_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 8, 8), difference, tile=4)
    with pytest.raises(ShapeError, match='multiples of the tile'):
        inverse_form_loss(
            torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4), difference, tile=4, size=(4, 6)
        )
