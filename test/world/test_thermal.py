# SPDX-License-Identifier: Apache-2.0
"""The radiometric camera gives the temperatures back that physics says it must."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kd_perception.preprocessing import RADIOMETRY_PRESETS
from kd_perception.world.climate import draw_climate
from kd_perception.world.geometry import GBuffer
from kd_perception.world.thermal import ThermalSensor, fixed_pattern, thermal_image

IDEAL = ThermalSensor(blur_px=0.15, netd_k=0.0, pattern_k=0.0, extinction_m=1e9, pattern_seed=(1,))
CLIMATE = dataclasses.replace(
    draw_climate(np.random.default_rng(0), night_share=0.0), air_c=20.0, sky_c=-20.0
)


def scene(temperature_c, emissivity=1.0, depth_m=10.0, sky_view=0.5):
    buffer = GBuffer.empty((48, 64))
    buffer.temperature_c[:] = temperature_c
    buffer.emissivity[:] = emissivity
    buffer.depth_m[:] = depth_m
    buffer.sky_view[:] = sky_view
    return buffer


def celsius(buffer, sensor, seed=0):
    raw = thermal_image(buffer, CLIMATE, sensor, np.random.default_rng(seed))
    assert raw.dtype == np.uint16
    return RADIOMETRY_PRESETS['lepton_10mk'].celsius_from_raw(raw)


@pytest.mark.parametrize('temperature_c', [-40.0, 0.0, 33.3, 120.0])
def test_black_body_is_measured_exactly(temperature_c):
    np.testing.assert_allclose(celsius(scene(temperature_c), IDEAL), temperature_c, atol=0.01)


def test_shiny_surfaces_show_the_sky_that_they_face():
    facing_sky = celsius(scene(20.0, emissivity=0.8, sky_view=1.0), IDEAL).mean()
    upright = celsius(scene(20.0, emissivity=0.8, sky_view=0.5), IDEAL).mean()
    assert facing_sky == pytest.approx(0.8 * 20.0 + 0.2 * -20.0, abs=0.01)
    assert upright == pytest.approx(0.8 * 20.0 + 0.2 * 0.0, abs=0.01)


def test_air_draws_far_things_to_its_own_temperature():
    sensor = dataclasses.replace(IDEAL, extinction_m=100.0)
    assert celsius(scene(40.0, depth_m=100.0), sensor).mean() == pytest.approx(
        20.0 + 20.0 * np.exp(-1.0), abs=0.02
    )
    sky = celsius(scene(-20.0, depth_m=np.inf), sensor)
    np.testing.assert_allclose(sky, -20.0, atol=0.01)


def test_noise_is_fresh_and_pattern_stays():
    sensor = dataclasses.replace(IDEAL, netd_k=0.5, pattern_k=1.0)
    first, second = celsius(scene(20.0), sensor, 1), celsius(scene(20.0), sensor, 2)
    assert np.std(first - second) == pytest.approx(0.5 * np.sqrt(2.0), rel=0.05)
    mean = (first + second) / 2
    pattern = fixed_pattern(mean.shape, sensor)
    assert np.corrcoef(mean.ravel(), pattern.ravel())[0, 1] > 0.95


def test_blur_spreads_an_edge():
    buffer = scene(0.0)
    buffer.temperature_c[:, 32:] = 10.0
    soft = celsius(buffer, dataclasses.replace(IDEAL, blur_px=2.0))
    step = np.diff(soft[24])
    assert step.sum() == pytest.approx(10.0, abs=0.05)
    deviation = np.sqrt((step * (np.arange(63) - 31.0) ** 2).sum() / 10.0)
    assert deviation == pytest.approx(2.0, rel=0.1)
