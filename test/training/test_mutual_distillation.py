# SPDX-License-Identifier: Apache-2.0
"""Mutual distillation: which terms an arm has, who teaches whom, resuming, sharing, records."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mutual_runs import NONE, SUPERVISED, UNSUPERVISED, batch_of, shareable, tiny_run

from kd_perception.errors import ConfigError
from training.data.depth_bag_config import DepthBagConfig
from training.distributed import launch
from training.recipes import mutual_distillation
from training.recipes.mutual_distillation import new_network, parameters, trained
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_data import Drawing
from training.recipes.mutual_distillation_losses import (
    branch_maps,
    mutual_losses,
    reprojections,
)
from training.recipes.mutual_distillation_motion import source_views
from training.recipes.mutual_distillation_report import table_row
from training.recipes.mutual_distillation_sets import CityscapesConfig, KittiConfig
from training.recipes.mutual_distillation_terms import BranchConfig, DistillationConfig
from training.recipes.mutual_distillation_watch import Watched
from training.settings import load_config

HERE = Path(__file__).resolve().parent
FOLDER = Path(mutual_distillation.__file__).parents[1] / 'configs' / 'mutual_distillation'
CONFIGS = sorted(FOLDER.glob('*.yaml'))


@pytest.fixture(scope='session')
def world_cache(tmp_path_factory):
    return tmp_path_factory.mktemp('world')


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


@pytest.fixture(scope='module')
def fabric():
    return launch(tiny_run(Path('.'), Path('.')).launch)


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


def weights_with_gradient(network, loss):
    network.zero_grad(set_to_none=True)
    loss.backward(retain_graph=True)
    return {n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}


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


def test_decoders_may_start_with_weights_that_keep_signals(config):
    """An untrained network then tells places apart; its heads say the initial depth as before."""
    spreads = {}
    for start in ('default', 'kaiming'):
        own = replace(config, network=replace(config.network, decoder_start=start))
        network = new_network(own).eval()
        output = network(batch_of(own).seen).branches[0]
        spreads[start] = float(output.disparities[0].detach().std())
        assert 5.0 < float(branch_maps(output, own).depth_m.median()) < 20.0
    assert spreads['kaiming'] > 5.0 * spreads['default']
    for layer in network.branches[0].sigma_decoder.merge.modules():
        if isinstance(layer, torch.nn.Conv2d):
            deviation = (2.0 / (9 * layer.in_channels)) ** 0.5
            assert float(layer.weight.std()) == pytest.approx(deviation, rel=0.25)
            assert not layer.bias.any()


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


def test_a_shared_encoder_is_one(config):
    apart = new_network(config)
    config = replace(config, network=replace(config.network, shared_encoder=True))
    network = new_network(config)
    assert network.branches[0].encoder is network.branches[1].encoder
    encoder = sum(weight.numel() for weight in network.branches[0].encoder.parameters())
    assert parameters(apart)['trained'] - parameters(network)['trained'] == encoder
    assert parameters(apart)['branch'] == parameters(network)['branch']


def test_untrained_branches_say_the_initial_depth(config):
    network, batch = new_network(config).eval(), batch_of(config)
    for output in network(batch.seen).branches:
        depth_m = branch_maps(output, config).depth_m.detach()
        assert 5.0 < float(depth_m.median()) < 20.0
    zeroed = replace(config, network=replace(config.network, initial_depth_m=0.0))
    for output in new_network(zeroed).eval()(batch.seen).branches:
        assert (
            3.0 < float(branch_maps(output, zeroed).depth_m.median()) < 5.0
        )  # half of 1/2 + 1/100


def test_resumed_run_gives_the_same_bits(config, fabric, monkeypatch, tmp_path):
    whole = trained(replace(config, output=tmp_path / 'whole'), fabric).state_dict()
    fit = mutual_distillation.fit

    def dying(run, **arguments):
        draw = arguments['draw']

        def drawn(step, index):
            if step == 8:
                raise KeyboardInterrupt
            return draw(step, index)

        fit(run, **{**arguments, 'draw': drawn})

    monkeypatch.setattr(mutual_distillation, 'fit', dying)
    with pytest.raises(KeyboardInterrupt):
        trained(config, fabric)
    monkeypatch.setattr(mutual_distillation, 'fit', fit)
    for name, value in trained(config, fabric).state_dict().items():
        assert torch.equal(value, whole[name]), name


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_learn_what_one_learns(config, fabric, tmp_path):
    one = trained(shareable(config), fabric).state_dict()  # renders the frames, too
    folder = tmp_path / 'two'
    folder.mkdir()
    command = [sys.executable, '-m', 'mutual_runs', '--folder', folder, '--cache', config.cache]
    values = ['--launch.devices', 2, '--launch.accelerator', 'cpu', '--launch.bfloat16', 'false']
    environment = {
        **os.environ,
        'PYTHONPATH': os.pathsep.join([str(HERE), str(HERE.parents[1])]),
        'GLOO_SOCKET_IFNAME': 'lo',
        'OMP_NUM_THREADS': '1',
    }
    done = subprocess.run(
        [str(part) for part in (*command, *values)],
        cwd=HERE, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    state = torch.load(folder / 'state.pt')
    assert state.keys() == one.keys()
    torch.testing.assert_close(dict(one), dict(state), rtol=2e-3, atol=2e-4)


def test_a_run_writes_its_record_and_its_rows(config, capsys, monkeypatch):
    config = replace(config, presets=('night',), preset_count=2)
    config = replace(config, loop=replace(config.loop, steps=3, picture_steps=3))
    monkeypatch.setattr(mutual_distillation, 'load_config', lambda kind, arguments: config)
    mutual_distillation.main([])
    record = json.loads(config.record_path.read_text())
    assert set(record['metrics']) == {'supervised', 'unsupervised'}
    assert set(record['frame_keys']) == {'train', 'validation', 'test', 'night'}
    for found in record['metrics'].values():
        assert set(found) == {'validation', 'test', 'night'}
        parts = {'all', 'all_median_scaled', 'inside', 'outside', 'scale_ratio', 'sparsification'}
        assert parts <= set(found['test'])
        assert {'ause', 'aurg'} == set(found['test']['sparsification']['abs_rel'])
    assert record['parameters']['trained'] == 2 * record['parameters']['branch']
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('|')]
    names = [row.split('|')[1].strip() for row in rows]
    assert names == ['tiny supervised', 'tiny unsupervised']
    assert list((config.folder / 'tensorboard').iterdir())


def test_table_row_of_hand_made_metrics():
    metrics = {
        'all': {'abs_rel': 0.1, 'rmse': 4.0, 'delta1': 0.9},
        'inside': {'abs_rel': 0.05},
        'sparsification': {'abs_rel': {'ause': 0.02, 'aurg': 0.01}},
    }
    expected = '| row | 0.100 | 4.000 | 0.900 | 0.050 | - | - | - | 0.020 | 0.010 |'
    assert table_row('row', metrics) == expected


@pytest.mark.parametrize(
    'values',
    [
        {'first': NONE},
        {'measured_share': 1.5},
        {'image_size': (60, 96)},
        {'first': plain(SUPERVISED)},
        {'second': plain(UNSUPERVISED)},
        {'kitti': KittiConfig('one'), 'cityscapes': CityscapesConfig('other')},
        {'kitti': KittiConfig('one'), 'second': UNSUPERVISED},
        {'kitti': KittiConfig('one'), 'bag': DepthBagConfig('other')},
    ],
    ids=[
        'no branch',
        'share',
        'size',
        'unsure first',
        'unsure second',
        'two sets',
        'kitti poses',
        'set and bag',
    ],
)
def test_settings_that_contradict_each_other_are_refused(values):
    with pytest.raises(ConfigError):
        MutualConfig(**values)


def test_a_branch_may_be_unsure_where_it_does_not_teach():
    own = DistillationConfig(to_second_weight=0.0)
    assert MutualConfig(first=plain(SUPERVISED), distillation=own)
    assert MutualConfig(first=plain(SUPERVISED), distillation=DistillationConfig(use='none'))


def test_fingerprint_follows_what_changes_weights(config):
    for changed in (
        replace(config, seed=1),
        replace(config, measured_share=0.5),
        replace(config, corruption=replace(config.corruption, pose_rotation_deg=1.0)),
        replace(config, launch=replace(config.launch, bfloat16=True)),
    ):
        assert changed.fingerprint() != config.fingerprint()
    for same in (
        replace(config, presets=('night',)),
        replace(config, cache=Path('elsewhere')),
        replace(config, launch=replace(config.launch, workers=3)),
    ):
        assert same.fingerprint() == config.fingerprint()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_complete(path):
    config = load_config(MutualConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    assert config.branches


def test_drawing_goes_to_other_processes_by_its_settings(config):
    own = Drawing(config)
    expected = own(3, 1)
    sent = pickle.dumps(own)
    assert len(sent) < 10_000
    for part, other in zip(expected, pickle.loads(sent)(3, 1), strict=True):
        assert torch.equal(part, other)
    assert not torch.equal(expected.seen, own(3, 2).seen)
