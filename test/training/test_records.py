# SPDX-License-Identifier: Apache-2.0
"""Records, their summary, checkpoints and the average of weights."""

from __future__ import annotations

import json

import pytest
import torch

from kd_perception.errors import ConfigError
from training.averaging import update_average
from training.checkpointing import LATEST, load_checkpoint, save_checkpoint
from training.records import mean_and_spread, read_record, write_record
from training.summary import summarize


def record(seed, validation, test, car=0.5):
    return {
        'recipe': 'supervised',
        'name': 'x',
        'trained_on': 'synthetic',
        'seed': seed,
        'config': {'seed': seed, 'steps': 5},
        'metrics': {
            'synthetic_validation': {'miou': validation},
            'synthetic_test': {'miou': test, 'iou': {'car': car, 'bump': None}},
            'data_digest': {'train': 'abc'},
        },
    }


def test_record_round_trip(tmp_path):
    path = tmp_path / 'deep' / 'r.json'
    write_record(path, {'b': 1, 'a': {'µ': None}})
    assert read_record(path) == {'schema': 1, 'b': 1, 'a': {'µ': None}}
    assert list(json.loads(path.read_text())) == ['schema', 'b', 'a']
    assert [p.name for p in path.parent.iterdir()] == ['r.json']


def test_mean_and_spread_go_number_by_number():
    found = mean_and_spread([{'a': 1.0, 'b': {'c': 2, 'd': None}, 'e': 'x'}, {'a': 3.0}])
    assert found['a'] == {'mean': 2.0, 'std': pytest.approx(1.41421), 'values': [1.0, 3.0]}
    assert found['b'] == {'c': {'mean': 2.0, 'std': None, 'values': [2]}}
    assert 'e' not in found


def test_summary_ships_the_best_validation_seed_not_the_best_test_seed():
    summary = summarize([record(1, 0.4, 0.9), record(0, 0.5, 0.1), record(2, 0.3, 0.2)])
    assert summary['shipped_seed'] == 0
    assert summary['seeds'] == [0, 1, 2]
    assert summary['metrics']['synthetic_test']['miou']['values'] == [0.1, 0.9, 0.2]
    assert summary['metrics']['synthetic_test']['iou']['car']['std'] == 0.0
    assert 'data_digest' not in summary['metrics']


def test_summary_refuses_other_configurations():
    other = record(1, 0.4, 0.9)
    other['config']['steps'] = 6
    with pytest.raises(ConfigError, match='one configuration'):
        summarize([record(0, 0.4, 0.9), other])
    with pytest.raises(ConfigError, match='at least one'):
        summarize([])


def test_failed_save_keeps_the_old_checkpoint(tmp_path):
    save_checkpoint(tmp_path, {'fingerprint': 'f', 'step': 1})
    with pytest.raises(Exception, match='pickle'):
        save_checkpoint(tmp_path, {'fingerprint': 'f', 'step': lambda: 2})
    assert load_checkpoint(tmp_path, fingerprint='f')['step'] == 1
    assert [path.name for path in tmp_path.iterdir()] == [LATEST]
    assert load_checkpoint(tmp_path / 'none', fingerprint='f') is None


def test_average_follows_the_weights():
    average, network = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    torch.nn.init.constant_(network.weight, 5.0)
    network.num_batches_tracked += 7
    update_average(average, network, step=10**6, decay=0.9)
    assert average.weight[0].item() == pytest.approx(1.0 + 0.1 * 4.0)
    assert average.num_batches_tracked == 7
    update_average(average, network, step=0, decay=0.9)
    assert average.weight[0].item() == pytest.approx(5.0 - 0.05 * 3.6)
