# SPDX-License-Identifier: Apache-2.0
"""Cityscapes, on made trees in the same layout."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from kd_perception.errors import ConfigError, DatasetError
from training.data.cityscapes import VIEWS, Cityscapes
from training.data.cityscapes_tree import neighbor_name

SIZE = (16, 32)
CAMERA = {
    'extrinsic': {'baseline': 0.21, 'pitch': 0.05, 'roll': 0.0, 'x': 1.7, 'y': 0.1, 'z': 1.2},
    'intrinsic': {'fx': 2262.5, 'fy': 2265.3, 'u0': 1096.9, 'v0': 513.1},
}
NAMES = ('ulm_000003_000019', 'ulm_000012_000019', 'zurich_000000_000005')

# Label ids 0 to 33 by hand from the set's published table.
TRAIN_ID_OF = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10,
               24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image if image.ndim == 2 else image[:, :, ::-1])


def color(*rgb):
    return np.full((*SIZE, 3), rgb, np.uint8)


def ids_image():
    return (np.arange(np.prod(SIZE)) % 34).astype(np.uint8).reshape(SIZE)


def instances_image():
    image = ids_image().astype(np.uint16)
    image[0, :3] = (26000, 26001, 24017)
    return image


@pytest.fixture
def root(tmp_path):
    for number, name in enumerate(NAMES):
        below = f'val/{name.split("_")[0]}/{name}'
        write(tmp_path / f'leftImg8bit/{below}_leftImg8bit.png', color(number, 50, 100))
        write(tmp_path / f'rightImg8bit/{below}_rightImg8bit.png', color(number, 60, 110))
        write(tmp_path / f'gtFine/{below}_gtFine_labelIds.png', ids_image())
        write(tmp_path / f'gtFine/{below}_gtFine_instanceIds.png', instances_image())
        disparity = np.full(SIZE, 5121, np.uint16)
        disparity[0, :2] = (0, 1)
        write(tmp_path / f'disparity/{below}_disparity.png', disparity)
        camera = tmp_path / f'camera/{below}_camera.json'
        camera.parent.mkdir(parents=True, exist_ok=True)
        camera.write_text(json.dumps(CAMERA))
        for offset in range(-3, 4):
            other = f'val/{name.split("_")[0]}/{neighbor_name(name, offset)}'
            path = tmp_path / f'leftImg8bit_sequence/{other}_leftImg8bit.png'
            write(path, color(number, 10 + offset, 0))
    return tmp_path


def test_every_view_is_the_right_one(root):
    data = Cityscapes(root, 'val', views=VIEWS)
    assert [sample.name for sample in data] == [*NAMES]
    sample = data[1]
    assert sample.rgb[0, 0].tolist() == [1, 50, 100]
    assert sample.right[0, 0].tolist() == [1, 60, 110]
    assert sample.previous[0, 0].tolist() == [1, 8, 0]
    assert sample.next[0, 0].tolist() == [1, 12, 0]
    expected = [TRAIN_ID_OF.get(int(i), 255) for i in ids_image().ravel()]
    assert sample.label.ravel().tolist() == expected
    assert sample.instance[0, :5].tolist() == [26000, 26001, 24017, 0, 0]
    assert not sample.instance[1:].any()
    assert sample.camera.baseline_m == 0.21
    assert sample.camera.matrix.tolist() == [[2262.5, 0, 1096.9], [0, 2265.3, 513.1], [0, 0, 1]]
    assert sample.disparity_px[0, :3].tolist() == [0, 0, 20.0]
    assert sample.target_m[0, :2].tolist() == [0, 0]
    assert sample.target_m[5, 5] == pytest.approx(0.21 * 2262.5 / 20)
    types = {part.dtype for part in (sample.target_m, sample.disparity_px)}
    assert types == {np.dtype(np.float32)}


def test_step_chooses_the_video_neighbors(root):
    sample = Cityscapes(root, 'val', views=['previous', 'next'], step=3)[0]
    assert (sample.previous[0, 0, 1], sample.next[0, 0, 1]) == (7, 13)
    assert sample.label is sample.right is sample.target_m is sample.camera is None
    with pytest.raises(DatasetError, match='ulm_000003_000015'):
        Cityscapes(root, 'val', views=['previous'], step=4)


def test_disparity_brings_the_camera(root):
    assert Cityscapes(root, 'val', views=['disparity'])[0].camera.baseline_m == 0.21


def test_made_train_ids_are_taken_where_label_ids_are_absent(root):
    by_ids = Cityscapes(root, 'val')[0].label
    for path in sorted(root.rglob('*_labelIds.png')):
        ids = np.asarray(Image.open(path))
        train = np.array([TRAIN_ID_OF.get(i, 255) for i in range(34)], np.uint8)[ids]
        write(path.with_name(path.name.replace('labelIds', 'labelTrainIds')), train)
    both = Cityscapes(root, 'val')[0].label
    for path in sorted(root.rglob('*_labelIds.png')):
        path.unlink()
    by_train_ids = Cityscapes(root, 'val')[0].label
    np.testing.assert_array_equal(by_ids, both)
    np.testing.assert_array_equal(by_ids, by_train_ids)
    assert {*np.unique(by_ids).tolist()} == {*range(19), 255}


def test_coarse_labels_and_extra_split(root):
    write(root / 'leftImg8bit/train_extra/bonn/bonn_000001_000019_leftImg8bit.png', color(1, 2, 3))
    label = np.full(SIZE, 7, np.uint8)
    write(root / 'gtCoarse/train_extra/bonn/bonn_000001_000019_gtCoarse_labelIds.png', label)
    data = Cityscapes(root, 'train_extra', annotation='gtCoarse')
    assert len(data) == 1 and not data[0].label.any()
    with pytest.raises(ConfigError, match='split'):
        Cityscapes(root, 'train_extra')


@pytest.mark.parametrize(
    ('file', 'view'),
    [
        ('leftImg8bit/val/ulm/ulm_000012_000019_leftImg8bit.png', 'label'),
        ('gtFine/val/ulm/ulm_000012_000019_gtFine_labelIds.png', 'label'),
        ('gtFine/val/zurich/zurich_000000_000005_gtFine_instanceIds.png', 'instance'),
        ('disparity/val/zurich/zurich_000000_000005_disparity.png', 'disparity'),
        ('camera/val/zurich/zurich_000000_000005_camera.json', 'disparity'),
        ('rightImg8bit/val/zurich/zurich_000000_000005_rightImg8bit.png', 'right'),
        ('leftImg8bit_sequence/val/zurich/zurich_000000_000003_leftImg8bit.png', 'previous'),
        ('leftImg8bit_sequence/val/zurich/zurich_000000_000007_leftImg8bit.png', 'next'),
    ],
)
def test_a_missing_file_is_named_at_once(root, file, view):
    Cityscapes(root, 'val', views=[view])
    (root / file).unlink()
    with pytest.raises(DatasetError) as error:
        Cityscapes(root, 'val', views=[view])
    assert file in str(error.value)
    assert 'cityscapes-dataset.com' in str(error.value)


@pytest.mark.parametrize(
    ('file', 'view'),
    [
        ('leftImg8bit/val/ulm/ulm_000003_000019_leftImg8bit.png', 'label'),
        ('gtFine/val/ulm/ulm_000003_000019_gtFine_labelIds.png', 'label'),
        ('gtFine/val/ulm/ulm_000003_000019_gtFine_instanceIds.png', 'instance'),
        ('disparity/val/ulm/ulm_000003_000019_disparity.png', 'disparity'),
        ('camera/val/ulm/ulm_000003_000019_camera.json', 'camera'),
    ],
)
def test_a_file_cut_off_is_named_when_it_is_read(root, file, view):
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])
    data = Cityscapes(root, 'val', views=[view])
    with pytest.raises(DatasetError) as error:
        data[0]
    assert str(root / file) in str(error.value)
    assert data[1].name == NAMES[1]


def test_missing_set_split_and_empty_folders_are_refused(root, tmp_path):
    for folder, split in ((root, 'train'), (tmp_path / 'none', 'val')):
        with pytest.raises(DatasetError, match='How to get it'):
            Cityscapes(folder, split)
    (root / 'leftImg8bit' / 'test' / 'bonn').mkdir(parents=True)
    with pytest.raises(DatasetError, match='leftImg8bit/test'):
        Cityscapes(root, 'test')


def test_other_names_are_refused(root):
    write(root / 'leftImg8bit/val/ulm/ulm_3_19_leftImg8bit.png', color(0, 0, 0))
    with pytest.raises(DatasetError, match='ulm_3_19'):
        Cityscapes(root, 'val', views=[])


def test_colors_read_as_labels_and_sizes_that_differ_are_refused(root):
    path = root / 'gtFine/val/ulm/ulm_000003_000019_gtFine_labelIds.png'
    write(path, color(128, 64, 128))
    with pytest.raises(DatasetError, match='mode RGB'):
        Cityscapes(root, 'val')[0]
    write(path, np.full(SIZE, 34, np.uint8))
    with pytest.raises(DatasetError, match='34'):
        Cityscapes(root, 'val')[0]
    write(path, np.full((8, 8), 7, np.uint8))
    with pytest.raises(DatasetError, match='label 8x8'):
        Cityscapes(root, 'val')[0]


def test_wrong_arguments_are_refused(root):
    for arguments in ({'views': ['depth']}, {'annotation': 'gt'}, {'step': 0}):
        with pytest.raises(ConfigError):
            Cityscapes(root, 'val', **arguments)
    with pytest.raises(IndexError, match='0 to 2'):
        Cityscapes(root, 'val')[3]
