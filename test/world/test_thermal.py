# SPDX-License-Identifier: Apache-2.0
"""The radiometric camera gives the temperatures back that physics says it must."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kd_perception.preprocessing import RADIOMETRY_PRESETS
from kd_perception.world.climate import draw_climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.rendering.shading import GBuffer
from kd_perception.world.rendering.thermal import (
    ThermalSensor,
    apparent_temperature,
    fixed_pattern,
    thermal_image,
)

IDEAL = ThermalSensor(blur_px=0.15, netd_k=0.0, pattern_k=0.0, extinction_m=1e9, pattern_seed=(1,))
CLIMATE = dataclasses.replace(
    draw_climate(np.random.default_rng(0), WorldConfig()),
    air_c=20.0,
    sky_c=-20.0,
    rain=0.0,
    visibility_m=1e9,
)


def scene(temperature_c, emissivity=1.0, depth_m=10.0, sky_view=0.5, wetness=0.0):
    buffer = GBuffer.empty(np.full((48, 64), depth_m, np.float32))
    buffer.temperature_c[:] = temperature_c
    buffer.emissivity[:] = emissivity
    buffer.sky_view[:] = sky_view
    buffer.wetness[:] = wetness
    return buffer


def celsius(buffer, sensor, seed=0, climate=CLIMATE):
    apparent_c = apparent_temperature(buffer, climate, sensor)
    raw = thermal_image(apparent_c, sensor, np.random.default_rng(seed))
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


def test_fog_and_rain_hide_heat_the_more_the_denser():
    def contrast(**weather):
        climate = dataclasses.replace(CLIMATE, **weather)
        return celsius(scene(40.0, depth_m=50.0), IDEAL, climate=climate).mean() - 20.0

    clear, mist, fog = contrast(), contrast(visibility_m=150.0), contrast(visibility_m=30.0)
    assert clear > mist > fog > 0.0
    assert fog == pytest.approx(20.0 * np.exp(-50.0 / 45.0), abs=0.02)
    assert contrast(rain=0.3) > contrast(rain=1.0)
    sky = scene(-20.0, depth_m=np.inf)
    foggy = dataclasses.replace(CLIMATE, visibility_m=30.0)
    assert celsius(sky, IDEAL).mean() == pytest.approx(-20.0, abs=0.01)
    assert celsius(sky, IDEAL, climate=foggy).mean() > 10.0


def test_wet_ground_mirrors_more_of_the_cold_sky_the_farther_it_is():
    near, far = (
        celsius(scene(20.0, 0.95, depth_m=d, sky_view=0.8, wetness=1.0), IDEAL).mean()
        for d in (5.0, 40.0)
    )
    dry = celsius(scene(20.0, 0.95, depth_m=5.0, sky_view=0.8), IDEAL).mean()
    assert far < near < dry


def test_noise_is_fresh_and_pattern_stays():
    sensor = dataclasses.replace(IDEAL, netd_k=0.5, pattern_k=1.0)
    first, second = celsius(scene(20.0), sensor, 1), celsius(scene(20.0), sensor, 2)
    assert np.std(first - second) == pytest.approx(0.5 * np.sqrt(2.0), rel=0.05)
    mean = (first + second) / 2
    pattern = fixed_pattern(mean.shape, sensor)
    assert np.corrcoef(mean.ravel(), pattern.ravel())[0, 1] > 0.95
    assert not pattern.flags.writeable, 'it is kept for the next frame'


def test_blur_spreads_an_edge():
    buffer = scene(0.0)
    buffer.temperature_c[:, 32:] = 10.0
    soft = celsius(buffer, dataclasses.replace(IDEAL, blur_px=2.0))
    step = np.diff(soft[24])
    assert step.sum() == pytest.approx(10.0, abs=0.05)
    deviation = np.sqrt((step * (np.arange(63) - 31.0) ** 2).sum() / 10.0)
    assert deviation == pytest.approx(2.0, rel=0.1)
