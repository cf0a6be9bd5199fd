# SPDX-License-Identifier: Apache-2.0
"""What networks see: channels in their order, the robot's gain, one geometry for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_perception.errors import ConfigError
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from training.data.augmentation import AugmentationConfig, JointConfig
from training.data.modality import (
    CHANNELS,
    check_modality,
    network_image,
    plain_sample,
    training_sample,
)
from training.data.world_fields import WorldSample

SIZE = (96, 128)
CROP = AugmentationConfig(JointConfig(64, 64, scale_low=0.9, scale_high=1.1))


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    thermal = rng.integers(28000, 31000, SIZE).astype(np.uint16)
    label = rng.integers(0, 9, SIZE).astype(np.uint8)
    return WorldSample(thermal=thermal, rgb=rgb, label=label)


def test_channels_are_heat_then_red_green_blue(frame):
    image, box = network_image(frame, 'rgbt', SIZE)
    assert image.shape == (1, 4, *SIZE)
    assert box.content_size == SIZE
    gray = normalize(frame.thermal, *agc_limits(frame.thermal, AgcConfig()))
    np.testing.assert_array_equal(image[0, 0], gray)
    np.testing.assert_allclose(image[0, 1:] * 255.0, np.moveaxis(frame.rgb, -1, 0), atol=1e-4)
    for modality, part in (('thermal', image[:, :1]), ('rgb', image[:, 1:])):
        np.testing.assert_array_equal(network_image(frame, modality, SIZE)[0], part)


def test_networks_of_one_sense_do_not_need_the_other(frame):
    thermal = WorldSample(thermal=frame.thermal, label=frame.label)
    rgb = WorldSample(rgb=frame.rgb, label=frame.label)
    assert network_image(thermal, 'thermal', SIZE)[0].shape[1] == CHANNELS['thermal']
    assert network_image(rgb, 'rgb', SIZE)[0].shape[1] == CHANNELS['rgb']
    rng = np.random.default_rng(1)
    assert training_sample(thermal, 'thermal', rng, CROP)[0].shape == (1, 64, 64)


@pytest.mark.parametrize('modality', CHANNELS)
def test_training_samples_are_network_inputs(frame, modality):
    for seed in range(8):
        image, label = training_sample(frame, modality, np.random.default_rng(seed), CROP)
        assert image.shape == (CHANNELS[modality], 64, 64)
        assert image.dtype == np.float32
        assert 0.0 <= image.min() < image.max() <= 1.0
        assert label.shape == (64, 64)
        assert set(np.unique(label)) <= {*range(9), 255}


def test_heat_color_and_label_are_cropped_alike():
    """The same stripe in all three must still be one stripe in the crop."""
    label = np.zeros(SIZE, np.uint8)
    label[:, 60:80] = 1
    rgb = np.where(label[..., None] > 0, 220, 30).astype(np.uint8).repeat(3, axis=2)
    thermal = np.where(label > 0, 30500, 29000).astype(np.uint16)
    stripe = WorldSample(thermal=thermal, rgb=rgb, label=label)
    for seed in range(10):
        image, cut = training_sample(stripe, 'rgbt', np.random.default_rng(seed), CROP)
        inside, outside = cut == 1, cut == 0
        if min(inside.sum(), outside.sum()) < 400:
            continue
        bright = image[1:].mean(axis=0)
        assert bright[inside].mean() > bright[outside].mean() + 0.1


def test_plain_views_of_all_modalities_are_the_same_view(frame):
    both, label = plain_sample(frame, 'rgbt', np.random.default_rng(7), CROP.view)
    assert both.min() >= 0.0 and both.max() <= 1.0
    for modality, channels in (('thermal', slice(0, 1)), ('rgb', slice(1, 4))):
        image, own = plain_sample(frame, modality, np.random.default_rng(7), CROP.view)
        np.testing.assert_array_equal(image, both[channels])
        np.testing.assert_array_equal(own, label)


@pytest.mark.parametrize(
    'thermal',
    [
        np.random.default_rng(5).integers(80, 130, (64, 64)).astype(np.uint8),
        np.random.default_rng(5).integers(29000, 30000, (64, 64)).astype(np.uint16),
    ],
    ids=['gray levels', 'radiometric'],
)
def test_what_is_learnt_from_is_what_the_robot_shows(thermal):
    """At the frame's own size, level and not stretched, only a flip or a shift is left."""
    size = (CROP.view.height, CROP.view.width)
    color = np.random.default_rng(6).integers(0, 256, (*size, 3)).astype(np.uint8)
    frame = WorldSample(thermal=thermal, rgb=color, label=color[..., 0] % 9)
    view = replace(CROP.view, scale_low=1.0, scale_high=1.0, stretch=0.0, angle_deg=0.0)
    image, _ = plain_sample(frame, 'rgbt', np.random.default_rng(0), view)
    shown = network_image(frame, 'rgbt', size)[0][0]
    assert shown[0].max() - shown[0].min() > 0.9
    assert min(np.abs(image - s).max() for s in (shown, shown[..., ::-1])) < 1e-4


def test_a_part_of_an_image_that_was_shown_keeps_its_gray_levels():
    size = (CROP.view.height, CROP.view.width)
    gray = np.random.default_rng(5).integers(80, 130, size).astype(np.uint8)
    frame = WorldSample(thermal=gray, label=gray % 9)
    view = replace(CROP.view, scale_low=1.0, scale_high=1.0, stretch=0.0, angle_deg=0.0)
    image, _ = plain_sample(frame, 'thermal', np.random.default_rng(0), view, shown=True)
    expected = gray.astype(np.float32) / 255.0
    assert min(np.abs(image[0] - e).max() for e in (expected, expected[:, ::-1])) < 1e-4


def test_unknown_modality_is_refused():
    with pytest.raises(ConfigError, match='rgbt'):
        check_modality('depth')
