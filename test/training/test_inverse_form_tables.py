# SPDX-License-Identifier: Apache-2.0
"""The tables of InverseForm from records made by hand."""

from __future__ import annotations

import pytest

from training.cekd_tables import read_runs
from training.inverse_form_tables import costs_table, main, means_table, modules_table, page
from training.inverse_form_tables import shifts_table as shifts
from training.records import write_record


def report(miou, boundary, **inverse):
    names = ('miou_nanmean', 'macc_nanmean')
    bounds = {f'boundary_f_{k}px': boundary for k in (1, 2, 3, 5)}
    found = {
        'test': {**dict.fromkeys(names, miou), **bounds},
        'weights': {'training': 1500, 'deployed': 1200},
        'training_seconds': 90.0,
    }
    return {**found, 'inverse': inverse} if inverse else found


def module(share, weights=1000, **rmse):
    return {'explained_share': share, 'weights': weights, 'rmse': rmse}


@pytest.fixture
def results(tmp_path):
    rows = {
        'attention': [report(0.30, 0.40), report(0.32, 0.41)],
        'full': [
            report(0.31, 0.45, **module(0.7, shift_x=0.02)),
            report(0.35, 0.43, **module(0.8, shift_x=0.04)),
        ],
        'random': [report(0.29, 0.39, **module(-0.5, shift_x=0.1))],
    }
    for name, reports in rows.items():
        for seed, metrics in enumerate(reports):
            record = {'name': name, 'seed': seed, 'metrics': metrics}
            write_record(tmp_path / f'{name}_seed{seed}.json', record)
    curves = {'shift_px': [0, 8], 'cross_entropy': [0.1, 0.4], 'inverse_form': [0.2, 2.0]}
    record = {'name': 'shifts', 'seed': 0, 'metrics': {'shifts': curves}}
    write_record(tmp_path / 'shifts_seed0.json', record)
    return tmp_path


def test_gains_are_told_seed_by_seed(results):
    runs = read_runs(results)
    names = ('attention', 'full', 'random')
    own, full, random = means_table(runs, names, against='attention').splitlines()[2:]
    assert own.startswith('| `attention` | 2 | 31.0 ± 1.4 |') and own.endswith('|  |  |  |')
    assert full.endswith('| 2.0 ± 1.4 | 3.5 ± 2.1 | 3.5 ± 2.1 |')
    assert random.endswith('| -1.0 | -1.0 | -1.0 |')


def test_modules_have_their_errors(results):
    rows = modules_table(read_runs(results)).splitlines()[2:]
    assert rows[0].startswith('| `full` | 1,000 | 75.0 ± 7.1 | 0.03 |  |')
    assert rows[1].startswith('| `random` | 1,000 | -50.0 | 0.1 |')
    assert len(rows) == 2


def test_shifts_are_shares_of_the_last(results):
    rows = shifts(read_runs(results)).splitlines()[2:]
    assert rows == ['| 0 | 25.0 | 10.0 |', '| 8 | 100.0 | 100.0 |']


def test_costs_tell_what_is_left_behind(results):
    rows = costs_table(read_runs(results)).splitlines()[2:]
    assert rows[0] == '| `attention` | 1,500 | 1,200 | 90 |' and len(rows) == 3


def test_page_gets_what_is_known_and_stays_when_written_again(results, tmp_path):
    target = tmp_path / 'page.md'
    target.write_text('# Title\n')
    for _ in range(2):
        main(['--results', str(results), '--page', str(target)])
    text = target.read_text()
    assert text == page(text, read_runs(results))
    sections = ('arms', 'distances', 'tiles', 'regressors', 'modules', 'shifts', 'costs')
    for name in sections:
        assert text.count(f'<!-- begin inverse_form {name} -->') == 1
    assert 'pspnet' not in text and 'eknet' not in text
