# SPDX-License-Identifier: Apache-2.0
"""The terms of mutual distillation: which an arm has, and whom each of them teaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mutual_runs import (
    NONE,
    SUPERVISED,
    UNSUPERVISED,
    batch_of,
    tiny_run,
    weights_with_gradient,
)

from training.recipes.mutual_distillation import new_network
from training.recipes.mutual_distillation_losses import (
    branch_maps,
    mutual_losses,
    reprojections,
)
from training.recipes.mutual_distillation_motion import source_views
from training.recipes.mutual_distillation_terms import BranchConfig, DistillationConfig
from training.recipes.mutual_distillation_watch import Watched


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def plain(branch):
    return replace(branch, uncertainty='none')


def detached(branch):
    return replace(branch, uncertainty='detached')


SUP = ['nll', 'filtering']
UNSUP = ['photometric_nll', 'smoothness']
APART = DistillationConfig(to_first_weight=0.0, to_second_weight=0.0)


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'first': plain(SUPERVISED), 'second': NONE}, {'supervised': ['l1']}),
        ({'second': NONE}, {'supervised': SUP}),
        ({'first': detached(SUPERVISED), 'second': NONE}, {'supervised': ['l1', *SUP]}),
        ({'first': UNSUPERVISED, 'second': NONE}, {'unsupervised': UNSUP}),
        (
            {'first': plain(UNSUPERVISED), 'second': NONE},
            {'unsupervised': ['photometric', 'smoothness']},
        ),
        (
            {'first': detached(UNSUPERVISED), 'second': NONE},
            {'unsupervised': ['photometric', *UNSUP]},
        ),
        (
            {'first': BranchConfig('summed', uncertainty='none'), 'second': NONE},
            {'summed': ['l1', 'photometric', 'smoothness']},
        ),
        (
            {'first': BranchConfig('summed'), 'second': NONE},
            {'summed': [*SUP, 'photometric', 'smoothness']},
        ),
        (
            {'second': SUPERVISED},
            {'supervised_1': [*SUP, 'distillation'], 'supervised_2': [*SUP, 'distillation']},
        ),
        (
            {'first': UNSUPERVISED},
            {'unsupervised_1': [*UNSUP, 'distillation'],
             'unsupervised_2': [*UNSUP, 'distillation']},
        ),
        ({}, {'supervised': [*SUP, 'distillation'], 'unsupervised': [*UNSUP, 'distillation']}),
        ({'distillation': APART}, {'supervised': SUP, 'unsupervised': UNSUP}),
    ],
    ids=['sup l1', 'sup nll', 'sup detached', 'unsup', 'unsup plain', 'unsup detached', 'sum',
         'sum nll', 'sup-sup', 'unsup-unsup', 'sup-unsup', 'apart'],
)  # fmt: skip
def test_terms_of_every_arm(config, changes, expected):
    config = replace(config, **changes)
    terms = mutual_losses(new_network(config), batch_of(config), config)
    names = {f'{branch}_{term}' for branch, terms in expected.items() for term in terms}
    assert set(terms) == names
    assert all(value.shape == () and torch.isfinite(value) for value in terms.values())


def test_weights_of_the_terms(config):
    config = replace(config, first=BranchConfig('supervised', uncertainty='detached'))
    network, batch = new_network(config).eval(), batch_of(config)
    once = mutual_losses(network, batch, config)
    changed = replace(
        config,
        supervised=replace(config.supervised, weight=3.0),
        photometric=replace(config.photometric, weight=5.0, smoothness_weight=7e-3),
        distillation=DistillationConfig(to_first_weight=2.0, to_second_weight=0.5),
    )
    factors = {'l1': 3.0, 'nll': 3.0, 'filtering': 3.0, 'photometric_nll': 5.0, 'smoothness': 7.0}
    for name, value in mutual_losses(network, batch, changed).items():
        branch, term = name.split('_', 1)
        factor = factors.get(term, 2.0 if branch == 'supervised' else 0.5)
        torch.testing.assert_close(value, factor * once[name])


def test_branches_learn_by_themselves_before_they_teach(config):
    own = replace(config, distillation=DistillationConfig(start_share=0.5))
    network, batch = new_network(own).eval(), batch_of(own)
    alone = mutual_losses(network, batch, replace(own, distillation=APART), done=0.49)
    before = mutual_losses(network, batch, own, done=0.49)
    assert set(before) == set(alone)
    assert not any('distillation' in name for name in before)
    assert set(mutual_losses(network, batch, own, done=0.5)) == {
        *before, 'supervised_distillation', 'unsupervised_distillation'
    }  # fmt: skip


def test_each_term_teaches_its_own_branch_alone(config):
    """Distillation reaches nothing of the side that teaches, neither depth nor uncertainty."""
    network = new_network(config)
    terms = mutual_losses(network, batch_of(config), config)
    for name, value in terms.items():
        own = 'branches.0.' if name.startswith('supervised') else 'branches.1.'
        reached = weights_with_gradient(network, value)
        assert reached and all(weight.startswith(own) for weight in reached), name


def test_what_teaches_depth_and_what_teaches_uncertainty(config):
    network = new_network(config)
    terms = mutual_losses(network, batch_of(config), config)
    reached = {
        name: {weight.split('.')[2] for weight in weights_with_gradient(network, value)}
        for name, value in terms.items()
    }
    both = {'encoder', 'disparity_decoder', 'sigma_decoder'}
    depth, sigma = both - {'sigma_decoder'}, both - {'disparity_decoder'}
    assert reached == {
        'supervised_nll': both, 'supervised_filtering': sigma, 'supervised_distillation': depth,
        'unsupervised_photometric_nll': both, 'unsupervised_smoothness': depth,
        'unsupervised_distillation': depth,
    }  # fmt: skip


def test_a_detached_likelihood_teaches_uncertainty_alone(config):
    config = replace(config, first=detached(SUPERVISED), second=detached(UNSUPERVISED))
    network = new_network(config)
    terms = mutual_losses(network, batch_of(config), config)
    for name in ('supervised_nll', 'unsupervised_photometric_nll'):
        reached = weights_with_gradient(network, terms[name])
        assert not any('disparity_decoder' in weight for weight in reached), name
    for name in ('supervised_l1', 'unsupervised_photometric'):
        reached = weights_with_gradient(network, terms[name])
        assert not any('sigma_decoder' in weight for weight in reached), name


def test_summed_losses_are_those_of_both_branches(config):
    """Of one network with the weights of either branch, on what it sees."""
    same = replace(config, noise=replace(config.noise, own=False))
    one = replace(same, first=BranchConfig('summed', 'both', 'none'), second=NONE)
    network, batch = new_network(one).eval(), batch_of(one)
    summed = mutual_losses(network, batch, one)
    for branch in (plain(SUPERVISED), plain(UNSUPERVISED)):
        alone = replace(same, first=branch, second=NONE)
        for name, value in mutual_losses(network, batch_of(alone), alone).items():
            torch.testing.assert_close(value, summed[name.replace(branch.kind, 'summed')])


@pytest.mark.parametrize(
    ('use', 'own'),
    [
        ('uw', {}),
        ('uw', {'normalization': 'literal'}),
        ('ut', {'quantile': 0.5}),
        ('uwt', {'quantile': 0.5}),
        ('ct', {'max_sigma_first': 1.0, 'max_sigma_second': 1.0}),
        ('none', {}),
    ],
)
def test_uses_of_uncertainty(config, use, own):
    config = replace(config, distillation=DistillationConfig(use=use, **own))
    network, batch = new_network(config).eval(), batch_of(config)
    with torch.no_grad():
        terms = mutual_losses(network, batch, config)
        sup, unsup = (branch_maps(b, config) for b in network(batch.seen).branches)
    error = (sup.depth_m - unsup.depth_m).abs().numpy()
    for name, teacher in (('supervised', unsup), ('unsupervised', sup)):
        sigma = teacher.log_sigma.exp().numpy()
        expected = np.mean(
            [weighted(e, s, use, own) for e, s in zip(error[:, 0], sigma[:, 0], strict=True)]
        )
        assert float(terms[f'{name}_distillation']) == pytest.approx(expected, rel=1e-4)


def weighted(error, sigma, use, own):
    limit = np.inf
    if 'quantile' in own:
        limit = np.quantile(sigma, own['quantile'], method='higher')
    if 'max_sigma_first' in own:
        limit = own['max_sigma_first']
    known = sigma <= limit * (1 + 1e-6)
    weight = known / sigma if use in ('uw', 'uwt') else known.astype(float)
    total = sigma.sum() if own.get('normalization') == 'literal' else max(weight.sum(), 1e-30)
    return (weight * error).sum() / total


def test_depth_of_unknown_scale_is_aligned_before_it_teaches(config):
    network, batch = new_network(config).eval(), batch_of(config)
    with torch.no_grad():
        network.branches[1].disparity_decoder.heads[0].bias += 1.0
        sup, unsup = (branch_maps(b, config) for b in network(batch.seen).branches)
    valid = (batch.lidar_m > 0).numpy()
    ratios = [
        np.median((s / u)[v])
        for s, u, v in zip(sup.depth_m.numpy(), unsup.depth_m.numpy(), valid, strict=True)
    ]
    assert abs(np.mean(ratios) - 1.0) > 0.3
    found = {}
    for align in ('none', 'median'):
        own = replace(config, distillation=DistillationConfig(use='none', align=align))
        watched = Watched()
        found[align] = mutual_losses(network, batch, own, watched)
        assert watched.means()['watched/scale_ratio'] == pytest.approx(np.mean(ratios), rel=1e-3)
    factor = np.array(ratios).reshape(-1, 1, 1, 1)
    expected = np.abs(sup.depth_m.numpy() - factor * unsup.depth_m.numpy()).mean()
    value = float(found['median']['supervised_distillation'].detach())
    assert value == pytest.approx(expected, rel=1e-3)
    assert (
        found['median']['unsupervised_distillation'] == found['none']['unsupervised_distillation']
    )


def test_watched_numbers_are_means_since_the_last_look():
    watched = Watched()
    watched.of('a').add(share=torch.tensor(0.25))
    watched.of('a').add(share=torch.tensor(0.75))
    watched.add(ratio=torch.tensor(3.0))
    assert watched.means() == {'watched/a_share': 0.5, 'watched/ratio': 3.0}
    assert watched.means() == {}


def test_fewer_scales_are_the_finest_ones(config):
    config = replace(config, first=plain(UNSUPERVISED), second=NONE)
    network, batch = new_network(config).eval(), batch_of(config)
    scaled = replace(config, photometric=replace(config.photometric, scales=1))
    found = mutual_losses(network, batch, scaled)
    maps = branch_maps(network(batch.seen).branches[0], config)
    views = source_views(batch, None, config)
    (finest,) = reprojections(maps, batch, list(views.values()), scaled)
    torch.testing.assert_close(
        found['unsupervised_photometric'],
        torch.stack(
            [e[c].mean() for e, c in zip(finest.error, finest.covered, strict=True)]
        ).mean(),
    )
    others = reprojections(maps, batch, list(views.values()), config)
    assert len(others) == 4 and torch.equal(others[0].error, finest.error)


def test_learning_needs_a_frame_without_lidar_to_cost_nothing(config):
    config = replace(config, first=plain(SUPERVISED), second=NONE)
    batch = batch_of(config)
    blind = batch._replace(lidar_m=torch.zeros_like(batch.lidar_m))
    terms = mutual_losses(new_network(config), blind, config)
    assert terms['supervised_l1'] == 0.0


def test_a_learnt_pose_gets_gradients_of_the_photometric_loss_alone(config):
    config = replace(config, network=replace(config.network, poses='learned'))
    network = new_network(config)
    terms = mutual_losses(network, batch_of(config), config)
    for name, value in terms.items():
        reached = weights_with_gradient(network, value)
        pose = any(weight.startswith('pose_network') for weight in reached)
        assert pose == (name == 'unsupervised_photometric_nll'), name
