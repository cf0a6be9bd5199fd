# SPDX-License-Identifier: Apache-2.0
"""EPS on a folder of tagged frames: all stages, which frames measure, more tags, its record."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from config_files import write_config
from eps_runs import changed, tagged_run
from PIL import Image
from tagged_folders import CLASSES, SIZE, label_of, name_of, tagged_folder

from kd_perception.errors import ConfigError
from kd_perception.tagging import read_tag_table
from kd_perception.tagging.frame_names import image_of
from training.distributed import launch
from training.recipes import eps
from training.recipes.eps_data import RunFrames


def run(config):
    return eps.run_stages(config, launch(config.launch))


def test_a_folder_of_tags(tmp_path):
    folder = tagged_folder(tmp_path)
    config = tagged_run(tmp_path, folder)
    assert (config.classes, config.modality) == (CLASSES, 'thermal')
    assert config.segmentation.modality == 'thermal' and not config.rendered
    frames = RunFrames(config)
    assert (len(frames['train']), len(frames['test'])) == (11, 1)
    metrics = run(config)
    names = {'accuracy', 'majority_accuracy', 'place_accuracy'}
    assert names <= set(metrics['classifier']) and names <= set(metrics['segmentation']['tags'])
    assert set(metrics['segmentation']['tags']['class_accuracy']) == set(CLASSES)
    assert config.saliency_source() == {'source': 'detector', 'name': 'heat_contrast'}


def test_labels_score_masks_and_student_and_teach_nothing(tmp_path):
    """With labels of the recording and without: one has scores, both have the same weights."""
    folder = tagged_folder(tmp_path, count=20, tiles=(1, 2))
    config = tagged_run(tmp_path, folder)
    assert [frame.name for frame in RunFrames(config).labeled('test')] == [name_of(9), name_of(19)]
    np.testing.assert_array_equal(RunFrames(config).labeled('test')[0].things, label_of(9))
    metrics = run(config)
    assert metrics['masks']['images'] == 36 and 'salient_tags' in metrics['masks']
    assert set(metrics['segmentation']['iou']) == {'background', *CLASSES}
    (folder / 'labels').rename(folder / 'moved')
    plain = tagged_run(tmp_path, folder)
    assert plain.fingerprint() == config.fingerprint()
    metrics = run(plain)
    assert metrics['masks'] == {} and set(metrics['segmentation']) == {'tags'}


def test_more_tags_and_the_same_command_train_anew(tmp_path):
    folder = tagged_folder(tmp_path)
    first = tagged_run(tmp_path, folder)
    run(first)
    table = read_tag_table(folder / 'tags.csv')
    table.rows[name_of(3)] = (True, True)
    table.write(folder / 'tags.csv')
    second = tagged_run(tmp_path, folder)
    for part in ('folder', 'classifier_folder', 'masks_folder'):
        assert getattr(second, part) != getattr(first, part)
    run(second)
    assert all(config.folder.is_dir() for config in (first, second))


def test_a_record_says_where_images_come_from(tmp_path, monkeypatch):
    folder = tagged_folder(tmp_path)
    config = tagged_run(tmp_path, folder, modality='thermal')
    monkeypatch.setattr(eps, 'run_stages', lambda config, fabric: {})

    def record(config):
        eps.main(['--config_path', str(write_config(config, tmp_path))])
        return json.loads(config.record_path.read_text())

    found = record(config)
    assert found['trained_on'] == 'recording, origin not known' and found['frame_keys'] == {}
    assert found['saliency'] == {'source': 'detector', 'name': 'heat_contrast'}
    source = json.loads((folder / 'source.json').read_text())
    source['recordings'][0]['synthetic'] = True
    (folder / 'source.json').write_text(json.dumps(source))
    maps = tmp_path / 'maps'
    maps.mkdir()
    for index in range(12):
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(maps / f'{name_of(index)}.png')
    config = replace(config, saliency=str(maps))
    found = record(config)
    assert (found['trained_on'], found['saliency']) == ('synthetic', {'source': 'folder of maps'})
    said = {'source': 'student', 'student': 'tiny', 'sha256': 'abc', 'trained_on': 'x'}
    (maps / 'saliency.json').write_text(json.dumps(said))
    assert record(config)['saliency'] == said


def test_wrong_tiles_are_refused_at_once(tmp_path):
    folder = tagged_folder(tmp_path, tiles=(2, 2))
    config = tagged_run(tmp_path, folder)
    assert config.stage == 'segmentation', 'four tiles of 32x48 fit 64x96'
    with pytest.raises(ConfigError, match=r'rows and columns, \[64, 96\]'):
        changed(config, 'segmentation', image_size=(96, 128))
    square = replace(config.segmentation, image_size=(64, 64))
    with pytest.raises(ConfigError, match=r'stretched by 1\.50'):
        replace(config, tagged_size=(32, 32), segmentation=square)
    assert replace(config, tagged_size=(32, 32), stage='masks'), 'no student, nothing to fit'


def test_tiles_of_one_image_are_learnt_from_or_measured_together(tmp_path):
    folder = tagged_folder(tmp_path, count=21, tiles=(2, 2))
    frames = RunFrames(tagged_run(tmp_path, folder))
    names = {part: [frame.name for frame in frames[part]] for part in ('train', 'test')}
    measured = {name_of(9), name_of(19)}
    assert names['test'] == [
        f'{stamp}_{y}_{x}' for stamp in sorted(measured) for y in range(2) for x in range(2)
    ]
    assert len(names['train']) == 4 * 19
    assert not any(image_of(name) in measured for name in names['train'])
