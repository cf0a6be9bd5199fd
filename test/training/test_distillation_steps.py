# SPDX-License-Identifier: Apache-2.0
"""The benchmark of training steps: whole steps of real rows, told with their ratios."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from channel_wise_runs import tiny_run

from benchmarks.distillation_steps import CONFIGS, ROWS, main, measure, stepper
from training.recipes import channel_wise

ROOT = Path(channel_wise.__file__).parents[2]


def test_a_step_is_one_of_the_student(tmp_path, world_cache, monkeypatch):
    config, learners = tiny_run(tmp_path, world_cache, 'channel_wise_features'), []

    def new_learner(*arguments):
        learners.append(channel_wise.new_learner(*arguments))
        return learners[-1]

    monkeypatch.setattr('benchmarks.distillation_steps.new_learner', new_learner)
    step = stepper(config)
    (learner,) = learners
    before = [parameter.clone() for parameter in learner.parameters()]
    step(0)
    changed = [not torch.equal(a, b) for a, b in zip(before, learner.parameters(), strict=True)]
    assert all(changed), 'student and alignment layer'


def test_rows_have_ratios_against_the_first(tmp_path, world_cache):
    configs = [tiny_run(tmp_path, world_cache), tiny_run(tmp_path, world_cache, 'hint_features')]
    first, second = measure(configs, 1)
    assert first['times_first'] == 1.0 and first['ms'] > 0.0
    assert second['times_first'] == pytest.approx(second['ms'] / first['ms'], rel=0.05)


def test_the_command_writes_the_machine_and_the_rows(tmp_path, capsys):
    out = tmp_path / 'steps.jsonl'
    main([
        '--configs', str(ROOT / CONFIGS), '--rows', 'alone', 'cekd', '--rounds', '1',
        '--frames', '4', '--cache', str(tmp_path / 'cache'), '--out', str(out),
    ])  # fmt: skip
    head, *rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert head['rounds'] == 1 and 'machine' in head
    assert [row['run'] for row in rows] == ['alone', 'cekd']
    assert 'cekd' in capsys.readouterr().out


def test_every_row_has_a_configuration():
    assert all((ROOT / CONFIGS / f'{name}.yaml').is_file() for name in ROWS)
