# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC: real images with their palette masks, and the genuine lists."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from kd_perception.errors import DatasetError
from kd_perception.label_sets import VOC21
from training.data.voc import VOC


def test_real_images_with_palette_masks(tmp_path, real_data):
    shutil.copytree(real_data / 'voc/labelme', tmp_path / 'VOC2012')
    lists = tmp_path / 'VOC2012/ImageSets/Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('2011_000003\n2011_000006\n')
    bottle, chair = VOC(tmp_path / 'VOC2012', 'train')
    assert bottle.rgb.shape == (338, 500, 3) and bottle.label.shape == (338, 500)
    names = np.array(VOC21.names[1:])
    assert names[bottle.tags].tolist() == ['bottle', 'person']
    assert names[chair.tags].tolist() == ['chair', 'person', 'sofa']
    for sample in (bottle, chair):
        assert {0, 15, 255} < {*np.unique(sample.label).tolist()} <= {*range(21), 255}


@pytest.mark.parametrize(
    ('split', 'count'), [('train', 1464), ('val', 1449), ('train_aug', 10582)]
)
def test_genuine_lists_of_a_tree_of_empty_files(tmp_path, real_data, split, count):
    """Names are checked without opening a file, also in the largest split."""
    lists = tmp_path / 'ImageSets' / 'Segmentation'
    shutil.copytree(real_data / 'splits/voc12', lists)
    names = (lists / f'{split}.txt').read_text().split()
    masks = 'SegmentationClassAug' if split == 'train_aug' else 'SegmentationClass'
    for folder, suffix in (('JPEGImages', 'jpg'), (masks, 'png')):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f'{name}.{suffix}').touch()
    assert len(VOC(tmp_path, split)) == count
    (tmp_path / 'JPEGImages' / f'{names[-1]}.jpg').unlink()
    with pytest.raises(DatasetError, match=f'1 of {2 * count} .*{names[-1]}'):
        VOC(tmp_path, split)


def test_genuine_lists_are_disjoint_where_they_must_be(real_data):
    lists = {
        split: {*(real_data / f'splits/voc12/{split}.txt').read_text().split()}
        for split in ('train', 'val', 'train_aug')
    }
    assert not lists['train_aug'] & lists['val']
    assert lists['train'] < lists['train_aug']
