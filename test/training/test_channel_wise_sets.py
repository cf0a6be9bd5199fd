# SPDX-License-Identifier: Apache-2.0
"""Channel-wise distillation on one's own heat and color: MFNet, PST900, and tuning on them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from channel_wise_runs import tiny_run, with_loop
from labeled_folders import SETS, WRITERS

from kd_perception.errors import ConfigError
from training import channel_wise_tuning as tuning
from training.recipes import channel_wise
from training.recipes.channel_wise_data import class_shares, split_frames


@pytest.fixture(params=SETS)
def kind(request):
    return request.param


@pytest.fixture
def config(kind, tmp_path):
    write, counts = WRITERS[kind]
    root = tmp_path / 'set'
    write(root, counts)
    run = tiny_run(tmp_path, tmp_path / 'cache', 'pixel_wise_features', **{kind: str(root)})
    return with_loop(run, steps=2, batch_size=2, checkpoint_steps=2)


def test_it_is_learnt_from_and_scored(kind, config, monkeypatch):
    monkeypatch.setattr(channel_wise, 'load_config', lambda kind, arguments: config)
    channel_wise.main([])
    record = json.loads(config.record_path.read_text())
    assert (record['trained_on'], record['frame_keys']) == ('real', {})
    student = record['metrics']['student']
    assert tuple(student) == config.split_names[1:]
    assert tuple(student['test']['iou']) == SETS[kind][0].names
    assert (student['test']['miou_frequent'] is None) == (kind == 'pst900')
    assert len(class_shares(config)) == SETS[kind][0].num_classes
    assert not config.cache.exists(), 'nothing is rendered'


def test_weights_are_tuned_on_its_validation_split(kind, config, fabric):
    if kind == 'pst900':
        with pytest.raises(ConfigError, match='set held_out_share'):
            tuning.tune(config, fabric, ratios=(1.0,), steps=1, warm_steps=0)
        config = replace(config, held_out_share=0.2)
    assert len(split_frames(config, 'validation')) == {'mfnet': 2, 'pst900': 3}[kind]
    record = tuning.tune(config, fabric, ratios=(1.0,), seeds=(100,), steps=1, warm_steps=0)
    assert record['frame_keys'] == {} and record['chosen'] == '1'
    assert record['tried']['1']['miou_nanmean'] is not None
