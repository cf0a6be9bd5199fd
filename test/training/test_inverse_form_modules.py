# SPDX-License-Identifier: Apache-2.0
"""Inverse networks after stage 1: what is told of them, who is refused, their gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from inverse_form_runs import INVERSE, module_of, tiny_run
from torch import nn

from kd_perception.errors import ConfigError
from training.plane_transforms import TransformRanges, matrices_from_parameters
from training.recipes.inverse_form_modules import (
    check_module,
    distance_of,
    gradient_norm,
    held_out_report,
)
from training.recipes.inverse_form_tiles import TransformSampler, held_out_tiles


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


def gated(config, **changes):
    return replace(config, inverse=replace(config.inverse, min_explained=0.5, **changes))


def told(share, **more):
    return {
        'explained_share': share,
        'explained': {'shift_x': 0.3},
        'rmse': {'shift_x': 0.1},
    } | more


def test_a_network_that_knows_too_little_is_refused(config):
    message = r"at least 0.5 .* it explains 0.49 .*'shift_x': 0.3.*RMSE .*'shift_x': 0.1"
    with pytest.raises(ConfigError, match=message):
        check_module(told(0.49), gated(config))
    check_module(told(0.5), gated(config))
    check_module(told(0.49), config)
    with pytest.raises(ConfigError, match='it explains nan'):
        check_module(told(float('nan')), gated(config))
    with pytest.raises(ConfigError, match=r'it explains 0\.2'):
        check_module(told(0.8, on_random_transforms=told(0.2)), gated(config))


@pytest.mark.parametrize(
    ('mean', 'spread'), [((0.0, 0.0), (0.3, 0.02)), ((0.0, -0.4), (0.3, 0.3))]
)
def test_transforms_that_hardly_change_or_are_off_their_middle_are_refused(config, mean, spread):
    choices = {
        'mean': dict(zip(('shift_x', 'shift_y'), mean, strict=True)),
        'spread': dict(zip(('shift_x', 'shift_y'), spread, strict=True)),
    }
    with pytest.raises(ConfigError, match=r'deviate by at least 0\.1 .*means of at most 0\.1'):
        check_module(told(0.9, choices=choices), gated(config))
    transformer = replace(INVERSE.transformer, min_spread=0.0, max_mean=0.5)
    check_module(told(0.9, choices=choices), gated(config, transformer=transformer))


def test_gradients_are_those_of_the_loss_tile_by_tile(config):
    network = module_of(config).network
    tiles, _ = held_out_tiles(config, TransformSampler(4))
    norms = []
    for predicted, true in tiles:
        logits = torch.logit(0.02 + 0.96 * predicted).requires_grad_()
        network(torch.sigmoid(logits)[None, None], true[None, None]).norm().backward()
        norms.append(logits.grad.norm())
    assert gradient_norm(network, config) == pytest.approx(torch.stack(norms).mean().item(), 1e-4)


def test_distances_are_those_of_the_matrices():
    parameters = torch.tensor([[0.5, -0.2, 0.3, 0.1, 0.4, -0.6]])
    ranges = INVERSE.ranges
    matrix = matrices_from_parameters(parameters, ranges)
    assert distance_of('parameters', ranges)(parameters) == pytest.approx(parameters.norm().item())
    expected = (matrix - torch.eye(3)).norm()
    assert distance_of('euclidean', ranges)(parameters) == pytest.approx(expected.item())
    assert distance_of('geodesic', ranges)(parameters).shape == (1,)
