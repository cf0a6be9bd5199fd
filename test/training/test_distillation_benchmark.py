# SPDX-License-Identifier: Apache-2.0
"""The benchmark of distillation losses: every loss has a row, memory is counted, not guessed."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import distillation_losses
from benchmarks.distillation_losses import (
    BASELINE,
    line_of,
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


@pytest.mark.parametrize('name', ['channel_wise', 'attention_transfer', 'pixel_wise'])
def test_aligned_rows_begin_with_the_channels_of_the_student(name):
    shape = (2, 64, 16, 16)
    maps, losses = random_maps(shape), losses_for(shape)
    aligned = f'{name}, aligned'
    assert list(losses)[-3:] == [
        'channel_wise, aligned', 'attention_transfer, aligned', 'pixel_wise, aligned',
    ]  # fmt: skip
    losses[aligned](maps).backward()
    assert maps.student.grad[:, :32].any() and not maps.student.grad[:, 32:].any()
    (row,) = (r for r in measure(shape, 1) if r['loss'] == aligned)
    (bare,) = (r for r in measure(shape, 1) if r['loss'] == name)
    assert row['peak_mib'] > bare['peak_mib']
    assert not [name for name in losses_for(SHAPE) if 'aligned' in name]


def test_rows_are_compared_with_cross_entropy_and_too_large_ones_left_out():
    rows = {row['loss']: row for row in measure(SHAPE, rounds=1, largest_gib=1e-3)}
    assert list(rows) == list(losses_for(SHAPE))
    assert rows[BASELINE]['times_cross_entropy'] == 1.0
    left_out = [name for name, row in rows.items() if row['ms'] is None]
    assert left_out == ['pairwise_affinity', 'holistic']
    assert rows['holistic']['needs_gib'] == 0.3
    assert 'left out: needs 0.3 GiB' in line_of(rows['holistic'])
    assert rows['pairwise_affinity half']['ms'] > 0.0
    for name, row in rows.items():
        if row['ms'] is not None and 'pairwise' not in name:
            assert row['peak_mib'] > 0.0


def test_free_memory_is_looked_at_before_each_row(monkeypatch):
    """It runs out after two rows."""
    left = iter([1.0, 1.0] + [1e-6] * 20)
    monkeypatch.setattr(distillation_losses, 'free_gib', lambda: next(left))
    rows = list(measure(SHAPE, 1))
    assert [row['ms'] is None for row in rows] == [False, False] + [True] * (len(rows) - 2)
    assert {row['free_gib'] for row in rows[2:]} == {0.0}
    monkeypatch.undo()
    assert 0.0 < distillation_losses.free_gib() < 1e5


def test_what_a_row_needs_is_more_than_it_takes():
    for shape in (SHAPE, (2, 64, 16, 16)):
        for row in measure(shape, 1):
            assert row['peak_mib'] <= 1024.0 * needed_gib(row['loss'], shape), row
    assert needed_gib('pairwise_affinity', (2, 9, 120, 160)) == pytest.approx(16.5, abs=0.1)
    assert needed_gib('channel_wise', (2, 9, 120, 160)) < 0.1


def test_the_matrix_of_pairs_is_counted():
    (row,) = (r for r in measure(SHAPE, 1) if r['loss'] == 'pairwise_affinity')
    matrix = 2 * 256**2 * 4 / 2**20
    assert 3 * matrix <= row['peak_mib'] <= 6 * matrix


def test_rows_are_written_as_they_come_and_nothing_is_lost(tmp_path, capsys, monkeypatch):
    out = tmp_path / 'folder' / 'cost.jsonl'
    options = ['--shapes', '2x9x16x16', '--rounds', '1', '--out', str(out)]
    main(options)
    machine, *rows = map(json.loads, out.read_text().splitlines())
    assert set(machine) == {'machine', 'threads', 'rounds'}
    assert [row['loss'] for row in rows] == list(losses_for(SHAPE))
    assert {row['shape'] for row in rows} == {'2x9x16x16'}
    assert 'channel_wise' in capsys.readouterr().out
    measured = distillation_losses.measure_one

    def dying(name, *rest):
        if name == 'pixel_wise':
            raise KeyboardInterrupt
        return measured(name, *rest)

    monkeypatch.setattr(distillation_losses, 'measure_one', dying)
    with pytest.raises(KeyboardInterrupt):
        main(options)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[: len(rows) + 1] == [machine, *rows]
    assert [line.get('loss') for line in lines[len(rows) + 1 :]] == [
        None, BASELINE, 'soft_cross_entropy',
    ]  # fmt: skip
