# SPDX-License-Identifier: Apache-2.0
"""The spatial transformer: the identity at first, scores moved back, what it chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from inverse_form_runs import tiny_run
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models import RepUNet, RepUNetConfig
from training.plane_transforms import TransformRanges, looked_up, matrices_from_parameters
from training.recipes.inverse_form_sampler import chosen_transforms
from training.spatial_transformer import SpatialTransformer, TransformedSegmenter

RANGES = TransformRanges()


def segmenter(count=4):
    torch.manual_seed(0)
    return TransformedSegmenter(RepUNet(RepUNetConfig.preset('rep_unet_s')), count, RANGES)


@pytest.mark.parametrize('count', [4, 6, 8])
def test_it_begins_with_the_identity(count):
    network = segmenter(count).eval()
    image = torch.rand(2, 1, 64, 96)
    assert torch.equal(network.transformer(image), torch.zeros(2, count))
    torch.testing.assert_close(network(image), network.network(image), atol=1e-4, rtol=1e-4)


def test_scores_are_moved_back_to_the_frame():
    network = segmenter().eval()
    bias = network.transformer.layers[-1].bias
    with torch.no_grad():
        bias.copy_(torch.tensor([0.8, -0.4, 0.6, 0.2]))
    image = torch.rand(1, 1, 64, 96)
    matrices = matrices_from_parameters(torch.tanh(bias)[None].detach(), RANGES)
    scores = network.network(looked_up(image, matrices))
    expected = looked_up(scores, torch.linalg.inv(matrices))
    torch.testing.assert_close(network(image), expected)
    assert (network.transformer(image).abs() < 1.0).all()


def test_what_comes_back_lies_where_it_was():
    """A smooth picture, seen through a transform and moved back, is itself inside."""
    ramp = functional.interpolate(torch.rand(1, 1, 4, 6), (64, 96), mode='bicubic')
    parameters = torch.tensor([[0.5, -0.5, 0.3, -0.3, 0.4, 0.2, 0.5, -0.5]])
    matrices = matrices_from_parameters(parameters, RANGES)
    back = looked_up(looked_up(ramp, matrices), torch.linalg.inv(matrices))
    inside = (slice(None), slice(None), slice(20, 44), slice(28, 68))
    torch.testing.assert_close(back[inside], ramp[inside], atol=0.01, rtol=0)


def test_the_transformer_learns_from_the_scores():
    network = segmenter()
    with torch.no_grad():
        network.transformer.layers[-1].weight.normal_(0.0, 0.1)
    loss = functional.cross_entropy(
        network(torch.rand(2, 1, 64, 64)), torch.zeros(2, 16, 16, dtype=torch.int64)
    )
    loss.backward()
    gradients = [parameter.grad for parameter in network.transformer.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert any((g != 0.0).any() for g in gradients)


def test_transforms_are_those_of_training_views(tmp_path, world_cache):
    config = tiny_run(tmp_path, world_cache)
    transformer = replace(config.inverse.transformer, frames=5)
    config = replace(config, inverse=replace(config.inverse, transformer=transformer))
    network = segmenter().eval()
    with torch.no_grad():
        network.transformer.layers[-1].weight.normal_(0.0, 0.5)
        found = chosen_transforms(network, config)
    assert found.shape == (5, 4) and np.abs(found).max() < 1.0
    assert len(np.unique(found[:, 0])) == 5
    np.testing.assert_array_equal(found, chosen_transforms(network, config))


def test_other_counts_are_refused():
    with pytest.raises(ConfigError, match='parameters must be one of'):
        SpatialTransformer(1, 5)
