# SPDX-License-Identifier: Apache-2.0
"""A depth student on real images: scores that can be worked out by hand, and what has no lidar."""

from __future__ import annotations

import math
from contextlib import closing

import cv2
import numpy as np
import pytest
from hand_made_depth import FOCAL_PX, LOG_DEPTH_WEIGHTS
from real_folders import real_folder

from kd_perception.bundle import load_student
from kd_perception.errors import DatasetError
from training.data.real_depth_frames import load_real_depth_sets
from training.real_depth import NOTHING_SCORED, examine, load_depth_pipeline, main, summary
from training.records import read_record

CAMERA_FOCAL_PX = 720.0
GRAY = 128
DEPTH_M = math.exp(LOG_DEPTH_WEIGHTS.sum() * GRAY / 255) * CAMERA_FOCAL_PX / FOCAL_PX
LIDAR_M = DEPTH_M / 1.25
FORWARD_OF_CAMERA_M = 0.27
CALIBRATION = (
    ''.join(f'P{camera}: {CAMERA_FOCAL_PX} 0 64 0 0 {CAMERA_FOCAL_PX} 48 0 0 0 1 0\n'
            for camera in range(4))
    + 'R0_rect: 1 0 0 0 1 0 0 0 1\n'
    + f'Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 -{FORWARD_OF_CAMERA_M}\n'
)  # fmt: skip


@pytest.fixture
def root(tmp_path, monkeypatch):
    """All images are gray, which the student knows by hand; a wall stands before the lidar."""
    root = tmp_path / 'real'
    monkeypatch.setenv('KD_PERCEPTION_REAL_DATA', str(root))
    for name in ('image_2', 'calib', 'velodyne'):
        (root / 'kitti_object' / 'training' / name).mkdir(parents=True)
    training = root / 'kitti_object' / 'training'
    cv2.imwrite(str(training / 'image_2' / '000003.png'), np.full((96, 128, 3), GRAY, np.uint8))
    (training / 'calib' / '000003.txt').write_text(CALIBRATION)
    side, up = np.meshgrid(np.linspace(-2.0, 2.0, 9), np.linspace(-1.0, 1.0, 5))
    ahead = np.full(side.size, LIDAR_M + FORWARD_OF_CAMERA_M)
    points = np.stack([ahead, side.ravel(), up.ravel(), np.zeros(side.size)], axis=1)
    points.astype(np.float32).tofile(training / 'velodyne' / '000003.bin')
    drive = root / 'kitti_odom_mono' / 'seq1'
    (drive / 'image_0').mkdir(parents=True)
    (drive / 'calib.txt').write_text(CALIBRATION.replace('R0_rect', 'Tr').split('Tr')[0])
    cv2.imwrite(str(drive / 'image_0' / '000000.png'), np.full((96, 128), GRAY, np.uint8))
    return root


@pytest.fixture
def pipeline(tiny_depth_folder):
    made = load_depth_pipeline(tiny_depth_folder)
    with closing(made.backend):
        yield made


def test_scores_in_meters_are_those_of_the_lidar(root, pipeline):
    record, rows = examine(pipeline, load_real_depth_sets())
    assert list(record['sets']) == ['kitti_object'], 'the other set has no lidar'
    found = record['sets']['kitti_object']
    assert (found['images'], found['focal_px']) == (1, [CAMERA_FOCAL_PX])
    assert found['scores']['pixels'] == 45
    assert found['scores']['errors']['abs_rel'] == pytest.approx(0.25, abs=2e-3)
    assert found['scores']['errors']['rmse'] == pytest.approx(DEPTH_M - LIDAR_M, rel=1e-2)
    assert found['median_scaled']['abs_rel'] == pytest.approx(0.0, abs=1e-3)
    # Sigma is a few percent of the depth here, the error a fifth of it.
    assert found['scores']['calibration']['within_1_sigma'] == 0.0
    assert [row.caption.split('  ')[0] for row in rows] == [
        'kitti_object/000003', 'kitti_odom_mono/000000',
    ]  # fmt: skip
    assert [len(row.panels) for row in rows] == [5, 3]
    assert 'kitti_object, 1 images, 45 lidar points: abs rel 0.25' in summary(record)


def test_images_without_calibration_are_shown_without_unit(root, pipeline):
    real_folder(root)
    sets = load_real_depth_sets()
    assert list(sets) == ['kitti_object', 'kitti_odom_mono', 'rtfnet_tiles', 'msrs_pairs']
    _, rows = examine(pipeline, {'msrs_pairs': sets['msrs_pairs']})
    assert rows[0].caption == 'msrs_pairs/00001D  without unit'
    assert len(rows[0].panels) == 2, 'image and depth'


def test_command_writes_record_and_picture(root, tmp_path, tiny_depth_folder, capsys):
    sheet, path = tmp_path / 'out' / 's.jpg', tmp_path / 'out' / 'r.json'
    main([str(tiny_depth_folder), '--sheet', str(sheet), '--record', str(path)])
    record = read_record(path)
    assert record['student']['sha256'] == load_student(tiny_depth_folder).sha256
    assert 'fp32' in record['backend']
    assert len(record['sets']['kitti_object']['sha256']) == 64
    assert '45 lidar points' in capsys.readouterr().out
    assert cv2.imread(str(sheet)).shape[1] > 5 * 300


def test_without_a_lidar_nothing_is_scored(root, pipeline):
    sets = {'kitti_odom_mono': load_real_depth_sets()['kitti_odom_mono']}
    record, _ = examine(pipeline, sets)
    assert record['sets'] == {} and summary(record) == NOTHING_SCORED


def test_without_images_nothing_runs(tmp_path, monkeypatch, tiny_depth_folder):
    monkeypatch.setenv('KD_PERCEPTION_REAL_DATA', str(tmp_path / 'absent'))
    with pytest.raises(DatasetError, match='set KD_PERCEPTION_REAL_DATA'):
        main([str(tiny_depth_folder), '--record', str(tmp_path / 'r.json')])
    assert not (tmp_path / 'r.json').exists()
