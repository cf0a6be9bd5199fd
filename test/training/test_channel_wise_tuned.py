# SPDX-License-Identifier: Apache-2.0
"""Runs have the terms that they were tuned to, or are told to be untuned."""

from __future__ import annotations

import copy

import pytest
from channel_wise_records import record, tuning, write_results

from kd_perception.errors import ConfigError
from training.cekd_tables import read_runs
from training.channel_wise_tuned import check_tuned, read_tuned, tuning_section, untuned

TUNED = {'cwd_logits': tuning('cwd_logits')}
TAKEN_OVER = 'thermal_teacher_cwd_logits'


def runs_of(name, **changes):
    own = copy.deepcopy(record('cwd_logits', 0, 0.3))
    own['config']['terms'][0] |= changes
    return {name: {0: own}}


@pytest.mark.parametrize('name', ['cwd_logits', TAKEN_OVER])
@pytest.mark.parametrize(
    'changes',
    [{'weight': 3.0}, {'options': {'temperature': 1.0}}, {'loss': 'hint'}, {'alignment': 'bare'}],
)
def test_terms_that_were_not_tuned_are_refused(name, changes):
    check_tuned(runs_of(name), TUNED)
    with pytest.raises(ConfigError, match=f'{name}, seed 0, must have the terms .*12.5'):
        check_tuned(runs_of(name, **changes), TUNED)


def test_another_world_is_refused():
    runs = runs_of('cwd_logits')
    runs['cwd_logits'][0]['frame_keys']['train'] = 'other'
    with pytest.raises(ConfigError, match='of the world that it was tuned on'):
        check_tuned(runs, TUNED)


def test_rows_without_a_record_of_tuning_are_told():
    runs = {**runs_of('cwd_logits'), **runs_of(TAKEN_OVER), **runs_of('other', weight=3.0)}
    runs['alone'] = {0: record('alone', 0, 0.2)}
    check_tuned(runs, TUNED)
    assert untuned(runs, TUNED) == ['other']
    assert untuned(runs, {}) == ['cwd_logits', TAKEN_OVER, 'other']


def test_what_was_tried_and_chosen(tmp_path):
    results = write_results(tmp_path)
    tuned = read_tuned(results / 'tuning')
    assert tuned['cwd_logits']['chosen'] == '0.1' and read_tuned(tmp_path / 'none') == {}
    *_, row, _, told = tuning_section(read_runs(results), tuned).splitlines()
    assert row == '| `cwd_logits` | 2 x 500 | 20.0 | - | 0.1 | 12.5 |'
    assert told == 'Not tuned, with the weights of their files: `at_features`, `cwd_features`.'
    assert tuning_section({}, {}) == ''
