# SPDX-License-Identifier: Apache-2.0
"""Recordings whose cameras are calibrated otherwise than those of the world."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import ConfigError
from kd_perception.world_export import stereo_bag
from kd_perception.world_export.bag import stamp_ns, transform
from training.data.depth_bag import load_depth_bag
from training.data.depth_bag_config import DepthBagConfig

SIZE, RATE_HZ = (64, 96), 10.0
LEFT, RIGHT = stereo_bag.LEFT_TOPIC, stereo_bag.RIGHT_TOPIC
INFOS = (stereo_bag.LEFT_INFO_TOPIC, stereo_bag.RIGHT_INFO_TOPIC)
K = np.array([[500.0, 0.0, 47.5], [0.0, 500.0, 31.5], [0.0, 0.0, 1.0]])
POINT_M = np.array([0.1, -0.1, 10.0])  # in the frame of the recorded camera
R = cv2.Rodrigues(np.deg2rad([0.0, 1.0, 0.0]))[0]


def spot(center):
    """A bright spot around a pixel (x, y)."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    squared = (columns - center[0]) ** 2 + (rows - center[1]) ** 2
    return np.repeat((250.0 * np.exp(-squared / 8.0)).astype(np.uint8)[..., None], 3, axis=2)


def write_drive(out, *, left=None, right=None):
    """Three frames of a spot that a lidar sees, too; what of P and R is another one by camera."""
    (u, v) = (K @ POINT_M)[:2] / POINT_M[2]
    changes = dict(zip(INFOS, (left or {}, right or {}), strict=True))
    plain = out.with_name(f'{out.name}_plain')
    with BagWriter(plain) as bag:
        for index in range(3):
            stamp = stamp_ns(index, RATE_HZ)
            pose = np.eye(4)
            pose[2, 3] = float(index)
            tree = [transform('map', stereo_bag.LEFT_FRAME, pose, stamp)]
            bag.write_message(stereo_bag.TF_TOPIC, stereo_bag._transforms(tree), log_time_ns=stamp)
            for topic, info, shift in zip((LEFT, RIGHT), INFOS, (0.0, -250.0), strict=True):
                bag.write_image(
                    topic, spot((u, v)), stamp_ns=stamp, frame_id=stereo_bag.LEFT_FRAME
                )
                bag.write_camera_info(
                    info, stamp_ns=stamp, image_size=SIZE, camera_matrix=K.ravel(),
                    right_shift=shift, frame_id=stereo_bag.LEFT_FRAME,
                )  # fmt: skip
            cloud = stereo_bag.point_cloud(np.float32([[*POINT_M, 1.0]]), stamp)
            bag.write_message(stereo_bag.POINTS_TOPIC, cloud, log_time_ns=stamp)
    with BagReader(plain) as source, BagWriter(out) as bag:
        for message in source.messages():
            if message.topic in INFOS:
                info = replace(message.deserialize(), **changes[message.topic])
                bag.write_message(message.topic, info, log_time_ns=message.log_time_ns)
            else:
                bag.write_raw(
                    message.topic, message.message_type, message.data,
                    log_time_ns=message.log_time_ns,
                )  # fmt: skip
    return DepthBagConfig(
        str(out), LEFT, RIGHT, camera_from_lidar=tuple(np.eye(4)[:3].ravel()), pose_frame='map',
        image_size=SIZE, held_out_share=0.0,
    )  # fmt: skip


def projection(*, fx=500.0, cx=47.5, cy=31.5, shift=-250.0):
    return np.array([fx, 0.0, cx, shift, 0.0, fx, cy, 0.0, 0.0, 0.0, 1.0, 0.0])


@pytest.mark.parametrize('changes', [{'cx': 77.5}, {'cy': 32.5}, {'fx': 510.0}])
def test_a_pair_of_unequal_cameras_is_refused(tmp_path, changes):
    config = write_drive(tmp_path / 'drive', right={'p': projection(**changes)})
    off = next(iter({'cx': '30.00', 'cy': '1.00', 'fx': '10.00'}[name] for name in changes))
    with pytest.raises(ConfigError, match=f'differ by {off} px: {LEFT} fx, fy, cx, cy .*{RIGHT}'):
        load_depth_bag(config, tmp_path / 'cache')
    # By itself the left camera is as good as before.
    assert len(load_depth_bag(replace(config, right_topic=''), tmp_path / 'cache')) == 3


def test_a_rounded_calibration_is_an_equal_one(tmp_path):
    config = write_drive(tmp_path / 'drive', right={'p': projection(cx=47.54)})
    data = load_depth_bag(config, tmp_path / 'cache', sources=('right',))
    assert data[0].poses['right'][0, 3] == pytest.approx(-0.5)


def where(image):
    """The middle of what is bright (x, y)."""
    weights = image[..., 0].astype(float)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


def test_lidar_that_was_calibrated_against_raw_images_turns_with_them(tmp_path):
    """By 1 degree: the spot of the image and that of the lidar are in one place."""
    turned = {'r': R.ravel()}
    config = write_drive(tmp_path / 'drive', left=turned, right=turned)
    sample = load_depth_bag(replace(config, camera_frame='recorded'), tmp_path)[0]
    ((row, column),) = np.argwhere(sample.lidar_m)
    assert where(sample.rgb) == pytest.approx([column, row], abs=0.7)
    assert sample.lidar_m[row, column] == pytest.approx((R @ POINT_M)[2], rel=1e-6)
    # As a point of the rectified frame, as tf has it by default, it is 8.7 px from there.
    sample = load_depth_bag(config, tmp_path)[0]
    ((_, other),) = np.argwhere(sample.lidar_m)
    assert abs(column - other) in (8, 9) and sample.lidar_m.max() == pytest.approx(10.0)


def test_motions_of_the_recorded_camera_are_told_in_the_rectified_frame(tmp_path):
    turned = {'r': R.ravel()}
    config = write_drive(tmp_path / 'drive', left=turned, right=turned)
    for camera_frame, expected in (('rectified', [0, 0, -1]), ('recorded', R @ [0, 0, -1])):
        own = replace(config, camera_frame=camera_frame)
        sample = load_depth_bag(own, tmp_path, sources=('next',))[0]
        pose = sample.poses['next']
        np.testing.assert_allclose(pose[:3, 3], expected, atol=1e-9)
        np.testing.assert_allclose(pose[:3, :3], np.eye(3), atol=1e-9)


def test_a_rotation_that_is_none_is_refused(tmp_path):
    config = write_drive(tmp_path / 'drive', left={'r': 2.0 * np.eye(3).ravel()})
    with pytest.raises(ConfigError, match=f'R in the camera_info of {LEFT} must be a rotation'):
        load_depth_bag(config, tmp_path / 'cache')


def test_an_unknown_frame_is_named():
    with pytest.raises(ConfigError, match=r"\['rectified', 'recorded'\], got 'raw'"):
        DepthBagConfig('drive', camera_frame='raw')
