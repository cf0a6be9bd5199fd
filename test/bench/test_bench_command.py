# SPDX-License-Identifier: Apache-2.0
"""`kd-perception bench` end to end: rows, file, tables; and clear refusals."""

from __future__ import annotations

import json

import pytest

from kd_perception.bench.latency import BenchConfig
from kd_perception.bench.table import stack_table, tables
from kd_perception.cli import main
from kd_perception.errors import ConfigError


@pytest.fixture(scope='module')
def rows(tiny_student_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp('bench') / 'rows.jsonl'
    code = main(
        ['bench', '--students', str(tiny_student_folder), '--rounds', '2', '--threads', '1',
         '--busy', '1', '--json', str(out)]
    )  # fmt: skip
    assert code == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.mark.slow
def test_rows_say_all_that_was_measured(rows):
    kinds = [row['row'] for row in rows]
    assert kinds[:3] == ['machine', 'peaks', 'student']
    assert kinds.count('peaks') == 2
    backends = [(row['backend'], row['precision']) for row in rows if row['row'] == 'backend']
    assert ('openvino', 'fp32') in backends and ('onnxruntime', 'fp32') in backends
    for row in rows:
        if row['row'] == 'backend':
            assert row['build_s'] > 0 and row['first_frame_ms'] > 0 and row['peak_mib'] > 20
            assert row.get('passes', True) or row['precision'] == 'bf16'
    stacks = [row for row in rows if row['row'] == 'stack']
    assert {row['busy_processes'] for row in stacks} == {0, 1}
    assert {row['stack'] for row in stacks} >= {'C', 'openvino_fp32', 'onnxruntime_fp32'}
    for row in stacks:
        whole = row['stages_ms']['whole']
        assert 0 < whole['min'] <= whole['median'] <= whole['p90'] <= whole['p99'] <= whole['max']
        assert row['frames'] == 10


@pytest.mark.slow
def test_tables_show_every_row(rows):
    text = tables(rows)
    assert '### tiny' in text and 'idle' in text and '1 other processes busy' in text
    lines = stack_table(rows, 'tiny', 0).splitlines()
    stacks = [row for row in rows if row['row'] == 'stack' and row['busy_processes'] == 0]
    assert len(lines) == 2 + len(stacks)
    assert len({line.count('|') for line in lines}) == 1
    for row, line in zip(stacks, lines[2:], strict=True):
        assert f'**{row["stages_ms"]["whole"]["median"]:.1f}**' in line


@pytest.mark.parametrize('values', [{'rounds': 0}, {'threads': -1}, {'busy': -1}])
def test_bad_settings_are_refused(values):
    with pytest.raises(ConfigError):
        BenchConfig(**values)


def test_unknown_student_is_refused_before_anything_is_measured(capsys):
    assert main(['bench', '--students', 'no_such_student']) == 1
    assert 'no_such_student' in capsys.readouterr().err


def test_a_pair_is_refused(tiny_pair_folder, capsys):
    assert main(['bench', '--students', str(tiny_pair_folder), '--rounds', '2']) in (1, 2)
    assert 'students that stand alone; tiny_pair has a second one' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['tiny_depth', 'tiny_color'])
def test_students_of_color_images_are_measured_too(request, kind, capsys):
    folder = request.getfixturevalue(f'{kind}_folder')
    arguments = ['--rounds', '1', '--threads', '1', '--busy', '0']
    assert main(['bench', '--students', str(folder), *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [json.loads(line) for line in lines if line.startswith('{')]
    stacks = {row['stack'] for row in rows if row['row'] == 'stack'}
    assert stacks >= {'C', 'openvino_fp32', 'onnxruntime_fp32'}
    judged = [row for row in rows if row['row'] == 'backend' and 'difference' in row]
    exact = [row for row in judged if row['precision'] == 'fp32']  # some CPUs run bf16, too
    assert exact and all(row['passes'] for row in exact)
    key = 'abs_rel' if kind == 'tiny_depth' else 'labels'
    assert all(row['difference'][key] < (1e-4 if row in exact else 0.02) for row in judged)
    title = 'depth %' if kind == 'tiny_depth' else 'labels %'
    assert any(title in line for line in lines)
