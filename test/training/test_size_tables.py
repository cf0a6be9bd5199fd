# SPDX-License-Identifier: Apache-2.0
"""Tables of small and large things from records made by hand."""

from __future__ import annotations

import pytest
from channel_wise_records import write_results

from training.cekd_tables import read_runs
from training.size_tables import class_sizes_section, sizes_section, things_of

NAMES = ('alone', 'at_features', 'cwd_logits', 'absent')


@pytest.fixture
def runs(tmp_path):
    return read_runs(write_results(tmp_path))


def test_recall_and_precision_with_gains(runs):
    recall, precision = sizes_section(runs, NAMES, against='alone').split('\n\n')
    head, _, alone, at, cwd = recall.splitlines()
    assert head == '| recall | 1-8 px |', 'a group without things is left out'
    assert (alone, at) == ('| `alone` | 21.0 ± 1.0 |', '| `at_features` | 19.0 (-1.0) |')
    assert cwd == '| `cwd_logits` | 25.5 ± 0.7 (+4.5 ± 0.7) |'
    head, _, alone, at, cwd = precision.splitlines()
    assert head == '| precision | 1-8 px | 9-16 px |'
    assert at == '| `at_features` | 9.5 (-0.5) | 10.0 (+0.0) |'
    assert alone == '| `alone` | 10.5 ± 0.5 | 10.0 ± 0.0 |'


def test_classes_count_alike_however_many_things_they_have(runs):
    many = {'recall': 0.9, 'things': 100, 'precision': None, 'parts': 0}
    first = runs['cwd_logits'][0]['metrics']['student']['test']['by_size']['1-8']
    first['by_class']['person'] = many
    del runs['cwd_logits'][1]
    recall, precision = sizes_section(runs, ('alone', 'cwd_logits'), against='alone').split('\n\n')
    assert recall.endswith('| `cwd_logits` | 57.5 (+37.5) |')
    assert precision.splitlines()[-1].startswith('| `cwd_logits` | 12.5 (+2.5) |')


def test_one_table_for_each_class(runs):
    car, person = class_sizes_section(runs, NAMES, ('car', 'person')).split('\n\n')
    assert car.splitlines()[0] == '| car | 1-8 px |'
    assert car.splitlines()[-1] == '| `cwd_logits` | 25.5 ± 0.7, 12.8 ± 0.4 |'
    assert person.splitlines()[-1] == '| `cwd_logits` | -, - |'


def test_how_many_things_there_are(runs):
    assert things_of(runs, NAMES) == '3 of 1-8 px, 0 of 9-16 px, 0 of 17 px and more'
    assert things_of({}, NAMES) == ''
