# SPDX-License-Identifier: Apache-2.0
"""Masks of objects that a user brings: where they lie, how they are read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kd_perception.errors import ConfigError, DatasetError
from training.data import images
from training.data.instance_masks import InstanceMasks

NAME = 'day/drive/5'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'masks' / 'day' / 'drive').mkdir(parents=True)
    return tmp_path / 'masks'


def write(folder, ids, name=NAME):
    assert cv2.imwrite(str(folder / f'{name}.png'), ids)


@pytest.mark.parametrize(('dtype', 'number'), [(np.uint8, 200), (np.uint16, 26_001)])
def test_ids_are_those_of_the_file(folder, dtype, number):
    ids = np.zeros((4, 6), dtype)
    ids[1:3, 2:5] = number
    write(folder, ids)
    masks = InstanceMasks(folder, ['none', NAME])
    found = masks.read(NAME, (4, 6))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, ids)
    assert masks.read('none', (4, 6)) is None


def test_another_size_mixes_no_ids(folder):
    ids = np.kron([[0, 7], [3, 0]], np.ones((3, 4))).astype(np.uint16)
    write(folder, ids)
    found = InstanceMasks(folder, [NAME]).read(NAME, (12, 16))
    np.testing.assert_array_equal(found, np.kron(ids, np.ones((2, 2))))
    assert InstanceMasks(folder, [NAME]).read(NAME, (2, 2)).tolist() == [[0, 7], [3, 0]]


def test_a_folder_without_any_mask_of_the_frames_is_refused(folder):
    write(folder, np.zeros((4, 6), np.uint8), 'other')
    with pytest.raises(ConfigError, match=r'day/drive/5\.png; there is none'):
        InstanceMasks(folder, [NAME, 'day/drive/6'])
    with pytest.raises(ConfigError, match='there is none'):
        InstanceMasks(folder / 'nowhere', [NAME])


def test_files_outside_of_the_folder_are_refused(folder, tmp_path):
    write(tmp_path, np.zeros((4, 6), np.uint8), 'secret')
    write(folder, np.zeros((4, 6), np.uint8))
    (folder / 'link.png').symlink_to(tmp_path / 'secret.png')
    masks = InstanceMasks(folder, [NAME])
    for name in ('link', '../secret'):
        with pytest.raises(DatasetError, match='masks must lie in'):
            masks.read(name, (4, 6))


def test_what_is_no_mask_is_refused(folder, monkeypatch):
    write(folder, np.zeros((4, 6, 3), np.uint8))
    masks = InstanceMasks(folder, [NAME])
    with pytest.raises(DatasetError, match='one channel of 8 or 16 bits; it is of mode RGB'):
        masks.read(NAME, (4, 6))
    write(folder, np.zeros((4, 6), np.uint8))
    data = (folder / f'{NAME}.png').read_bytes()
    (folder / f'{NAME}.png').write_bytes(data[:40])
    with pytest.raises(DatasetError, match='is damaged'):
        masks.read(NAME, (4, 6))
    write(folder, np.zeros((4, 6), np.uint8))
    monkeypatch.setattr(images, 'MAX_IMAGE_PIXELS', 20)
    with pytest.raises(DatasetError, match='20 pixels at most'):
        masks.read(NAME, (4, 6))
