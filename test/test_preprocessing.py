# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.errors import ConfigError, ImageEncodingError, ShapeError
from kd_perception.frames import Frame
from kd_perception.preprocessing import (
    RADIOMETRY_PRESETS,
    Agc,
    AgcConfig,
    Radiometry,
    agc_limits,
    equalization_curve,
    gray_from_color,
    letterbox,
    network_input,
    normalize,
    radiometry_from_preset,
)

SECOND = 10**9
thermal = st.one_of(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)),
    hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)),
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)),
)


@pytest.mark.parametrize(
    ('preset', 'raw', 'celsius'),
    [
        ('lepton_10mk', 29315, 20.0),
        ('lepton_100mk', 2981, 24.95),
        ('flir_tlinear_10mk', 27315, 0.0),
        ('flir_tlinear_100mk', 3032, 30.05),
        ('optris', 1250, 25.0),
        ('celsius_32f', 36.5, 36.5),
        ('kelvin_32f', 300.0, 26.85),
    ],
)
def test_presets_give_degrees_celsius(preset: str, raw: float, celsius: float) -> None:
    radiometry = radiometry_from_preset(preset)
    assert radiometry is not None
    image = np.array([[raw]], np.float32 if preset.endswith('32f') else np.uint16)
    assert radiometry.celsius_from_raw(image)[0, 0] == pytest.approx(celsius, abs=2e-3)


def test_none_and_custom_presets() -> None:
    assert radiometry_from_preset('none') is None
    assert radiometry_from_preset('custom', 0.5, 2.0) == Radiometry(0.5, 2.0)
    assert 'custom' not in RADIOMETRY_PRESETS


@pytest.mark.parametrize(
    ('preset', 'scale', 'match'),
    [('lepton', 1.0, 'optris'), ('custom', 0.0, 'positive'), ('custom', math.nan, 'finite')],
)
def test_wrong_radiometry_is_refused(preset: str, scale: float, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        radiometry_from_preset(preset, scale)


@pytest.mark.parametrize(
    'values',
    [
        {'method': 'auto'},
        {'low_percentile': 99.0, 'high_percentile': 1.0},
        {'high_percentile': 101.0},
        {'low_percentile': math.nan},
        {'fixed_low_c': 5.0, 'fixed_high_c': 5.0},
        {'time_constant_s': -1.0},
    ],
)
def test_wrong_agc_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        AgcConfig(**values)  # type: ignore[arg-type]


@given(
    hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)),
    st.floats(0.0, 49.0),
    st.floats(51.0, 100.0),
)
def test_window_lies_at_the_percentiles_of_numpy(
    image: np.ndarray, low: float, high: float
) -> None:
    expected = np.percentile(image, (low, high))
    found = agc_limits(image, AgcConfig(low_percentile=low, high_percentile=high))
    if expected[1] - expected[0] > 32.0:  # narrower windows are widened
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(thermal, st.sampled_from(['percentile', 'plateau', 'none', 'fixed']))
def test_gray_is_in_range_whatever_comes(image: np.ndarray, method: str) -> None:
    agc = Agc(AgcConfig(method), Radiometry(0.01, -273.15))
    if image.dtype.kind == 'f' and not np.isfinite(image).any() and method in (
        'percentile', 'plateau',
    ):  # fmt: skip
        with pytest.raises(ImageEncodingError, match='finite'):
            agc(image, SECOND)
        return
    seen = agc(image, SECOND)
    gray, low, high = seen.gray, seen.low, seen.high
    assert gray.shape == image.shape
    assert gray.dtype == np.float32
    assert np.isfinite(gray).all()
    assert gray.min() >= 0.0
    assert gray.max() <= 1.0
    assert low < high


@given(thermal)
def test_order_of_temperatures_is_kept(image: np.ndarray) -> None:
    image = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)
    gray = normalize(image, *agc_limits(image, AgcConfig())).ravel()
    order = np.argsort(image.ravel(), kind='stable')
    assert (np.diff(gray[order]) >= 0).all()


def test_percentile_window_matches_numpy() -> None:
    image = np.random.default_rng(1).integers(20000, 24000, (100, 100)).astype(np.uint16)
    low, high = agc_limits(image, AgcConfig(low_percentile=5.0, high_percentile=90.0))
    assert (low, high) == pytest.approx(tuple(np.percentile(image, (5, 90))))


def test_noise_of_a_flat_scene_is_not_blown_up() -> None:
    noise = np.random.default_rng(2).integers(7000, 7003, (60, 80)).astype(np.uint16)
    gray = Agc(AgcConfig())(noise, SECOND).gray
    assert np.ptp(gray) < 0.1
    assert abs(gray.mean() - 0.5) < 0.1
    kelvin = Agc(AgcConfig(), Radiometry(0.01, -273.15))(noise, SECOND).gray
    assert np.ptp(kelvin) < 0.02


def test_no_finite_sample_leaves_the_state_alone() -> None:
    agc = Agc(AgcConfig())
    image = np.random.default_rng(3).normal(20, 3, (20, 20)).astype(np.float32)
    expected = agc(image, SECOND)
    with pytest.raises(ImageEncodingError, match='finite'):
        agc(np.full((20, 20), np.nan, np.float32), 2 * SECOND)
    other = Agc(AgcConfig())
    other(image, SECOND)
    after, reference = agc(image + 2, 3 * SECOND), other(image + 2, 3 * SECOND)
    assert (after.low, after.high) == (reference.low, reference.high)
    assert after.low > expected.low


def test_window_follows_with_the_time_constant() -> None:
    agc = Agc(AgcConfig(time_constant_s=2.0))
    ramp = np.tile(np.arange(1000, 1800, 100, dtype=np.uint16), (8, 1))
    first = agc(ramp, SECOND)
    second = agc(ramp + 200, 3 * SECOND)
    expected = first.low + (1 - math.exp(-1)) * 200
    assert second.low == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('offset', [-700, 700, 9000])
def test_a_window_wholly_outside_restarts(offset: int) -> None:
    agc = Agc(AgcConfig(time_constant_s=60.0))
    ramp = np.tile(np.arange(1000, 1600, 100, dtype=np.uint16), (8, 1))
    agc(ramp, SECOND)
    gray = agc((ramp.astype(int) + offset).astype(np.uint16), 2 * SECOND).gray
    assert (gray.min(), gray.max()) == (0.0, 1.0)


@pytest.mark.parametrize('stamp_s', [0, 1, -5])
def test_stamps_that_do_not_advance_restart_the_window(stamp_s: int) -> None:
    agc = Agc(AgcConfig())
    agc(np.full((8, 8), 1000, np.uint16), SECOND)
    restarted = agc(np.full((8, 8), 9000, np.uint16), stamp_s * SECOND)
    assert restarted.low > 8000


def test_another_sample_type_restarts_the_window() -> None:
    agc = Agc(AgcConfig(time_constant_s=60.0))
    agc(np.full((8, 8), 20000, np.uint16), SECOND)
    assert agc(np.full((8, 8), 100, np.uint8), 2 * SECOND).high < 200


@given(st.lists(st.integers(1, 10**10), min_size=2, max_size=8, unique=True))
def test_state_depends_on_stamps_only(stamps: list[int]) -> None:
    rng = np.random.default_rng(4)
    frames = [rng.integers(0, 9000, (12, 12)).astype(np.uint16) for _ in stamps]
    one, two = Agc(AgcConfig('plateau')), Agc(AgcConfig('plateau'))
    for frame, stamp in zip(frames, sorted(stamps), strict=True):
        np.testing.assert_array_equal(one(frame, stamp).gray, two(frame, stamp).gray)


def test_fixed_window_is_in_degrees_celsius() -> None:
    config = AgcConfig('fixed', fixed_low_c=0.0, fixed_high_c=50.0)
    image = np.array([[27315, 29815, 32315]], np.uint16)
    gray = Agc(config, RADIOMETRY_PRESETS['lepton_10mk'])(image, 0).gray
    np.testing.assert_allclose(gray, [[0.0, 0.5, 1.0]], atol=1e-6)
    with pytest.raises(ConfigError, match='radiometry'):
        Agc(config)


def test_plateau_spends_fewer_grays_on_a_uniform_background() -> None:
    rng = np.random.default_rng(5)
    image = np.full((100, 100), 0.1, np.float32)
    image[40:60, 40:60] = rng.uniform(0.5, 1.0, (20, 20))
    plain = np.cumsum(np.bincount((image.ravel() * 255).astype(int), minlength=256)) / image.size
    curve = equalization_curve(image)
    assert (np.diff(curve) >= 0).all()
    assert (curve[0], curve[-1]) == (0.0, 1.0)
    assert curve[200] - curve[130] > 3 * (plain[200] - plain[130])


@given(st.integers(1, 700), st.integers(1, 700))
def test_letterbox_fits_and_keeps_the_aspect(height: int, width: int) -> None:
    try:
        box = letterbox((height, width), (480, 640))
    except ShapeError:
        assert max(height, width) / min(height, width) > 480
        return
    assert box.content_size[0] <= 480
    assert box.content_size[1] <= 640
    assert box.content_size[0] == 480 or box.content_size[1] == 640
    scale = min(480 / height, 640 / width)
    assert box.content_size[0] == pytest.approx(height * scale, abs=0.5)
    assert box.content_size[1] == pytest.approx(width * scale, abs=0.5)


def test_network_input_pads_right_and_below_with_the_edge() -> None:
    gray = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    image, box = network_input(gray, (96, 128))
    assert image.shape == (1, 1, 96, 128)
    assert box.content_size == (96, 96)
    assert (image[0, 0, :, 96:] == image[0, 0, :, 95:96]).all()
    same, _ = network_input(np.ascontiguousarray(gray[:32, :]), (32, 64))
    np.testing.assert_array_equal(same[0, 0], gray[:32])


def test_color_becomes_luma_in_either_order() -> None:
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[..., 0] = 255
    assert gray_from_color(Frame(rgb, 'rgb8', 0))[0, 0] == 76
    assert gray_from_color(Frame(rgb[..., ::-1].copy(), 'bgr8', 0))[0, 0] == 76
    with pytest.raises(ImageEncodingError, match='color'):
        gray_from_color(Frame(rgb[..., 0], 'mono8', 0))


def test_real_frames_keep_their_contrast(real_data: Path) -> None:
    files = sorted(real_data.glob('thermal16/**/*raw16.png'))
    assert len(files) >= 12
    for file in files:
        gray = Agc(AgcConfig())(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), SECOND).gray
        levels = np.unique((gray * 255).astype(np.uint8)).size
        assert levels > 60, f'{file.name} has {levels} gray levels left'
        assert 0.02 < gray.std() < 0.5, file.name
