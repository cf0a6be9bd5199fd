# SPDX-License-Identifier: Apache-2.0
"""KITTI, Cityscapes and recordings as samples of mutual distillation."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from mutual_runs import NONE

from kd_perception.bags import BagReader, BagWriter
from kd_perception.cli import main as kd_perception
from kd_perception.errors import ConfigError
from kd_perception.metrics import DEPTH_PROTOCOLS
from kd_perception.world_export.stereo_bag import LEFT_INFO_TOPIC, LEFT_TOPIC, RIGHT_TOPIC
from training.data.depth_bag import load_depth_bag
from training.data.depth_bag_config import DepthBagConfig
from training.distributed import LaunchConfig
from training.engine import LoopConfig
from training.recipes import mutual_distillation
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_data import (
    Drawing,
    scored_frames,
    training_frames,
)
from training.recipes.mutual_distillation_networks import NetworkConfig
from training.recipes.mutual_distillation_sets import (
    CityscapesConfig,
    KittiConfig,
    what_is_not_scored,
)
from training.recipes.mutual_distillation_terms import BranchConfig, NoiseConfig
from training.records import read_record


@pytest.fixture(scope='module')
def kitti_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('kitti') / 'set'
    kd_perception(['world', 'kitti', str(root), '--count', '10', '--size', '64x96'])
    return root


def test_kitti_gives_the_same_kind_of_samples(kitti_root, tmp_path):
    _write_lists(tmp_path, kitti_root)
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
    assert config.protocol_of('test').crop is not None


def test_kitti_may_be_scored_against_the_improved_ground_truth(kitti_root, tmp_path):
    _write_lists(tmp_path, kitti_root, tests=3)
    config = MutualConfig(second=NONE, kitti=KittiConfig(str(kitti_root), str(tmp_path)))
    improved = replace(config, kitti=replace(config.kitti, truth='benchmark'))
    assert improved.fingerprint() == config.fingerprint()
    single, dense = scored_frames(config), scored_frames(improved)
    assert len(single['test']) > len(dense['test']) == 3
    # That of made drives is dense, while a scan has some returns.
    share = (dense['test'][0].target_m > 0.0).mean()
    assert share > 5.0 * (single['test'][0].target_m > 0.0).mean() > 0.0
    np.testing.assert_array_equal(
        dense['validation'][0].target_m, single['validation'][0].target_m
    )
    assert improved.protocol_of('test') == DEPTH_PROTOCOLS['kitti_eigen_benchmark']
    assert improved.protocol_of('validation') == DEPTH_PROTOCOLS['kitti_eigen']
    with pytest.raises(ConfigError, match="truth must be one of 'eigen', 'benchmark'"):
        KittiConfig(truth='improved')


def test_masks_of_ones_own_spare_objects_of_kitti_from_noise(kitti_root, tmp_path):
    _write_lists(tmp_path, kitti_root)
    masks = tmp_path / 'masks'
    config = MutualConfig(
        image_size=(64, 96), second=NONE, kitti=KittiConfig(str(kitti_root), str(tmp_path)),
        noise=NoiseConfig(instances=str(masks), deviation=0.2, colors=UNCHANGED),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r'must have <frame>\.png'):
        training_frames(config)
    for image in kitti_root.glob('*/*_sync/image_02/data/*.png'):
        _write_half_mask(masks / image.relative_to(kitti_root))
    _check_half_is_spared(config)


def test_masks_of_ones_own_spare_objects_of_a_recording_from_noise(recorded, tmp_path):
    masks = tmp_path / 'masks'
    config = replace(
        recorded, second=BranchConfig('none'),
        noise=NoiseConfig(instances=str(masks), deviation=0.2, colors=UNCHANGED),
    )  # fmt: skip
    frames = training_frames(replace(config, noise=NoiseConfig()))
    assert frames[0].sample.instance is None
    for stamp_ns in load_depth_bag(config.bag, config.cache).stamps_ns:
        _write_half_mask(masks / f'{stamp_ns}.png', size=(32, 48))
    _check_half_is_spared(config)


UNCHANGED = replace(NoiseConfig().colors, color_share=0.0)


def _write_half_mask(path, size=(64, 96)):
    """An object on the right half of the frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.zeros(size, np.uint16)
    ids[:, size[1] // 2 :] = 300
    cv2.imwrite(str(path), ids)


def _check_half_is_spared(config):
    assert training_frames(config)[0].sample.instance.max() == 300
    sample = Drawing(config)(0, 0)
    changed = (sample.seen[0] != sample.image).any(dim=0)
    halves = [float(half.float().mean()) for half in changed.chunk(2, dim=1)]
    assert min(halves) == 0.0 and max(halves) > 0.9  # a view may be mirrored


def test_masks_have_no_place_where_objects_are_known_or_noise_is_everywhere():
    with pytest.raises(ConfigError, match=r'noise\.instances is for KITTI and recordings'):
        MutualConfig(noise=NoiseConfig(instances='masks'))
    with pytest.raises(ConfigError, match="region 'background', got 'everywhere'"):
        NoiseConfig(instances='masks', region='everywhere')


def _write_lists(folder, root, tests=None):
    frames = _kitti_frames(root)
    lists = {
        'eigen_zhou/train_files.txt': frames, 'eigen_zhou/val_files.txt': frames,
        'eigen/test_files.txt': frames, 'eigen_benchmark/test_files.txt': frames[:tests],
    }  # fmt: skip
    for name, lines in lists.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text('\n'.join(lines) + '\n')


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


@pytest.fixture
def recorded(drive, tmp_path):
    return MutualConfig(
        image_size=(64, 96),
        second=BranchConfig('unsupervised', views='both'),
        bag=DepthBagConfig(
            str(drive), LEFT_TOPIC, RIGHT_TOPIC, pose_frame='map', image_size=(64, 96),
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
    told = capsys.readouterr().out
    assert '|' not in told and 'No scores of validation and test' in told


def test_a_recording_that_is_learnt_from_whole_has_no_scores(
    recorded, tmp_path, monkeypatch, capsys
):
    config = replace(
        recorded, second=BranchConfig('none'), bag=replace(recorded.bag, held_out_share=0.0),
        loop=LoopConfig(steps=1, batch_size=2, picture_steps=1), output=tmp_path,
        network=NetworkConfig(base_width=4), results=tmp_path,
        launch=LaunchConfig(accelerator='cpu', bfloat16=False),
    )  # fmt: skip
    assert len(training_frames(config)) == 12
    monkeypatch.setattr(mutual_distillation, 'load_config', lambda kind, arguments: config)
    mutual_distillation.main([])
    assert read_record(config.record_path)['metrics'] == {'supervised': {}}
    told = capsys.readouterr().out
    assert 'No scores of validation and test' in told and 'held_out_share 0.0' in told


@pytest.mark.parametrize(
    ('interval_s', 'expected'), [(0.1, {'validation', 'test'}), (0.19, {'test'}), (0.5, set())]
)
def test_a_split_of_a_short_recording_that_is_empty_is_left_out(recorded, interval_s, expected):
    bag = replace(recorded.bag, interval_s=interval_s, pose_frame='')
    config = replace(recorded, bag=bag, second=BranchConfig('none'))
    assert set(scored_frames(config)) == expected
    told = what_is_not_scored(bag, recorded.cache).partition(':')[0]
    assert all((f'{name}' in told) != (name in expected) for name in ('validation', 'test'))
