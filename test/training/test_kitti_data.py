# SPDX-License-Identifier: Apache-2.0
"""KITTI raw and its depth benchmark, on made drives in the same layout."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kd_perception.errors import ConfigError, DatasetError
from training.data.kitti import VIEWS, KittiRaw
from training.data.kitti_splits import KittiFrame, drive_frames, with_neighbors

DATE, DRIVE = '2011_09_26', '2011_09_26_drive_0001_sync'
HEIGHT, WIDTH = 24, 40
BASELINE_M = 0.54

CAM_TO_CAM = 'calib_time: 09-Jan-2012 13:57:47\nR_rect_00: 1 0 0 0 1 0 0 0 1\n' + ''.join(
    f'S_rect_0{camera}: {WIDTH} {HEIGHT}\n'
    f'P_rect_0{camera}: 30 0 20 {x} 0 30 12 0 0 0 1 0\n'
    for camera, x in ((0, 0), (1, -16.2), (2, 1.8), (3, 1.8 - 30 * BASELINE_M))
)  # fmt: skip
VELO_TO_CAM = 'calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -0.27\n'
# x forward, y left, z up: straight ahead, and one that camera 2 sees 4 columns right of that.
POINTS_M = np.array([[10.27, 0, 0, 0.5], [7.77, -1.0, 0, 0.5], [-5, 0, 0, 0.5]], np.float32)


def gray(number, camera):
    return np.full((HEIGHT, WIDTH, 3), (20 * number + 3, 5, 100 + camera), np.uint8)


@pytest.fixture
def root(tmp_path):
    drive = tmp_path / DATE / DRIVE
    (tmp_path / DATE).mkdir()
    (tmp_path / DATE / 'calib_cam_to_cam.txt').write_text(CAM_TO_CAM)
    (tmp_path / DATE / 'calib_velo_to_cam.txt').write_text(VELO_TO_CAM)
    (drive / 'velodyne_points' / 'data').mkdir(parents=True)
    for number in range(4):
        POINTS_M.tofile(drive / f'velodyne_points/data/{number:010d}.bin')
    for camera in (2, 3):
        write_images(drive / f'image_0{camera}' / 'data', camera)
        write_depths(drive / 'proj_depth', camera)
    return tmp_path


def write_images(folder, camera):
    folder.mkdir(parents=True)
    for number in range(4):
        cv2.imwrite(str(folder / f'{number:010d}.png'), gray(number, camera)[:, :, ::-1])


def write_depths(folder, camera):
    for kind, value in (('groundtruth', 2560), ('velodyne_raw', 640)):
        (folder / kind / f'image_0{camera}').mkdir(parents=True)
        depth = np.full((HEIGHT, WIDTH), value + camera, np.uint16)
        cv2.imwrite(str(folder / kind / f'image_0{camera}' / '0000000001.png'), depth)


def frame(number, camera=2):
    return KittiFrame(DATE, DRIVE, number, camera)


def test_every_view_of_both_cameras_is_the_right_one(root):
    for camera in (2, 3):
        sample = KittiRaw(root, [frame(1, camera)], views=VIEWS)[0]
        np.testing.assert_array_equal(sample.rgb, gray(1, camera))
        np.testing.assert_array_equal(sample.previous, gray(0, camera))
        np.testing.assert_array_equal(sample.next, gray(2, camera))
        np.testing.assert_array_equal(sample.right, gray(1, 5 - camera))
        assert (sample.target_m == np.float32((2560 + camera) / 256)).all()
        assert (sample.sparse_m == np.float32((640 + camera) / 256)).all()
        assert sample.target_m.dtype == np.float32
        assert sample.camera_matrix.tolist() == [[30, 0, 20], [0, 30, 12], [0, 0, 1]]
        # The right camera sees points further left, the left one further right.
        shift = -BASELINE_M if camera == 2 else BASELINE_M
        assert sample.baseline_m == pytest.approx(-shift)
        assert sample.right_from_camera[0, 3] == pytest.approx(shift)
    assert sample.frame == frame(1, 3)


def test_lidar_is_drawn_in_the_frames_own_camera(root):
    left, right = KittiRaw(root, [frame(1, 2), frame(1, 3)], views=['lidar', 'eigen_target'])
    # Camera 2 stands 0.06 m left of the rectified frame: 1.8 / z columns right of the middle.
    assert np.argwhere(left.lidar_m).tolist() == [[12, 20], [12, 24]]
    assert left.lidar_m[12, 20] == pytest.approx(10.0, abs=1e-5)
    assert left.lidar_m[12, 24] == pytest.approx(7.5, abs=1e-5)
    assert np.argwhere(left.eigen_target_m).tolist() == [[11, 19], [11, 23]]
    assert left.eigen_target_m[11, 19] == np.float32(10.27)
    # Disparity 30 * 0.54 / z: 1.62 and 2.16 columns.
    assert np.argwhere(right.lidar_m).tolist() == [[12, 19], [12, 22]]


def test_views_not_asked_for_need_no_files(root):
    (root / DATE / DRIVE / 'velodyne_points/data/0000000000.bin').unlink()
    sample = KittiRaw(root, [frame(0)])[0]
    assert sample.rgb.shape == (HEIGHT, WIDTH, 3)
    assert [getattr(sample, view, None) for view in ('previous', 'next', 'right')] == [None] * 3
    assert sample.lidar_m is sample.target_m is sample.sparse_m is None


@pytest.mark.parametrize(('number', 'view'), [(0, 'previous'), (3, 'next')])
def test_a_frame_without_neighbor_is_refused_at_once(root, number, view):
    with pytest.raises(DatasetError, match='no neighbors'):
        KittiRaw(root, [frame(1), frame(number)], views=[view])
    drives = drive_frames(root)
    frames = with_neighbors([frame(n) for n in range(4)], drives)
    assert len(KittiRaw(root, frames, views=['previous', 'next'])) == 2


@pytest.mark.parametrize(
    ('file', 'view'),
    [
        (f'{DATE}/calib_cam_to_cam.txt', 'right'),
        (f'{DATE}/calib_velo_to_cam.txt', 'right'),
        (f'{DATE}/{DRIVE}/image_02/data/0000000001.png', 'right'),
        (f'{DATE}/{DRIVE}/image_03/data/0000000001.png', 'right'),
        (f'{DATE}/{DRIVE}/image_02/data/0000000000.png', 'previous'),
        (f'{DATE}/{DRIVE}/velodyne_points/data/0000000001.bin', 'lidar'),
        (f'{DATE}/{DRIVE}/velodyne_points/data/0000000001.bin', 'eigen_target'),
        (f'{DATE}/{DRIVE}/proj_depth/groundtruth/image_02/0000000001.png', 'target'),
        (f'{DATE}/{DRIVE}/proj_depth/velodyne_raw/image_02/0000000001.png', 'sparse'),
    ],
)
def test_a_missing_file_is_named_at_once(root, file, view):
    KittiRaw(root, [frame(1)], views=[view])
    (root / file).unlink()
    with pytest.raises(DatasetError) as error:
        KittiRaw(root, [frame(1)], views=[view])
    assert file in str(error.value)
    assert 'cvlibs.net' in str(error.value)


@pytest.mark.parametrize(
    ('file', 'view'),
    [
        ('image_02/data/0000000001.png', 'right'),
        ('image_03/data/0000000001.png', 'right'),
        ('image_02/data/0000000002.png', 'next'),
        ('velodyne_points/data/0000000001.bin', 'lidar'),
        ('proj_depth/groundtruth/image_02/0000000001.png', 'target'),
    ],
)
def test_a_file_cut_off_is_named_when_it_is_read(root, file, view):
    path = root / DATE / DRIVE / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 1])
    data = KittiRaw(root, [frame(1)], views=[view])
    with pytest.raises(DatasetError) as error:
        data[0]
    assert str(path) in str(error.value)


def test_images_that_do_not_fit_their_calibration_are_refused(root):
    path = root / DATE / DRIVE / 'image_02' / 'data' / '0000000001.png'
    cv2.imwrite(str(path), np.zeros((HEIGHT // 2, WIDTH // 2, 3), np.uint8))
    with pytest.raises(DatasetError, match=r'24x40.*12x20'):
        KittiRaw(root, [frame(1)])[0]
    with pytest.raises(DatasetError, match='next 12x20'):
        KittiRaw(root, [frame(0)], views=['next'])[0]


def test_calibration_without_the_sizes_is_refused_at_once(root):
    text = CAM_TO_CAM.replace('S_rect_02', 'size_of_02')
    (root / DATE / 'calib_cam_to_cam.txt').write_text(text)
    with pytest.raises(DatasetError, match='S_rect_02'):
        KittiRaw(root, [frame(1)])


def test_converted_jpg_images_are_found(root):
    for camera in (2, 3):
        folder = root / DATE / DRIVE / f'image_0{camera}' / 'data'
        for path in sorted(folder.iterdir()):
            cv2.imwrite(str(path.with_suffix('.jpg')), gray(int(path.stem), camera)[:, :, ::-1])
            path.unlink()
    sample = KittiRaw(root, [frame(1)], views=['right', 'next'])[0]
    for image, expected in ((sample.rgb, gray(1, 2)), (sample.right, gray(1, 3))):
        assert np.abs(image.astype(int) - expected).max() <= 3


def test_depth_benchmark_is_also_read_as_its_archives_unpack(root, tmp_path_factory):
    other = tmp_path_factory.mktemp('depth')
    (other / 'val' / DRIVE).mkdir(parents=True)
    (root / DATE / DRIVE / 'proj_depth').rename(other / 'val' / DRIVE / 'proj_depth')
    sample = KittiRaw(root, [frame(1, 3)], views=['target'], depth_root=other)[0]
    assert sample.target_m[0, 0] == np.float32(2563 / 256)
    with pytest.raises(DatasetError, match='groundtruth'):
        KittiRaw(root, [frame(1)], views=['target'])


def test_wrong_arguments_are_refused(root):
    with pytest.raises(ConfigError, match='views'):
        KittiRaw(root, [frame(1)], views=['depth'])
    with pytest.raises(ConfigError, match='at least one'):
        KittiRaw(root, [])
    with pytest.raises(DatasetError, match='no such folder'):
        KittiRaw(root / 'none', [frame(1)])
    for index in (-1, 1):
        with pytest.raises(IndexError, match='0 to 0'):
            KittiRaw(root, [frame(1)])[index]
