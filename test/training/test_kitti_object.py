# SPDX-License-Identifier: Apache-2.0
"""KITTI object set: the real frame 000001 with its boxes, and made sets in the same layout."""

from __future__ import annotations

from math import sqrt

import cv2
import numpy as np
import pytest

from kd_perception.errors import ConfigError, DatasetError
from training.data.kitti_object import KittiObject, read_boxes

CALIBRATION = (
    ''.join(
        f'P{camera}: 720 0 30 {-380 * (camera % 2)} 0 720 20 0 0 0 1 0\n' for camera in range(4)
    )
    + 'R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 -0.27\n'
)
LABEL = 'Car 0.00 1 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57'


def test_real_boxes_hold_points_at_their_labeled_distance(real_data):
    sample = KittiObject(real_data / 'kitti_object')[0]
    objects = [box for box in sample.boxes if box.type != 'DontCare']
    assert [box.type for box in objects] == ['Truck', 'Car', 'Cyclist']
    for box in objects:
        part = sample.lidar_m[
            round(box.top_px) : round(box.bottom_px), round(box.left_px) : round(box.right_px)
        ]
        distance = part[part > 0]
        half = sqrt(box.length_m**2 + box.width_m**2) / 2
        assert (np.abs(distance - box.z_m) < half + 0.5).sum() >= 3
        # The box's middle, projected by the sample's own camera, is inside of the labeled box.
        middle = sample.calibration.projection(2) @ (
            box.x_m, box.y_m - box.height_m / 2, box.z_m, 1
        )  # fmt: skip
        u, v = middle[:2] / middle[2]
        assert box.left_px < u < box.right_px and box.top_px < v < box.bottom_px


@pytest.fixture
def object_set(tmp_path):
    for folder in ('image_2', 'velodyne', 'calib', 'label_2'):
        (tmp_path / 'training' / folder).mkdir(parents=True)
    for name in ('000000', '000007'):
        cv2.imwrite(str(tmp_path / f'training/image_2/{name}.png'), np.full((40, 60, 3), 9, 'u1'))
        (tmp_path / f'training/calib/{name}.txt').write_text(CALIBRATION)
        np.ones((5, 4), np.float32).tofile(tmp_path / f'training/velodyne/{name}.bin')
        (tmp_path / f'training/label_2/{name}.txt').write_text(LABEL + '\n')
    return tmp_path


def test_object_set_has_all_frames_on_disk(object_set):
    data = KittiObject(object_set)
    assert [sample.name for sample in data] == ['000000', '000007']
    assert data[1].rgb.shape == (40, 60, 3)
    assert data[1].boxes[0].z_m == 58.49 and data[1].boxes[0].occlusion == 1
    assert KittiObject(object_set, views=())[0].lidar_m is None
    assert len(KittiObject(object_set, names=['000007'])) == 1
    with pytest.raises(IndexError, match='0 to 1'):
        data[2]


@pytest.mark.parametrize('file', ['velodyne/000007.bin', 'calib/000000.txt', 'label_2/000007.txt'])
def test_object_set_with_a_missing_file_is_refused(object_set, file):
    (object_set / 'training' / file).unlink()
    with pytest.raises(DatasetError, match=file):
        KittiObject(object_set)


def test_empty_object_set_and_wrong_arguments_are_refused(tmp_path, object_set):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DatasetError, match='How to get it'):
        KittiObject(tmp_path / 'empty')
    for arguments in ({'split': 'train'}, {'views': ['label']}, {'split': 'testing'}):
        with pytest.raises(ConfigError):
            KittiObject(object_set, **arguments)


@pytest.mark.parametrize('line', ['Car 0 0', LABEL + ' 0.9', LABEL.replace('2.39', 'x'), 'Car'])
def test_damaged_labels_are_refused_by_name(tmp_path, line):
    (tmp_path / '000000.txt').write_text(f'{LABEL}\n{line}\n')
    with pytest.raises(DatasetError, match=r'000000\.txt'):
        read_boxes(tmp_path / '000000.txt')
    (tmp_path / '000000.txt').write_text('')
    assert read_boxes(tmp_path / '000000.txt') == ()
