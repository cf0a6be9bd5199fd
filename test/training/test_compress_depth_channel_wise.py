# SPDX-License-Identifier: Apache-2.0
"""The channel-wise term of a fast depth student: where it is near, not how near."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_depth_runs import tiny_run
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.recipes.compress_depth import depth_losses
from training.recipes.compress_depth_data import DepthLabels, draw, training_frames
from training.recipes.compress_depth_teacher import Taught

SKY_M = 100.0


@pytest.fixture
def config(depth_teacher, world_cache, tmp_path):
    config = tiny_run(tmp_path, world_cache, depth_teacher, temperature=2.0)
    return replace(config, label_weight=0.0, distillation_weight=0.0, channel_wise_weight=3.0)


@pytest.fixture
def maps():
    return torch.randn(2, 2, 16, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def batch():
    target_m = torch.full((2, 1, 64, 96), 5.0)
    target_m[:, :, :20] = SKY_M
    image = torch.zeros(2, 3, 64, 96)
    return DepthLabels(image, image, target_m, target_m == SKY_M)


def _says(taught_m):
    return lambda image: Taught(taught_m, torch.zeros_like(taught_m))


def _shares(log_depth, temperature):
    near = np.exp(-log_depth / temperature)
    return near / near.sum()


def test_the_term_in_numpy(config, maps, batch):
    taught_m = np.random.default_rng(1).uniform(2.0, 60.0, (2, 1, 64, 96)).astype(np.float32)
    terms = depth_losses(lambda seen: maps, _says(torch.from_numpy(taught_m)), batch, config)
    full = functional.interpolate(maps, (64, 96), mode='bilinear')[:, 0].double().numpy()
    divergences = []
    for k in range(2):
        own = _shares(full[k, 20:], 2.0)
        teacher = _shares(np.log(taught_m[k, 0, 20:].astype(np.float64)), 2.0)
        divergences.append((teacher * np.log(teacher / own)).sum())
    assert list(terms) == ['channel_wise']
    assert float(terms['channel_wise']) == pytest.approx(
        3.0 * 4.0 * np.mean(divergences), rel=1e-4
    )


def test_neither_scale_nor_sky_matter(config, maps, batch):
    own_m = functional.interpolate(maps, (64, 96), mode='bilinear')[:, :1].exp()
    taught_m = 7.0 * own_m
    taught_m[:, :, :20] = 1.0
    (value,) = depth_losses(lambda seen: maps, _says(taught_m), batch, config).values()
    assert abs(float(value)) < 1e-4
    taught_m[:, :, 40:] *= 2.0
    (value,) = depth_losses(lambda seen: maps, _says(taught_m), batch, config).values()
    assert float(value) > 0.01


def test_the_sky_gets_no_gradient(config, maps, batch):
    maps.requires_grad_()
    taught_m = torch.rand(2, 1, 64, 96, generator=torch.Generator().manual_seed(2)) + 1.0
    (value,) = depth_losses(lambda seen: maps, _says(taught_m), batch, config).values()
    (slope,) = torch.autograd.grad(value, maps)
    assert slope.isfinite().all() and not slope[:, 0, :4].any() and slope[:, 0, 6:].any()
    assert not slope[:, 1].any()


def test_with_a_lidar_the_true_sky_does_not_matter_either(config, maps, batch):
    """It returns nothing from the sky, nor from most of what is below."""
    config = replace(config, labels='lidar', sky_depth_m=0.0)
    hit = torch.rand(2, 1, 64, 96, generator=torch.Generator().manual_seed(1)) < 0.1
    points_m = torch.where(hit & ~batch.sky, 5.0, 0.0)
    batch = batch._replace(target_m=points_m)
    taught_m = 7.0 * functional.interpolate(maps, (64, 96), mode='bilinear')[:, :1].exp()
    taught_m[:, :, :20] = 1.0
    (value,) = depth_losses(lambda seen: maps, _says(taught_m), batch, config).values()
    assert abs(float(value)) < 1e-4
    (value,) = depth_losses(
        lambda seen: maps, _says(taught_m), batch._replace(sky=torch.zeros_like(batch.sky)), config
    ).values()
    assert float(value) > 0.01


@pytest.mark.parametrize('labels', ['depth', 'lidar'])
def test_samples_tell_the_true_sky_whatever_the_labels_are(config, labels):
    config = replace(config, labels=labels, label_weight=1.0)
    frames, rng = training_frames(config), np.random.default_rng(0)
    samples = [draw(frames[k], rng, config) for k in range(len(frames))]
    sky = torch.stack([sample.sky for sample in samples])
    assert sky.dtype == torch.bool and sky.shape[1:] == (1, 64, 96)
    assert 0.05 < sky.float().mean() < 0.9
    target_m = torch.stack([sample.target_m for sample in samples])
    assert torch.equal(sky, target_m == config.sky_depth_m)
    silent = replace(config, sky_depth_m=0.0)
    samples = [draw(frames[k], np.random.default_rng(0), silent) for k in range(len(frames))]
    for sample in samples:
        assert not sample.target_m[sample.sky].any() and sample.sky.any()


def test_a_recording_tells_no_sky(config):
    frame = replace(training_frames(config)[0], sky=None)
    assert not draw(frame, np.random.default_rng(0), config).sky.any()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'channel_wise_weight': -1.0}, 'weights must be >= 0'),
        ({'channel_wise_weight': 0.0}, 'some term must be left'),
        ({'channel_wise_weight': 0.0, 'label_weight': 1.0}, 'must come together'),
        ({'temperature': 0.0}, 'temperature must be > 0'),
    ],
)
def test_a_wrong_term_is_refused(config, changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(config, **changes)
