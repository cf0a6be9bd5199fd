# SPDX-License-Identifier: Apache-2.0
"""Measures of things for tests: how large they are, and how a camera sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_perception.world.climate import Climate, draw_climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.rendering.camera import Camera
from kd_perception.world.rendering.casting import cast
from kd_perception.world.rendering.shading import GBuffer, shade
from kd_perception.world.rendering.shadows import sun_map
from kd_perception.world.rendering.tables import pack
from kd_perception.world.scenes.shapes import Ellipsoid
from kd_perception.world.scenes.solids import Part, Placed, Placement, Thing

ORIGIN = Placement((0.0, 0.0, 0.0))


def cool_day() -> Climate:
    """Without sun, so that what is drawn is what is seen."""
    drawn = draw_climate(np.random.default_rng(1), WorldConfig(rain_share=0.0, fog_share=0.0))
    sun = replace(drawn.sun, warming_k=0.0, light=0.0)
    return replace(drawn, air_c=10.0, road_c=8.0, sky_c=-20.0, night=False, sun=sun)


def extent(part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest coordinates of a part in its thing."""
    if isinstance(part.shape, Ellipsoid):
        reach = np.linalg.norm(np.linalg.inv(part.shape.to_unit.astype(float)), axis=1)
        low, high = np.array(part.shape.center) - reach, np.array(part.shape.center) + reach
    else:
        low, high = (np.array(corner, float) for corner in part.shape.bounds())
    choices = np.array(np.meshgrid(*np.stack([low, high], 1))).reshape(3, -1).T
    turned = choices @ Placement((0, 0, 0), part.yaw).rotation().T + np.array(part.offset)
    return turned.min(axis=0), turned.max(axis=0)


def size(things: list[Thing]) -> tuple[np.ndarray, np.ndarray]:
    """The same of whole things."""
    pairs = [extent(part) for thing in things for part in thing.parts]
    return np.min([p[0] for p in pairs], axis=0), np.max([p[1] for p in pairs], axis=0)


def view(placed: list[Placed], climate: Climate, focal_px: float = 400.0) -> GBuffer:
    """What a camera at the origin sees, looking along +Z."""
    camera = Camera((240, 320), focal_px, np.array([0.0, -1.2, 0.0]), np.eye(3))
    tables = pack(placed)
    hits = cast(*tables, camera, 1.0 / focal_px)
    return shade(hits, *tables, camera, 1.0 / focal_px, climate, sun_map(*tables, climate, camera))


def same(one: list[Placed], other: list[Placed]) -> bool:
    """Whether two scenes are equal to the bit."""
    pairs = zip(*(pack(scene) for scene in (one, other)), strict=True)
    tables = [zip(a, b, strict=True) for a, b in pairs]
    return all(np.array_equal(x, y) for table in tables for x, y in table)
