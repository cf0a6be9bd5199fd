# SPDX-License-Identifier: Apache-2.0
"""What tags of a folder say by themselves: which classes never come."""

from __future__ import annotations

import pytest
from config_files import write_config
from eps_runs import tiny_run
from tagged_folders import name_of, tagged_folder

from kd_perception.tagging import TagTable
from training.recipes import eps
from training.recipes.eps_tags import absent_classes


def write_tags(folder, classes, rows):
    TagTable(classes, {name_of(k): tags for k, tags in enumerate(rows)}).write(folder / 'tags.csv')


@pytest.fixture
def folder(tmp_path):
    return tagged_folder(tmp_path)


def test_a_class_that_no_frame_has_is_warned_of(folder, tmp_path, monkeypatch, capsys):
    classes = ('car', 'bus', 'person')
    write_tags(folder, classes, [(True, False, False), (False, False, False), None] * 4)
    config = tiny_run(tmp_path, tmp_path, tagged=str(folder), modality='thermal')
    assert absent_classes(config) == ['bus', 'person']
    monkeypatch.setattr(eps, 'run_stages', lambda config, fabric: {})
    eps.main(['--config_path', str(write_config(config, tmp_path))])
    assert 'no tagged frame has bus, person:' in capsys.readouterr().err
    write_tags(folder, classes, [(True, True, True)] * 12)
    eps.main(['--config_path', str(write_config(config, tmp_path))])
    assert capsys.readouterr().err == ''


def test_the_world_has_what_it_has(tmp_path):
    assert absent_classes(tiny_run(tmp_path, tmp_path)) == []
