# SPDX-License-Identifier: Apache-2.0
"""Single files of Cityscapes: disparity, instances and the camera, encoded and damaged."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import DatasetError
from training.data.cityscapes_formats import (
    CityscapesCamera,
    read_camera,
    read_disparity_px,
    read_instances,
)

CAMERA = {
    'extrinsic': {'baseline': 0.21, 'pitch': 0.05, 'roll': 0.0, 'x': 1.7, 'y': 0.1, 'z': 1.2},
    'intrinsic': {'fx': 2262.5, 'fy': 2265.3, 'u0': 1096.9, 'v0': 513.1},
}


@pytest.mark.parametrize(
    'change',
    [
        lambda c: c.pop('extrinsic'),
        lambda c: c['intrinsic'].pop('fy'),
        lambda c: c['intrinsic'].update(fx='wide'),
        lambda c: c['intrinsic'].update(fx=float('nan')),
        lambda c: c['intrinsic'].update(u0=[1]),
        lambda c: c['extrinsic'].update(baseline=0),
        lambda c: c.update(intrinsic=[1, 2]),
        lambda c: c.update(text='x' * 2**17),
    ],
)
def test_damaged_cameras_are_refused_by_name(tmp_path, change):
    content = json.loads(json.dumps(CAMERA))
    change(content)
    (tmp_path / 'camera.json').write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r'camera\.json'):
        read_camera(tmp_path / 'camera.json')


@given(numbers=st.lists(st.integers(0, 65535), min_size=1, max_size=50))
def test_disparity_comes_back_as_it_was_encoded(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp('disparity') / 'disparity.png'
    cv2.imwrite(str(path), np.array([numbers], np.uint16))
    disparity = read_disparity_px(path)
    valid = disparity > 0
    assert valid[0].tolist() == [number > 1 for number in numbers]
    encoded = np.where(valid, disparity * 256 + 1, 0)
    assert encoded[valid].tolist() == [number for number in numbers if number > 1]
    camera = CityscapesCamera(np.diag([2000.0, 2000.0, 1.0]), 0.2)
    depth = camera.depth_m(disparity)
    np.testing.assert_allclose(depth[valid] * disparity[valid], 400, rtol=1e-6)
    assert not depth[~valid].any()


@given(
    things=st.lists(
        st.tuples(st.sampled_from([24, 25, 26, 27, 28, 31, 32, 33]), st.integers(0, 999)),
        min_size=1,
        max_size=20,
    ),
    stuff=st.lists(st.integers(0, 33), max_size=20),
)
def test_instance_ids_keep_things_and_drop_the_rest(tmp_path_factory, things, stuff):
    path = tmp_path_factory.mktemp('instances') / 'instances.png'
    ids = [1000 * label + number for label, number in things]
    cv2.imwrite(str(path), np.array([ids + stuff], np.uint16))
    assert read_instances(path)[0].tolist() == ids + [0] * len(stuff)


def test_instance_ids_of_no_class_are_refused(tmp_path):
    for number in (34, 999, 34000, 65535):
        cv2.imwrite(str(tmp_path / 'ids.png'), np.full((2, 2), number, np.uint16))
        with pytest.raises(DatasetError, match=r'ids\.png'):
            read_instances(tmp_path / 'ids.png')
