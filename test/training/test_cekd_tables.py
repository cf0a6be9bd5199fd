# SPDX-License-Identifier: Apache-2.0
"""The tables of CEKD from records made by hand."""

from __future__ import annotations

import json

import pytest

from training.cekd_tables import (
    TABLES,
    classes_table,
    compression_table,
    contrast_table,
    main,
    means_table,
    page,
    read_runs,
    sizes_table,
    spread,
)
from training.records import write_record


def report(miou):
    names = ('miou', 'miou_nanmean', 'macc', 'macc_nanmean', 'miou_hot', 'miou_cold')
    bounds = {f'boundary_f_{k}px': 0.1 * k for k in (1, 2, 3, 5)}
    return {'test': {**dict.fromkeys(names, miou), **bounds, 'iou': {'car': miou, 'bump': None}}}


@pytest.fixture
def results(tmp_path):
    for name, values in {'full': (0.30, 0.32), 'soft': (0.27, 0.31), 'kdnet': (0.25,)}.items():
        for seed, value in enumerate(values):
            metrics = {'student': report(value), 'teacher': report(0.5)}
            record = {'name': name, 'seed': seed, 'metrics': metrics}
            write_record(tmp_path / f'{name}_seed{seed}.json', record)
    return tmp_path


def test_mean_spread_and_gain_seed_by_seed(results):
    text = means_table(read_runs(results), ('full', 'soft', 'absent'), 'student', against='full')
    full, soft = text.splitlines()[2:]
    assert full.startswith('| `full` | 2 | 31.0 ± 1.4 |') and full.endswith('|  |')
    assert soft.startswith('| `soft` | 2 | 29.0 ± 2.8 |') and soft.endswith('| -2.0 ± 1.4 |')


def test_classes_are_those_that_were_scored(results):
    head, _, full, kdnet = classes_table(
        read_runs(results), ('full', 'kdnet', 'absent'), 'student'
    ).splitlines()
    assert head == '| run | car | bump |'
    assert (full, kdnet) == ('| `full` | 31.0 ± 1.4 | - |', '| `kdnet` | 25.0 | - |')


def test_what_is_not_known_is_a_dash():
    assert spread([float('nan')]) == '-'
    assert spread([1.0, float('nan')]) == '1.0'


def test_contrast_is_told_of_runs_with_an_enhancement(results):
    runs = read_runs(results)
    for record, exponent, bump in zip(runs['full'].values(), (1.5, 1.7), (0.9, None), strict=True):
        record['metrics']['student']['enhancement'] = {
            'exponent': {'mean': exponent, 'least': 1.25, 'most': 2.0},
            'contrast_ratio': {'car': 1.125, 'bump': bump},
        }
    head, _, *rows = contrast_table(runs, ('kdnet', 'full')).splitlines()
    assert head == '| run | exponent, mean | exponent, least | exponent, most | car | bump |'
    assert rows == ['| `full` | 1.60 ± 0.14 | 1.25 ± 0.00 | 2.00 ± 0.00 | 1.12 ± 0.00 | 0.90 |']


def test_page_gets_every_section_and_stays_when_written_again(results, tmp_path):
    target = tmp_path / 'page.md'
    target.write_text('# Title\n')
    for _ in range(2):
        main(['--results', str(results), '--page', str(target)])
    text = target.read_text()
    assert text == page(text, read_runs(results))
    for name in (*TABLES, 'teachers', 'contrast'):
        assert text.count(f'<!-- begin cekd {name} -->') == 1
    assert '`kdnet`' in text.split('begin cekd enhancement')[1]


def test_what_compression_keeps_is_told_seed_by_seed(results, tmp_path):
    compressed = tmp_path / 'compressed'
    for seed, value in enumerate((0.24, 0.16)):
        split = {**report(value)['test'], 'iou': {'car': 0.5, 'person': None}}
        record = {'name': 'small_soft', 'seed': seed, 'metrics': {'synthetic_test': split}}
        write_record(compressed / f'small_soft_seed{seed}.json', record)
    runs, own = read_runs(results), read_runs(compressed)
    row = compression_table(own, runs).splitlines()[2]
    kept = '65.0 ± 21.2 %'  # 0.24 of 0.30, 0.16 of 0.32
    assert (
        row
        == f'| `small_soft` | 2 | 20.0 ± 5.7 | 20.0 ± 5.7 | 50.0 ± 0.0 | - | 30.0 ± 0.0 | {kept} |'
    )
    target = tmp_path / 'page.md'
    target.write_text('# Title\n')
    main(['--results', str(results), '--compressed', str(compressed), '--page', str(target)])
    assert kept in target.read_text().split('begin cekd compression')[1]


def test_records_are_read_by_name_and_seed(results):
    runs = read_runs(results)
    assert {name: sorted(seeds) for name, seeds in runs.items()} == {
        'full': [0, 1], 'kdnet': [0], 'soft': [0, 1],
    }  # fmt: skip
    assert json.loads((results / 'full_seed0.json').read_text())['schema'] == 1


def test_sizes_and_times_of_networks():
    lines = [
        {'machine': 'two cores'},
        {'network': 'large', 'weights': 1_234_567, 'ms': 20.04, 'times_rep_unet_s': 2.04},
    ]
    assert sizes_table(lines).splitlines()[2:] == ['| large | 1.23 M | 20.0 | 2.0 |']
