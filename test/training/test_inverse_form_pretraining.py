# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of InverseForm: what is learnt, who shares it, controls."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from inverse_form_runs import tiny_run

from training.inverse_networks import new_inverse_network
from training.plane_transforms import NAMES
from training.recipes import inverse_form_pretraining
from training.recipes.inverse_form_modules import gradient_norm
from training.recipes.inverse_form_pretraining import (
    inverse_losses,
    random_inverse,
    trained_inverse,
)


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def test_the_loss_is_the_mean_squared_share():
    parameters = torch.tensor([[[0.5, -0.5]], [[1.0, 0.0]]])
    tiles = torch.rand(2, 1, 2, 4, 4)

    def network(predicted, true):
        assert torch.equal(predicted, tiles[:, 0, :1]) and torch.equal(true, tiles[:, 0, 1:])
        return torch.zeros(2, 2)

    loss = inverse_losses(network, (tiles, parameters))['parameters']
    assert loss.item() == pytest.approx((0.25 + 0.25 + 1.0) / 4)


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


def test_a_random_network_has_its_first_weights_and_the_gradients_of_the_trained(config, fabric):
    trained = trained_inverse(config, fabric, None)
    module = random_inverse(config, fabric, trained)
    torch.manual_seed(config.seed)
    first = new_inverse_network(config.inverse.network)
    for key, value in first.state_dict().items():
        assert torch.equal(module.network.state_dict()[key], value)
    norms = [gradient_norm(each.network, config) for each in (module, trained)]
    assert norms[0] != pytest.approx(norms[1], rel=1e-3)
    assert module.scale * norms[0] == pytest.approx(norms[1], rel=1e-3)
    told = [module.report[key] for key in ('gradient_norm', 'gradient_norm_of_trained')]
    assert told == pytest.approx(norms, abs=1e-6)


def untimed(report):
    return {name: value for name, value in report.items() if name != 'training_seconds'}


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
    assert untimed(resumed.report) == untimed(expected.report)


def test_sampling_by_a_transformer_learns_and_is_told_twice(config, fabric):
    inverse = config.inverse
    small = replace(inverse.transformer, frames=6, loop=replace(inverse.loop, batch_size=2))
    config = replace(config, inverse=replace(inverse, sampler='stn', transformer=small))
    module = trained_inverse(config, fabric, None)
    assert module.report['on_random_transforms']['tiles'] == module.report['tiles'] == 20
    assert module.report['choices']['frames'] == 6
    assert set(module.report['choices']['spread']) == set(NAMES[:4])
    assert (config.inverse_folder / 'transformer' / 'latest.pt').is_file()
    assert config.inverse_folder != replace(config, inverse=inverse).inverse_folder
