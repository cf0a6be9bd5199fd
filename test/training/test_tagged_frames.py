# SPDX-License-Identifier: Apache-2.0
"""Views that a classifier learns from: sizes, padding, flips, and saliency that goes along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError
from training.data.augmentation import PhotometricConfig
from training.data.tagged_frames import (
    TaggedFrame,
    TagViewConfig,
    normalized_image,
    shown_image,
    tag_sample,
)

STILL = PhotometricConfig(color_share=0.0, noise_share=0.0, blur_share=0.0)
PLAIN = TagViewConfig(64, 64, 64, flip_share=0.0, colors=STILL)
TAGS = np.array([True, False, True])


def frame(size=(48, 64), **changes):
    rng = np.random.default_rng(0)
    values = {
        'rgb': rng.integers(0, 256, (*size, 3)).astype(np.uint8),
        'thermal': rng.integers(29_000, 31_000, size).astype(np.uint16),
        'saliency': rng.integers(0, 256, size).astype(np.uint8),
    }
    return TaggedFrame('one', TAGS, **{**values, **changes})


def test_an_image_of_the_wanted_length_is_padded_with_zeros_only():
    one = frame()
    image, saliency, tags = tag_sample(one, 'rgb', np.random.default_rng(1), PLAIN)
    assert image.shape == (3, 64, 64) and saliency.shape == (1, 64, 64)
    assert tags.tolist() == [1.0, 0.0, 1.0] and image.dtype == saliency.dtype == np.float32
    top = int(np.flatnonzero(np.abs(image).sum(axis=(0, 2)))[0])
    expected = (one.rgb / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(
        image[:, top : top + 48], expected.transpose(2, 0, 1), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(saliency[0, top : top + 48], one.saliency / 255.0, atol=1e-6)
    outside = np.r_[0:top, top + 48 : 64]
    assert not image[:, outside].any() and not saliency[:, outside].any()


@given(st.integers(0, 2**20), st.integers(40, 90), st.integers(40, 90), st.integers(32, 96))
def test_saliency_follows_the_image(seed, height, width, crop):
    """Where one gray image is its own saliency, both parts of every view agree."""
    rng = np.random.default_rng(seed)
    gray = np.cumsum(rng.integers(0, 7, (height, width)), axis=1).astype(np.uint8)
    config = TagViewConfig(crop, 32, 100, flip_share=0.5, colors=STILL)
    image, saliency, _ = tag_sample(
        frame(thermal=gray, saliency=gray), 'thermal', np.random.default_rng(seed + 1), config
    )
    inside = image[0] != 0.0
    np.testing.assert_allclose(image[0][inside], (saliency[0][inside] - 0.5) / 0.25, atol=1e-4)
    assert image.shape == (1, crop, crop)


def test_flips_turn_image_and_saliency():
    one = frame((64, 64))
    plain = tag_sample(one, 'rgb', np.random.default_rng(3), PLAIN)
    turned = tag_sample(one, 'rgb', np.random.default_rng(3), replace(PLAIN, flip_share=1.0))
    for a, b in zip(plain[:2], turned[:2], strict=True):
        np.testing.assert_array_equal(a[..., ::-1], b)


def test_heat_goes_through_the_gain_of_the_robot_and_gray_levels_do_not():
    shown = shown_image(frame(), 'thermal')
    assert shown.shape == (48, 64, 1) and shown.min() == 0.0 and shown.max() == 1.0
    levels = np.full((48, 64), 51, np.uint8)
    np.testing.assert_allclose(shown_image(frame(thermal=levels), 'thermal'), 0.2, atol=1e-6)
    assert normalized_image(shown).shape == (1, 48, 64)


def test_colors_change_and_heat_changes_in_brightness_alone():
    config = replace(PLAIN, colors=TagViewConfig().colors)
    rgb = [tag_sample(frame(), 'rgb', np.random.default_rng(k), config)[0] for k in (1, 2)]
    assert not np.allclose(*rgb)
    steps = np.tile(np.linspace(100, 150, 64, dtype=np.uint8), (48, 1))
    heat, _, _ = tag_sample(frame(thermal=steps), 'thermal', np.random.default_rng(4), config)
    row = heat[0, 32]
    assert (np.diff(row) >= -1e-6).all() and row.max() > row.min()


def test_a_frame_without_saliency_gives_none_of_it():
    _, saliency, _ = tag_sample(frame(saliency=None), 'rgb', np.random.default_rng(0), PLAIN)
    assert not saliency.any()


@pytest.mark.parametrize('modality', ['depth', 'rgb'])
def test_what_a_frame_lacks_is_refused(modality):
    with pytest.raises(ConfigError, match=f"got '{modality}' for one"):
        shown_image(frame(rgb=None), modality)


@pytest.mark.parametrize(
    'change', [{'crop_size': 16}, {'longest_low': 600}, {'longest_low': 8}, {'flip_share': 2.0}]
)
def test_wrong_settings_are_refused(change):
    with pytest.raises(ConfigError):
        TagViewConfig(**change)
