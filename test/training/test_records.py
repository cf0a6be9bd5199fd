# SPDX-License-Identifier: Apache-2.0
"""Records, checkpoints and the average of weights."""

from __future__ import annotations

import json

import pytest
import torch

from training.averaging import update_average
from training.checkpointing import LATEST, load_checkpoint, save_checkpoint
from training.records import mean_and_spread, read_record, write_record


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


def test_failed_save_keeps_the_old_checkpoint(tmp_path):
    save_checkpoint(tmp_path, {'fingerprint': 'f', 'step': 1})
    with pytest.raises(Exception, match='pickle'):
        save_checkpoint(tmp_path, {'fingerprint': 'f', 'step': lambda: 2})
    assert load_checkpoint(tmp_path, fingerprint='f')['step'] == 1
    assert [path.name for path in tmp_path.iterdir()] == [LATEST]
    assert load_checkpoint(tmp_path / 'none', fingerprint='f') is None


def test_what_a_killed_save_left_goes_with_the_next(tmp_path):
    (tmp_path / f'{LATEST}.k1ll3d.tmp').write_bytes(b'half')
    save_checkpoint(tmp_path, {'fingerprint': 'f', 'step': 1})
    assert [path.name for path in tmp_path.iterdir()] == [LATEST]


def test_average_follows_the_weights():
    average, network = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    torch.nn.init.constant_(network.weight, 5.0)
    network.num_batches_tracked += 7
    update_average(average, network, step=10**6, decay=0.9)
    assert average.weight[0].item() == pytest.approx(1.0 + 0.1 * 4.0)
    assert average.num_batches_tracked == 7
    update_average(average, network, step=0, decay=0.9)
    assert average.weight[0].item() == pytest.approx(5.0 - 0.05 * 3.6)
