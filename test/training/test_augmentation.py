# SPDX-License-Identifier: Apache-2.0
"""Training frames: what may change and what must not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from warm_frames import frame

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from training.data.augmentation import (
    AugmentationConfig,
    JointConfig,
    PhotometricConfig,
    Sample,
    augment,
    augment_pair,
    augment_sample,
)
from training.data.augmentation.cameras import camera_image
from training.data.augmentation.clutter import add_clutter
from training.data.augmentation.thermal import (
    GRAY_SPAN_K,
    change_background,
    change_objects,
    kelvin_from_thermal,
)

SEEDS = st.integers(0, 10_000)
COLORS = np.array([[20, 120, 60], [250, 10, 30], [0, 0, 255]], np.uint8)
CONFIG = AugmentationConfig(JointConfig(height=64, width=96))


def test_sample_is_a_network_input_with_its_label():
    thermal, label = frame()
    for seed in range(40):
        image, target = augment(thermal, label, np.random.default_rng(seed), CONFIG)
        assert image.shape == target.shape == (64, 96)
        assert image.dtype == np.float32
        assert target.dtype == np.uint8
        assert np.isfinite(image).all()
        assert image.min() >= 0.0
        assert image.max() <= 1.0
        assert set(np.unique(target)) <= {0, 1, 2, 255}


def test_sample_depends_on_the_stream_only():
    thermal, label = frame()
    first, again, other = (
        augment(thermal, label, np.random.default_rng(seed), CONFIG) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_source_frame_is_left_alone():
    thermal, label = frame()
    before = thermal.copy(), label.copy()
    for seed in range(10):
        augment(thermal, label, np.random.default_rng(seed), CONFIG)
    np.testing.assert_array_equal(thermal, before[0])
    np.testing.assert_array_equal(label, before[1])


def test_view_moves_image_and_label_together():
    thermal, label = frame()
    sample = Sample(thermal=kelvin_from_thermal(thermal), label=label)
    for seed in range(30):
        view = augment_sample(sample, np.random.default_rng(seed), CONFIG.view)
        person = view.label == 2
        if person.sum() > 60:
            assert np.median(view.thermal[person]) == pytest.approx(273.15 + 30.0, abs=1.0)


def test_scene_changes_touch_the_objects_or_the_background_as_named():
    thermal, label = frame()
    kelvin = thermal.astype(np.float32) / 100
    core = np.zeros(label.shape, bool)
    core[:40] = True  # far from every object
    changed = [change_objects(kelvin, label, np.random.default_rng(s)) for s in range(10)]
    assert all(np.array_equal(c[core], kelvin[core]) for c in changed)
    assert any(not np.array_equal(c, kelvin) for c in changed)
    cluttered = [add_clutter(kelvin, label, np.random.default_rng(s)) for s in range(10)]
    objects = label > 0
    assert all(np.array_equal(c[objects], kelvin[objects]) for c in cluttered)
    assert any(np.abs(c - kelvin)[core].max() > 1.0 for c in cluttered)
    drifted = [change_background(kelvin, np.random.default_rng(s)) for s in range(10)]
    assert any(not np.array_equal(d, kelvin) for d in drifted)


def test_raw_camera_without_noise_ends_in_the_robots_gain_control(monkeypatch):
    thermal, _ = frame()
    kelvin = thermal.astype(np.float32) / 100
    monkeypatch.setattr(
        'training.data.augmentation.cameras._noise', lambda shape, *_: np.zeros(shape, np.float32)
    )
    expected = normalize(thermal, *agc_limits(thermal, AgcConfig()))
    errors = [
        np.abs(camera_image(kelvin, np.random.default_rng(s), coarse=1.0, raw=True) - expected)
        for s in range(20)
    ]
    # Some of the draws blur the frame or move the percentiles: the best of them must agree.
    assert min(np.median(e) for e in errors) < 0.01
    assert max(np.median(e) for e in errors) < 0.2


def test_coarse_camera_loses_detail_but_not_size():
    rng = np.random.default_rng(0)
    kelvin = (290.0 + 5.0 * rng.standard_normal((64, 96))).astype(np.float32)
    fine = camera_image(kelvin, np.random.default_rng(3), coarse=1.0, raw=True)
    coarse = camera_image(kelvin, np.random.default_rng(3), coarse=4.0, raw=True)
    assert coarse.shape == fine.shape
    assert np.abs(np.diff(coarse)).mean() < 0.5 * np.abs(np.diff(fine)).mean()


@pytest.mark.parametrize(
    'make',
    [
        lambda: JointConfig(height=100),
        lambda: JointConfig(width=0),
        lambda: JointConfig(scale_low=2.0, scale_high=1.8),
        lambda: AugmentationConfig(coarsest=0.5),
    ],
)
def test_bad_configurations_are_refused(make):
    with pytest.raises(ConfigError):
        make()


@given(seed=SEEDS)
def test_pair_shows_one_view_and_the_thermal_part_is_that_of_thermal_training(seed):
    thermal, label = frame()
    config = AugmentationConfig(
        JointConfig(height=64, width=96, scale_low=0.9),
        rgb=PhotometricConfig(0.0, noise_share=0, blur_share=0),
    )
    rgb = COLORS[label]
    gray, color, target = augment_pair(thermal, rgb, label, np.random.default_rng(seed), config)
    alone = augment(thermal, label, np.random.default_rng(seed), config)
    np.testing.assert_array_equal(gray, alone[0])
    np.testing.assert_array_equal(target, alone[1])
    assert color.shape == (3, 64, 96)
    assert color.dtype == np.float32
    assert color.flags.c_contiguous
    known = target != 255
    wrong = np.abs(color.transpose(1, 2, 0) - COLORS[np.where(known, target, 0)] / 255.0)
    assert np.median(wrong[known]) < 0.01
    assert (wrong[known] > 0.5).mean() < 0.02  # boundaries


def test_pair_changes_the_colors_of_the_color_image_alone():
    thermal, label = frame()
    same, changed = (
        augment_pair(thermal, COLORS[label], label, np.random.default_rng(2), config)
        for config in (
            replace(CONFIG, rgb=PhotometricConfig(color_share=share)) for share in (0.0, 1.0)
        )
    )
    np.testing.assert_array_equal(same[0], changed[0])
    np.testing.assert_array_equal(same[2], changed[2])
    assert np.abs(same[1] - changed[1]).mean() > 0.01


@pytest.mark.parametrize('config', [CONFIG, AugmentationConfig.strong(view=CONFIG.view)])
@given(seed=SEEDS)
def test_pair_of_any_strength_and_thermal_type_is_a_network_input(config, seed):
    thermal, label = frame()
    gray8 = ((thermal - thermal.min()) / np.ptp(thermal) * 255).astype(np.uint8)
    for image in (thermal, gray8):
        parts = augment_pair(image, COLORS[label], label, np.random.default_rng(seed), config)
        again = augment_pair(image, COLORS[label], label, np.random.default_rng(seed), config)
        for part, same in zip(parts, again, strict=True):
            np.testing.assert_array_equal(part, same)
        for part in parts[:2]:
            assert np.isfinite(part).all()
            assert 0.0 <= part.min() <= part.max() <= 1.0
        assert set(np.unique(parts[2])) <= {0, 1, 2, 255}


def test_gray_levels_stand_for_a_window_of_temperatures():
    levels = np.array([[0, 255]], np.uint8)
    assert np.ptp(kelvin_from_thermal(levels)) == pytest.approx(GRAY_SPAN_K, rel=1e-4)
    assert kelvin_from_thermal(np.array([[29315]], np.uint16)) == pytest.approx(293.15)
    with pytest.raises(ShapeError, match='float64'):
        kelvin_from_thermal(np.zeros((2, 2)))
