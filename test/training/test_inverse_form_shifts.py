# SPDX-License-Identifier: Apache-2.0
"""InverseForm sees how far off boundaries are, with the tiles and ranges that are committed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.inverse_networks import new_inverse_network
from training.losses import balanced_edge_loss, inverse_form_loss
from training.recipes import inverse_form
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_pretraining import inverse_losses
from training.recipes.inverse_form_tiles import TransformSampler, boundary_map, draw_tiles
from training.settings import load_config

CONFIGS = Path(inverse_form.__file__).parents[1] / 'configs/inverse_form'


def shapes(seed):
    """A label with a few ellipses."""
    rng = np.random.default_rng(seed)
    label = np.zeros((96, 128), np.uint8)
    for k in range(6):
        center = (int(rng.integers(128)), int(rng.integers(96)))
        axes = (int(rng.integers(6, 30)), int(rng.integers(6, 30)))
        cv2.ellipse(label, center, axes, float(rng.uniform(0, 180)), 0, 360, k % 5 + 1, -1)
    return label


def seeing(name):
    """A small dense network after a few hundred steps on shapes, with the settings of a file."""
    config = load_config(InverseFormConfig, ['--config_path', str(CONFIGS / f'{name}.yaml')])
    small = replace(config.inverse.network, hidden=64)
    config = replace(config, inverse=replace(config.inverse, network=small))
    torch.manual_seed(0)
    network = new_inverse_network(small)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for step in range(300):
        rng = np.random.default_rng([7, step])
        label = shapes(int(rng.integers(10_000)))
        drawn = draw_tiles(label, rng, config, TransformSampler(small.parameters), 48)
        loss = inverse_losses(network, tuple(torch.from_numpy(part)[None] for part in drawn))
        optimizer.zero_grad()
        loss['parameters'].backward()
        optimizer.step()
    return network.eval().requires_grad_(False), small.tile


@pytest.fixture(scope='module')
def of_shifts():
    """The network for the figure and the side of its tiles."""
    return seeing('shifts')


def shifted(seed, shift_px, tile):
    """True boundary tiles and the same shifted to a random side, [100, tile, tile]."""
    pairs = []
    for k in range(100):
        rng = np.random.default_rng([seed, k])
        edges = boundary_map(shapes(20_000 + k), 2.0, (96, 144), tile)
        dy, dx = ((0, 1), (0, -1), (1, 0), (-1, 0))[int(rng.integers(4))]
        y, x = (96 - tile) // 2, (144 - tile) // 2
        true = edges[y : y + tile, x : x + tile]
        y, x = y + shift_px * dy, x + shift_px * dx
        pairs.append((true, edges[y : y + tile, x : x + tile]))
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))


def losses_of(network, tile, shift_px):
    true, moved = shifted(3, shift_px, tile)
    logits = torch.logit(0.02 + 0.96 * moved)[:, None]
    target = (true > 0.5).to(torch.uint8)
    inverse = inverse_form_loss(logits, target, network, tile=tile)
    return inverse.item(), balanced_edge_loss(logits, target, per_image=False).item()


def test_the_loss_grows_with_the_shift_where_cross_entropy_is_flat(of_shifts):
    found = [losses_of(*of_shifts, shift) for shift in (0, 4, 8, 16)]
    inverse, cross = zip(*found, strict=True)
    assert inverse[0] < inverse[1] < inverse[2] < inverse[3]
    assert inverse[3] - inverse[2] > 0.2 * (inverse[3] - inverse[0])
    assert cross[3] - cross[2] < 0.2 * (cross[3] - cross[0])


def test_the_loss_that_students_learn_by_grows_over_its_range():
    network, tile = seeing('full')
    losses = [losses_of(network, tile, shift)[0] for shift in (0, 2, 4, 8)]
    assert losses[0] < losses[1] < losses[2] < losses[3]
    assert losses[3] > 1.5 * losses[0]


def test_equal_tiles_are_nearer_than_tiles_that_are_five_percent_apart(of_shifts):
    network, tile = of_shifts
    true, moved = shifted(5, round(0.05 * tile), tile)
    equal, apart = (
        network(each[:, None], true[:, None]).norm(dim=1).mean() for each in (true, moved)
    )
    assert equal < apart
