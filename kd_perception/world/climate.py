# SPDX-License-Identifier: Apache-2.0
"""The temperatures of one scene: air, road, pavement, grass, leaves, walls, sky and sun."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.geometry import Sun

SKIN_C = 32.5


@dataclass(frozen=True)
class Climate:
    """Temperatures in degrees Celsius that all objects of a scene share.

    Args:
        night: no sun, road and walls lose heat to the sky.
        air_c: air.
        road_c: carriageway; under trees and by night often the coldest part of the view.
        pavement_c: beside the road.
        grass_c: beyond the pavement.
        leaf_c: trees and bushes, close to the air.
        wall_c: mean of the walls.
        sky_c: apparent temperature of the sky overhead.
        overcast: share of clouds that lift the sky towards the air, 0 to 1.
        sun: direct warming of surfaces that face it.
    """

    night: bool
    air_c: float
    road_c: float
    pavement_c: float
    grass_c: float
    leaf_c: float
    wall_c: float
    sky_c: float
    overcast: float
    sun: Sun

    @property
    def ground_mix_c(self) -> float:
        """Where things that stand on the road and have no heat of their own end up."""
        return 0.5 * (self.air_c + self.road_c)


def draw_climate(rng: np.random.Generator, *, night_share: float) -> Climate:
    """Draw the temperatures of a scene."""
    night = bool(rng.uniform() < night_share)
    air_c = rng.uniform(-4.0, 20.0) if night else rng.uniform(4.0, 31.0)
    road_c = air_c + _road_offset_k(rng, night)
    overcast = rng.uniform(0.7, 1.0) if rng.uniform() < 0.3 else rng.uniform(0.0, 0.5)
    return Climate(
        night=night,
        air_c=air_c,
        road_c=road_c,
        pavement_c=road_c + rng.normal(0.5, 1.5),
        grass_c=air_c + rng.uniform(-2.5, 1.5),
        leaf_c=air_c + rng.uniform(-1.5, 1.5),
        wall_c=air_c + (rng.uniform(-1.0, 4.0) if night else rng.uniform(-3.0, 6.0)),
        sky_c=air_c - rng.uniform(28.0, 48.0) + overcast * rng.uniform(14.0, 30.0),
        overcast=overcast,
        sun=_draw_sun(rng, night, overcast),
    )


def _road_offset_k(rng: np.random.Generator, night: bool) -> float:
    if night:
        return float(rng.uniform(-6.0, 3.0))
    shaded = rng.uniform() < 0.6
    return float(rng.uniform(-9.0, -1.0) if shaded else rng.uniform(-1.0, 9.0))


def _draw_sun(rng: np.random.Generator, night: bool, overcast: float) -> Sun:
    azimuth, elevation = rng.uniform(-np.pi, np.pi), rng.uniform(0.35, 1.1)
    flat = np.cos(elevation)
    direction = (np.sin(azimuth) * flat, -np.sin(elevation), np.cos(azimuth) * flat)
    strength = rng.uniform(0.0, 6.0) if rng.uniform() < 0.6 else 0.0
    return Sun(direction, 0.0 if night else float(strength * (1.0 - overcast)))
