# SPDX-License-Identifier: Apache-2.0
"""Who teaches a fast depth student, and what a recording teaches it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_depth_runs import FOCAL_PX, tiny_run
from mutual_runs import NONE, SUPERVISED, UNSUPERVISED

from kd_perception.bags import BagReader
from kd_perception.errors import ConfigError
from training.batches import stacked
from training.data.depth_bag_config import DepthBagConfig
from training.recipes import compress_depth, compress_depth_teacher
from training.recipes.compress_depth import build, deployable_network
from training.recipes.compress_depth_config import DepthTeacherConfig
from training.recipes.compress_depth_data import Drawing, training_frames
from training.recipes.compress_depth_report import is_metric
from training.recipes.compress_depth_teacher import focal_factor, load_teacher
from training.recipes.mutual_distillation_config import MutualConfig
from training.recipes.mutual_distillation_losses import branch_maps
from training.recipes.mutual_distillation_terms import BranchConfig
from training.recipes.mutual_distillation_trained import trained_network
from training.records import read_record

UNSURE = replace(SUPERVISED, uncertainty='none')


@pytest.fixture
def config(depth_teacher, world_cache, tmp_path):
    return tiny_run(tmp_path, world_cache, depth_teacher)


def batch_of(config, size=2):
    drawing = Drawing(config)
    return stacked([drawing(0, k) for k in range(size)])


def test_the_teacher_tells_depth_of_the_students_camera(config, fabric):
    source = config.teacher.run()
    assert source.train.config().focal_share == (0.9, 0.9)
    image = batch_of(config)[1]
    taught = load_teacher(config, fabric)(image)
    maps = branch_maps(trained_network(source).branches[0](image), source)
    # It was trained with a focal length of 0.9 * 96 px at the student's own size.
    torch.testing.assert_close(taught.depth_m, maps.depth_m * FOCAL_PX / 86.4)
    torch.testing.assert_close(taught.log_sigma, maps.log_sigma - maps.depth_m.log())
    assert not taught.depth_m.requires_grad
    larger = torch.nn.functional.interpolate(image, scale_factor=2.0, mode='bilinear')
    doubled = load_teacher(replace(config, image_size=(128, 192)), fabric)(larger)
    assert doubled.depth_m.shape == (2, 1, 128, 192)
    # The same camera has twice the focal length in pixels there.
    near = (doubled.depth_m[..., ::2, ::2] / taught.depth_m).log().abs().median()
    assert near == pytest.approx(np.log(2.0), abs=0.1)


def test_the_sigma_of_a_photometric_branch_is_taken_as_it_is(config, fabric):
    own = replace(config, teacher=replace(config.teacher, branch='unsupervised'))
    first, second = (load_teacher(one, fabric)(batch_of(config)[1]) for one in (config, own))
    assert not torch.allclose(first.depth_m, second.depth_m)
    assert not torch.allclose(first.log_sigma, second.log_sigma)


def teacher_with(monkeypatch, config, **changes):
    source = replace(config.teacher.run(), **changes)
    monkeypatch.setattr(DepthTeacherConfig, 'run', lambda self: source)
    return source


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'first': UNSURE, 'second': NONE}, 'set weighted to false'),
        ({'image_size': (64, 128)}, 'images of one shape'),
    ],
)
def test_teachers_that_do_not_fit_are_refused(config, fabric, monkeypatch, changes, told):
    teacher_with(monkeypatch, config, **changes)
    monkeypatch.setattr(compress_depth_teacher, 'trained_network', lambda source: None)
    with pytest.raises(ConfigError, match=told):
        load_teacher(config, fabric)


def test_teachers_with_several_focal_lengths_are_refused(config, fabric, monkeypatch):
    source = config.teacher.run()
    train = replace(source.train, world={**source.train.world, 'focal_share': [0.8, 1.2]})
    teacher_with(monkeypatch, config, train=train)
    with pytest.raises(ConfigError, match='one focal length'):
        load_teacher(config, fabric)


def test_teachers_that_are_not_there_yet_are_refused(config, fabric, monkeypatch):
    teacher_with(monkeypatch, config, name='another')
    with pytest.raises(ConfigError, match='at step 0 of 3'):
        load_teacher(config, fabric)
    with pytest.raises(ConfigError, match="got 'third'"):
        load_teacher(replace(config, teacher=replace(config.teacher, branch='third')), fabric)


def test_teachers_of_a_recording_have_the_focal_length_of_its_camera(config, drive, tmp_path):
    bag = DepthBagConfig(
        str(drive), '/camera/left/image_raw', image_size=(32, 48), held_out_share=0.0
    )
    source = MutualConfig(
        image_size=(64, 96), second=BranchConfig('none'), bag=bag, cache=tmp_path
    )
    with BagReader(drive) as recorded:
        info = next(recorded.messages(['/camera/left/camera_info'])).deserialize()
    expected = FOCAL_PX / float(info.k[0])  # frames of 64x96 were recorded
    assert focal_factor(source, config) == pytest.approx(expected)


def test_a_recording_may_take_the_place_of_the_world(config, drive, tmp_path):
    bag = replace(config.bag, bag=str(drive), left_topic='/camera/left/image_raw',
                  image_size=(64, 96), held_out_share=0.7)  # fmt: skip
    own = replace(config, bag=bag, labels='lidar', cache=tmp_path)
    sample = Drawing(own)(0, 0)
    assert (sample.target_m > 0).any() and sample.target_m.shape == (1, 64, 96)
    assert set(compress_depth.evaluate(deployable_network(build(own)), own)) == {
        'validation', 'test', 'sigma_scale', 'confidence_scale',
    }  # fmt: skip
    assert len(training_frames(replace(own, label_weight=0.0))) >= 3


def test_a_recording_that_is_learnt_from_whole_has_no_scores(
    config, drive, tmp_path, monkeypatch, capsys
):
    bag = replace(config.bag, bag=str(drive), left_topic='/camera/left/image_raw',
                  image_size=(64, 96), held_out_share=0.0)  # fmt: skip
    own = replace(
        config, bag=bag, labels='lidar', cache=tmp_path, teacher=DepthTeacherConfig(),
        distillation_weight=0.0, loop=replace(config.loop, steps=1), output=tmp_path,
    )  # fmt: skip
    monkeypatch.setattr(compress_depth, 'load_config', lambda kind, arguments: own)
    compress_depth.main([])
    assert not {'validation', 'test'} & set(read_record(own.record_path)['metrics'])
    told = capsys.readouterr().out
    assert 'No scores of validation and test' in told and 'no scores, ' in told


def test_meters_are_known_from_labels_lidar_pairs_or_motions(config, monkeypatch):
    assert is_metric(config)
    blind = replace(config, label_weight=0.0)
    assert is_metric(blind)
    video = replace(UNSUPERVISED, views='video')
    teacher_with(monkeypatch, config, first=video, second=replace(video, kind='none'))
    assert is_metric(blind)
    source = blind.teacher.run()
    learned = replace(source, network=replace(source.network, poses='learned'))
    monkeypatch.setattr(DepthTeacherConfig, 'run', lambda self: learned)
    assert not is_metric(blind)
