# SPDX-License-Identifier: Apache-2.0
"""The ground: carriageway, parking strip, pavement and what lies beyond, with paint.

A piece of ground knows its part of the street's centerline as a cubic in its own coordinates, so
that edges and marks follow the curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kd_perception.world.compiling import inlined
from kd_perception.world.materials.base import Color, Material, Point, Sample, Textures
from kd_perception.world.noise import hash01, noise

GRASS, GRAVEL, FIELD, PAVING = 0, 1, 2, 3
"""What may lie beyond the pavement (`Ground.beyond`)."""

NO_MARKS, DASHED, SOLID, DOUBLE = 0, 1, 2, 3
"""What may be painted in the middle (`Ground.marks`)."""

_PAINT: Final = 0.55


@dataclass(frozen=True)
class Ground(Material):
    """One piece of the ground.

    Args:
        road_c: temperature of the carriageway.
        pavement_c: of the pavement.
        beyond_c: of what lies beyond.
        road_color: reflectance of the carriageway.
        pavement_color: of the pavement.
        beyond_color: of what lies beyond.
        start_m: street coordinate z of the piece's own z = 0 [m].
        center_0: the centerline is x = center_0 + center_1 z + center_2 z² + center_3 z³.
        center_1: see `center_0`.
        center_2: see `center_0`.
        center_3: see `center_0`.
        half_width_m: half the carriageway.
        strip_m: width of a parking strip between carriageway and pavement, 0 for none.
        bay_m: length of a parking bay along the street, 0 for an unmarked strip.
        pavement_m: width of the pavement.
        period_m: distance after which the cross-section repeats (car parks), 0 for never.
        reach_m: where a repeated cross-section ends.
        crossing_m: street coordinate z of the middle of a crossing street.
        crossing_half_m: half the crossing carriageway, 0 for no crossing.
        marks: what is painted in the middle, see `DASHED`.
        edge_line: whether lines are painted along the edges.
        zebra: whether zebra crossings lie beside the crossing street.
        beyond: what lies beyond the pavement, see `GRASS`.
        paint_k: temperature step of paint.
        grain_k: deviation of the pattern.
        wear: how worn the carriageway is, 0 to 1: patches, cracks, tracks.
        kind: which noise.
    """

    road_c: float
    pavement_c: float
    beyond_c: float
    road_color: Color = (0.08, 0.08, 0.08)
    pavement_color: Color = (0.25, 0.24, 0.22)
    beyond_color: Color = (0.05, 0.1, 0.03)
    start_m: float = 0.0
    center_0: float = 0.0
    center_1: float = 0.0
    center_2: float = 0.0
    center_3: float = 0.0
    half_width_m: float = 3.5
    strip_m: float = 0.0
    bay_m: float = 0.0
    pavement_m: float = 2.0
    period_m: float = 0.0
    reach_m: float = 0.0
    crossing_m: float = 0.0
    crossing_half_m: float = 0.0
    marks: int = DASHED
    edge_line: bool = False
    zebra: bool = False
    beyond: int = GRASS
    paint_k: float = -0.4
    grain_k: float = 0.3
    wear: float = 0.5
    kind: int = 0


@inlined
def _across(material: Ground, x: float, z: float) -> tuple[float, float]:
    """Distance to the right of the centerline, and the street coordinate along it."""
    c1, c2, c3 = material.center_1, material.center_2, material.center_3
    center = material.center_0 + z * (c1 + z * (c2 + z * c3))
    slope = c1 + z * (2.0 * c2 + 3.0 * z * c3)
    cosine = 1.0 / np.sqrt(1.0 + slope * slope)
    u = (x - center) * cosine
    return u, material.start_m + z + u * slope * cosine


@inlined
def _painted(material: Ground, u: float, v: float) -> bool:
    """Whether a point of the carriageway or the parking strip is painted."""
    half, a = material.half_width_m, abs(u)
    if a < half:
        if material.edge_line and abs(a - half + 0.3) < 0.06:
            return True
        if material.marks == DASHED:
            return a < 0.07 and v % 9.0 < 3.6
        if material.marks == SOLID:
            return a < 0.07
        return material.marks == DOUBLE and abs(a - 0.14) < 0.06
    if material.bay_m > 0.0 and a < half + material.strip_m:
        return v % material.bay_m < 0.1 or a > half + material.strip_m - 0.1
    return False


@inlined
def _painted_near_crossing(material: Ground, u: float, v: float) -> tuple[bool, bool]:
    """Whether a point lies where a crossing street sets the paint, and whether it has some."""
    half = material.crossing_half_m
    ahead, a = abs(v - material.crossing_m), abs(u)
    if half <= 0.0 or ahead > half + 7.5:
        return False, False
    edge = material.half_width_m + 1.0
    if ahead < half:
        if a < edge:
            return True, False
        if material.zebra and a < edge + 3.5:
            return True, a > edge + 0.6 and (v - material.crossing_m) % 1.0 < 0.5
        if a < edge + 5.0:
            return True, a > edge + 4.5 and (v - material.crossing_m) * u < 0.0
        return True, ahead < 0.07 and a % 6.0 < 3.0
    if a > material.half_width_m:
        return False, False
    if material.zebra and ahead < half + 4.5:
        return True, ahead > half + 1.2 and u % 1.0 < 0.5
    stop = abs(ahead - half - 5.3) < 0.22 and (v - material.crossing_m) * u < 0.0
    return True, stop or (ahead > half + 5.6 and a < 0.07)


@inlined
def _asphalt(material: Ground, point: Point, u: float, v: float, textures: Textures) -> float:
    """A relative change of brightness: grain, patches, cracks and the tracks of tires."""
    grain = noise(textures.noise, material.kind, u, v, 22.0, point.footprint_m)
    wide = noise(textures.noise, material.kind + 1, v, u, 3.0, point.footprint_m)
    shade = 0.10 * grain + 0.07 * wide
    patch = hash01(int(np.floor(u / 2.3)), int(np.floor(v / 7.0)), material.kind + 5)
    if patch < 0.22 * material.wear:
        shade -= 0.25
    crack = noise(textures.noise, material.kind + 2, u, v, 7.0, point.footprint_m)
    if abs(crack) < 0.05 * material.wear and point.footprint_m < 0.05 and wide > 0.1:
        shade -= 0.3
    track = abs(abs(abs(u) - 0.5 * material.half_width_m) - 0.75)
    if track < 0.3:
        shade -= 0.1 * material.wear
    return shade


@inlined
def _paving(material: Ground, point: Point, u: float, v: float, textures: Textures) -> float:
    """A relative change of brightness: stones of slightly different kind with joints."""
    grain = noise(textures.noise, material.kind, u, v, 30.0, point.footprint_m)
    stone = hash01(int(np.floor(u / 0.6)), int(np.floor(v / 0.6)), material.kind)
    shade = 0.06 * grain + (0.24 * stone - 0.12) / (1.0 + 4.0 * point.footprint_m)
    if point.footprint_m < 0.03 and (u % 0.6 < 0.03 or v % 0.6 < 0.03):
        shade -= 0.25
    return shade


@inlined
def _soil(material: Ground, point: Point, u: float, v: float, textures: Textures) -> float:
    """A relative change of brightness: tufts, stones, rows of crops."""
    fine = noise(textures.noise, material.kind + 2, u, v, 35.0, point.footprint_m)
    wide = noise(textures.noise, material.kind + 3, u, v, 2.0, point.footprint_m)
    shade = 0.22 * fine + 0.18 * wide
    if material.beyond == FIELD and point.footprint_m < 0.4:
        shade += 0.3 if u % 1.2 < 0.6 else -0.2
    return shade


@inlined
def ground_sample(material: Ground, point: Point, textures: Textures) -> Sample:
    """What lies at a point of the ground."""
    u, v = _across(material, point.x, point.z)
    folded = u
    if material.period_m > 0.0 and abs(u) < material.reach_m:
        folded = (u + 0.5 * material.period_m) % material.period_m - 0.5 * material.period_m
    a = abs(folded)
    road_m = material.half_width_m + material.strip_m
    ahead = abs(v - material.crossing_m)
    crossing = material.crossing_half_m > 0.0 and ahead < material.crossing_half_m
    beside = material.crossing_half_m > 0.0 and ahead < (
        material.crossing_half_m + material.pavement_m
    )
    if a < road_m or crossing:
        shade = _asphalt(material, point, u, v, textures)
        temperature_c = material.road_c + 6.0 * material.grain_k * shade
        ruled, painted = _painted_near_crossing(material, folded, v)
        if not ruled:
            painted = _painted(material, folded, v)
        if painted and shade > -0.3:
            tint = _PAINT * (1.0 + shade)
            return Sample(
                temperature_c + material.paint_k, 0.93, tint, tint, 0.97 * tint, 0.0, 0.0
            )
        color = material.road_color
    elif a < road_m + material.pavement_m or beside or material.beyond == PAVING:
        shade = _paving(material, point, u, v, textures)
        temperature_c = material.pavement_c + 4.0 * material.grain_k * shade
        color = material.pavement_color
    else:
        shade = _soil(material, point, u, v, textures)
        temperature_c = material.beyond_c + 3.0 * material.grain_k * shade
        color = material.beyond_color
    shade = max(1.0 + shade, 0.1)
    return Sample(
        temperature_c, 0.95, color[0] * shade, color[1] * shade, color[2] * shade, 0.0, 0.0
    )
