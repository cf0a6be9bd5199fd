# SPDX-License-Identifier: Apache-2.0
"""Runs have the terms that they were tuned to, or are told to be untuned."""

from __future__ import annotations

import copy

import pytest
from channel_wise_records import record, tried, tuning, write_results

from kd_perception.errors import ConfigError
from training.cekd_tables import read_runs
from training.channel_wise_tuned import (
    check_budgets,
    check_tuned,
    read_tuned,
    tuning_section,
    untuned,
)

TUNED = {'cwd_logits': tuning('cwd_logits')}


def runs_of(name, **changes):
    own = copy.deepcopy(record('cwd_logits', 0, 0.3))
    own['config']['terms'][0] |= changes
    return {name: {0: own}}


@pytest.mark.parametrize(
    'changes',
    [{'weight': 3.0}, {'options': {'temperature': 1.0}}, {'loss': 'hint'}, {'alignment': 'bare'}],
)
def test_terms_that_were_not_tuned_are_refused(changes):
    check_tuned(runs_of('cwd_logits'), TUNED)
    with pytest.raises(ConfigError, match=r'cwd_logits, seed 0, must have the terms .*12.5'):
        check_tuned(runs_of('cwd_logits', **changes), TUNED)


@pytest.mark.parametrize(
    'changes', [{'steps': 400}, {'seeds': [100]}, {'tried': {'0.1': tried(0.2, 0.2)}}]
)
def test_unequal_effort_is_refused(changes):
    at, alone = tuning('at_features'), tuning('cwd_logits')
    alone |= {'config': {'terms': []}, 'tried': {}}
    check_budgets({**TUNED, 'at_features': at, 'alone': alone})
    with pytest.raises(ConfigError, match=r'with the effort of cwd_logits, .* at_features with'):
        check_budgets({**TUNED, 'at_features': {**at, **changes}})
    if 'tried' not in changes:
        with pytest.raises(ConfigError, match=r'with the effort of cwd_logits, .* alone with'):
            check_budgets({'alone': {**alone, **changes}, **TUNED})


def test_another_world_or_run_than_the_tuned_one_is_refused():
    runs = runs_of('cwd_logits')
    runs['cwd_logits'][0]['frame_keys']['train'] = 'other'
    with pytest.raises(ConfigError, match=r'must be the run that was tuned, .* frame_keys.train'):
        check_tuned(runs, TUNED)
    runs = runs_of('cwd_logits')
    runs['cwd_logits'][0]['config']['teacher'] = {'modality': 'rgb'}
    with pytest.raises(ConfigError, match=r'others are teacher.modality: tune it again'):
        check_tuned(runs, TUNED)


def test_rows_without_a_record_of_tuning_are_told():
    runs = {**runs_of('cwd_logits'), **runs_of('other', weight=3.0)}
    runs['alone'] = {0: record('alone', 0, 0.2)}
    check_tuned(runs, TUNED)
    assert untuned(runs, TUNED) == ['other']
    assert untuned(runs, {}) == ['cwd_logits', 'other']


def test_what_was_tried_and_chosen(tmp_path):
    results = write_results(tmp_path)
    tuned = read_tuned(results / 'tuning')
    assert tuned['cwd_logits']['chosen'] == '0.1' and read_tuned(tmp_path / 'none') == {}
    *_, row, _, told = tuning_section(read_runs(results), tuned).splitlines()
    assert row == '| `cwd_logits` | 2 x 500 | 10.0 ± 0.0 | 20.0 ± 1.4 | - | 0.1 | 12.5 |'
    assert told == 'Not tuned, with the weights of their files: `at_features`, `cwd_features`.'
    assert tuning_section({}, {}) == ''
    edge = {**tuned['cwd_logits'], 'chosen': '0.5'}
    assert tuning_section({}, {'cwd_logits': edge}).endswith('| 0.5 * | 12.5 |')
    none = {**tuning('cwd_logits'), 'name': 'alone', 'config': {'terms': []}, 'weights': {}}
    none |= {'tried': {'0': tried(0.15, 0.15)}, 'chosen': '0'}
    alone, row = tuning_section({}, {'alone': none, **tuned}).splitlines()[2:]
    assert alone == '| `alone` | 2 x 500 | 15.0 ± 0.0 |  |  |  | 0 | - |'
    assert row == '| `cwd_logits` | 2 x 500 |  | 10.0 ± 0.0 | 20.0 ± 1.4 | - | 0.1 | 12.5 |'
