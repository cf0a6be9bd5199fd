# SPDX-License-Identifier: Apache-2.0
"""Colors change as named, stay in range and depend on their stream alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError
from training.data.augmentation import photometric
from training.data.augmentation.photometric import PhotometricConfig, augment_rgb

CHANGES = (
    'change_brightness', 'change_contrast', 'change_saturation', 'change_hue', 'change_gamma',
    'add_noise', 'blur',
)  # fmt: skip
STRONG = PhotometricConfig.strong()
SEEDS = st.integers(0, 10_000)


def image(seed=0, size=(24, 32)):
    return np.random.default_rng(seed).uniform(0.0, 1.0, (*size, 3)).astype(np.float32)


@pytest.mark.parametrize('name', [*CHANGES, 'augment_rgb'])
@given(seed=SEEDS)
def test_change_is_in_range_and_pure(name, seed):
    change, source = getattr(photometric, name), image(seed)
    before = source.copy()
    one, two = (change(source, np.random.default_rng(seed), STRONG) for _ in 'ab')
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(source, before)
    assert one.dtype == np.float32
    assert one.shape == source.shape
    assert np.isfinite(one).all()
    assert 0.0 <= one.min() <= one.max() <= 1.0


@pytest.mark.parametrize('name', CHANGES)
def test_change_changes_something_and_zero_strength_nothing(name):
    change, source = getattr(photometric, name), image()
    changed = [change(source, np.random.default_rng(s), STRONG) for s in range(8)]
    assert np.mean([np.abs(c - source).mean() for c in changed]) > 0.01
    strengths = ('brightness', 'contrast', 'saturation', 'hue_deg', 'gamma', 'noise', 'blur_px')
    off = dataclasses.replace(STRONG, **dict.fromkeys(strengths, 0.0))
    same = change(source, np.random.default_rng(1), off)
    np.testing.assert_allclose(same, source, atol=2e-6)


@given(seed=SEEDS)
def test_grays_have_no_hue_and_no_saturation_to_change(seed):
    gray = np.repeat(image(seed)[..., :1], 3, axis=-1)
    for change in (photometric.change_hue, photometric.change_saturation):
        changed = change(gray, np.random.default_rng(seed), STRONG)
        np.testing.assert_allclose(changed, gray, atol=1e-5)


@given(seed=SEEDS)
def test_exposure_keeps_order_and_gamma_keeps_black_and_white(seed):
    ramp = np.repeat(np.linspace(0.0, 1.0, 32, dtype=np.float32), 3).reshape(1, 32, 3)
    for change in (photometric.change_brightness, photometric.change_gamma):
        changed = change(ramp, np.random.default_rng(seed), STRONG)
        assert (np.diff(changed[0, :, 0]) >= 0.0).all()
    assert changed[0, 0, 0] == 0.0
    assert changed[0, -1, 0] == 1.0


def test_hue_turns_by_no_more_than_told():
    red = np.zeros((4, 4, 3), np.float32)
    red[..., 0] = 1.0
    changed = [photometric.change_hue(red, np.random.default_rng(s), STRONG) for s in range(50)]
    # 20 degrees of 60 from red to yellow: the second channel reaches a third.
    others = np.array([c[0, 0, 1:] for c in changed])
    assert 0.25 < others.max() < 1.0 / 3.0 + 1e-4
    assert (others[:, 0] > 0.05).any()
    assert (others[:, 1] > 0.05).any()


@given(seed=SEEDS)
def test_saturation_keeps_the_luma(seed):
    colors = 0.4 + 0.2 * image(seed)  # nothing is clipped
    changed = photometric.change_saturation(colors, np.random.default_rng(seed), STRONG)
    luma = [x @ np.array([0.299, 0.587, 0.114]) for x in (colors, changed)]
    np.testing.assert_allclose(*luma, atol=1e-5)


@given(seed=SEEDS)
def test_contrast_moves_levels_from_or_to_middle_gray(seed):
    source = image(seed)
    changed = photometric.change_contrast(source, np.random.default_rng(seed), STRONG)
    inside = (changed > 0.0) & (changed < 1.0) & (np.abs(source - 0.5) > 0.05)
    factors = (changed[inside] - 0.5) / (source[inside] - 0.5)
    assert np.exp(-STRONG.contrast) - 1e-3 < factors.min()
    assert factors.max() < np.exp(STRONG.contrast) + 1e-3
    assert np.ptp(factors) < 1e-3


@given(seed=SEEDS)
def test_views_of_different_content_are_changed_alike_by_equal_streams(seed):
    one, two = image(seed), image(seed + 1) ** 3
    two[:, :20] = one[:, :20]  # what both cameras see
    a, b = (augment_rgb(x, np.random.default_rng(seed), STRONG) for x in (one, two))
    # The blur of 2 px reaches 8 px.
    np.testing.assert_allclose(a[:, :12], b[:, :12], atol=1e-5)


@pytest.mark.parametrize('values', [{'color_share': 1.5}, {'noise': -0.1}, {'blur_px': -1.0}])
def test_bad_configurations_are_refused(values):
    with pytest.raises(ConfigError):
        PhotometricConfig(**values)
