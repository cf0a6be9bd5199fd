# SPDX-License-Identifier: Apache-2.0
"""A fast depth student: samples, terms, resuming, scores and calibration."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_depth_runs import FOCAL_PX, tiny_run

from kd_perception.errors import ConfigError
from training.batches import stacked
from training.data.augmentation import PhotometricConfig, Sample
from training.depth_model_card import depth_model_card
from training.recipes import compress_depth
from training.recipes.compress_depth import build, deployable_network, depth_losses, train
from training.recipes.compress_depth_config import DepthTeacherConfig
from training.recipes.compress_depth_data import Drawing, draw, focal_length_px
from training.recipes.compress_depth_report import predictor
from training.recipes.compress_depth_teacher import Taught
from training.recipes.mutual_distillation_frames import ScoredFrame
from training.records import read_record

QUIET = PhotometricConfig(color_share=0.0, noise_share=0.0, blur_share=0.0)


@pytest.fixture
def config(depth_teacher, world_cache, tmp_path):
    return tiny_run(tmp_path, world_cache, depth_teacher)


def batch_of(config, size=2):
    drawing = Drawing(config)
    return stacked([drawing(0, k) for k in range(size)])


def still(config, scale):
    view = replace(config.view, scale_low=scale, scale_high=scale, flip_share=0.0, angle_deg=0.0)
    return replace(config, view=view, colors=QUIET)


def flat_frame(focal_px=80.0):
    matrix = np.array([[focal_px, 0.0, 47.5], [0.0, focal_px, 31.5], [0.0, 0.0, 1.0]])
    sky = np.zeros((64, 96), bool)
    sky[:20] = True
    depth_m = np.where(sky, np.float32(0.0), np.float32(12.0))
    depth_m[60:] = 80.0  # where the world cuts it
    rgb = np.full((64, 96, 3), 51, np.uint8)
    return Sample(rgb=rgb, depth_m=depth_m, sky=sky, camera_matrix=matrix)


@pytest.mark.parametrize('scale', [0.5, 1.0, 2.0])
def test_labels_are_those_of_the_camera_that_depth_is_told_for(config, scale):
    """A zoomed view shows a scene that is nearer by the zoom, and that of a longer lens is."""
    sample = draw(flat_frame(), np.random.default_rng(0), still(config, scale))
    expected = {np.float32(12.0 * FOCAL_PX / (80.0 * scale)), np.float32(100.0), np.float32(0.0)}
    assert {np.float32(value) for value in sample.target_m.unique().tolist()} <= expected
    assert np.float32(sample.target_m[0, 32, 48]) == np.float32(12.0 * FOCAL_PX / (80.0 * scale))
    assert torch.equal(sample.seen, sample.image) and float(
        sample.image[0, 32, 48]
    ) == pytest.approx(0.2)


def test_the_sky_is_far_and_where_the_world_ends_is_not_known(config):
    sample = draw(flat_frame(), np.random.default_rng(0), still(config, 1.0))
    assert (sample.target_m[0, :20] == 100.0).all() and (sample.target_m[0, 60:] == 0.0).all()
    config = replace(config, sky_depth_m=0.0)
    sample = draw(flat_frame(), np.random.default_rng(0), still(config, 1.0))
    assert (sample.target_m[0, :20] == 0.0).all()


def test_without_a_weight_labels_are_not_looked_at(config):
    config = replace(config, label_weight=0.0)
    sample = draw(flat_frame(), np.random.default_rng(0), still(config, 1.0))
    assert not sample.target_m.any()


def test_what_is_beyond_the_range_is_no_label(config):
    config = still(replace(config, max_depth_m=14.0), 1.0)  # 12 m are 15 m of its camera
    sample = draw(flat_frame(), np.random.default_rng(0), config)
    assert set(sample.target_m.unique().tolist()) == {0.0, 100.0}


def test_the_focal_length_survives_mirrors_and_turns():
    turn = np.array([[-0.8, -0.6, 5.0], [-0.6, 0.8, 1.0], [0.0, 0.0, 1.0]])
    matrix = np.diag([70.0, 70.0, 1.0])
    assert focal_length_px(turn @ matrix) == pytest.approx(70.0)


def test_samples_follow_from_seed_step_and_index(config):
    own = Drawing(config)
    expected = own(3, 1)
    sent = pickle.dumps(own)
    assert len(sent) < 10_000
    for part, other in zip(expected, pickle.loads(sent)(3, 1), strict=True):
        assert torch.equal(part, other)
    assert not torch.equal(expected.seen, own(3, 2).seen)
    assert not torch.equal(expected.seen, expected.image)


def laplace(error, log_sigma, weight=None):
    cost = error / np.exp(log_sigma) + log_sigma
    weight = np.ones_like(cost) if weight is None else weight
    return (weight * cost).sum() / weight.sum()


def test_terms_in_numpy(config):
    """Maps of a quarter of the size, scaled up, against labels and a teacher, image by image."""
    batch = batch_of(config)
    maps = torch.randn(2, 2, 16, 24, generator=torch.Generator().manual_seed(0))
    rng = np.random.default_rng(1)
    taught_m = rng.uniform(2.0, 60.0, (2, 1, 64, 96)).astype(np.float32)
    unsure = rng.normal(size=(2, 1, 64, 96)).astype(np.float32)
    teacher = lambda image: Taught(torch.from_numpy(taught_m), torch.from_numpy(unsure))  # noqa: E731
    config = replace(config, label_weight=2.0, distillation_weight=0.5)
    terms = depth_losses(lambda seen: maps, teacher, batch, config)
    full = torch.nn.functional.interpolate(maps, (64, 96), mode='bilinear').numpy()
    target_m = batch[2].numpy()[:, 0]
    labels, taught = [], []
    for k in range(2):
        known = target_m[k] > 0
        error = np.abs(full[k, 0] - np.log(np.where(known, target_m[k], 1.0)))
        labels.append(laplace(error[known], full[k, 1][known]))
        error = np.abs(full[k, 0] - np.log(taught_m[k, 0]))
        below = target_m[k] < 99.0
        taught.append(laplace(error[below], full[k, 1][below], np.exp(-unsure[k, 0][below])))
    assert (target_m > 99.0).any()
    assert float(terms['label']) == pytest.approx(2.0 * np.mean(labels), rel=1e-4)
    assert float(terms['distillation']) == pytest.approx(0.5 * np.mean(taught), rel=1e-4)
    plain = depth_losses(lambda seen: maps, teacher, batch, replace(config, weighted=False))
    assert abs(float(plain['distillation'] - terms['distillation'])) > 1e-3


def test_a_detached_likelihood_leaves_depth_to_the_plain_error(config):
    config = replace(config, detach_depth=True, teacher=DepthTeacherConfig(),
                     distillation_weight=0.0)  # fmt: skip
    batch = batch_of(config)
    maps = torch.randn(2, 2, 16, 24, generator=torch.Generator().manual_seed(0))
    gradients = []
    for shift in (0.0, 3.0):  # of ln sigma
        own = (maps + torch.tensor([0.0, shift])[:, None, None]).requires_grad_()
        sum(depth_losses(lambda seen, own=own: own, None, batch, config).values()).backward()
        gradients.append(own.grad)
    torch.testing.assert_close(gradients[0][:, 0], gradients[1][:, 0])
    assert not torch.allclose(gradients[0][:, 1], gradients[1][:, 1])


def test_a_resumed_run_gives_the_same_bits(config, fabric, monkeypatch, tmp_path):
    whole = train(replace(config, output=tmp_path / 'whole'), fabric).network.state_dict()
    fit = compress_depth.fit

    def dying(run, **arguments):
        draw = arguments['draw']

        def drawn(step, index):
            if step == 8:
                raise KeyboardInterrupt
            return draw(step, index)

        fit(run, **{**arguments, 'draw': drawn})

    monkeypatch.setattr(compress_depth, 'fit', dying)
    with pytest.raises(KeyboardInterrupt):
        train(config, fabric)
    monkeypatch.setattr(compress_depth, 'fit', fit)
    for name, value in train(config, fabric).network.state_dict().items():
        assert torch.equal(value, whole[name]), name


def test_a_run_starts_from_the_weights_of_another_of_smaller_images(config, fabric, tmp_path):
    first = train(replace(config, seed=3, output=tmp_path / 'first'), fabric)
    folder = str(tmp_path / 'first' / config.name / 'seed{seed}')
    larger = replace(config, seed=3, start_folder=folder, image_size=(128, 192), focal_px=160.0)
    assert larger.start_folder.endswith('seed3')
    assert larger.fingerprint() != replace(larger, start_folder='').fingerprint()
    run = build(larger)
    assert run.step == 0
    for name, value in first.average.state_dict().items():
        torch.testing.assert_close(run.network.state_dict()[name], value, rtol=0, atol=0)
    assert '| Started from | averaged weights of the run in' in depth_model_card(larger, {}, 1)
    with pytest.raises(ConfigError, match='train it first'):
        build(replace(config, start_folder=str(tmp_path / 'nothing')))


def test_untrained_students_say_ten_meters(config):
    network = deployable_network(build(config))
    maps = network(torch.zeros(1, 3, 64, 96)).detach()
    assert 5.0 < float(maps[:, 0].exp().median()) < 20.0
    assert 0.1 < float(maps[:, 1].exp().median()) < 1.0


def test_predictions_scale_with_the_camera(config):
    """What the maps say is of one focal length; frames of twice the size have twice the px."""
    maps = torch.full((1, 2, 16, 24), np.log(10.0))
    maps[:, 1] = np.log(0.2)
    predict = predictor(lambda image: maps, config)
    for size, focal_px in (((64, 96), 80.0), ((128, 192), 160.0)):
        matrix = np.diag([focal_px, focal_px, 1.0])
        frame = ScoredFrame(np.zeros((*size, 3), np.uint8), np.zeros(size, np.float32), {}, matrix)
        found = predict(frame)
        depth_m = 10.0 * 80.0 / FOCAL_PX
        assert found.inverse_depth.shape == size
        np.testing.assert_allclose(found.inverse_depth, 1 / depth_m, rtol=1e-5)
        np.testing.assert_allclose(found.sigma, np.sqrt(2) * 0.2 * depth_m, rtol=1e-5)


def test_a_run_writes_its_record(config, monkeypatch, capsys):
    config = replace(config, loop=replace(config.loop, steps=3))
    monkeypatch.setattr(compress_depth, 'load_config', lambda kind, arguments: config)
    compress_depth.main([])
    record = read_record(config.record_path)
    metrics, splits = record['metrics'], ('validation', 'test', '96x96', 'night')
    assert set(metrics) == {*splits, 'sigma_scale', 'confidence_scale'}
    assert 'test abs rel' in capsys.readouterr().out
    for name in splits:
        found = metrics[name]
        assert {'all', 'inside', 'outside', 'sparsification', 'sigma', 'confidence'} <= set(found)
        assert set(found['sigma']) == {'before', 'after'}
        assert 0.0 <= found['sigma']['after']['coverage_1_sigma'] <= 1.0
    off = {
        when: max(
            abs(metrics['validation']['sigma'][when][f'coverage_{k}_sigma'] - share)
            for k, share in ((1, 0.68), (2, 0.95))
        )
        for when in ('before', 'after')
    }
    assert off['after'] <= off['before'] + 1e-3
