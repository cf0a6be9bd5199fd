# SPDX-License-Identifier: Apache-2.0
"""Each part of an InverseForm run has a record of its own: none takes the place of another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from config_files import write_config
from inverse_form_runs import tiny_run

from training import inverse_form_shifts
from training.cekd_tables import read_runs
from training.recipes import inverse_form
from training.records import read_record


@pytest.fixture
def config(tmp_path):
    return tiny_run(tmp_path, tmp_path)


def finished(config, folder, monkeypatch, **metrics):
    """The record of a run whose stages gave these metrics."""
    monkeypatch.setattr(inverse_form, 'run_stages', lambda config, fabric: metrics)
    inverse_form.main(['--config_path', str(write_config(config, folder))])
    return read_record(config.record_path)


def test_stage_1_alone_leaves_the_record_of_the_student(config, tmp_path, monkeypatch):
    student = finished(config, tmp_path, monkeypatch, weights={'deployed': 5})
    assert student['name'] == 'tiny' and student['metrics'] == {'weights': {'deployed': 5}}
    first = replace(config, stage='inverse')
    record = finished(first, tmp_path, monkeypatch, inverse={'explained_share': 0.6})
    assert record['name'] == 'tiny_inverse' and list(record['metrics']) == ['inverse']
    assert first.record_path == config.results / 'tiny_inverse_seed0.json'
    assert read_record(config.record_path) == student
    assert set(read_runs(config.results)) == {'tiny', 'tiny_inverse'}


def test_losses_against_shifts_leave_the_record_of_the_run(config):
    assert inverse_form_shifts.record_name(config) == 'tiny_shifts'
    assert inverse_form_shifts.record_name(replace(config, name='shifts')) == 'shifts'


def test_checkpoints_are_those_of_the_run_whatever_its_stage(config):
    first = replace(config, stage='inverse')
    assert first.folder == config.folder
    assert first.inverse_folder == config.inverse_folder
    assert first.fingerprint() == config.fingerprint()
