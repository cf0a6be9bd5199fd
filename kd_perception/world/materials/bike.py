# SPDX-License-Identifier: Apache-2.0
"""A bicycle seen from the side, drawn on an upright sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.compiling import inlined
from kd_perception.world.materials.base import Color, Material, Point, Sample, Textures

Segment = tuple[float, float, float, float]

_TOP_TUBE: Segment = (-0.2, 0.78, 0.38, 0.78)
FRAME: tuple[Segment, ...] = (
    (-0.54, 0.34, -0.12, 0.34),
    (-0.54, 0.34, -0.2, 0.82),
    (-0.2, 0.88, -0.1, 0.34),
    (-0.12, 0.34, 0.36, 0.8),
    _TOP_TUBE,
    (0.54, 0.34, 0.34, 0.98),
)
"""Tubes (x, height, x, height) of the frame [m], for wheels of 0.34 m."""

_TOP = FRAME.index(_TOP_TUBE)


@dataclass(frozen=True)
class Bicycle(Material):
    """Two wheels and a frame. The wheels count as filled, as annotators draw them.

    Args:
        tire_c: temperature of the tires.
        frame_c: of the tubes.
        spoke_c: of what is seen between the spokes.
        color: of the tubes.
        wheel_m: radius of the wheels; the rest of the bike scales with it.
        step_through: whether the top tube is missing.
    """

    tire_c: float
    frame_c: float
    spoke_c: float
    color: Color
    wheel_m: float = 0.34
    step_through: bool = False


@inlined
def _squared_distance(x: float, h: float, x0: float, h0: float, x1: float, h1: float) -> float:
    dx, dh = x1 - x0, h1 - h0
    along = ((x - x0) * dx + (h - h0) * dh) / (dx * dx + dh * dh)
    along = min(1.0, max(0.0, along))
    return (x - x0 - along * dx) ** 2 + (h - h0 - along * dh) ** 2


@inlined
def _on_frame(material: Bicycle, x: float, h: float, radius_m: float) -> bool:
    limit = radius_m * radius_m
    for k in range(len(FRAME)):
        if k == _TOP and material.step_through:
            continue
        x0, h0, x1, h1 = FRAME[k]
        if _squared_distance(x, h, x0, h0, x1, h1) < limit:
            return True
    return False


@inlined
def _from_hub(x: float, h: float) -> float:
    reach_m: float = np.sqrt((abs(x) - 0.54) ** 2 + (h - 0.34) ** 2)
    return reach_m


@inlined
def bicycle_opaque(material: Bicycle, point: Point, textures: Textures) -> bool:
    """Whether a wheel or a tube is at a point; far away thin tubes do not vanish."""
    scale = 0.34 / material.wheel_m
    x, h = point.x * scale, point.height * scale
    return _from_hub(x, h) < 0.35 or _on_frame(material, x, h, 0.025 + 0.4 * point.footprint_m)


@inlined
def bicycle_sample(material: Bicycle, point: Point, textures: Textures) -> Sample:
    """What tires, tubes and the space between the spokes are at a point."""
    scale = 0.34 / material.wheel_m
    x, h = point.x * scale, point.height * scale
    red, green, blue = 0.02, 0.02, 0.02
    reach_m = _from_hub(x, h)
    if _on_frame(material, x, h, 0.025 + 0.4 * point.footprint_m):
        red, green, blue = (
            1.0 * material.color[0],
            1.0 * material.color[1],
            1.0 * material.color[2],
        )
        return Sample(1.0 * material.frame_c, 0.85, red, green, blue, 0.0, 0.0)
    if abs(reach_m - 0.325) < 0.028:
        return Sample(1.0 * material.tire_c, 0.95, red, green, blue, 0.0, 0.0)
    angle = np.arctan2(h - 0.34, abs(x) - 0.54)
    spoke = abs(reach_m * np.sin(8.0 * angle)) < 0.06 or reach_m < 0.04
    shade = 0.3 if spoke else 0.1
    return Sample(1.0 * material.spoke_c, 0.93, shade, shade, shade, 0.0, 0.0)
