# SPDX-License-Identifier: Apache-2.0
"""Samples of mutual distillation: shared geometry, own colors, faults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mutual_runs import NONE, SUPERVISED, batch_of, tiny_run

from training.data.augmentation import Sample
from training.data.miscalibration import rotation_matrix
from training.geometry import warp
from training.recipes.mutual_distillation_data import (
    Drawing,
    corrupted,
    random_view,
    seen_by_branches,
    training_frames,
)
from training.recipes.mutual_distillation_frames import DepthFrame
from training.recipes.mutual_distillation_motion import mirrored_back
from training.recipes.mutual_distillation_terms import (
    CorruptionConfig,
    NoiseConfig,
)


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


QUIET = NoiseConfig(region='none', colors=replace(NoiseConfig().colors, color_share=0.0))


def test_geometry_is_shared_and_colors_are_not(config):
    quiet = batch_of(replace(config, noise=QUIET))
    loud = batch_of(config)
    assert torch.equal(quiet.image, loud.image) and torch.equal(quiet.lidar_m, loud.lidar_m)
    for branch in range(2):
        assert torch.equal(quiet.seen[:, branch], quiet.image)
        assert not torch.equal(loud.seen[:, branch], loud.image)
    assert not torch.equal(loud.seen[:, 0], loud.seen[:, 1])
    same = batch_of(replace(config, noise=replace(config.noise, own=False)))
    assert torch.equal(same.seen[:, 0], same.seen[:, 1])
    assert torch.equal(same.seen[:, 0], loud.seen[:, 0])


@pytest.mark.parametrize('region', ['background', 'everywhere', 'none'])
def test_noise_spares_objects(region):
    image = np.full((40, 50, 3), 0.5, np.float32)
    instance = np.zeros((40, 50), np.int32)
    instance[:, 20:] = 3
    config = replace(QUIET, region=region, deviation=0.05)
    seen = seen_by_branches(image, instance, np.random.default_rng(0), config, 2)
    assert seen.shape == (2, 3, 40, 50) and seen.dtype == np.float32
    background, things = (seen - 0.5)[..., :20], (seen - 0.5)[..., 20:]
    assert background.std() == pytest.approx(0.0 if region == 'none' else 0.05, rel=0.05)
    assert things.std() == pytest.approx(0.05 if region == 'everywhere' else 0.0, rel=0.05)
    if region == 'background':
        unknown = seen_by_branches(image, None, np.random.default_rng(0), config, 1)
        np.testing.assert_array_equal(unknown, 0.5)


def mirrored_and_not(config):
    """Two samples of a car that moves."""
    batches = [batch_of(config, size=1, step=step) for step in range(40)]
    batches = [batch for batch in batches if batch.poses[0, 2, :3, 3].norm() > 0.4]
    signs = [float(batch.camera_matrix[0, 0, 0]) for batch in batches]
    assert min(signs) < 0.0 < max(signs)
    return [batches[signs.index(min(signs))], batches[signs.index(max(signs))]]


def test_true_depth_explains_all_views_also_of_mirrored_frames(config):
    """Views, poses, intrinsics and depth fit together: warping makes the views alike."""
    config = replace(config, noise=QUIET)
    frames = training_frames(config)
    assert config.sources == ('right', 'previous', 'next')
    world = replace(config.train, fields=(*config.train.fields, 'depth_m'))
    dense = training_frames(config)._data.__class__(frames._data.folder, _rendered(world, config))
    for batch in mirrored_and_not(config):
        depth_m = _depth_of(batch, dense, config)
        for k in range(3):
            warped = warp(batch.sources[:, k], depth_m, batch.poses[:, k], batch.camera_matrix)
            seen = warped.valid.expand(-1, 3, -1, -1)
            before = (batch.sources[:, k] - batch.image).abs()[seen].mean()
            after = (warped.image - batch.image).abs()[seen].mean()
            assert after < 0.75 * before, k


def _rendered(split, config):
    from training.data.world import load_world

    load_world(split, config.cache)
    return split


def _depth_of(batch, dense, config):
    """The dense depth of the frame that a batch shows, mirrored if it is."""
    mirrored = float(batch.camera_matrix[0, 0, 0]) < 0.0
    for k in range(len(dense)):
        rgb = torch.from_numpy(dense[k].rgb.transpose(2, 0, 1).astype(np.float32) / 255.0)
        depth_m = torch.from_numpy(np.array(dense[k].depth_m))
        if mirrored:
            rgb, depth_m = rgb.flip(-1), depth_m.flip(-1)
        if (rgb - batch.image[0]).abs().max() < 1e-2:
            return depth_m[None, None]
    raise AssertionError('no frame is the one that was drawn')


def test_poses_of_mirrored_images_are_mirrored_back():
    """A motion seen in a mirror: a point and its mirror image move as mirror images."""
    pose = torch.eye(4)
    pose[:3, :3] = torch.from_numpy(rotation_matrix([3.0, -7.0, 2.0]))
    pose[:3, 3] = torch.tensor([0.3, -0.1, 1.0])
    found = mirrored_back(pose.expand(2, 1, 4, 4), torch.tensor([False, True]))
    torch.testing.assert_close(found[0, 0], pose)
    point, mirror = torch.tensor([1.0, 2.0, 9.0, 1.0]), torch.tensor([-1.0, 1.0, 1.0, 1.0])
    torch.testing.assert_close(found[1, 0] @ (mirror * point), mirror * (pose @ point))


def test_only_measured_frames_have_lidar(config):
    config = replace(config, first=SUPERVISED, second=NONE)
    for share, expected in ((1.0, 8), (0.5, 4), (0.0, 0)):
        own = replace(config, measured_share=share, noise=QUIET)
        draw = Drawing(own)
        known = {
            sample.image.numpy().tobytes(): bool((sample.lidar_m > 0).any())
            for sample in (draw(step, 0) for step in range(80))
        }
        assert len(known) == 16  # eight frames, mirrored or not
        assert sum(known.values()) == 2 * expected


def test_a_view_is_the_whole_frame_at_another_size(config):
    """Corners of the frame stay corners; the focal length follows each axis."""
    rgb = np.zeros((30, 80, 3), np.uint8)
    matrix = np.array([[70.0, 0.0, 39.5], [0.0, 70.0, 14.5], [0.0, 0.0, 1.0]])
    view = replace(config.view, height=64, width=96, flip_share=0.0)
    found = random_view(Sample(rgb=rgb, camera_matrix=matrix), np.random.default_rng(0), view)
    assert found.rgb.shape == (64, 96, 3)
    scale = np.array([96 / 80, 64 / 30])
    np.testing.assert_allclose(np.diag(found.camera_matrix)[:2], 70.0 * scale)
    # Half a pixel before the first center stays where it is.
    np.testing.assert_allclose(found.camera_matrix[:2, 2] + 0.5, scale * (matrix[:2, 2] + 0.5))


def frame_with(lidar_m, poses):
    matrix = np.array([[40.0, 0.0, 15.5], [0.0, 40.0, 11.5], [0.0, 0.0, 1.0]])
    return DepthFrame(Sample(lidar_m=lidar_m, camera_matrix=matrix), poses)


def test_faults_of_a_set_are_those_that_are_asked_for_and_stay():
    lidar_m = np.zeros((24, 32), np.float32)
    lidar_m[12, 10] = 8.0
    pose = np.eye(4)
    pose[2, 3] = 2.0
    frame = frame_with(lidar_m, {'previous': pose, 'next': pose, 'right': pose})
    clean = corrupted(frame, 3, CorruptionConfig())
    assert clean.sample is frame.sample and clean.poses == frame.poses
    wrong = CorruptionConfig(1.0, 0.1, (0.0, 0.0, 0.0), (0.4, 0.0, 0.0))
    found, again, other = (corrupted(frame, k, wrong) for k in (3, 3, 4))
    assert found.sample.lidar_m[12, 12] == 8.0 and np.count_nonzero(found.sample.lidar_m) == 1
    np.testing.assert_array_equal(found.poses['right'], pose)
    for name in ('previous', 'next'):
        np.testing.assert_array_equal(found.poses[name], again.poses[name])
        assert not np.allclose(found.poses[name], other.poses[name])
        assert not np.allclose(found.poses[name], pose)
    assert not np.allclose(found.poses['previous'], found.poses['next'])
