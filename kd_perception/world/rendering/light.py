# SPDX-License-Identifier: Apache-2.0
"""Visible light: sun, sky, lamps, fog and wet ground, as radiance before the color cameras.

A white sheet in full sun has radiance 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.noise import cloud_tiles
from kd_perception.world.rendering.camera import Camera
from kd_perception.world.rendering.radiating import Light, radiate, reflect
from kd_perception.world.rendering.shading import GBuffer
from kd_perception.world.scenes.shapes import Array, Vector

_SKY_LIGHT = 0.25
_HEADLIGHT = 6.0
_HEADLIGHT_DROP_M = 0.5
_SUN_COLOR = np.array([1.0, 0.96, 0.9])
_LOW_SUN_COLOR = np.array([1.0, 0.82, 0.6])
_GRAY_SKY = np.array([0.85, 0.9, 0.95])
_BLUE_SKY = np.array([0.35, 0.55, 1.0])
_SUN_DISK = 60.0
_TYPICAL_DEPTH_M = 20.0


class Lamp(NamedTuple):
    """A point of light that shines by night.

    Args:
        position: in the world [m].
        power: irradiance at one meter; 1 is full sun.
        color: of its light.
    """

    position: Vector
    power: float
    color: Color


def radiance(
    buffer: GBuffer, climate: Climate, camera: Camera, lamps: Iterable[Lamp], car: Camera
) -> Array:
    """Linear light that reaches the camera, float32 [height, width, 3].

    Args:
        buffer: what the camera sees.
        climate: the weather.
        camera: who looks.
        lamps: street lamps.
        car: the camera at the middle of the car, whose headlights shine by night.
    """
    light = _light(climate, car, lamps)
    image = np.zeros((*buffer.depth_m.shape, 3), np.float32)
    radiate(buffer, camera.rays(), light, cloud_tiles(), image)
    if climate.wetness > 0.0 or buffer.wetness.any():
        rays = camera.rays()
        to_pixel = camera.matrix @ camera.rotation.T
        reflect(buffer, rays, to_pixel, image.copy(), image)
    return image


def exposure(climate: Climate, rng: np.random.Generator) -> float:
    """Gain of a color camera that has settled on the scene; the same for all its views."""
    sky = _sky_light(climate)
    level = 0.12 * (0.45 * climate.sun.light + sky + 0.012 * climate.lamp_light)
    hidden = 1.0 - np.exp(-3.0 * _TYPICAL_DEPTH_M / climate.visibility_m)
    level += hidden * (0.6 * float(_fog(climate).mean()) - level)
    target = rng.uniform(0.015, 0.08) if climate.night else rng.uniform(0.1, 0.24)
    return float(target / max(level, 1e-4))


def _sky_light(climate: Climate) -> float:
    """Irradiance of a surface that sees nothing but sky."""
    return _SKY_LIGHT * climate.ambient * (1.0 + 0.6 * climate.overcast)


def _fog(climate: Climate) -> Array:
    """Radiance of thick fog."""
    sun = 0.15 * climate.sun.light * _SUN_COLOR
    fog: Array = 0.9 * _sky_light(climate) * _GRAY_SKY + sun + 0.004 * climate.lamp_light
    return fog


def _light(climate: Climate, car: Camera, lamps: Iterable[Lamp]) -> Light:
    gray = _GRAY_SKY
    tint = climate.overcast * gray + (1.0 - climate.overcast) * _BLUE_SKY
    sky = _sky_light(climate)
    low = climate.glare and not climate.night
    sun_color = climate.sun.light * (_LOW_SUN_COLOR if low else _SUN_COLOR)
    forward = car.rotation[:, 2]
    beam = car.position + np.array([0.0, _HEADLIGHT_DROP_M, 0.0])
    lit = climate.lamp_light
    table = [(*lamp.position, lamp.power * lit, *lamp.color) for lamp in lamps if lit]
    own = [(*beam, _HEADLIGHT * lit, *forward)] if lit else []
    return Light(
        sun=np.array(climate.sun.direction),
        sun_color=sun_color,
        disk=_SUN_DISK * climate.sun.light if low else 0.0,
        zenith=1.3 * sky * tint,
        horizon=1.9 * sky * gray,
        cloud=climate.overcast,
        sky=sky * (0.5 * gray + 0.5 * tint),
        bounce=0.1 * climate.sun.light + 0.25 * sky,
        lamps=np.array(table, float).reshape(-1, 7),
        headlights=np.array(own, float).reshape(-1, 7),
        fog=_fog(climate),
        fog_per_m=3.0 / climate.visibility_m,
    )
