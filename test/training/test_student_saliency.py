# SPDX-License-Identifier: Apache-2.0
"""Saliency out of a student: one map per frame, from what the pipeline says of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tagged_folders import COLOR, SIZE, color_of, heat_of, name_of, tagged_folder

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import DatasetError, ImageEncodingError
from kd_perception.frames import Frame
from kd_perception.pipeline import Output, Pipeline
from training.data.folder_saliency import described
from training.data.tagged_folder import TaggedFolder
from training.student_saliency import main, saliency_from_prediction


def test_sure_things_are_salient_and_sure_background_is_not():
    mask = np.array([[0, 0, 3, 3, 255]], np.uint8)
    confidence = np.array([[255, 130, 200, 100, 0]], np.uint8)
    assert saliency_from_prediction(mask, confidence).tolist() == [[0, 125, 200, 100, 0]]


def test_a_map_per_frame(tmp_path, tiny_student_folder):
    folder = tagged_folder(tmp_path, count=3)
    main([str(folder), '--student', str(tiny_student_folder)])
    data = TaggedFolder(folder, str(folder / 'saliency'))
    student = load_student(tiny_student_folder)
    backend = create_backend(student, threads=1)
    try:
        for index in range(3):
            frame = Frame(heat_of(index), 'mono16', 0)
            result = Pipeline(student, backend).step(frame, Output.PREDICTION)
            expected = saliency_from_prediction(result.mask, result.confidence)
            stored = np.array(Image.open(folder / 'saliency' / f'{name_of(index)}.png'))
            assert stored.shape == SIZE
            np.testing.assert_array_equal(stored, expected)
            np.testing.assert_array_equal(data[index].saliency, expected)
    finally:
        backend.close()
    assert described(folder / 'saliency') == {
        'source': 'student', 'student': student.spec.name, 'sha256': student.sha256,
        'recipe': 'test', 'trained_on': 'nothing: weights are set by hand',
    }  # fmt: skip


def test_color_for_a_student_of_color(tmp_path, tiny_color_folder):
    folder = tagged_folder(tmp_path, topic=COLOR, count=2)
    main([str(folder), '--student', str(tiny_color_folder)])
    student = load_student(tiny_color_folder)
    backend = create_backend(student, threads=1)
    try:
        frame = Frame(color_of(1), 'rgb8', 0)
        result = Pipeline(student, backend).step(frame, Output.PREDICTION)
    finally:
        backend.close()
    stored = np.array(Image.open(folder / 'saliency' / f'{name_of(1)}.png'))
    expected = saliency_from_prediction(result.mask, result.confidence)
    np.testing.assert_array_equal(stored, expected)


def test_tiles_are_looked_at_as_one_image(tmp_path, tiny_student_folder):
    """Maps of tiles are parts of the map of the whole, unless a tile is missing."""
    whole = tagged_folder(tmp_path, count=3)
    folder = tagged_folder(tmp_path, tiles=(2, 2), name='tiles')
    (folder / 'frames' / f'{name_of(2)}_1_0.png').unlink()
    for each in (whole, folder):
        main([str(each), '--student', str(tiny_student_folder)])

    def stored(folder, name):
        return np.array(Image.open(folder / 'saliency' / f'{name}.png'))

    for index in range(2):
        tiles = [[stored(folder, f'{name_of(index)}_{y}_{x}') for x in (0, 1)] for y in (0, 1)]
        np.testing.assert_array_equal(np.block(tiles), stored(whole, name_of(index)))
    assert len(list((folder / 'saliency').glob('*.png'))) == 11
    assert stored(folder, f'{name_of(2)}_1_1').shape == (SIZE[0] // 2, SIZE[1] // 2)


def test_tiles_of_other_sizes_are_refused(tmp_path, tiny_student_folder):
    folder = tagged_folder(tmp_path, count=1, tiles=(1, 2))
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(folder / 'frames' / f'{name_of(0)}_0_1.png')
    with pytest.raises(DatasetError, match='one size and type'):
        main([str(folder), '--student', str(tiny_student_folder)])


def test_what_has_no_heat_is_refused(tmp_path, tiny_student_folder):
    with pytest.raises(DatasetError, match='must hold frames'):
        main([str(tmp_path), '--student', str(tiny_student_folder)])
    folder = tagged_folder(tmp_path, topic=COLOR, count=2)
    with pytest.raises(ImageEncodingError, match='one channel'):
        main([str(folder), '--student', str(tiny_student_folder)])
