# SPDX-License-Identifier: Apache-2.0
"""The tables of InverseForm from records made by hand; rows, configurations and commands agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from inverse_form_reports import module_report, settings_of, student_report, write_rows

from training.cekd_tables import read_runs
from training.inverse_form_module_tables import MODULES
from training.inverse_form_tables import (
    RETRAINED,
    STAGE_1,
    TABLES,
    costs_table,
    main,
    means_table,
    page,
    retrained_table,
    shown_parameters,
)
from training.recipes.inverse_form_config import InverseFormConfig
from training.settings import load_config

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.stem: path for path in (ROOT / 'training/configs/inverse_form').glob('*.yaml')}
NO_ROWS = {'smoke', 'mfnet', 'nyu', 'cityscapes', RETRAINED}
ROWS = {row for rows in TABLES.values() for row in rows}


@pytest.fixture
def results(tmp_path):
    networks = [module_report(0.7), module_report(0.8)]
    students = [
        student_report(0.31, 0.45, **networks[0]),
        student_report(0.35, 0.43, **networks[1]),
    ]
    rows = {
        'attention': [student_report(0.30, 0.40), student_report(0.32, 0.41)],
        'full': students,
        'random': [student_report(0.29, 0.39, **module_report(-0.5, scale=3.0))],
        'cnn_gap': [student_report(0.29, 0.39, **module_report(0.25))],
    }
    write_rows(tmp_path, {name: (settings_of(), reports) for name, reports in rows.items()})
    return tmp_path


def test_gains_are_told_seed_by_seed(results):
    runs = read_runs(results)
    names = ('attention', 'full', 'random')
    own, full, random = means_table(runs, names, against='attention').splitlines()[2:]
    assert own.startswith('| `attention` | 2 | 31.0 ± 1.4 |') and own.endswith('|  |  |  |')
    assert full.endswith('| 2.0 ± 1.4 | 3.5 ± 2.1 | 3.5 ± 2.1 |')
    assert random.endswith('| -1.0 | -1.0 | -1.0 |')


def test_what_a_lenient_network_explains_stands_beside_its_student(results):
    runs = read_runs(results)
    assert shown_parameters(runs, 'regressors') == ['shift_x', 'log_scale_x']
    assert shown_parameters(runs, 'arms') == []
    names = ('attention', 'cnn_gap')
    head, _, *rows = means_table(
        runs, names, against='attention', parameters=['shift_x']
    ).splitlines()
    assert head.endswith('| explained of shift_x [%] |')
    assert rows[0].endswith('|  |') and rows[1].endswith('| 25.0 |')


def test_costs_tell_what_is_left_behind_and_both_stages(results):
    rows = costs_table(read_runs(results)).splitlines()[2:]
    assert rows[0] == '| `attention` | 1,500 | 1,200 |  | 90 |'
    assert rows[1] == '| `full` | 1,500 | 1,200 | 30 | 90 |' and len(rows) == 4


def test_the_shipped_student_is_held_against_itself_on_the_validation_split(tmp_path):
    values = [(0.385, 0.250), (0.380, 0.260)]
    before = [
        {'synthetic_validation': {'miou_nanmean': miou, 'boundary_f_3px': boundary}}
        for miou, boundary in values
    ]
    after = [
        {'validation': {'miou_nanmean': miou + gain, 'boundary_f_3px': boundary - 0.02}}
        for (miou, boundary), gain in zip(values, (0.01, 0.02), strict=True)
    ]
    write_rows(tmp_path / 'before', {RETRAINED: ({}, before)})
    write_rows(tmp_path / 'after', {RETRAINED: ({}, after)})
    ours, theirs = (read_runs(tmp_path / name) for name in ('after', 'before'))
    rows = retrained_table(ours, theirs).splitlines()[2:]
    assert rows[0] == '| 0 | 38.5 | 39.5 | 1.0 | 25.0 | 23.0 | -2.0 |'
    assert rows[1].startswith('| 1 | 38.0 | 40.0 | 2.0 |')
    assert rows[2] == '| mean |  |  | 1.5 ± 0.7 |  |  | -2.0 ± 0.0 |'
    assert '<!-- begin inverse_form retrained -->' in page('', ours, theirs)


def test_page_gets_what_is_known_and_stays_when_written_again(results, tmp_path):
    target = tmp_path / 'page.md'
    target.write_text('# Title\n')
    for _ in range(2):
        main(['--results', str(results), '--compressed', str(tmp_path), '--page', str(target)])
    text = target.read_text()
    assert text == page(text, read_runs(results))
    for name in ('arms', 'tiles', 'regressors', 'modules', 'errors', 'costs'):
        assert text.count(f'<!-- begin inverse_form {name} -->') == 1
    assert not any(name in text for name in ('pspnet', 'eknet', 'choices', 'shifts', 'retrained'))


def test_rows_configurations_and_commands_agree():
    assert ROWS | set(STAGE_1) | NO_ROWS == set(FILES)
    text = (ROOT / 'training/README.md').read_text()
    commands = text.split("rows='", 1)[1].split("'", 1)[0].split()
    assert set(commands) == ROWS | (set(STAGE_1) - {'shifts'})
    assert len(commands) == len(set(commands))


def test_every_inverse_network_has_one_row_of_its_own():
    configs = {
        name: load_config(InverseFormConfig, ['--config_path', str(FILES[name])])
        for name in ROWS | set(STAGE_1) | {RETRAINED}
    }
    folders = {
        name: config.inverse_folder
        for name, config in configs.items()
        if config.stage == 'inverse' or config.student.needs_inverse
    }
    told = [name.removesuffix('_inverse') for name in MODULES if name != 'random']
    assert {folders[name] for name in told} == set(folders.values())
    assert len({folders[name] for name in told}) == len(told)
