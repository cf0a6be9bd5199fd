# SPDX-License-Identifier: Apache-2.0
"""Walls: plaster, brick or panels, with rows of windows, some lit, and shops below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.compiling import inlined
from kd_perception.world.materials.base import Color, Material, Point, Sample, Textures
from kd_perception.world.noise import hash01, noise


@dataclass(frozen=True)
class Facade(Material):
    """The walls of a building, or a wall that stands alone.

    Args:
        wall_c: mean temperature of the wall.
        color: reflectance of the wall.
        trim_color: reflectance of window frames and shop fronts.
        window_c: temperature of a dark window.
        lit_k: how much warmer a lit window is.
        lit_share: share of lit windows.
        glow: light of a lit window.
        grain_k: deviation of the wall's pattern.
        gradient_k: how much warmer the wall is at its foot than at its top.
        spacing_u_m: distance of windows along the wall, 0 for a blind wall.
        spacing_v_m: height of a storey.
        share_u: share of a cell that its window fills along the wall.
        share_v: the same in height.
        offset_m: where the pattern starts along the wall.
        shop_m: height of the shop windows at the foot, 0 for none.
        height_m: height of the wall.
        course_m: height of courses that differ slightly, 0 for none.
        leak_k: how much warmer the frames of windows are.
        kind: which noise.
        seed: what tells one building's windows from another's.
    """

    wall_c: float
    color: Color = (0.3, 0.28, 0.25)
    trim_color: Color = (0.5, 0.5, 0.5)
    window_c: float = 10.0
    lit_k: float = 0.0
    lit_share: float = 0.0
    glow: float = 0.0
    grain_k: float = 0.3
    gradient_k: float = 0.0
    spacing_u_m: float = 0.0
    spacing_v_m: float = 3.0
    share_u: float = 0.5
    share_v: float = 0.5
    offset_m: float = 0.0
    shop_m: float = 0.0
    height_m: float = 10.0
    course_m: float = 0.0
    leak_k: float = 0.0
    kind: int = 0
    seed: int = 0


@inlined
def _window(material: Facade, along: float, up: float) -> tuple[float, int, int]:
    """How far inside a window a point is (> 0 inside, -1 to 0 on its frame), and which."""
    if material.spacing_u_m <= 0.0 or up > material.height_m - 0.3:
        return -9.0, 0, 0
    if up < material.shop_m:
        width = 2.0 * material.spacing_u_m
        column = int(np.floor(along / width))
        u = 0.44 * width - abs(along - (column + 0.5) * width)
        v = min(up - 0.45, material.shop_m - 0.7 - up)
        return min(u, v) / 0.09, column, -1
    column = int(np.floor(along / material.spacing_u_m))
    row = int(np.floor(up / material.spacing_v_m))
    u = along - (column + 0.5) * material.spacing_u_m
    v = up - (row + 0.55) * material.spacing_v_m
    inside_u = 0.5 * material.share_u * material.spacing_u_m - abs(u)
    inside_v = 0.5 * material.share_v * material.spacing_v_m - abs(v)
    return min(inside_u, inside_v) / 0.09, column, row


@inlined
def facade_sample(material: Facade, point: Point, textures: Textures) -> Sample:
    """Wall, courses, frames and windows."""
    along = point.x + point.z + material.offset_m
    up = point.height
    grain = noise(textures.noise, material.kind, along, up, 24.0, point.footprint_m)
    grain += 0.7 * noise(textures.noise, material.kind + 1, along, up, 5.0, point.footprint_m)
    temperature_c = material.wall_c + material.grain_k * grain
    temperature_c += material.gradient_k * (0.5 - up / material.height_m)
    shade = 1.0 + 0.06 * grain
    if material.course_m > 0.0:
        course = int(np.floor(up / material.course_m))
        step = hash01(course, material.seed, int(np.floor(along / (2.2 * material.course_m))))
        temperature_c += material.grain_k * (1.5 * step - 0.75)
        shade *= 0.85 + 0.3 * step
        if up - course * material.course_m < 0.06 * material.course_m:
            shade *= 0.75
    red, green, blue = material.color[0], material.color[1], material.color[2]
    emissivity, glow, glass = 0.93, 0.0, 0.0
    inside, column, row = _window(material, along, up)
    if point.normal_y < -0.7:
        inside = -9.0
    if inside > 0.0:
        # Windows are told apart per wall, so that corners do not mirror one another.
        wall = material.seed + (7 if abs(point.normal_x) > 0.5 else 0)
        chance = hash01(column, row, wall)
        mood = hash01(row, column, wall + 13)
        lit = chance < material.lit_share or (row < 0 and chance < 2.0 * material.lit_share)
        temperature_c = material.window_c + 2.0 * (mood - 0.5) + 0.3 * grain
        red, green, blue, shade = 0.03, 0.032, 0.035, 1.0
        emissivity, glass = 0.82, 1.0
        if lit:
            temperature_c += material.lit_k * (0.4 + 0.6 * mood)
            glow = material.glow * (0.3 + 0.7 * mood)
            red, green, blue = 0.3, 0.24 + 0.05 * mood, 0.12 + 0.14 * mood
        elif mood > 0.6:
            # Curtains: brighter and a little warmer than the bare pane.
            red, green, blue = 0.16 * mood, 0.15 * mood, 0.14 * mood
            temperature_c += 0.5
    elif inside > -1.0:
        temperature_c += material.leak_k
        red, green, blue = (
            material.trim_color[0],
            material.trim_color[1],
            material.trim_color[2],
        )
    return Sample(temperature_c, emissivity, red * shade, green * shade, blue * shade, glow, glass)
