# SPDX-License-Identifier: Apache-2.0
"""CEKD: that both stages learn, resume, share, are recorded and scored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cekd_runs import LOOP, shareable, tiny_run
from run_processes import run_recipe

from training.recipes import cekd
from training.recipes.cekd_data import student_frames
from training.recipes.cekd_networks import StudentConfig, TeacherConfig
from training.recipes.cekd_report import by_temperature, table_row


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def weights_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_resumed_stages_give_the_same_bits(config, fabric, monkeypatch, tmp_path):
    whole = replace(config, output=tmp_path / 'whole')
    expected = {k: weights_of(n) for k, n in cekd.networks(whole, fabric).items()}
    fit, ends = cekd.fit, []

    def dying(run, **arguments):
        draw = arguments['draw']

        def drawn(step, index):
            if step == 4 and len(ends) < 2 and arguments['folder'] not in ends:
                ends.append(arguments['folder'])
                raise KeyboardInterrupt
            return draw(step, index)

        fit(run, **{**arguments, 'draw': drawn})

    monkeypatch.setattr(cekd, 'fit', dying)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            cekd.networks(config, fabric)
    resumed = cekd.networks(config, fabric)
    assert ends == [config.teacher_folder, config.folder]
    for role, weights in expected.items():
        for name, value in resumed[role].state_dict().items():
            assert torch.equal(value, weights[name]), (role, name)


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_learn_what_one_learns(config, fabric, tmp_path):
    one = cekd.networks(shareable(config), fabric)  # renders the frames, too
    folder = tmp_path / 'two'
    run_recipe('cekd_runs', folder, config.cache)
    states = torch.load(folder / 'states.pt')
    for role, network in one.items():
        torch.testing.assert_close(dict(network.state_dict()), states[role], rtol=2e-3, atol=2e-4)


def test_a_run_writes_its_record_and_its_rows(tmp_path, world_cache, capsys, monkeypatch):
    config = tiny_run(tmp_path, world_cache, presets=('night',), preset_count=2)
    monkeypatch.setattr(cekd, 'load_config', lambda kind, arguments: config)
    cekd.main([])
    record = json.loads(config.record_path.read_text())
    assert set(record['metrics']) == {'teacher', 'student'}
    student = record['metrics']['student']
    assert {'validation', 'test', 'night', 'enhancement'} <= set(student)
    assert {f'boundary_f_{k}px' for k in (1, 2, 3, 5)} <= set(student['test'])
    assert student['enhancement']['exponent']['least'] > 1.0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('|')]
    assert [row.split('|')[1].strip() for row in rows] == ['tiny teacher', 'tiny student']


@pytest.mark.parametrize(
    'changes',
    [
        {'stage': 'joint'},
        {'stage': 'teacher', 'teacher': TeacherConfig(modality='rgb', edges='image', loop=LOOP)},
        {
            'student': StudentConfig(
                target='label', similarity_weight=0.0, edge_hint_weight=0.0, soft_weight=0.0,
                enhancement='none', loop=LOOP,
            )
        },
    ],
    ids=['joint', 'color teacher', 'student alone'],
)  # fmt: skip
def test_other_ways_to_train(config, fabric, changes):
    config = replace(config, **changes)
    roles = set(cekd.networks(config, fabric))
    expected = {'joint': {'teacher', 'student'}, 'teacher': {'teacher'}, 'student': {'student'}}
    assert roles == expected[config.stage]
    assert student_frames(config).labeled == 5


def test_hot_and_cold_classes():
    iou = dict.fromkeys(('bike', 'curve', 'car_stop', 'guardrail', 'color_cone'), 0.2)
    found = by_temperature({**iou, 'bump': None, 'car': 0.5, 'person': 0.7})
    assert found == {'miou_hot': 0.6, 'miou_cold': 0.2}
    metrics = {**found, 'miou': 0.3, 'macc': 0.4, 'boundary_f_3px': None}
    assert table_row('row', metrics) == '| row | 30.0 | 40.0 | 60.0 | 20.0 | - |'


@pytest.mark.slow
def test_the_smoke_run_goes_from_nothing_to_its_rows(tmp_path, capsys):
    smoke = Path(__file__).parents[2] / 'training' / 'configs' / 'cekd' / 'smoke.yaml'
    folders = {name: str(tmp_path / name) for name in ('cache', 'output', 'results')}
    settings = [part for name, path in folders.items() for part in (f'--{name}', path)]
    cekd.main(['--config_path', str(smoke), '--launch.accelerator', 'cpu', *settings])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('|')]
    assert [row.split('|')[1].strip() for row in rows] == ['smoke teacher', 'smoke student']
    record = json.loads((tmp_path / 'results' / 'smoke_seed0.json').read_text())
    assert record['trained_on'] == 'synthetic'
