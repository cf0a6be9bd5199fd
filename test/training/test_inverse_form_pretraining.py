# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of InverseForm: what is learnt and told, who is refused, that it sees distance."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from inverse_form_runs import tiny_run
from torch import nn

from kd_perception.errors import ConfigError
from training.inverse_networks import InverseNetworkConfig, new_inverse_network
from training.losses import balanced_edge_loss, inverse_form_loss
from training.plane_transforms import TransformRanges
from training.recipes import inverse_form_pretraining
from training.recipes.inverse_form_pretraining import (
    check_explained,
    held_out_report,
    inverse_losses,
    random_inverse,
    trained_inverse,
)
from training.recipes.inverse_form_tiles import TransformSampler, draw_tiles, held_out_tiles


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


class Answering(nn.Module):
    """Says what it was given, one row per tile."""

    def __init__(self, answers):
        super().__init__()
        self.answers, self.scale = list(answers.split(64)), nn.Parameter(torch.ones(1))

    def forward(self, predicted, true):
        return self.answers.pop(0)


def test_the_loss_is_the_mean_squared_share():
    parameters = torch.tensor([[[0.5, -0.5]], [[1.0, 0.0]]])
    tiles = torch.rand(2, 1, 2, 4, 4)

    def network(predicted, true):
        assert torch.equal(predicted, tiles[:, 0, :1]) and torch.equal(true, tiles[:, 0, 1:])
        return torch.zeros(2, 2)

    loss = inverse_losses(network, (tiles, parameters))['parameters']
    assert loss.item() == pytest.approx((0.25 + 0.25 + 1.0) / 4)


def test_the_report_is_the_error_in_units_and_the_share_of_variance(config):
    ranges = TransformRanges(shift=0.2, log_scale=0.3)
    config = replace(config, inverse=replace(config.inverse, ranges=ranges, held_out_tiles=100))
    sampler = TransformSampler(4)
    _, parameters = held_out_tiles(config, sampler)
    error = torch.tensor([0.1, -0.2, 0.0, 0.0])
    found = held_out_report(Answering(parameters + error), config, sampler)
    assert found['rmse'] == pytest.approx(
        {'shift_x': 0.02, 'shift_y': 0.04, 'log_scale_x': 0.0, 'log_scale_y': 0.0}, abs=1e-5
    )
    variances = parameters.numpy().astype(float).var(axis=0)
    assert found['explained']['shift_y'] == pytest.approx(1 - 0.04 / variances[1], abs=1e-3)
    assert found['explained_share'] == pytest.approx(1 - 0.05 / variances.sum(), abs=1e-3)
    assert found['tiles'] == 100
    mean = Answering(parameters.mean(dim=0).expand(100, 4))
    assert held_out_report(mean, config, sampler)['explained_share'] == pytest.approx(0, abs=1e-4)


def test_a_network_that_knows_too_little_is_refused(config):
    report = {'explained_share': 0.49, 'explained': {'shift_x': 0.49}}
    strict = replace(config, inverse=replace(config.inverse, min_explained=0.5))
    with pytest.raises(ConfigError, match=r'at least 0.5 .* it explains 0.49'):
        check_explained(report, strict)
    check_explained({**report, 'explained_share': 0.5}, strict)
    check_explained(report, config)
    with pytest.raises(ConfigError, match='it explains nan'):
        check_explained({**report, 'explained_share': float('nan')}, config)


def test_a_trained_network_is_frozen_and_shared(config, fabric, monkeypatch):
    module = trained_inverse(config, fabric, None)
    assert not module.network.training
    assert all(not parameter.requires_grad for parameter in module.network.parameters())
    assert module.report['weights'] == 2048 * 8 + 8 + 8 * 32 + 32 + 32 * 4 + 4

    def untouched(*arguments, **named):
        raise AssertionError('trained again')

    monkeypatch.setattr(inverse_form_pretraining, 'fit', untouched)
    other = replace(config, name='other', student=replace(config.student, boundary_weight=0.0))
    again = trained_inverse(other, fabric, None)
    assert again.report == module.report
    with pytest.raises(AssertionError, match='trained again'):
        trained_inverse(replace(config, boundary_radius_px=3.0), fabric, None)


def test_a_random_network_has_its_first_weights(config, fabric):
    module = random_inverse(config, fabric)
    torch.manual_seed(config.seed)
    first = new_inverse_network(config.inverse.network)
    for key, value in first.state_dict().items():
        assert torch.equal(module.network.state_dict()[key], value)
    assert not config.inverse_folder.exists()


def test_stage_1_resumes_bit_for_bit(config, fabric, monkeypatch, tmp_path):
    expected = trained_inverse(replace(config, output=tmp_path / 'whole'), fabric, None)
    fit = inverse_form_pretraining.fit

    def dying(run, **arguments):
        draw = arguments['draw']

        def drawn(step, index):
            if step == 3:
                raise KeyboardInterrupt
            return draw(step, index)

        fit(run, **{**arguments, 'draw': drawn})

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(inverse_form_pretraining, 'fit', dying)
        trained_inverse(config, fabric, None)
    resumed = trained_inverse(config, fabric, None)
    for key, value in expected.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[key], value)
    assert resumed.report == expected.report


def test_sampling_by_a_transformer_learns_and_is_told_twice(config, fabric):
    inverse = config.inverse
    small = replace(inverse.transformer, frames=6, loop=replace(inverse.loop, batch_size=2))
    config = replace(config, inverse=replace(inverse, sampler='stn', transformer=small))
    module = trained_inverse(config, fabric, None)
    assert module.report['on_random_transforms']['tiles'] == module.report['tiles'] == 20
    assert (config.inverse_folder / 'transformer' / 'latest.pt').is_file()
    assert config.inverse_folder != replace(config, inverse=inverse).inverse_folder


def shapes(seed):
    """A label with a few ellipses."""
    rng = np.random.default_rng(seed)
    label = np.zeros((96, 128), np.uint8)
    for k in range(6):
        center = (int(rng.integers(128)), int(rng.integers(96)))
        axes = (int(rng.integers(6, 30)), int(rng.integers(6, 30)))
        cv2.ellipse(label, center, axes, float(rng.uniform(0, 180)), 0, 360, k % 5 + 1, -1)
    return label


@pytest.fixture(scope='module')
def seeing(tmp_path_factory):
    """A dense network after a few hundred steps on shapes, and its run."""
    folder = tmp_path_factory.mktemp('seeing')
    config = tiny_run(folder, folder)
    inverse = replace(
        config.inverse,
        network=InverseNetworkConfig(tile=48, hidden=64),
        ranges=TransformRanges(shift=0.7),
        min_edge_pixels=50,
    )
    view = replace(config.augmentation.view, height=96, width=128)
    config = replace(
        config, image_size=(96, 128), inverse=inverse,
        augmentation=replace(config.augmentation, view=view),
    )  # fmt: skip
    torch.manual_seed(0)
    network = new_inverse_network(inverse.network)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    sampler = TransformSampler(4)
    for step in range(300):
        rng = np.random.default_rng([7, step])
        drawn = draw_tiles(shapes(int(rng.integers(10_000))), rng, config, sampler, 48)
        loss = inverse_losses(network, tuple(torch.from_numpy(part)[None] for part in drawn))
        optimizer.zero_grad()
        loss['parameters'].backward()
        optimizer.step()
    return network.eval().requires_grad_(False), config


def shifted(seed, shift_px):
    """True boundary tiles and the same shifted to a random side, [100, 48, 48]."""
    from training.recipes.inverse_form_tiles import boundary_map

    pairs = []
    for k in range(100):
        rng = np.random.default_rng([seed, k])
        edges = boundary_map(shapes(20_000 + k), 2.0, (96, 144), 48)
        dy, dx = ((0, 1), (0, -1), (1, 0), (-1, 0))[int(rng.integers(4))]
        y, x = 24 + shift_px * dy, 48 + shift_px * dx
        pairs.append((edges[24:72, 48:96], edges[y : y + 48, x : x + 48]))
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))


def losses_of(network, shift_px):
    true, moved = shifted(3, shift_px)
    logits = torch.logit(0.02 + 0.96 * moved)[:, None]
    target = (true > 0.5).to(torch.uint8)
    inverse = inverse_form_loss(logits, target, network, tile=48)
    return inverse.item(), balanced_edge_loss(logits, target, per_image=False).item()


def test_the_loss_grows_with_the_shift_where_cross_entropy_is_flat(seeing):
    inverse, cross = zip(*(losses_of(seeing[0], shift) for shift in (0, 4, 8, 16)), strict=True)
    assert inverse[0] < inverse[1] < inverse[2] < inverse[3]
    assert inverse[3] - inverse[2] > 0.2 * (inverse[3] - inverse[0])
    assert cross[3] - cross[2] < 0.2 * (cross[3] - cross[0])


def test_equal_tiles_are_nearer_than_tiles_that_are_five_percent_apart(seeing):
    network, _ = seeing
    true, moved = shifted(5, round(0.05 * 48))
    equal, apart = (
        network(each[:, None], true[:, None]).norm(dim=1).mean() for each in (true, moved)
    )
    assert equal < apart
