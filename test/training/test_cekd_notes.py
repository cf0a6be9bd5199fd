# SPDX-License-Identifier: Apache-2.0
"""A stage of CEKD is not taken for one of another world or another recording."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from cekd_runs import tiny_run
from pair_bags import write_pairs

from kd_perception.errors import ConfigError
from training.checkpointing import load_checkpoint
from training.data import world as world_data
from training.recipes import cekd
from training.recipes.cekd_report import table_row
from training.recipes.cekd_trained import trained_network
from training.records import read_record
from training.runs import save


@pytest.fixture
def config(tmp_path, world_cache, monkeypatch):
    """A run of a recording, whose stages learn nothing, but end and leave their checkpoints."""

    def fit(run, *, loop, folder, fingerprint, **_):
        run.step = loop.steps
        save(run, folder, fingerprint)

    monkeypatch.setattr(cekd, 'fit', fit)
    drive = write_pairs(tmp_path / 'drive', count=5)
    return tiny_run(tmp_path, world_cache, bag=str(drive), class_weighted=False)


def notes_in(folder, fingerprint):
    return load_checkpoint(folder, fingerprint=fingerprint)['notes']


def test_each_stage_notes_what_it_learnt_from(config, fabric):
    cekd.networks(config, fabric)
    frames = {'key': config.train.key()}
    assert notes_in(config.teacher_folder, config.teacher_fingerprint()) == {'frames': frames}
    student = notes_in(config.folder, config.fingerprint())
    assert student['frames'] == frames
    assert student['recording']['key'] == config.recorded_pairs.key(config.cache)
    assert student['recording']['report']['pairs'] == 5


def test_another_recording_of_the_same_name_is_refused(config, fabric, tmp_path):
    cekd.networks(config, fabric)
    shutil.rmtree(config.bag)
    write_pairs(tmp_path / 'drive', count=4)
    with pytest.raises(ConfigError, match=rf'drive has changed.* remove {config.folder} to start'):
        cekd.networks(config, fabric)
    cekd.networks(replace(config, stage='teacher'), fabric)  # learnt nothing from it
    assert set(cekd.networks(replace(config, name='other'), fabric)) == {'teacher', 'student'}


def test_checkpoints_of_another_world_are_refused(config, fabric, monkeypatch):
    cekd.networks(config, fabric)
    monkeypatch.setattr(world_data, '_SOURCES', ('edited',))
    with pytest.raises(ConfigError, match=f'world has changed; remove {config.teacher_folder}'):
        cekd.networks(config, fabric)
    for role in ('teacher', 'student'):
        with pytest.raises(ConfigError, match='world has changed'):
            trained_network(config, role)
    shutil.rmtree(config.teacher_folder)
    with pytest.raises(ConfigError, match=f'world has changed; remove {config.folder}'):
        cekd.networks(config, fabric)


def test_checkpoints_that_are_older_than_the_notes_go_on(config, fabric, monkeypatch):
    monkeypatch.setattr(cekd, 'notes_of', lambda config, stage: {})
    cekd.networks(config, fabric)
    monkeypatch.undo()
    monkeypatch.setattr(world_data, '_SOURCES', ('edited',))
    assert set(cekd.networks(config, fabric)) == {'teacher', 'student'}


def test_the_record_tells_the_recording(config, monkeypatch):
    columns = ('miou', 'macc', 'miou_hot', 'miou_cold', 'boundary_f_3px')
    scores = {'test': dict.fromkeys(columns, 0.5)}
    assert table_row('row', scores['test'])
    monkeypatch.setattr(cekd, 'load_config', lambda kind, arguments: config)
    monkeypatch.setattr(cekd, 'evaluate', lambda *_: scores)
    cekd.main([])
    record = read_record(config.record_path)
    assert record['trained_on'] == 'real'
    assert record['recording'] == notes_in(config.folder, config.fingerprint())['recording']
    assert record['recording']['report']['messages']['thermal']['used'] == 5
    monkeypatch.setattr(cekd, 'load_config', lambda *_: replace(config, stage='teacher'))
    cekd.main([])
    assert 'recording' not in read_record(config.record_path)
