# SPDX-License-Identifier: Apache-2.0
"""The tables of mutual distillation from records made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import mutual_tables
from training.cekd_tables import read_runs
from training.channel_wise_rows import DEPTH
from training.mutual_tables import (
    STUDENTS,
    TABLES,
    Rows,
    as_branches,
    depth_table,
    main,
    page,
    sigma_table,
)
from training.records import write_record

CONFIGS = Path(mutual_tables.__file__).parent / 'configs' / 'mutual_distillation'


def report(abs_rel, *, sigma=True):
    depth = {'abs_rel': abs_rel, 'rmse': 10 * abs_rel, 'delta1': 1 - abs_rel}
    found = {'all': depth, 'outside': {'abs_rel': 2 * abs_rel}, 'scale_ratio': 1.0}
    areas = {name: {'ause': abs_rel / 2, 'aurg': 0.01} for name in ('abs_rel', 'rmse', 'outliers')}
    return {'test': {**found, 'sparsification': areas} if sigma else found}


@pytest.fixture
def results(tmp_path):
    for seed, (base, first, second) in enumerate([(0.3, 0.28, 0.29), (0.2, 0.21, 0.25)]):
        runs = {
            'plain_sum': {'summed': report(base, sigma=False)},
            'sup_unsup': {'supervised': report(first), 'unsupervised': report(second)},
        }
        for name, metrics in runs.items():
            record = {'name': name, 'seed': seed, 'metrics': metrics}
            write_record(tmp_path / f'{name}_seed{seed}.json', record)
    return tmp_path


def test_depth_of_every_branch_and_its_gain_seed_by_seed(results):
    rows = Rows(('plain_sum', 'absent', 'sup_unsup'), 'plain_sum')
    lines = depth_table(read_runs(results), rows).splitlines()[2:]
    assert len(lines) == 3
    base, first, second = ([cell.strip() for cell in line.split('|')[1:-1]] for line in lines)
    assert base[:6] == [
        '`plain_sum`', 'summed', '2', '0.250 ± 0.071', '2.5 ± 0.7', '0.750 ± 0.071'
    ]  # fmt: skip
    assert base[-2:] == ['', '']
    assert first[:4] == ['`sup_unsup`', 'supervised', '2', '0.245 ± 0.049']
    assert first[6:8] == ['-', '0.490 ± 0.099']  # nothing inside, twice as much outside
    assert first[-2:] == ['-0.020, +0.010', '-0.040, +0.020']
    assert second[-2] == '-0.010, +0.050'


def test_only_branches_with_uncertainty_are_in_its_table(results):
    rows = Rows(('plain_sum', 'sup_unsup'), 'plain_sum')
    lines = sigma_table(read_runs(results), rows).splitlines()[2:]
    assert [line.split('|')[2].strip() for line in lines] == ['supervised', 'unsupervised']
    assert lines[0].split('|')[3].strip() == '0.122 ± 0.025'


def test_page_gets_the_tables_that_are_whole_and_stays_when_written_again(
    results, tmp_path, monkeypatch
):
    tables = {
        'whole': Rows(('plain_sum', 'sup_unsup'), 'sup_unsup'),
        'partial': Rows(('plain_sum', 'absent'), 'plain_sum'),
    }
    monkeypatch.setattr(mutual_tables, 'TABLES', tables)
    target = tmp_path / 'page.md'
    target.write_text('# Title\n')
    folders = {'results': results, 'students': tmp_path / 'none', 'page': target}
    arguments = [part for name, path in folders.items() for part in (f'--{name}', str(path))]
    for _ in range(2):
        main(arguments)
    text = target.read_text()
    assert text == page(text, read_runs(results))
    assert text.count('<!-- begin mutual whole -->') == 1
    assert 'mutual partial' not in text and 'mutual students' not in text


def test_students_have_one_branch_and_scores_as_those_of_the_networks_that_taught_them(tmp_path):
    for name, error in (('small_lidar', 0.2), ('small_lidar_and_teacher', 0.15)):
        record = {'name': name, 'seed': 1, 'metrics': {**report(error), 'sigma_scale': 1.1}}
        write_record(tmp_path / 'students' / f'{name}_seed1.json', record)
    students = as_branches(read_runs(tmp_path / 'students'))
    lines = depth_table(students, STUDENTS).splitlines()[2:]
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]
    assert [row[:4] for row in cells] == [
        ['`small_lidar`', 'student', '1', '0.200'],
        ['`small_lidar_and_teacher`', 'student', '1', '0.150'],
    ]
    assert cells[1][-2] == '-0.050'
    text = page('# Title\n', dict.fromkeys(STUDENTS.names, students['small_lidar']))
    assert '<!-- begin mutual students -->' in text


def test_every_row_has_a_configuration_and_every_configuration_a_row():
    named = {name for rows in TABLES.values() for name in rows.names}
    rows = {name for name in named if not name.endswith('place_prior')}  # has no network
    files = {path.stem for path in CONFIGS.glob('*.yaml')}
    others = {'smoke', 'paper_kitti', 'cityscapes', 'bag'}
    assert rows == files - others
    assert all(rows.against in rows.names for rows in TABLES.values())
    students = {path.stem for path in (CONFIGS.parent / 'compress_depth').glob('small_*.yaml')}
    elsewhere = {name for rows in DEPTH for name in rows.names}  # of channel-wise distillation
    assert {*STUDENTS.names, *elsewhere} == students
