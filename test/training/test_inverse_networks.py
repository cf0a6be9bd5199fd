# SPDX-License-Identifier: Apache-2.0
"""Inverse networks: the paper's size, rivals of equal size, and what they can and cannot see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kd_perception.errors import ConfigError, ShapeError
from training.inverse_networks import (
    ARCHITECTURES,
    InverseNetworkConfig,
    new_inverse_network,
    weight_count,
)
from training.losses import inverse_form_loss

SMALL = {'tile': 32, 'hidden': 16}


def network_of(architecture, **changes):
    torch.manual_seed(0)
    return new_inverse_network(InverseNetworkConfig(architecture, **{**SMALL, **changes})).eval()


def tiles(count=2, side=32, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy((rng.random((count, 1, side, side)) < 0.2).astype(np.float32))


def test_the_paper_has_100_million_weights():
    with torch.device('meta'):
        network = new_inverse_network(InverseNetworkConfig())
    assert weight_count(network) == 100_385_164
    assert weight_count(network) == 100_352 * 1000 + 1000 + 1000 * 32 + 32 + 32 * 4 + 4


@pytest.mark.parametrize('architecture', ARCHITECTURES)
@pytest.mark.parametrize(('tile', 'hidden'), [(32, 128), (48, 128), (224, 1000)])
def test_rivals_are_as_large_as_the_dense_network(architecture, tile, hidden):
    config = {'tile': tile, 'hidden': hidden}
    with torch.device('meta'):
        dense, rival = (
            new_inverse_network(InverseNetworkConfig(name, **config))
            for name in ('dense', architecture)
        )
    assert weight_count(rival) == pytest.approx(weight_count(dense), rel=0.05)


@pytest.mark.parametrize('architecture', ARCHITECTURES)
@pytest.mark.parametrize('parameters', [4, 6, 8])
def test_every_tile_gets_its_own_parameters(architecture, parameters):
    network = network_of(architecture, parameters=parameters)
    predicted, true = tiles(3), tiles(3, seed=1)
    found = network(predicted, true)
    assert found.shape == (3, parameters)
    torch.testing.assert_close(network(predicted[1:2], true[1:2]), found[1:2])
    assert not torch.allclose(found, network(true, predicted), atol=1e-4)


def test_the_dense_network_is_its_layers():
    network = network_of('dense', tile=16)
    predicted, true = tiles(side=16), tiles(side=16, seed=1)
    vector = torch.cat([predicted.reshape(2, -1), true.reshape(2, -1)], dim=1)
    for k in (0, 2, 4):
        layer = network.layers[k]
        vector = vector @ layer.weight.T + layer.bias
        vector = vector.clamp(min=0.0) if k < 4 else vector
    torch.testing.assert_close(network(predicted, true), vector)


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_a_pooled_network_cannot_tell_where_a_pair_lies(architecture):
    """Away from the border; both maps moved by what the strides of the network divide."""
    network = network_of(architecture, tile=96).double()
    pair = []
    for down in (32, 48):
        maps = torch.zeros(2, 1, 96, 96, dtype=torch.float64)
        maps[:, :, down : down + 8, 40:48] = normal_blob()
        pair.append(network(maps[:1], maps[1:]))
    same = torch.allclose(*pair, atol=1e-9)
    assert same == (architecture == 'cnn_gap')


def normal_blob():
    return torch.from_numpy(np.random.default_rng(5).random((2, 1, 8, 8)))


def test_correlation_finds_the_displacement():
    """With an encoder that looks at single places, a moved map is likest where it moved to."""
    network = network_of('correlation')
    with torch.no_grad():
        for part in network.encoder:
            convolution = part if isinstance(part, torch.nn.Conv2d) else part[0]
            convolution.weight[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0.0
    true = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    predicted = torch.roll(true, (4, -8), dims=(2, 3))
    volume = network.volume(predicted, true)
    assert volume.shape == (1, 25, 8, 8) and volume.abs().max() <= 1.0 + 1e-5
    best = volume[0, :, 2:6, 2:6].flatten(1).mean(dim=1).argmax().item()
    assert divmod(best, 5) == (1 + 2, -2 + 2)
    assert (volume[0, 0, :2] == 0.0).all() and (volume[0, 24, -2:] == 0.0).all()


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_a_frozen_network_teaches_the_map(architecture):
    network = network_of(architecture).requires_grad_(False)
    logits = torch.randn(1, 1, 32, 64, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    target = (tiles(2).reshape(1, 32, 64) > 0).to(torch.uint8)
    inverse_form_loss(logits, target, network, tile=32).backward()
    assert torch.isfinite(logits.grad).all() and (logits.grad != 0.0).any()
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    'values',
    [{'architecture': 'cnn'}, {'tile': 40}, {'tile': 0}, {'parameters': 5}, {'hidden': 0}],
)
def test_bad_sizes_are_refused(values):
    with pytest.raises(ConfigError, match='must be'):
        InverseNetworkConfig(**values)


def test_tiles_of_another_size_are_refused():
    with pytest.raises(ShapeError, match=r'true must be of shape \[any, 1, 32, 32\]'):
        network_of('dense')(tiles(side=16), tiles(side=16))
    with pytest.raises(ShapeError, match='predicted must be of shape'):
        network_of('cnn_gap')(tiles(1), tiles(2))
