# SPDX-License-Identifier: Apache-2.0
"""The tables of channel-wise distillation from records made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from channel_wise_records import record, tried, tuning, write_results

from kd_perception.errors import ConfigError
from training.cekd_tables import read_runs
from training.channel_wise_rows import DEPTH, OTHERS, PAIRS, ROWS, SAME_ROWS, TEACHERS, THERMAL
from training.channel_wise_tables import (
    choice_table,
    class_gains_table,
    depth_section,
    main,
    main_table,
    page,
    pairs_table,
    rows_table,
    student_sections,
)
from training.recipes import channel_wise
from training.records import read_record, write_record

CONFIGS = Path(channel_wise.__file__).parents[1] / 'configs'


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / 'results')


def test_the_papers_table(results):
    rows = main_table(read_runs(results)).splitlines()
    assert rows[2] == '| teacher |  |  | 40.0 |  | 40.0 |  |'
    assert rows[3].startswith('| student alone |  |  | 21.0 ± 1.0 |')
    at, cwd = rows[4], rows[-1]
    assert at == '| AT | no | h w c^p | 19.0 | -1.0 | - |  |'
    assert cwd == ('| CWD | yes | h w c | 26.0 ± 2.8 | +5.0 ± 1.4 | 25.5 ± 0.7 | +4.5 ± 0.7 |')


def test_rows_with_their_gains_and_what_is_not_known(results):
    head, _, alone, at, _, cwd = rows_table(read_runs(results), ROWS).splitlines()
    assert head.endswith('| mIoU, minus alone | frequent, minus alone | rare, minus alone |')
    assert alone.startswith('| `alone` | 3 | 21.0 ± 1.0 | 21.0 ± 1.0 | - |')
    assert at.startswith('| `at_features` | 1 | 19.0 |')
    assert cwd.endswith('| +4.5 ± 0.7 | +4.5 ± 0.7 | - |')


def test_validation_stands_beside_the_test_split(results):
    head, _, alone, cwd = rows_table(
        read_runs(results), ('alone', 'cwd_logits'), validated=True
    ).splitlines()
    assert head.startswith('| run | seeds | mIoU, validation | mIoU |')
    assert alone.startswith('| `alone` | 3 | 31.0 ± 1.0 | 21.0 ± 1.0 |')
    assert cwd.startswith('| `cwd_logits` | 2 | 35.5 ± 0.7 | 25.5 ± 0.7 |')


def test_teachers_have_groups_and_classes(results):
    *_, teacher = rows_table(
        read_runs(results), TEACHERS, against='teacher', role='teacher'
    ).splitlines()
    assert teacher.startswith('| `teacher` | 1 | 40.0 | 40.0 | - |')


def test_losses_stand_in_the_order_of_their_gains_with_their_time(results):
    for name, miou in (
        ('thermal_alone', 0.1), ('thermal_cwd_logits', 0.13), ('thermal_teacher_cwd_logits', 0.14),
        ('rgb_teacher_cwd_logits', 0.17),
    ):  # fmt: skip
        write_record(results / f'{name}_seed0.json', record(name, 0, miou))
    steps = [{'machine': {}}, {'run': 'alone', 'ms': 50.0, 'times_first': 1.0}]
    steps += [{'run': 'cwd_logits', 'ms': 75.0, 'times_first': 1.5}]
    head, _, *rows = choice_table(read_runs(results), steps).splitlines()
    assert head.startswith('| loss | color to color | color and heat to color | heat to heat |')
    assert rows == [
        '| `cwd_features` |  | +5.0 ± 1.4 |  |  |  |',
        '| `at_features` |  | -1.0 |  |  |  |',
        '| `cwd_logits` | -3.0 | +4.5 ± 0.7 | +4.0 | +3.0 | 1.50 |',
    ]


def test_rows_of_the_other_teacher_have_tables_of_their_own(results):
    assert 'rgb_teacher_rows' not in student_sections(read_runs(results))
    write_record(
        results / 'rgb_teacher_cwd_logits_seed1.json', record('rgb_teacher_cwd_logits', 1, 0.3)
    )
    sections = student_sections(read_runs(results))
    *_, own = sections['rgb_teacher_rows'].splitlines()
    assert own.startswith('| `rgb_teacher_cwd_logits` | 1 | 30.0 |')
    assert '`rgb_teacher_cwd_logits` minus `cwd_logits`' in sections['pairs']


def test_gains_by_class(results):
    head, _, at, *_, cwd = class_gains_table(read_runs(results), ROWS).splitlines()
    assert head == '| minus alone | car | bump |'
    assert at == '| `at_features` | -1.0 | - |'
    assert cwd == '| `cwd_logits` | +4.5 ± 0.7 | - |'


def test_pairs_by_their_common_seeds(results):
    head, _, row = pairs_table(read_runs(results)).splitlines()
    assert head == '| runs | seeds | mIoU | frequent | rare |'
    assert row == '| `cwd_features` minus `cwd_logits` | 2 | +0.5 ± 2.1 | +0.5 ± 2.1 | - |'


def test_depth_students_in_pairs(tmp_path):
    scores = {'all': {'abs_rel': 0.2}, 'outside': {'abs_rel': 0.3}}
    names = [name for rows in DEPTH for name in rows.names]
    for name in names:
        record = {'name': name, 'seed': 0, 'metrics': {'test': scores}}
        write_record(tmp_path / f'{name}_seed0.json', record)
    section = depth_section(read_runs(tmp_path))
    assert section.count('abs rel minus `small_lidar`') == 1
    assert section.count('| `small_labels_and_places` | student | 1 | 0.200 |') == 1
    (tmp_path / 'small_labels_seed0.json').unlink()
    assert depth_section(read_runs(tmp_path)) == ''


def test_page_gets_what_there_is_and_stays_when_written_again(results, tmp_path):
    target, cost = tmp_path / 'page.md', tmp_path / 'cost.jsonl'
    target.write_text('# Title\n')
    assert page('# Title\n', {}, {}, {}, {}, [], []) == '# Title\n'
    row = {'loss': 'at', 'shape': '2x9x4x4', 'ms': 1.0, 'times_cross_entropy': 2.0}
    cost.write_text(json.dumps({**row, 'peak_mib': 3.0}) + '\n')
    steps = tmp_path / 'steps.jsonl'
    lines = [{'machine': {}}, {'run': 'alone', 'ms': 51.4, 'times_first': 1.0}]
    steps.write_text('\n'.join(json.dumps(line) for line in lines))
    options = ['--results', str(results), '--cost', str(cost), '--page', str(target)]
    guide = tmp_path / 'guide.md'
    guide.write_text('# Guide\n')
    options += ['--steps', str(steps), '--guide', str(guide)]
    longer = {**tuning('cwd_logits'), 'steps': 2000, 'tried': {'2.5': tried(0.37)}}
    write_record(results / 'full_length' / 'tuning' / 'cwd_logits.json', longer)
    for _ in range(2):
        main([*options, '--students', str(tmp_path / 'none')])
    text = target.read_text()
    for name in (
        'table', 'rows', 'classes', 'class_gains', 'teachers', 'sizes', 'class_sizes', 'others',
        'pairs', 'tuning', 'full_length', 'cost', 'steps',
    ):  # fmt: skip
        assert text.count(f'<!-- begin channel_wise {name} -->') == 1
    assert 'channel_wise depth' not in text
    assert '| `alone` | 51 | 1.00 |' in text
    assert guide.read_text().count('<!-- begin channel_wise choice -->') == 1
    assert '| `cwd_logits` | 2 x 2000 | 37.0 |' in text
    assert 'Not tuned, with the weights of their files: `at_features`, `cwd_features`.' in text


def test_other_weights_than_the_tuned_ones_are_refused(results, tmp_path):
    path = results / 'cwd_logits_seed1.json'
    changed = read_record(path)
    changed['config']['terms'][0]['weight'] = 3.0
    write_record(path, changed)
    target = tmp_path / 'page.md'
    target.write_text('# Title\n')
    with pytest.raises(ConfigError, match='cwd_logits, seed 1, must have the terms'):
        main(['--results', str(results), '--page', str(target), '--guide', str(target)])
    assert target.read_text() == '# Title\n'


def test_every_row_has_a_configuration():
    names = (*ROWS, *SAME_ROWS[1:], *OTHERS, *THERMAL, *TEACHERS)
    assert len(set(names)) == len(names)
    files = {path.stem for path in (CONFIGS / 'channel_wise').glob('*.yaml')}
    assert files == {*names, 'smoke'}
    assert {name for pair in PAIRS for name in pair} <= {*ROWS, *SAME_ROWS, *OTHERS, *THERMAL}
    depth = [CONFIGS / 'compress_depth' / f'{name}.yaml' for rows in DEPTH for name in rows.names]
    assert all(path.is_file() for path in depth)
