# SPDX-License-Identifier: Apache-2.0
"""Tables of inverse networks from records made by hand: one scale for all rows."""

from __future__ import annotations

import pytest
from inverse_form_reports import module_report, settings_of, write_rows

from training.cekd_tables import read_runs
from training.inverse_form_module_tables import (
    choices_table,
    errors_table,
    modules_table,
    shifts_table,
)


@pytest.fixture
def runs(tmp_path):
    choices = {
        'mean': {'shift_x': 0.0, 'log_scale_x': 0.01},
        'spread': {'shift_x': 0.02, 'log_scale_x': 0.002},
        'frames': 9,
    }
    random = module_report(-0.3)
    networks = {
        'full': (settings_of(), [module_report(0.7), module_report(0.8)]),
        'tile48': (settings_of(48, 1.0 / 3.0, 0.0), [module_report(0.6)]),
        'stn_inverse': (
            settings_of(),
            [module_report(0.9, on_random_transforms=random, choices=choices)],
        ),
        'random': (settings_of(), [module_report(-0.5, scale=3.0)]),
    }
    rows = {
        name: (settings, [{'inverse': each} for each in found])
        for name, (settings, found) in networks.items()
    }
    curves = {'shift_px': [0, 8], 'cross_entropy': [0.1, 0.4], 'inverse_form': [0.2, 1.5]}
    write_rows(tmp_path, {**rows, 'shifts': ({}, [{'shifts': curves}])})
    return read_runs(tmp_path)


def test_modules_are_told_with_their_ranges_on_random_transforms(runs):
    full, tile48, stn, random = modules_table(runs).splitlines()[2:]
    start = (
        '| `full` | 32 | 8.0 | 1.50 | 1,000 | 50 | 75.0 ± 7.1 |  | 75.0 ± 7.1 |  | 37.5 ± 3.5 |'
    )
    assert full.startswith(start) and full.endswith('| 0.0200 ± 0.0000 |  |')
    assert tile48.startswith('| `tile48` | 48 | 8.0 | 1.50 | 1,000 | 0 | 60.0 |  |')
    assert '| 50 | -30.0 | 90.0 | -30.0 |' in stn
    assert random.startswith('| `random` |') and random.endswith('| 0.0200 | 3.00 |')


def test_shifts_are_in_pixels_whatever_the_tile(runs):
    rows = errors_table(runs).splitlines()[2:]
    assert rows[0].startswith('| `full` | 1.6 |  | 0.2 |')
    assert rows[1].startswith('| `tile48` | 2.4 |  | 0.2 |')
    assert len(rows) == 4


def test_choices_are_shares_of_their_ranges(runs):
    head, _, *rows = choices_table(runs).splitlines()
    assert head == '| of the choices [% of the range] | shift_x | log_scale_x |'
    assert rows == ['| mean | 0.0 | 1.0 |', '| spread | 2.0 | 0.2 |']


def test_losses_against_shifts_are_as_they_are(runs):
    assert shifts_table(runs).splitlines()[2:] == [
        '| 0 | 0.100 | 0.200 |',
        '| 8 | 0.400 | 1.500 |',
    ]
