# SPDX-License-Identifier: Apache-2.0
"""The spatial transformer: the identity at first, no common choice, scores moved back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from inverse_form_runs import tiny_run
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models import RepUNet, RepUNetConfig
from training.plane_transforms import (
    NAMES,
    TransformRanges,
    looked_up,
    matrices_from_parameters,
)
from training.recipes.inverse_form_sampler import chosen_transforms, told_choices
from training.spatial_transformer import SpatialTransformer, TransformedSegmenter

RANGES = TransformRanges()


def segmenter(count=4):
    torch.manual_seed(0)
    return TransformedSegmenter(RepUNet(RepUNetConfig.preset('rep_unet_s')), count, RANGES)


@torch.no_grad()
def choosing(network):
    """Let what the layers say of an image be chosen."""
    network.transformer.spread.fill_(3.0)


@pytest.mark.parametrize('count', [4, 6, 8])
def test_it_begins_with_the_identity(count):
    network = segmenter(count).eval()
    image = torch.rand(2, 1, 64, 96)
    assert torch.equal(network.transformer(image), torch.zeros(2, count))
    torch.testing.assert_close(network(image), network.network(image), atol=1e-4, rtol=1e-4)


def test_scores_are_moved_back_to_the_frame():
    network = segmenter().eval()
    choosing(network)
    image = torch.rand(1, 1, 64, 96)
    parameters = network.transformer(image)
    assert (parameters.abs() > 0.05).any() and (parameters.abs() < 1.0).all()
    matrices = matrices_from_parameters(parameters, RANGES)
    scores = network.network(looked_up(image, matrices))
    expected = looked_up(scores, torch.linalg.inv(matrices))
    torch.testing.assert_close(network(image), expected)


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
    choosing(network)
    loss = functional.cross_entropy(
        network(torch.rand(2, 1, 64, 64)), torch.zeros(2, 16, 16, dtype=torch.int64)
    )
    loss.backward()
    gradients = [parameter.grad for parameter in network.transformer.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert all((g != 0.0).any() for g in gradients[:-1])


def test_what_all_images_share_is_not_chosen():
    transformer = segmenter().transformer.train()
    image = torch.rand(4, 1, 64, 96)
    with torch.no_grad():
        transformer.spread.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
        found = transformer(image)
        transformer.layers[-1].bias += torch.tensor([9.0, -9.0, 5.0, 0.0])
        torch.testing.assert_close(transformer(image), found, atol=1e-3, rtol=0)
        chosen = torch.atanh(found)
        torch.testing.assert_close(chosen.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            chosen.std(dim=0, unbiased=False), transformer.spread, atol=0.01, rtol=0.1
        )
        assert (transformer(torch.rand(1, 1, 64, 96).expand(4, -1, -1, -1)).abs() < 1e-3).all()


def test_choices_are_told_by_mean_and_spread():
    chosen = np.array([[0.5, 0.0, 0.1, 0.0], [0.5, 0.2, -0.1, 0.0]], np.float32)
    told = told_choices(chosen)
    assert list(told['mean'].values()) == pytest.approx([0.5, 0.1, 0.0, 0.0])
    assert list(told['spread'].values()) == pytest.approx([0.0, 0.1, 0.1, 0.0])
    assert told['frames'] == 2 and set(told['spread']) == set(NAMES[:4])


def test_transforms_are_those_of_training_views(tmp_path, world_cache):
    config = tiny_run(tmp_path, world_cache)
    transformer = replace(config.inverse.transformer, frames=5)
    config = replace(config, inverse=replace(config.inverse, transformer=transformer))
    network = segmenter().eval()
    choosing(network)
    with torch.no_grad():
        found = chosen_transforms(network, config)
    assert found.shape == (5, 4) and np.abs(found).max() < 1.0
    assert len(np.unique(found[:, 0])) == 5
    np.testing.assert_array_equal(found, chosen_transforms(network, config))


def test_other_counts_are_refused():
    with pytest.raises(ConfigError, match='parameters must be one of'):
        SpatialTransformer(1, 5)
