# SPDX-License-Identifier: Apache-2.0
"""Faults of thermal cameras: what they look like, and that they draw nothing while off."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from warm_frames import frame

from kd_perception.errors import ConfigError
from training.data.augmentation.sensor import (
    SensorConfig,
    add_column_pattern,
    add_drift,
    add_row_pattern,
    add_vignetting,
    break_pixels,
    hide_corners,
    hide_regions,
    invert_polarity,
    weaken_contrast,
)


def hidden_by(fault):
    """The image alone of a fault that also changes the label."""

    def image_of(gray, rng, config):
        return fault(gray, np.zeros(gray.shape, np.uint8), rng, config)[0]

    return image_of


FAULTS = (
    ('corner_share', hidden_by(hide_corners)),
    ('region_share', hidden_by(hide_regions)),
    ('polarity_share', invert_polarity),
    ('vignette_share', add_vignetting),
    ('column_share', add_column_pattern),
    ('row_share', add_row_pattern),
    ('drift_share', add_drift),
    ('contrast_share', weaken_contrast),
    ('pixel_share', break_pixels),
)


@pytest.mark.parametrize(('name', 'fault'), FAULTS)
def test_fault_that_is_off_draws_nothing_and_one_that_is_on_is_pure(name, fault):
    kelvin = frame()[0].astype(np.float32) / 100
    rng = np.random.default_rng(3)
    assert fault(kelvin, rng, SensorConfig(corner_share=0.0)) is kelvin
    assert rng.uniform() == np.random.default_rng(3).uniform()
    config, before = SensorConfig(**{name: 1.0}), kelvin.copy()
    one, two = (fault(kelvin, np.random.default_rng(3), config) for _ in 'ab')
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(kelvin, before)
    assert one.dtype == np.float32
    assert not np.array_equal(one, kelvin)


def test_polarity_mirrors_hot_and_cold_about_the_mean():
    thermal, label = frame()
    kelvin = thermal.astype(np.float32) / 100
    swapped = invert_polarity(kelvin, np.random.default_rng(0), SensorConfig(polarity_share=1.0))
    assert swapped.mean() == pytest.approx(kelvin.mean(), abs=1e-2)
    np.testing.assert_allclose(swapped + kelvin, 2 * kelvin.mean(), atol=1e-2)
    assert swapped[label == 2].mean() < swapped[label == 0].mean() - 10.0


def test_vignetting_is_smooth_and_largest_at_the_edge():
    flat = np.full((64, 96), 290.0, np.float32)
    config = SensorConfig(vignette_share=1.0)
    falls = [add_vignetting(flat, np.random.default_rng(s), config) - flat for s in range(40)]
    corners = np.array([[f[0, 0], f[0, -1], f[-1, 0], f[-1, -1]] for f in falls])
    assert (np.abs(corners).max(axis=1) > 3 * np.abs([f[32, 48] for f in falls])).mean() > 0.9
    assert 1.0 < corners.std() < 4.0  # 2 K
    assert max(np.abs(np.diff(f, axis=1)).max() for f in falls) < 0.6


def test_column_pattern_is_the_same_in_every_row():
    flat = np.full((64, 96), 290.0, np.float32)
    config = SensorConfig(column_share=1.0, column_k=0.5)
    patterns = [
        add_column_pattern(flat, np.random.default_rng(s), config) - flat for s in range(30)
    ]
    assert all(np.ptp(p, axis=0).max() == 0.0 for p in patterns)
    assert np.std([p[0, 1::2] for p in patterns]) == pytest.approx(0.5, rel=0.1)
    steps = [p[0, ::2].mean() - p[0, 1::2].mean() for p in patterns]
    assert np.std(steps) == pytest.approx(0.5, rel=0.5)


def test_row_pattern_is_the_same_in_every_column():
    flat = np.full((96, 64), 290.0, np.float32)
    config = SensorConfig(row_share=1.0, column_k=0.5)
    patterns = [add_row_pattern(flat, np.random.default_rng(s), config) - flat for s in range(30)]
    assert all(np.ptp(p, axis=1).max() == 0.0 for p in patterns)
    assert np.std([p[:, 0] for p in patterns]) == pytest.approx(0.5, rel=0.1)


def test_drift_is_smooth_and_of_no_direction():
    flat = np.full((120, 160), 290.0, np.float32)
    config = SensorConfig(drift_share=1.0, drift_k=2.0)
    drifts = [add_drift(flat, np.random.default_rng(s), config) - flat for s in range(40)]
    assert 1.0 < np.std(drifts) < 3.0
    assert max(np.abs(np.diff(d, axis=axis)).max() for d in drifts for axis in (0, 1)) < 1.0
    assert abs(np.mean(drifts)) < 0.5
    middle, edge = (np.std([d[y, x] for d in drifts]) for y, x in ((60, 80), (0, 0)))
    assert 0.4 < middle / edge < 1.2, 'drift is no vignette'


def test_weak_contrast_keeps_the_order_and_the_mean_of_the_scene():
    kelvin = frame()[0].astype(np.float32) / 100
    config = SensorConfig(contrast_share=1.0, contrast_least=0.1)
    left = []
    for seed in range(40):
        weak = weaken_contrast(kelvin, np.random.default_rng(seed), config)
        left.append(weak.std() / kelvin.std())
        assert weak.mean() == pytest.approx(kelvin.mean(), abs=1e-2)
        slopes = (weak - weak.mean()) / left[-1] - (kelvin - kelvin.mean())
        np.testing.assert_allclose(slopes, 0.0, atol=1e-2)
    assert 0.1 <= min(left) < 0.25 and 0.8 < max(left) <= 1.0


def test_strong_turns_every_fault_on():
    off, strong = SensorConfig(), SensorConfig.strong()
    shares = [f.name for f in dataclasses.fields(off) if f.name.endswith('_share')]
    assert all(getattr(strong, name) > getattr(off, name) for name in shares)


def test_dead_regions_are_flat_and_unknown_and_the_rest_is_left_alone():
    gray, label = (
        np.random.default_rng(0).uniform(0.1, 0.9, (64, 96)),
        np.zeros((64, 96), np.uint8),
    )
    gray = gray.astype(np.float32)
    for seed in range(40):
        config = SensorConfig(region_share=1.0)
        image, target = hide_regions(gray, label, np.random.default_rng(seed), config)
        dead = target == 255
        np.testing.assert_array_equal(image[~dead], gray[~dead])
        assert 1 <= len(np.unique(image[dead])) <= 3
        assert 0.0 < dead.mean() <= 3 * 0.25**2


def test_broken_pixels_are_few_and_black_or_white():
    gray = np.full((100, 100), 0.5, np.float32)
    config = SensorConfig(pixel_share=1.0, pixel_most=0.01)
    for seed in range(30):
        image = break_pixels(gray, np.random.default_rng(seed), config)
        broken = image != 0.5
        assert set(np.unique(image[broken])) <= {0.0, 1.0}
        assert broken.mean() < 0.04


@pytest.mark.parametrize('values', [{'corner_share': 1.1}, {'vignette_k': -1.0}])
def test_bad_sensors_are_refused(values):
    with pytest.raises(ConfigError):
        SensorConfig(**values)


def test_hidden_corners_are_black_and_unknown():
    gray, label = np.ones((64, 96), np.float32), np.zeros((64, 96), np.uint8)
    hidden = 0
    for seed in range(60):
        image, target = hide_corners(gray, label, np.random.default_rng(seed), SensorConfig())
        np.testing.assert_array_equal(image == 0, target == 255)
        hidden += bool((target == 255).any())
    assert 0 < hidden < 20
