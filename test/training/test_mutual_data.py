# SPDX-License-Identifier: Apache-2.0
"""Samples of mutual distillation: shared geometry, own colors, faults; KITTI and Cityscapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mutual_runs import NONE, SUPERVISED, batch_of, tiny_run

from kd_perception.bags import BagReader, BagWriter
from kd_perception.cli import main as kd_perception
from kd_perception.errors import ConfigError
from kd_perception.world_export.stereo_bag import LEFT_INFO_TOPIC, LEFT_TOPIC, RIGHT_TOPIC
from training.data.augmentation import Sample
from training.data.depth_bag_config import DepthBagConfig
from training.data.miscalibration import rotation_matrix
from training.distributed import LaunchConfig
from training.engine import LoopConfig
from training.geometry import warp
from training.recipes import mutual_distillation
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_data import (
    Drawing,
    corrupted,
    random_view,
    scored_frames,
    seen_by_branches,
    training_frames,
)
from training.recipes.mutual_distillation_frames import DepthFrame
from training.recipes.mutual_distillation_motion import mirrored_back
from training.recipes.mutual_distillation_networks import NetworkConfig
from training.recipes.mutual_distillation_sets import CityscapesConfig, KittiConfig
from training.recipes.mutual_distillation_terms import (
    BranchConfig,
    CorruptionConfig,
    NoiseConfig,
)
from training.records import read_record


@pytest.fixture(scope='session')
def world_cache(tmp_path_factory):
    return tmp_path_factory.mktemp('world')


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


@pytest.fixture(scope='module')
def kitti_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('kitti') / 'set'
    kd_perception(['world', 'kitti', str(root), '--count', '10', '--size', '64x96'])
    return root


def test_kitti_gives_the_same_kind_of_samples(kitti_root, tmp_path):
    frames = _kitti_frames(kitti_root)
    for name in ('eigen_zhou/train_files.txt', 'eigen_zhou/val_files.txt', 'eigen/test_files.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('\n'.join(frames) + '\n')
    config = MutualConfig(
        image_size=(64, 128),
        second=BranchConfig('unsupervised', views='both'),
        network=NetworkConfig(poses='learned'),
        kitti=KittiConfig(str(kitti_root), str(tmp_path)),
    )
    sample = Drawing(config)(0, 0)
    assert sample.sources.shape == (3, 3, 64, 128) and sample.seen.shape == (2, 3, 64, 128)
    assert (sample.lidar_m > 0).any()
    assert float(sample.poses[0, 0, 3]) < -0.3
    assert torch.equal(sample.poses[1], torch.eye(4))  # not known, to be learnt
    splits = scored_frames(config)
    assert set(splits) == {'validation', 'test'}
    frame = splits['test'][0]
    assert frame.regions == {} and (frame.target_m > 0).any()
    assert config.protocol.crop is not None


def _kitti_frames(root):
    drive = sorted(root.glob('*/*_sync'))[0]
    numbers = sorted(int(path.stem) for path in (drive / 'image_02' / 'data').iterdir())
    return [f'{drive.parent.name}/{drive.name} {number} l' for number in numbers[1:-1]]


@pytest.fixture(scope='module')
def cityscapes_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('cityscapes') / 'set'
    kd_perception(['world', 'cityscapes', str(root), '--count', '6', '--size', '64x96'])
    return root


def test_cityscapes_gives_the_same_kind_of_samples(cityscapes_root):
    config = MutualConfig(
        image_size=(64, 96),
        second=BranchConfig('unsupervised', views='stereo'),
        cityscapes=CityscapesConfig(str(cityscapes_root)),
    )
    frame = training_frames(config)[0]
    assert frame.sample.image_size == (48, 96)  # without the hood
    assert frame.sample.instance is not None and frame.poses['right'][0, 3] < 0.0
    sample = Drawing(config)(0, 0)
    assert sample.image.shape == (3, 64, 96) and (sample.lidar_m > 0).any()
    splits = scored_frames(config)
    assert set(splits) == {'test'}
    assert splits['test'][0].rgb.shape == (48, 96, 3) == (*splits['test'][0].target_m.shape, 3)


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    out = tmp_path_factory.mktemp('bag') / 'drive'
    kd_perception(['world', 'stereo_bag', str(out), '--count', '12', '--size', '64x96'])
    return str(out)


@pytest.fixture
def recorded(drive, tmp_path):
    return MutualConfig(
        image_size=(64, 96),
        second=BranchConfig('unsupervised', views='both'),
        bag=DepthBagConfig(
            drive, LEFT_TOPIC, RIGHT_TOPIC, pose_frame='map', image_size=(64, 96),
            interval_s=0.1, held_out_share=0.7,
        ),
        cache=tmp_path,
    )  # fmt: skip


def test_a_recording_gives_the_same_kind_of_samples(recorded):
    sample = Drawing(recorded)(0, 0)
    assert sample.sources.shape == (3, 3, 64, 96) and (sample.lidar_m > 0).any()
    assert float(sample.poses[0, 0, 3]) < -0.3
    assert abs(float(sample.poses[1, 2, 3])) > 0.01  # the car moves
    splits = scored_frames(recorded)
    assert set(splits) == {'validation', 'test'}
    assert splits['test'][0].rgb.shape == (64, 96, 3) and (splits['test'][0].target_m > 0).any()
    assert splits['test'][0].regions == {}


def test_a_recording_without_known_motions_or_second_camera_is_refused(recorded):
    with pytest.raises(ConfigError, match=r'bag\.pose_frame'):
        replace(recorded, bag=replace(recorded.bag, pose_frame=''))
    with pytest.raises(ConfigError, match=r'bag\.right_topic'):
        replace(recorded, bag=replace(recorded.bag, right_topic=''))
    learned = replace(recorded.network, poses='learned')
    replace(recorded, bag=replace(recorded.bag, pose_frame=''), network=learned)


def test_a_recording_without_a_lidar_has_no_scores(recorded, drive, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'video'
    with BagReader(drive) as source, BagWriter(out) as bag:
        for message in source.messages([LEFT_TOPIC, LEFT_INFO_TOPIC]):
            bag.write_raw(
                message.topic, message.message_type, message.data,
                log_time_ns=message.log_time_ns,
            )  # fmt: skip
    own = replace(recorded.bag, bag=str(out), left_topic='', right_topic='', pose_frame='')
    config = replace(
        recorded, bag=own, first=BranchConfig('unsupervised', views='video'),
        second=BranchConfig('none'), loop=LoopConfig(steps=1, batch_size=2, picture_steps=1),
        network=NetworkConfig(base_width=4, poses='learned'), output=tmp_path, results=tmp_path,
        launch=LaunchConfig(accelerator='cpu', bfloat16=False),
    )  # fmt: skip
    assert scored_frames(config) == {}
    monkeypatch.setattr(mutual_distillation, 'load_config', lambda kind, arguments: config)
    mutual_distillation.main([])
    assert read_record(config.record_path)['metrics'] == {'unsupervised': {}}
    assert '|' not in capsys.readouterr().out
