# SPDX-License-Identifier: Apache-2.0
"""The tables of channel-wise distillation from records made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.cekd_tables import read_runs
from training.channel_wise_tables import (
    LONG,
    OTHERS,
    ROWS,
    cost_table,
    gains,
    main,
    main_table,
    page,
    rows_table,
    signed,
    sizes_table,
    tuning_table,
)
from training.recipes import channel_wise
from training.records import write_record

SCORES = {
    'alone': (0.20, 0.22, 0.21),
    'cwd_logits': (0.25, 0.26),
    'at_features': (0.19,),
    'alone_long': (0.30,),
    'cwd_logits_long': (0.31,),
}


def report(miou):
    names = ('miou_nanmean', 'miou_frequent', 'macc_nanmean', 'boundary_f_3px')
    group = {'recall': miou, 'things': 3}
    sizes = {'1-8': group, '9-': {'recall': None, 'things': 0}}
    test = {**dict.fromkeys(names, miou), 'miou_rare': None, 'iou': {'car': miou}}
    return {'test': {**test, 'recall_by_size': sizes}}


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / 'results'
    for name, values in SCORES.items():
        for seed, value in enumerate(values):
            record = {'name': name, 'seed': seed, 'metrics': {'student': report(value)}}
            write_record(folder / f'{name}_seed{seed}.json', record)
    record = {'name': 'teacher', 'seed': 0, 'metrics': {'teacher': report(0.4)}}
    write_record(folder / 'teacher_seed0.json', record)
    tried = {'0.1': {'miou_nanmean': 0.2}, '0.5': {'miou_nanmean': None}}
    tuned = {'name': 'cwd_logits', 'tried': tried, 'chosen': '0.1', 'weights': {'x': 12.5}}
    write_record(folder / 'tuning' / 'cwd_logits.json', tuned)
    return folder


def test_the_papers_table(results):
    rows = main_table(read_runs(results)).splitlines()
    assert rows[2] == '| teacher |  |  | 40.0 |  | 40.0 |  |'
    assert rows[3].startswith('| student alone |  |  | 21.0 ± 1.0 |')
    at, cwd = rows[4], rows[-1]
    assert at == '| AT | no | h w c^p | 19.0 | -1.0 | - |  |'
    assert cwd == '| CWD | yes | h w c | - |  | 25.5 ± 0.7 | +4.5 ± 0.7 |'


def test_gains_are_those_of_common_seeds(results):
    runs = read_runs(results)
    assert gains(runs, 'cwd_logits', 'miou_nanmean', against='alone') == pytest.approx([5.0, 4.0])
    assert gains(runs, 'absent', 'miou_nanmean', against='alone') == []
    assert (signed([]), signed([-1.0]), signed([0.5, 0.5])) == ('', '-1.0', '+0.5 ± 0.0')


def test_rows_with_their_gains_and_what_is_not_known(results):
    head, _, alone, at, cwd = rows_table(read_runs(results), ROWS).splitlines()
    assert head.endswith('| mIoU, minus alone | frequent, minus alone | rare, minus alone |')
    assert alone.startswith('| `alone` | 3 | 21.0 ± 1.0 | 21.0 ± 1.0 | - |')
    assert at.startswith('| `at_features` | 1 | 19.0 |')
    assert cwd.endswith('| +4.5 ± 0.7 | +4.5 ± 0.7 | - |')
    longer = rows_table(read_runs(results), LONG, against='alone_long').splitlines()
    assert longer[-1].endswith('| +1.0 | +1.0 | - |')


def test_small_and_large_things_apart(results):
    head, _, alone, at, cwd = sizes_table(read_runs(results), ROWS).splitlines()
    assert head == '| run | 1-8 px |', 'a group without things is left out'
    assert (alone, at) == ('| `alone` | 21.0 ± 1.0 |', '| `at_features` | 19.0 (-1.0) |')
    assert cwd == '| `cwd_logits` | 25.5 ± 0.7 (+4.5 ± 0.7) |'


def test_what_was_tried_and_chosen(results):
    *_, row = tuning_table(results / 'tuning').splitlines()
    assert row == '| `cwd_logits` | 20.0 | - | 0.1 | 12.5 |'


def test_costs_by_shape():
    row = {'loss': 'at', 'shape': '2x9x4x4', 'ms': 1.25, 'times_cross_entropy': 2.5}
    lines = [
        {'machine': 'this one'},
        {**row, 'peak_mib': 3.4},
        {**row, 'loss': 'pa', 'ms': None, 'peak_mib': None},
        {**row, 'shape': '2x9x8x8', 'ms': 10.0, 'peak_mib': 12.6},
    ]
    head, _, at, pa = cost_table(lines).splitlines()
    assert head == '| loss | 2x9x4x4 | 2x9x8x8 |'
    assert at == '| `at` | 1.2 ms (2.5), 3 MiB | 10.0 ms (2.5), 13 MiB |'
    assert pa == '| `pa` | - | - |'


def test_page_gets_what_there_is_and_stays_when_written_again(results, tmp_path):
    target, cost = tmp_path / 'page.md', tmp_path / 'cost.jsonl'
    target.write_text('# Title\n')
    assert page('# Title\n', {}, tmp_path / 'none', cost) == '# Title\n'
    row = {'loss': 'at', 'shape': '2x9x4x4', 'ms': 1.0, 'times_cross_entropy': 2.0}
    cost.write_text(json.dumps({**row, 'peak_mib': 3.0}) + '\n')
    for _ in range(2):
        main(['--results', str(results), '--cost', str(cost), '--page', str(target)])
    text = target.read_text()
    for name in ('table', 'rows', 'classes', 'sizes', 'others', 'long', 'tuning', 'cost'):
        assert text.count(f'<!-- begin channel_wise {name} -->') == 1
    assert text.count('| `cwd_logits` |') == 5


def test_every_row_has_a_configuration():
    folder = Path(channel_wise.__file__).parents[1] / 'configs' / 'channel_wise'
    names = (*ROWS, *OTHERS, *LONG, 'teacher')
    assert len(set(names)) == len(names)
    assert not [name for name in names if not (folder / f'{name}.yaml').is_file()]
