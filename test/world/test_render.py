# SPDX-License-Identifier: Apache-2.0
"""Whole frames: the same bits everywhere, consistent ground truth, a plausible street."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest

from kd_perception.errors import ConfigError
from kd_perception.world import CLASS_NAMES, WorldConfig, drive_frames, render_frame
from kd_perception.world.classes import CAR, PERSON

SMALL = WorldConfig(height=96, width=128)
ARRAYS = ('thermal', 'label', 'depth_m', 'instance', 'sky', 'camera_matrix', 'camera_pose')


def digest(frames):
    state = hashlib.sha256()
    for frame in frames:
        for name in ARRAYS:
            state.update(np.ascontiguousarray(getattr(frame, name)).tobytes())
    return state.hexdigest()


def sample_digest():
    """What the other process computes too."""
    drive = islice(drive_frames(SMALL, 4, 10, 5.0), 3)
    return digest([render_frame(SMALL, 3, index) for index in (0, 11)] + list(drive))


def test_another_process_renders_the_same_bits():
    code = 'from test_render import sample_digest; print(sample_digest())'
    run = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=True,
        env={'PYTHONPATH': ':'.join([*sys.path, __file__.rpartition('/')[0]])},
    )
    assert run.stdout.strip() == sample_digest()


def test_frames_depend_on_seed_and_index():
    found = {digest([render_frame(SMALL, seed, index)]) for seed in (1, 2) for index in (0, 1)}
    assert len(found) == 4


def test_drive_frame_does_not_depend_on_the_count_and_rate():
    long = list(drive_frames(SMALL, 6, 5, 10.0))
    assert digest(long[:2]) == digest(drive_frames(SMALL, 6, 2, 10.0))
    assert digest(long[::2]) == digest(drive_frames(SMALL, 6, 3, 5.0))


@pytest.fixture(scope='module')
def frames():
    return [render_frame(SMALL, 21, index) for index in range(40)]


def test_ground_truth_is_consistent(frames):
    for frame in frames:
        assert frame.thermal.dtype == np.uint16
        assert frame.thermal.shape == frame.label.shape == (96, 128)
        assert frame.label.max() < len(CLASS_NAMES)
        np.testing.assert_array_equal(frame.instance > 0, frame.label > 0)
        np.testing.assert_array_equal(frame.depth_m == 0, frame.sky)
        assert not frame.label[frame.sky].any()
        assert frame.depth_m.max() <= SMALL.max_depth_m
        for instance in np.unique(frame.instance[frame.instance > 0]):
            assert len(np.unique(frame.label[frame.instance == instance])) == 1


def test_every_class_occurs_and_most_pixels_have_none(frames):
    counts = sum(np.bincount(frame.label.ravel(), minlength=9) for frame in frames)
    assert (counts > 0).all()
    shares = counts / counts.sum()
    assert 0.75 < shares[0] < 0.97
    assert 0.01 < shares[CAR] < 0.15


def test_persons_are_warmer_than_what_is_beside_them(frames):
    contrasts = []
    for frame in frames:
        kelvin = frame.thermal / 100.0
        for instance in np.unique(frame.instance[frame.label == PERSON]):
            mask = frame.instance == instance
            rows, columns = np.nonzero(mask)
            part = (
                slice(rows.min(), rows.max() + 1),
                slice(max(columns.min() - 4, 0), columns.max() + 5),
            )
            beside = (frame.label[part] == 0) & ~frame.sky[part]
            if mask.sum() > 30 and beside.sum() > 30:
                contrasts.append(np.median(kelvin[mask]) - np.median(kelvin[part][beside]))
    assert len(contrasts) > 20
    assert 2.0 < np.median(contrasts) < 20.0


def test_drive_moves_smoothly_and_forward():
    drive = list(drive_frames(SMALL, 8, 12, 10.0))
    z = np.array([frame.camera_pose[2, 3] for frame in drive])
    assert z[-1] - z[0] > 1.0
    step = np.linalg.norm(np.diff([f.camera_pose[:3, 3] for f in drive], axis=0), axis=1)
    assert step.max() < 1.0
    for frame in drive:
        rotation = frame.camera_pose[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert [frame.time_s for frame in drive] == pytest.approx([k / 10.0 for k in range(12)])


def test_depth_pose_and_matrix_tell_where_static_pixels_go():
    """Pixels of one frame, moved by depth and pose into the next one, meet the same surface."""
    first, *_, second = drive_frames(WorldConfig(height=120, width=160), 5, 4, 4.0)
    rows, columns = np.nonzero((first.instance == 0) & ~first.sky & (first.depth_m < 40.0))
    depth = first.depth_m[rows, columns]
    rays = np.linalg.inv(first.camera_matrix) @ np.stack([columns, rows, np.ones(len(rows))])
    world = first.camera_pose @ np.vstack([rays * depth, np.ones(len(rows))])
    seen = np.linalg.inv(second.camera_pose) @ world
    pixels = np.round((second.camera_matrix @ seen[:3])[:2] / seen[2]).astype(int)
    inside = (
        (pixels[0] >= 0) & (pixels[0] < 160) & (pixels[1] >= 0) & (pixels[1] < 120) & (seen[2] > 1)
    )
    found = second.depth_m[pixels[1, inside], pixels[0, inside]]
    error = np.abs(found - seen[2, inside]) / seen[2, inside]
    moved = np.hypot(*(pixels[:, inside] - np.stack([columns, rows])[:, inside]))
    assert inside.sum() > 1000
    assert np.median(moved) > 1.0
    assert np.median(error) < 0.02


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('height', 16),
        ('focal_share', (1.5, 1.0)),
        ('camera_height_m', (0.0, 1.0)),
        ('night_share', 1.5),
        ('density', -1.0),
    ],
)
def test_bad_configurations_are_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        WorldConfig(**{field: value})


def test_bad_keys_and_rates_are_refused():
    with pytest.raises(ConfigError, match='seed'):
        render_frame(SMALL, -1, 0)
    with pytest.raises(ConfigError, match='rate_hz'):
        next(drive_frames(SMALL, 1, 1, 0.0))
    with pytest.raises(ConfigError, match='count'):
        next(drive_frames(SMALL, 1, -1, 5.0))


def test_empty_street_has_no_labels():
    frame = render_frame(WorldConfig(height=96, width=128, density=0.0), 2, 0)
    assert not frame.label.any()
    assert np.ptp(frame.thermal) > 100
