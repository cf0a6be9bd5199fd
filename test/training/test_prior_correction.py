# SPDX-License-Identifier: Apache-2.0
"""Scores by prior correction are those of networks whose bias was really shifted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from supervised_runs import trained

from kd_perception.errors import ConfigError
from training import prior_correction
from training.data import world as world_data
from training.data.world import load_world
from training.evaluation import infer, score
from training.prior_correction import finished_run, main, measure, scores_by_share, share_report
from training.recipes import supervised
from training.records import read_record


@pytest.fixture
def run(config):
    """A finished run that is scored on few frames; eight steps find one class, so it is helped."""
    config = dataclasses.replace(config, presets=())
    training = trained(config)
    with torch.no_grad():  # every class has logits around 0, apart by about 1
        head = training.average.head
        logits, _ = infer(training.average, load_world(config.test, config.cache)[0], 'thermal')
        mean, deviation = (torch.from_numpy(f(logits, axis=(0, 2, 3))) for f in (np.mean, np.std))
        head.weight /= deviation[:, None, None, None]
        head.bias.copy_((head.bias - mean) / deviation)
    supervised.save(training, config)
    return config, training


@pytest.fixture(autouse=True)
def without_tiles(monkeypatch):
    for module in (prior_correction, supervised):
        monkeypatch.setattr(module, 'load_real_tiles', list)


def test_one_pass_gives_what_shifted_networks_give(run):
    config, training = run
    frames, weight = load_world(config.test, config.cache), supervised.frame_weights(training)
    plain = supervised.deployable(training.average, weight, 0.0)
    found = scores_by_share(plain, weight, frames, 'thermal', (0.0, 0.4, 1.0))
    assert list(found) == [0.0, 0.4, 1.0]
    for share, scores in found.items():
        network = supervised.deployable(training.average, weight, share)
        expected = score(network, frames, 'thermal')
        torch.testing.assert_close(
            torch.from_numpy(scores.logits), torch.from_numpy(expected.logits)
        )
        assert scores.labels.tolist() == expected.labels.tolist()
        for name in ('miou', 'macc', 'pixel_accuracy'):
            assert scores.metrics[name] == pytest.approx(expected.metrics[name], abs=2e-3)
    accuracies = [scores.metrics['pixel_accuracy'] for scores in found.values()]
    assert max(accuracies) - min(accuracies) > 0.05, 'the share must matter'


def test_record_agrees_with_the_evaluation_of_the_run(run):
    config, training = run
    record = measure(config, (0.0, 0.5))
    report = supervised.evaluate(training, config)
    own = record['shares']['0.5']
    assert own['temperature'] == pytest.approx(report['calibration']['temperature'], rel=1e-3)
    assert own['test']['ece'] == pytest.approx(
        report['calibration']['test_after']['ece'], abs=1e-3
    )
    for split in ('validation', 'test'):
        expected = report[f'synthetic_{split}']
        assert own[split]['miou_nanmean'] == pytest.approx(expected['miou_nanmean'], abs=2e-3)
        assert own[split].keys() == expected.keys() | {'ece', 'nll'}
    assert record['frames'] == {'validation': 3, 'test': 3}
    assert record['data_digest'] == report['data_digest']
    assert record['seed'] == config.seed and record['config']['prior_correction'] == 0.5


def test_temperature_is_that_of_the_validation_split(run):
    config, training = run
    weight = supervised.frame_weights(training)
    network = supervised.deployable(training.average, weight, 0.0)
    parts = {
        name: scores_by_share(network, weight, load_world(split, config.cache), 'thermal', (0.5,))
        for name, split in (('validation', config.validation), ('test', config.test))
    }
    one = {name: found[0.5] for name, found in parts.items()}
    other = {'validation': one['test'], 'test': one['validation']}
    assert share_report(one)['temperature'] != share_report(other)['temperature']


def test_fewer_frames_are_the_first_ones(run):
    config, training = run
    record = measure(config, (0.5,), 1)
    assert record['frames'] == {'validation': 1, 'test': 1}
    weight = supervised.frame_weights(training)
    network = supervised.deployable(training.average, weight, 0.5)
    expected = score(network, [load_world(config.test, config.cache)[0]], 'thermal')
    found = record['shares']['0.5']['test']['pixel_accuracy']
    assert found == pytest.approx(expected.metrics['pixel_accuracy'], abs=2e-3)


def test_only_finished_runs_of_this_world_are_measured(config, monkeypatch):
    with pytest.raises(ConfigError, match='train this run first'):
        finished_run(config)
    training = trained(config)
    training.step = 5
    supervised.save(training, config)
    with pytest.raises(ConfigError, match='finished run of 8 steps, got 5'):
        finished_run(config)
    training.step = 8
    supervised.save(training, config)
    assert finished_run(config).step == 8
    monkeypatch.setattr(world_data, '_SOURCES', ('edited',))
    with pytest.raises(ConfigError, match='world has changed'):
        finished_run(config)


@pytest.mark.parametrize(
    ('values', 'count', 'message'),
    [
        ((0.0, 1.5), None, 'prior_correction must be 0 to 1'),
        ((-0.1,), None, 'prior_correction must be 0 to 1'),
        ((), None, 'at least one'),
        ((0.5, 0.5), None, 'differ'),
        ((0.5,), 0, 'count must be >= 1'),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(config, values, count, message):
    with pytest.raises(ConfigError, match=message):
        measure(config, values, count)


def test_command_writes_record_and_page_and_leaves_others_out(run, tmp_path, monkeypatch, capsys):
    config, _ = run
    asked = []

    def configured(kind, rest):
        asked.append(rest)
        return config

    monkeypatch.setattr(prior_correction, 'load_config', configured)
    records, page = tmp_path / 'records', tmp_path / 'page.md'
    command = ['--seed', '0', '--records', str(records), '--page', str(page), '--count', '1']
    main([*command, '--values', '0', '0.5'])
    assert asked == [['--seed', '0']], 'the rest is for the configuration'
    record = read_record(records / 'tiny_seed0.json')
    assert list(record['shares']) == ['0', '0.5']
    assert '<!-- begin prior correction tiny -->' in page.read_text()
    assert 'left out' not in capsys.readouterr().out
    other = dataclasses.replace(config, seed=1)
    trained(other)
    monkeypatch.setattr(prior_correction, 'load_config', lambda kind, rest: other)
    main([*command, '--values', '0', '1'])
    assert 'seeds [0] are left out' in capsys.readouterr().out
    assert 'seeds 1.' in page.read_text()
