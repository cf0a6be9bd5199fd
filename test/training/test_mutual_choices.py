# SPDX-License-Identifier: Apache-2.0
"""Readings of the paper that are not the default: what else learns, and from which pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mutual_runs import NONE, UNSUPERVISED, batch_of, tiny_run, weights_with_gradient

from training.losses import at_full_size
from training.recipes.mutual_distillation import new_network
from training.recipes.mutual_distillation_losses import (
    branch_maps,
    mutual_losses,
    reprojections,
)
from training.recipes.mutual_distillation_motion import source_views
from training.recipes.mutual_distillation_terms import DistillationConfig


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def test_uncertainty_may_learn_from_what_it_teaches(config):
    config = replace(config, distillation=DistillationConfig(detach_sigma=False))
    network = new_network(config)
    terms = mutual_losses(network, batch_of(config), config)
    for name, teacher in (('supervised', 1), ('unsupervised', 0)):
        reached = weights_with_gradient(network, terms[f'{name}_distillation'])
        own = {weight for weight in reached if weight.startswith(f'branches.{teacher}.')}
        assert own and not any('disparity_decoder' in weight for weight in own)
    even = replace(config, distillation=DistillationConfig(detach_sigma=False, use='none'))
    terms = mutual_losses(network, batch_of(even), even)
    reached = weights_with_gradient(network, terms['supervised_distillation'])
    assert all(weight.startswith('branches.0.') for weight in reached)


@pytest.mark.parametrize('uncertainty', ['joint', 'detached'])
def test_sigma_may_come_before_the_auto_mask(config, uncertainty):
    branch = replace(UNSUPERVISED, uncertainty=uncertainty)
    after = replace(config, first=branch, second=NONE)
    before = replace(after, photometric=replace(after.photometric, sigma_before_mask=True))
    network, batch = new_network(after).eval(), batch_of(after)
    with torch.no_grad():
        network.branches[0].sigma_decoder.heads[0].bias -= 1.0  # a likelihood of about -1
        terms = [mutual_losses(network, batch, each) for each in (after, before)]
        maps = branch_maps(network(batch.seen).branches[0], after)
        views = list(source_views(batch, None, after).values())
        sigmas = at_full_size(maps.log_sigmas, tuple(batch.image.shape[-2:]))
        expected = []
        for part, log_sigma in zip(reprojections(maps, batch, views, after), sigmas, strict=True):
            cost = part.warped / log_sigma.exp() + log_sigma
            counted = torch.where(cost < part.unmoved, cost, part.unmoved)
            expected += [x[c].mean() for x, c in zip(counted, part.covered, strict=True)]
    name = 'unsupervised_photometric_nll'
    assert float(terms[1][name]) == pytest.approx(float(np.mean(expected)), rel=1e-5)
    assert terms[0][name] != terms[1][name]
    assert {k for k in terms[0] if terms[0][k] != terms[1][k]} == {name}
