# SPDX-License-Identifier: Apache-2.0
"""What tags of a folder say by themselves: which classes never come, what the place tells."""

from __future__ import annotations

import pytest
from config_files import write_config
from eps_runs import tagged_run, tiny_run
from tagged_folders import name_of, tagged_folder

from kd_perception.tagging import TagTable
from training.recipes import eps
from training.recipes.eps_data import RunFrames
from training.recipes.eps_report import notes, tags_line
from training.recipes.eps_tags import absent_classes, place_report


def write_tags(folder, classes, rows):
    TagTable(classes, {name_of(k): tags for k, tags in enumerate(rows)}).write(folder / 'tags.csv')


@pytest.fixture
def folder(tmp_path):
    return tagged_folder(tmp_path)


def test_a_class_that_no_frame_has_is_warned_of(folder, tmp_path, monkeypatch, capsys):
    classes = ('car', 'bus', 'person')
    write_tags(folder, classes, [(True, False, False), (False, False, False), None] * 4)
    config = tagged_run(tmp_path, folder, modality='thermal')
    assert absent_classes(config) == ['bus', 'person']
    monkeypatch.setattr(eps, 'run_stages', lambda config, fabric: {})
    eps.main(['--config_path', str(write_config(config, tmp_path))])
    assert 'no tagged frame has bus, person:' in capsys.readouterr().err
    write_tags(folder, classes, [(True, True, True)] * 12)
    eps.main(['--config_path', str(write_config(config, tmp_path))])
    assert capsys.readouterr().err == ''


def tiles_of(index):
    """A car in the first tile and a person in the last one, but for the images that measure.

    Nobody has looked at the lower left tile of the others.
    """
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    if index == 9:
        return {place: (place == (0, 1), place == (1, 1)) for place in places}
    if index == 19:
        return {place: (place == (0, 0), False) for place in places}
    return {(0, 0): (True, False), (0, 1): (False, False), (1, 0): None, (1, 1): (False, True)}


def test_the_place_of_a_tile_tells_what_it_tells(tmp_path):
    folder = tagged_folder(tmp_path, count=21, tiles=(2, 2))
    rows = {
        f'{name_of(k)}_{y}_{x}': tags for k in range(21) for (y, x), tags in tiles_of(k).items()
    }
    TagTable(('car', 'person'), rows).write(folder / 'tags.csv')
    report = place_report(RunFrames(tagged_run(tmp_path, folder)))
    # Of the eight tiles that measure: the car is twice elsewhere, the person missing once.
    assert report['class_place_accuracy'] == {'car': 6 / 8, 'person': 7 / 8}
    assert report['place_accuracy'] == 13 / 16
    assert report['places'] == 3


def test_whole_images_have_one_place(folder, tmp_path):
    write_tags(folder, ('car', 'person'), [(True, False)] * 9 + [(False, False)] * 3)
    report = place_report(RunFrames(tagged_run(tmp_path, folder)))
    assert report == {  # the tenth image measures, and has no car
        'place_accuracy': 0.5, 'class_place_accuracy': {'car': 0.0, 'person': 1.0}, 'places': 1,
    }  # fmt: skip
    write_tags(folder, ('car', 'person'), [(True, False)] * 9 + [None] * 3)
    assert place_report(RunFrames(tagged_run(tmp_path, folder))) == {}


def test_the_world_has_what_it_has(tmp_path):
    config = tiny_run(tmp_path, tmp_path)
    assert absent_classes(config) == [] and place_report(RunFrames(config)) == {}


def test_answers_that_need_no_look_stand_beside_those_of_the_classifier():
    report = {'accuracy': 0.85, 'majority_accuracy': 0.77, 'place_accuracy': 0.866}
    assert tags_line('classifier', report) == (
        'tags by the classifier: 85.0 % right; the most frequent answer: 77.0 %; the most '
        'frequent answer at the place of a tile: 86.6 %'
    )
    assert tags_line('classifier', {'accuracy': 0.85}) == ''
    assert notes({'classifier': report, 'segmentation': {'tags': report}})[1].startswith(
        'tags by the segmentation: 85.0 % right'
    )
    masks = {'miou': 0.3, 'salient_tags': {'miou': 0.42}}
    assert notes({'masks': masks}) == [
        'masks: mIoU 30.0 %; of what is salient, painted with the first tag of the image, without '
        'learning: 42.0 %'
    ]
