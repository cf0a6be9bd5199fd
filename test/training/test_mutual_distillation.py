# SPDX-License-Identifier: Apache-2.0
"""Mutual distillation: first weights, resuming, sharing, records, settings."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mutual_runs import NONE, SUPERVISED, UNSUPERVISED, batch_of, shareable, tiny_run
from run_processes import run_recipe

from kd_perception.errors import ConfigError
from training.data.depth_bag_config import DepthBagConfig
from training.recipes import mutual_distillation
from training.recipes.mutual_distillation import new_network, parameters, trained
from training.recipes.mutual_distillation_config import LATER, MutualConfig
from training.recipes.mutual_distillation_data import Drawing
from training.recipes.mutual_distillation_losses import (
    branch_maps,
)
from training.recipes.mutual_distillation_report import table_row
from training.recipes.mutual_distillation_sets import CityscapesConfig, KittiConfig
from training.recipes.mutual_distillation_terms import DistillationConfig, PhotometricLossConfig
from training.settings import load_config

FOLDER = Path(mutual_distillation.__file__).parents[1] / 'configs' / 'mutual_distillation'
APART = {'to_first_weight': 0.0, 'to_second_weight': 0.0}
CONFIGS = sorted(FOLDER.glob('*.yaml'))
CHANGED = {
    'bag.camera_frame': 'recorded',
    'distillation.detach_sigma': False,
    'noise.instances': 'masks',
    'photometric.sigma_before_mask': True,
}


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def plain(branch):
    return replace(branch, uncertainty='none')


def test_decoders_may_start_with_weights_that_keep_signals(config):
    """An untrained network then tells places apart; its heads say the initial depth as before."""
    spreads = {}
    for start in ('default', 'kaiming'):
        own = replace(config, network=replace(config.network, decoder_start=start))
        network = new_network(own).eval()
        output = network(batch_of(own).seen).branches[0]
        spreads[start] = float(output.disparities[0].detach().std())
        assert 5.0 < float(branch_maps(output, own).depth_m.detach().median()) < 20.0
    assert spreads['kaiming'] > 5.0 * spreads['default']
    for layer in network.branches[0].sigma_decoder.merge.modules():
        if isinstance(layer, torch.nn.Conv2d):
            deviation = (2.0 / (9 * layer.in_channels)) ** 0.5
            assert float(layer.weight.std()) == pytest.approx(deviation, rel=0.25)
            assert not layer.bias.any()


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


def test_branches_that_never_start_to_teach_learn_as_if_apart(config, fabric, tmp_path):
    found = []
    for number, values in enumerate(({'start_share': 1.0}, APART, {})):
        distillation = DistillationConfig(**values)
        own = replace(config, distillation=distillation, output=tmp_path / str(number))
        found.append(torch.cat([w.flatten() for w in trained(own, fabric).parameters()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


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
    run_recipe('mutual_runs', folder, config.cache)
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


def test_without_an_auto_mask_nothing_comes_before_it():
    with pytest.raises(ConfigError, match='without auto_mask'):
        PhotometricLossConfig(auto_mask=False, sigma_before_mask=True)


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


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('sup_unsup', 'e53302b49421d587dfc5c226'),
        ('poses_sup_unsup_video', '88ccdbf9a099f72188bac388'),
        ('bag', '44e2a4b2b5314f0154a23012'),
    ],
)
def test_settings_that_came_later_leave_fingerprints_of_older_runs_alone(name, expected):
    config = load_config(MutualConfig, ['--config_path', str(FOLDER / f'{name}.yaml')])
    assert config.fingerprint().startswith(expected)


def test_settings_that_came_later_count_where_they_are_set():
    config = load_config(MutualConfig, ['--config_path', str(FOLDER / 'bag.yaml')])
    for later in LATER:
        group, setting = later.split('.')
        changed = replace(getattr(config, group), **{setting: CHANGED[later]})
        assert replace(config, **{group: changed}).fingerprint() != config.fingerprint(), later


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
