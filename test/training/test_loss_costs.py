# SPDX-License-Identifier: Apache-2.0
"""The table of what losses cost, from lines made by hand."""

from __future__ import annotations

from training.loss_costs import cost_table

ROW = {'loss': 'at', 'shape': '2x9x4x4', 'ms': 1.25, 'times_cross_entropy': 2.5}


def test_costs_by_shape():
    lines = [
        {'machine': 'this one'},
        {**ROW, 'peak_mib': 3.4},
        {**ROW, 'loss': 'pa', 'ms': None, 'peak_mib': None, 'needs_gib': 16.5},
        {**ROW, 'shape': '2x9x8x8', 'ms': 10.0, 'peak_mib': 12.6},
    ]
    head, _, at, pa = cost_table(lines).splitlines()
    assert head == '| loss | 2x9x4x4 | 2x9x8x8 |'
    assert at == '| `at` | 1.2 ms (2.5), 3 MiB | 10.0 ms (2.5), 13 MiB |'
    assert pa == '| `pa` | not run: needs 16.5 GiB | - |'


def test_a_line_that_was_written_later_counts():
    lines = [{**ROW, 'peak_mib': 3.0}, {'machine': 'again'}, {**ROW, 'ms': 7.0, 'peak_mib': 4.0}]
    assert cost_table(lines).splitlines()[-1] == '| `at` | 7.0 ms (2.5), 4 MiB |'
