# SPDX-License-Identifier: Apache-2.0
"""The benchmark of distillation losses: every loss has a row, memory is counted, not guessed."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.distillation_losses import (
    BASELINE,
    losses_for,
    main,
    measure,
    needed_gib,
    peak_bytes,
    random_maps,
    step,
)

SHAPE = (2, 9, 16, 16)


def test_peak_is_what_is_held_at_once():
    def one_after_the_other():
        for _ in range(3):
            torch.empty(1000)

    def at_once():
        return [torch.empty(1000) for _ in range(3)]

    assert 4000 <= peak_bytes(one_after_the_other) < 8000
    assert 12000 <= peak_bytes(at_once) < 16000


@pytest.mark.parametrize('name', losses_for(SHAPE))
def test_a_step_leaves_no_gradient_behind(name):
    maps = random_maps(SHAPE)
    loss = losses_for(SHAPE)[name](maps)
    assert loss.isfinite() and loss.requires_grad
    step(losses_for(SHAPE)[name], maps)
    assert maps.student.grad is None and maps.teacher.grad is None


def test_rows_are_compared_with_cross_entropy_and_too_large_ones_left_out():
    rows = {row['loss']: row for row in measure(SHAPE, rounds=1, largest_gib=1e-3)}
    assert list(rows) == list(losses_for(SHAPE))
    assert rows[BASELINE]['times_cross_entropy'] == 1.0
    pairs = 2 * 256**2 * 4
    assert rows['pairwise_affinity']['ms'] is None
    assert rows['pairwise_affinity']['needs_gib'] == round(6 * pairs / 2**30, 1)
    assert rows['pairwise_affinity half']['ms'] > 0.0
    for name, row in rows.items():
        if row['ms'] is not None and 'pairwise' not in name:
            assert row['peak_mib'] > 0.0


def test_the_matrix_of_pairs_is_counted():
    (row,) = (r for r in measure(SHAPE, 1, 20.0) if r['loss'] == 'pairwise_affinity')
    matrix = 2 * 256**2 * 4 / 2**20
    assert 3 * matrix <= row['peak_mib'] <= 6 * matrix
    assert needed_gib('pairwise_affinity', (2, 9, 120, 160)) > 11.0
    assert needed_gib('channel_wise', (2, 9, 120, 160)) == 0.0


def test_the_record_says_which_machine(tmp_path, capsys):
    out = tmp_path / 'folder' / 'cost.jsonl'
    main(['--shapes', '2x9x16x16', '--rounds', '1', '--out', str(out)])
    machine, *rows = map(json.loads, out.read_text().splitlines())
    assert set(machine) == {'machine', 'threads', 'rounds'}
    assert [row['loss'] for row in rows] == list(losses_for(SHAPE))
    assert {row['shape'] for row in rows} == {'2x9x16x16'}
    assert 'channel_wise' in capsys.readouterr().out
