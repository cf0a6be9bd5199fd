# SPDX-License-Identifier: Apache-2.0
"""Rows of a table differ in their terms alone, or in what is told."""

from __future__ import annotations

import copy

import pytest
from channel_wise_records import record

from kd_perception.errors import ConfigError
from training.channel_wise_alike import check_alike

ALONE = {'alone': {seed: record('alone', seed, 0.2) for seed in (0, 1)}}


def changed(name, **settings):
    own = copy.deepcopy(record(name, 1, 0.3))
    own['config'] |= settings
    return {**ALONE, name: {1: own}}


def test_terms_and_paths_are_free():
    check_alike(changed('cwd_logits', output='elsewhere', seed=1), 'alone', {'cwd_logits': ()})


def test_another_setting_must_be_one_that_may_differ():
    runs = changed('cekd', train={'count': 1400}, student={'loop': {'steps': 3}})
    check_alike(runs, 'alone', {'cekd': ('train.count', 'student.loop.steps')})
    check_alike(runs, 'alone', {})
    check_alike(runs, 'none', {'cekd': ()})
    with pytest.raises(ConfigError, match=r'cekd, seed 1, .* of alone, others are train.count:'):
        check_alike(runs, 'alone', {'cekd': ('student.loop.steps',)})


def test_another_world_and_a_seed_of_the_reference_that_is_other_are_refused():
    runs = changed('cwd_logits')
    runs['cwd_logits'][1]['frame_keys']['train'] = 'other'
    with pytest.raises(ConfigError, match=r'others are frame_keys\.train'):
        check_alike(runs, 'alone', {'cwd_logits': ()})
    seeds = {'alone': {**ALONE['alone'], **changed('alone', mfnet='folder')['alone']}}
    with pytest.raises(ConfigError, match=r'alone, seed 1, .* others are mfnet'):
        check_alike(seeds, 'alone', {})
