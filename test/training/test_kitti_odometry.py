# SPDX-License-Identifier: Apache-2.0
"""KITTI odometry: real frames with true poses, and made sequences."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kd_perception.errors import ConfigError, DatasetError
from training.data.kitti_odometry import KittiOdometry, read_poses


@pytest.fixture(scope='module')
def real_sequence(real_data):
    return KittiOdometry(real_data / 'kitti_odom_mono' / 'seq1', frames=range(5))


def matches(first, second):
    """Pixels [n, 2] of the same corners in two images."""
    corners = cv2.goodFeaturesToTrack(first, 1500, 0.01, 7)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(first, second, corners, None)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(second, first, moved, None)
    same = np.linalg.norm(back - corners, axis=2)[:, 0] < 0.3
    good = (found[:, 0] == 1) & (returned[:, 0] == 1) & same
    return corners[good, 0].astype(float), moved[good, 0].astype(float)


def epipolar_errors_px(first, second, matrix, second_from_first):
    """Distance of the second image's pixels to the lines of the first one's."""
    rotation, (x, y, z) = second_from_first[:3, :3], second_from_first[:3, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    inverse = np.linalg.inv(matrix)
    lines = np.c_[first, np.ones(len(first))] @ (inverse.T @ essential @ inverse).T
    distances = np.abs((np.c_[second, np.ones(len(second))] * lines).sum(axis=1))
    return distances / np.linalg.norm(lines[:, :2], axis=1)


def share_in_front(first, second, matrix, second_from_first):
    """Of corners that move, how many lie in front of the camera when triangulated."""
    moving = np.linalg.norm(second - first, axis=1) > 2
    views = matrix @ np.eye(3, 4), matrix @ second_from_first[:3]
    points = cv2.triangulatePoints(*views, first[moving].T, second[moving].T)
    return float((points[2] / points[3] > 0).mean())


def test_real_poses_explain_how_the_real_frames_move(real_sequence):
    assert [sample.number for sample in real_sequence] == [1, 2, 3]
    for sample in real_sequence:
        for image, pose in (
            (sample.previous, sample.previous_from_camera),
            (sample.next, sample.next_from_camera),
        ):
            pixels = matches(sample.image, image)
            assert len(pixels[0]) > 300
            # Not better: the first dozen poses of this sequence turn at one constant rate, which
            # the frames themselves contradict by about 1 mrad, that is 0.7 px.
            assert np.median(epipolar_errors_px(*pixels, sample.camera_matrix, pose)) < 1.0
            assert np.median(np.linalg.norm(pixels[1] - pixels[0], axis=1)) > 10
            sideways = pose.copy()
            sideways[:3, 3] = pose[[2, 1, 0], 3]
            assert np.median(epipolar_errors_px(*pixels, sample.camera_matrix, sideways)) > 2.0
            assert share_in_front(*pixels, sample.camera_matrix, pose) > 0.95
            # The wrong direction leaves the lines alone, but puts the street behind the camera.
            wrong = pose.copy()
            wrong[:3, 3] *= -1
            assert share_in_front(*pixels, sample.camera_matrix, wrong) < 0.05


def test_real_car_drives_forward(real_sequence):
    sample = real_sequence[0]
    assert sample.image.shape == (370, 1226) and sample.image.dtype == np.uint8
    assert sample.camera_matrix[0, 0] == pytest.approx(707.0912)
    # What is ahead now was further ahead one frame before, and will be nearer.
    assert sample.previous_from_camera[2, 3] == pytest.approx(1.19, abs=0.05)
    assert sample.next_from_camera[2, 3] == pytest.approx(-1.19, abs=0.05)
    assert real_sequence.calibration.baseline_m(0, 1) == pytest.approx(0.537, abs=1e-3)


def test_a_part_of_a_sequence_must_be_asked_for(real_data):
    folder = real_data / 'kitti_odom_mono' / 'seq1'
    with pytest.raises(DatasetError, match=r'46 of 51 files are missing: image_0/000005\.png'):
        KittiOdometry(folder)
    with pytest.raises(DatasetError, match='image_1'):
        KittiOdometry(folder, camera=1, frames=range(5))


def pose_line(yaw, x, z):
    c, s = np.cos(yaw), np.sin(yaw)
    return ' '.join(str(value) for value in (c, 0, s, x, 0, 1, 0, 0, -s, 0, c, z))


@pytest.fixture
def sequence(tmp_path):
    folder = tmp_path / 'sequences' / '07'
    (tmp_path / 'poses').mkdir()
    poses = [pose_line(0.3 * n, 0.1 * n, 1.0 * n) for n in range(4)]
    (tmp_path / 'poses' / '07.txt').write_text('\n'.join(poses))
    for camera in (0, 2):
        (folder / f'image_{camera}').mkdir(parents=True)
        for number in range(4):
            image = np.full((6, 8, 3), (10 * number, 10 * number, 10 * number + camera), np.uint8)
            image = image if camera else image[:, :, 0]
            cv2.imwrite(str(folder / f'image_{camera}/{number:06d}.png'), image)
    lines = [f'P{c}: 50 0 4 {x} 0 50 3 0 0 0 1 0' for c, x in enumerate((0, -25, 5, -20))]
    (folder / 'calib.txt').write_text('\n'.join(lines))
    return folder


def test_poses_of_the_other_cameras_follow_from_the_rectified_frame(sequence):
    gray, color = KittiOdometry(sequence)[0], KittiOdometry(sequence, camera=2)[0]
    assert gray.image.shape == (6, 8) and color.image.shape == (6, 8, 3)
    assert gray.image[0, 0] == 10 and color.next[0, 0].tolist() == [22, 20, 20]
    # One point of the world, seen by both cameras: camera 2 stands 0.1 m left of camera 0.
    in_gray = np.array([1.0, 2.0, 9.0, 1.0])
    shift = np.array([0.1, 0, 0, 0])
    in_color = in_gray + shift
    np.testing.assert_allclose(gray.camera_pose @ in_gray, color.camera_pose @ in_color)
    expected = gray.next_from_camera @ in_gray + shift
    np.testing.assert_allclose(color.next_from_camera @ in_color, expected)


def test_neighbors_poses_undo_each_other(sequence):
    first, second = KittiOdometry(sequence)
    np.testing.assert_allclose(
        first.next_from_camera @ second.previous_from_camera, np.eye(4), atol=1e-12
    )
    np.testing.assert_allclose(
        second.camera_pose @ first.next_from_camera, first.camera_pose, atol=1e-12
    )


@pytest.mark.parametrize('file', ['calib.txt', 'image_0/000002.png', '../../poses/07.txt'])
def test_missing_files_are_named(sequence, file):
    (sequence / file).unlink()
    with pytest.raises(DatasetError) as error:
        KittiOdometry(sequence)
    assert file.rpartition('/')[2] in str(error.value)
    assert 'How to get it' in str(error.value)


@pytest.mark.parametrize('line', ['1 2 3', pose_line(0, 0, 0) + ' 1', '2' * 12, 'nan ' * 12])
def test_damaged_poses_are_refused_by_line(tmp_path, line):
    (tmp_path / 'poses.txt').write_text(f'{pose_line(0, 0, 1)}\n{line}\n')
    with pytest.raises(DatasetError, match=r'line 2 of .*poses\.txt'):
        read_poses(tmp_path / 'poses.txt')
    (tmp_path / 'poses.txt').write_text('\n')
    with pytest.raises(DatasetError, match='empty'):
        read_poses(tmp_path / 'poses.txt')


def test_wrong_arguments_are_refused(sequence):
    for arguments in ({'camera': 4}, {'frames': range(2)}, {'frames': range(0, 4, 2)}):
        with pytest.raises(ConfigError):
            KittiOdometry(sequence, **arguments)
    with pytest.raises(DatasetError, match='has 4, frames up to 4'):
        KittiOdometry(sequence, frames=range(5))
