# SPDX-License-Identifier: Apache-2.0
"""The weather of one scene: light, rain, fog, and the temperatures that all things share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from kd_perception.world.config import WorldConfig
from kd_perception.world.scenes.shapes import Vector

SKIN_C = 32.5
_CLEAR_AIR_M = 20_000.0


@dataclass(frozen=True)
class Sun:
    """Unit vector towards the sun; what it adds to light and to surfaces that face it.

    Args:
        direction: in the world.
        warming_k: kelvin at normal incidence, 0 by night.
        light: irradiance at normal incidence, 1 in clear air at noon, 0 by night.
    """

    direction: Vector
    warming_k: float
    light: float


@dataclass(frozen=True)
class Climate:
    """Temperatures in degrees Celsius that all objects of a scene share, and its weather.

    Args:
        night: no sun, road and walls lose heat to the sky.
        glare: a low sun stands before the camera, or lamps dazzle.
        rain: strength of the rain, 0 to 1.
        wetness: of ground and things, 0 to 1.
        visibility_m: distance at which fog hides 95 % of the visible contrast.
        air_c: air.
        road_c: carriageway; under trees and by night often the coldest part of the view.
        pavement_c: beside the road.
        grass_c: beyond the pavement.
        leaf_c: trees and bushes, close to the air.
        wall_c: mean of the walls.
        sky_c: apparent temperature of the sky overhead.
        overcast: share of clouds that lift the sky towards the air, 0 to 1.
        ambient: light from the sky, 1 is a fifth of the sun's at noon.
        lamp_light: strength of street lamps and headlights; 0 by day.
        sun: direct light and warming.
    """

    night: bool
    glare: bool
    rain: float
    wetness: float
    visibility_m: float
    air_c: float
    road_c: float
    pavement_c: float
    grass_c: float
    leaf_c: float
    wall_c: float
    sky_c: float
    overcast: float
    ambient: float
    lamp_light: float
    sun: Sun

    @property
    def ground_mix_c(self) -> float:
        """Where things that stand on the road and have no heat of their own end up."""
        return 0.5 * (self.air_c + self.road_c)


def turned(climate: Climate, heading_rad: float) -> Climate:
    """The same weather with the sun moved around to the right, so that a low one dazzles there."""
    x, y, z = climate.sun.direction
    cosine, sine = float(np.cos(heading_rad)), float(np.sin(heading_rad))
    direction = (cosine * x + sine * z, y, cosine * z - sine * x)
    return replace(climate, sun=replace(climate.sun, direction=direction))


def draw_climate(rng: np.random.Generator, config: WorldConfig) -> Climate:
    """Draw weather and temperatures of a scene; a low sun stands over +Z, see `turned`."""
    night = bool(rng.uniform() < config.night_share)
    glare = bool(rng.uniform() < config.glare_share)
    rain = rng.uniform(0.3, 1.0) if rng.uniform() < config.rain_share else 0.0
    foggy = rng.uniform() < config.fog_share
    fog_m = float(np.exp(rng.uniform(np.log(25.0), np.log(150.0))))
    overcast = rng.uniform(0.7, 1.0) if rng.uniform() < 0.4 else rng.uniform(0.0, 0.5)
    if rain or foggy:
        overcast = rng.uniform(0.85, 1.0)
    elif glare and not night:
        overcast = min(overcast, 0.4)
    wetness = rng.uniform(0.6, 1.0) if rain else rng.uniform(0.0, 0.3) if foggy else 0.0
    air_c = rng.uniform(-4.0, 20.0) if night else rng.uniform(2.0, 28.0)
    # Water and missing sun bring all surfaces close to the air.
    evenness = 1.0 - 0.6 * wetness
    road_c = air_c + evenness * _road_offset_k(rng, night)
    wall_k = rng.uniform(-1.0, 4.0) if night else rng.uniform(-3.0, 6.0)
    return Climate(
        night=night,
        glare=glare,
        rain=rain,
        wetness=wetness,
        visibility_m=fog_m if foggy else _CLEAR_AIR_M / (1.0 + 40.0 * rain),
        air_c=air_c,
        road_c=road_c,
        pavement_c=road_c + evenness * rng.normal(0.5, 1.5),
        grass_c=air_c + rng.uniform(-2.5, 1.5),
        leaf_c=air_c + rng.uniform(-1.5, 1.5),
        wall_c=air_c + evenness * wall_k,
        sky_c=air_c - _sky_depth_k(rng, overcast),
        overcast=overcast,
        ambient=float(rng.uniform(0.001, 0.012) if night else rng.uniform(0.6, 1.6)),
        lamp_light=float(rng.uniform(0.5, 1.5)) if night else 0.0,
        sun=_draw_sun(rng, night, glare, overcast),
    )


def _sky_depth_k(rng: np.random.Generator, overcast: float) -> float:
    """How far the sky overhead lies below the air: moist air and clouds fill it up."""
    dryness = float(rng.uniform())
    clear_k = 12.0 + 26.0 * dryness * math.sqrt(dryness)
    return clear_k * (1.0 - 0.8 * overcast)


def _road_offset_k(rng: np.random.Generator, night: bool) -> float:
    if night:
        return float(rng.uniform(-5.5, 0.5))
    shaded = rng.uniform() < 0.75
    return float(rng.uniform(-6.5, -1.0) if shaded else rng.uniform(-1.0, 6.0))


def _draw_sun(rng: np.random.Generator, night: bool, glare: bool, overcast: float) -> Sun:
    azimuth, elevation = rng.uniform(-np.pi, np.pi), rng.uniform(0.35, 1.1)
    if glare:
        azimuth, elevation = rng.normal(0.0, 0.15), rng.uniform(0.06, 0.22)
    flat = np.cos(elevation)
    direction = (
        float(np.sin(azimuth) * flat),
        float(-np.sin(elevation)),
        float(np.cos(azimuth) * flat),
    )
    strength = rng.uniform(0.0, 6.0) if rng.uniform() < 0.6 else 0.0
    clear = 0.0 if night else 1.0 - overcast
    return Sun(direction, float(strength * clear), float(rng.uniform(0.7, 1.0) * clear))
