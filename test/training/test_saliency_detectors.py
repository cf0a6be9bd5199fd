# SPDX-License-Identifier: Apache-2.0
"""Detectors of saliency on images whose odd part is known, and worse maps on purpose."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, ShapeError
from training.data.saliency import (
    DegradationConfig,
    barrier_distance,
    degrade,
    heat_contrast,
    least_barrier,
    motion,
    spectral_residual,
)

BOX = (slice(30, 46), slice(60, 76))


def noise(seed=0, size=(96, 128), low=100, high=120):
    return np.random.default_rng(seed).integers(low, high, size)


def inside(found):
    rest = np.ones(found.shape, bool)
    rest[20:56, 50:86] = False
    return found[BOX].mean(), found[rest].mean()


def test_a_colored_box_sticks_out_of_a_pattern():
    rgb = np.repeat(noise()[..., None], 3, axis=2).astype(np.uint8)
    rgb[BOX] = (220, 40, 40)
    found = spectral_residual(rgb)
    there, elsewhere = inside(found)
    assert found.shape == (96, 128) and found.dtype == np.uint8
    assert there > 100 and there > 4 * elsewhere


def plain_barrier(plane):
    """The least barrier of all paths to the border, by trying every pair of levels."""
    levels = np.unique(plane)
    best = np.full(plane.shape, np.inf)
    for low in levels:
        for high in levels[levels >= low]:
            allowed = (plane >= low) & (plane <= high)
            reached = np.zeros(plane.shape, bool)
            reached[0], reached[-1], reached[:, 0], reached[:, -1] = True, True, True, True
            reached &= allowed
            while True:
                grown = reached.copy()
                grown[1:] |= reached[:-1]
                grown[:-1] |= reached[1:]
                grown[:, 1:] |= reached[:, :-1]
                grown[:, :-1] |= reached[:, 1:]
                grown &= allowed
                if (grown == reached).all():
                    break
                reached = grown
            best[reached] = np.minimum(best[reached], high - low)
    return best


def test_barriers_are_no_lower_than_the_least_and_mostly_equal():
    rng = np.random.default_rng(0)
    for _ in range(5):
        plane = rng.integers(0, 6, (9, 11)).astype(np.float32)
        found, expected = least_barrier(plane, 8), plain_barrier(plane)
        assert (found >= expected).all() and (found == expected).mean() > 0.8
    assert not least_barrier(np.full((5, 5), 3.0, np.float32), 2).any()


@pytest.mark.parametrize('kind', [np.uint8, np.uint16, 'color'])
def test_a_thing_that_does_not_touch_the_border_sticks_out(kind):
    image = noise()
    image[BOX] = 200
    image[60:, :60] = 200  # as bright, but it reaches the border
    image = np.repeat(image[..., None], 3, axis=2).astype(np.uint8) if kind == 'color' else image
    found = barrier_distance(image.astype(np.uint8 if kind == 'color' else kind))
    assert found[BOX].mean() > 200 and found[70:, :50].mean() < 80


@pytest.mark.parametrize('heat', [40, -40])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_hot_and_cold_things_stick_out(heat, dtype):
    thermal = noise()
    thermal[BOX] += heat
    found = heat_contrast(thermal.astype(dtype))
    there, elsewhere = inside(found)
    assert found.dtype == np.uint8 and there > 200 and elsewhere < 80


@given(st.floats(0.5, 40.0), st.floats(0.0, 20_000.0))
def test_heat_contrast_knows_no_unit(gain, offset):
    thermal = noise(3).astype(np.float64)
    thermal[BOX] += 15
    found = heat_contrast(thermal).astype(int)
    assert np.abs(found - heat_contrast(gain * thermal + offset)).max() <= 2


@pytest.mark.parametrize('value', [0, 255])
def test_nothing_sticks_out_of_one_value(value):
    assert not heat_contrast(np.full((40, 50), value, np.uint16)).any()
    assert not spectral_residual(np.full((40, 50, 3), value, np.uint8)).any()
    flat = np.full((40, 50), value, np.uint8)
    assert not motion(flat, flat, flat).any()


def moving(step, background):
    """A box that moves before a background that moves the other way, as the camera turns."""
    image = np.roll(background, -3 * step, axis=1).copy()
    image[30:46, 60 + 4 * step : 76 + 4 * step] = 400
    return image


def test_what_moves_by_itself_is_found_while_the_camera_turns():
    background = cv2.GaussianBlur(noise(5, low=0, high=300).astype(np.float32), (0, 0), 2.0)
    found = motion(*(moving(step, background).astype(np.uint16) for step in (-2, 0, 2)))
    there, _ = inside(found)
    rest = np.ones(found.shape, bool)
    rest[26:50, 45:95] = False
    rest[:, :10] = rest[:, -10:] = False
    assert there > 5 * found[rest].mean() and there > 60


def test_motion_of_images_that_stand_is_none_and_of_other_shapes_is_refused():
    image = noise(2).astype(np.uint16)
    assert not motion(image, image, image).any()
    with pytest.raises(ShapeError, match='three images'):
        motion(image, image, image[:-1])


def disks(count=20):
    saliency = np.zeros((200, 400), np.uint8)
    for k in range(count):
        cv2.circle(saliency, (20 + 40 * (k % 10), 50 + 100 * (k // 10)), 8, 255, -1)
    return saliency


def components(saliency):
    return cv2.connectedComponents((saliency > 127).astype(np.uint8))[0] - 1


def test_regions_are_missed_invented_and_blurred():
    saliency = disks()
    same = degrade(saliency, np.random.default_rng(0), DegradationConfig(0.0, 0.0, 0.0))
    np.testing.assert_array_equal(same, saliency)
    left = [
        components(degrade(saliency, np.random.default_rng(k), DegradationConfig(0.4, 0.0, 0.0)))
        for k in range(20)
    ]
    assert 10.5 < np.mean(left) < 13.5  # 12 of 20
    none = degrade(saliency, np.random.default_rng(0), DegradationConfig(1.0, 0.0, 0.0))
    assert not none.any()
    invented = degrade(0 * saliency, np.random.default_rng(0), DegradationConfig(0.0, 1.0, 0.0))
    assert components(invented) == 1
    blurred = degrade(saliency, np.random.default_rng(0), DegradationConfig(0.0, 0.0, 0.02))
    assert len(np.unique(blurred)) > 50
    assert blurred.mean() == pytest.approx(saliency.mean(), rel=0.05)


@pytest.mark.parametrize('change', [{'missed': 1.2}, {'false_share': -1.0}, {'blur_share': -0.1}])
def test_wrong_settings_are_refused(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        DegradationConfig(**change)
