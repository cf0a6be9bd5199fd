# SPDX-License-Identifier: Apache-2.0
"""The supervised recipe: what it learns from, that it learns, and that it resumes bit for bit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from supervised_runs import trained

from kd_perception.errors import ConfigError
from kd_perception.models import RepUNet, RepUNetConfig
from training.data import world as world_data
from training.data.world import load_world
from training.losses import class_weights
from training.recipes import supervised, supervised_config
from training.recipes.supervised import SupervisedConfig
from training.settings import load_config, plain


def state_of(training):
    return {
        **{f'network.{k}': v for k, v in training.network.state_dict().items()},
        **{f'average.{k}': v for k, v in training.average.state_dict().items()},
    }


@pytest.mark.parametrize('bfloat16', [False, True])
def test_resumed_run_gives_the_same_bits(config, tmp_path, monkeypatch, bfloat16):
    torch.set_num_threads(1)
    config = dataclasses.replace(config, bfloat16=bfloat16)
    whole = state_of(trained(dataclasses.replace(config, output=tmp_path / 'whole')))
    step, calls = supervised.training_step, []

    def dying(*arguments):
        calls.append(1)
        if len(calls) == 6:  # after the checkpoint of step 3, before that of step 6
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(supervised, 'training_step', dying)
    with pytest.raises(KeyboardInterrupt):
        trained(config)
    assert supervised.build(config).step == 3
    resumed = state_of(trained(config))
    assert len(calls) == 6 + 5
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


@pytest.mark.parametrize('modality', ['thermal', 'rgb', 'rgbt'])
def test_network_and_batch_fit_the_modality(config, modality):
    config = dataclasses.replace(config, modality=modality)
    data = load_world(config.train, config.cache)
    images, labels = supervised.draw_batch(data, config, 0)
    again, _ = supervised.draw_batch(data, config, 0)
    assert images.shape == (4, {'thermal': 1, 'rgb': 3, 'rgbt': 4}[modality], 64, 64)
    assert labels.shape == (4, 64, 64)
    assert torch.equal(images, again)
    assert not torch.equal(images, supervised.draw_batch(data, config, 1)[0])
    training = supervised.build(config)
    supervised.note_frames(training, data, config)
    weight = supervised.frame_weights(training)
    terms = supervised.training_step((images, labels), training, config, weight)
    assert torch.isfinite(terms['cross_entropy'])
    gradient = training.network.stages[0][0].conv3x3.conv.weight.grad
    assert (gradient.abs().amax(dim=(0, 2, 3)) > 0).all(), 'every channel is learnt from'


def test_runs_of_all_modalities_share_their_frames(config):
    runs = [dataclasses.replace(config, modality=m) for m in ('thermal', 'rgb', 'rgbt')]
    assert len({run.train.key() for run in runs}) == 1
    assert len({run.fingerprint() for run in runs}) == 3
    assert 'rgb' not in runs[0].train.fields


def test_faults_that_came_later_leave_fingerprints_of_older_runs_alone(config):
    values = plain(config)
    for name in supervised_config._NOT_TRAINED_ON:
        del values[name]
    for name in supervised_config._LATER_FAULTS:
        del values['augmentation']['sensor'][name]
    older = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    assert config.fingerprint() == older
    for name in supervised_config._LATER_FAULTS:
        sensor = dataclasses.replace(config.augmentation.sensor, **{name: 0.5})
        augmentation = dataclasses.replace(config.augmentation, sensor=sensor)
        assert dataclasses.replace(config, augmentation=augmentation).fingerprint() != older


def test_presets_are_worlds_of_the_test_split(config):
    splits = config.preset_splits()
    assert list(splits) == ['night', 'shifted']
    assert splits['night'].config().night_share == 1.0
    assert splits['night'].config().height == 64
    assert splits['shifted'].split == 'shifted'
    assert {split.count for split in splits.values()} == {2}
    seeds = {split.world_seed() for split in (config.train, config.validation)}
    assert not seeds & {split.world_seed() for split in splits.values()}


def test_run_does_not_go_on_in_a_changed_world(config, monkeypatch):
    training = trained(config)
    assert training.frames['key'] == config.train.key()
    assert len(training.frames['digest']) == 64
    monkeypatch.setattr(world_data, '_SOURCES', ('edited',))
    with pytest.raises(ConfigError, match='world has changed'):
        supervised.check_frames(supervised.build(config), config)


def test_defaults_are_those_of_the_shipped_student_but_for_what_needs_a_newer_processor():
    assert committed('thermal_seg_s') == SupervisedConfig(bfloat16=True)


def committed(name):
    path = Path(supervised.__file__).parents[1] / 'configs' / 'supervised' / f'{name}.yaml'
    return load_config(SupervisedConfig, ['--config_path', str(path)])


def test_committed_runs_of_the_modalities_differ_in_nothing_else():
    runs = [plain(committed(f'world_{modality}')) for modality in ('thermal', 'rgb', 'rgbt')]
    assert [run['name'] for run in runs] == [f'world_{run["modality"]}' for run in runs]
    for run in runs:
        del run['name'], run['modality']
        for split in ('train', 'validation', 'test'):
            del run[split]['fields']
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize('name', ['smoke', 'thermal_seg_s', 'world_rgbt'])
def test_committed_runs_are_scored_apart_from_what_they_learn_from(name):
    config = committed(name)
    assert config.name == name
    scored = [config.test, *config.preset_splits().values()]
    seeds = {split.world_seed() for split in scored}
    assert not seeds & {config.train.world_seed(), config.validation.world_seed()}
    assert config.preset_splits()['shifted'].config().sensor != config.test.config().sensor


def test_unknown_modality_is_refused():
    with pytest.raises(ConfigError, match='modality'):
        SupervisedConfig(modality='depth')


def test_seeds_differ(config, tmp_path):
    other = dataclasses.replace(config, seed=1, output=tmp_path / 'other')
    first, second = state_of(trained(config)), state_of(trained(other))
    assert not torch.equal(first['network.head.weight'], second['network.head.weight'])


@pytest.mark.slow
def test_loss_falls(config):
    """Forty steps on twelve frames must fit them far better than the start does."""
    config = dataclasses.replace(config, steps=40)
    data = load_world(config.train, config.cache)
    weight = class_weights(data.class_shares())
    training = supervised.build(config)
    losses = [
        float(
            supervised.training_step(
                supervised.draw_batch(data, config, step), training, config, weight
            )['cross_entropy'].detach()
        )
        for step in range(config.steps)
    ]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])


def test_checkpoint_of_another_configuration_is_refused(config):
    trained(config)
    with pytest.raises(ConfigError, match='same configuration'):
        supervised.build(dataclasses.replace(config, learning_rate=1.0e-3))
    supervised.build(dataclasses.replace(config, checkpoint_steps=5))


def test_learning_rate_rises_and_falls():
    config = SupervisedConfig(steps=100, learning_rate=1.0)
    rates = [supervised.learning_rate(config, step) for step in range(100)]
    assert rates[9] == pytest.approx(1.0)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


def test_prior_correction_shifts_logits_by_half_the_log_weight():
    torch.manual_seed(0)
    average = RepUNet(RepUNetConfig(1, 3, (4, 4, 4, 4, 4), (1, 1, 1, 1, 1), 4)).eval()
    weight = torch.tensor([1.0, 4.0, 9.0])
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        before = average.folded()(image)
        after = supervised.deployable(average, weight, 0.5)(image)
    shift = (before - after).mean(dim=(0, 2, 3))
    torch.testing.assert_close(shift, torch.tensor([0.0, np.log(2.0), np.log(3.0)]).float())


@pytest.mark.parametrize('share', [-0.1, 1.1, float('nan')])
def test_prior_correction_is_a_share(config, share):
    with pytest.raises(ConfigError, match='prior_correction must be 0 to 1'):
        dataclasses.replace(config, prior_correction=share)
