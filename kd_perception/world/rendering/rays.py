# SPDX-License-Identifier: Apache-2.0
"""Rays in a part's own coordinates, and where they meet its form; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_perception.world.compiling import inlined
from kd_perception.world.materials import Point
from kd_perception.world.rendering.tables import ELLIPSOID, HULL, SHEET, Solids
from kd_perception.world.scenes.shapes import Array

Triple = tuple[float, float, float]


@inlined
def into_local(rays: Array, solids: Solids, k: int, local: Array) -> None:
    """Rays in a part's own coordinates, into `local`: rows as in `Lens.rays`."""
    turn = solids.rotation
    for i in range(6):
        x, y, z = rays[i, 0], rays[i, 1], rays[i, 2]
        if i == 0:
            x -= solids.position[k, 0]
            y -= solids.position[k, 1]
            z -= solids.position[k, 2]
        for j in range(3):
            local[i, j] = turn[k, 0, j] * x + turn[k, 1, j] * y + turn[k, 2, j] * z


@inlined
def along_ray(rays: Array, i: int, x: int, y: int) -> Triple:
    """Row i of the rays at a pixel: 0 for the origin, 3 for the direction."""
    return (
        rays[i, 0] + x * rays[i + 1, 0] + y * rays[i + 2, 0],
        rays[i, 1] + x * rays[i + 1, 1] + y * rays[i + 2, 1],
        rays[i, 2] + x * rays[i + 1, 2] + y * rays[i + 2, 2],
    )


@inlined
def meet_ball(unit: Array, x: int, y: int) -> Any:
    """Distance at which a ray, given in the space of the unit ball, enters it; -1 if never."""
    ox, oy, oz = along_ray(unit, 0, x, y)
    dx, dy, dz = along_ray(unit, 3, x, y)
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    discriminant = b * b - a * (ox * ox + oy * oy + oz * oz - 1.0)
    if discriminant <= 0.0:
        return -1.0
    return (-b - np.sqrt(discriminant)) / a


@inlined
def meet_sheet(local: Array, half_width_m: float, height_m: float, x: int, y: int) -> Any:
    """Distance at which a ray meets an upright sheet, -1 if it does not."""
    ox, oy, oz = along_ray(local, 0, x, y)
    dx, dy, dz = along_ray(local, 3, x, y)
    distance = -oz / dz
    up = -oy - distance * dy
    inside = abs(ox + distance * dx) <= half_width_m and 0.0 <= up <= height_m
    return distance if inside else -1.0


@inlined
def meet_slab(local: Array, half_width_m: float, length_m: float, x: int, y: int) -> Any:
    """Distance at which a ray meets a slab from above, -1 if it does not."""
    ox, oy, oz = along_ray(local, 0, x, y)
    dx, dy, dz = along_ray(local, 3, x, y)
    if dy <= 0.0:
        return -1.0
    distance = -oy / dy
    along = oz + distance * dz
    inside = abs(ox + distance * dx) <= half_width_m and 0.0 <= along <= length_m
    return distance if inside else -1.0


@inlined
def local_point(
    solids: Solids,
    k: int,
    face: int,
    local: Array,
    x: int,
    y: int,
    distance: float,
    pixel_angle: float,
) -> Point:
    """The point of a part that a ray meets at a distance, on a face of a hull."""
    ox, oy, oz = along_ray(local, 0, x, y)
    dx, dy, dz = along_ray(local, 3, x, y)
    px, py, pz = ox + distance * dx, oy + distance * dy, oz + distance * dz
    nx, ny, nz = _normal(solids, k, face, px, py, pz, dz)
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    facing = abs(nx * dx + ny * dy + nz * dz) / length
    return Point(px, -py, pz, nx, ny, nz, facing, distance * pixel_angle)


@inlined
def _normal(
    solids: Solids, k: int, face: int, px: float, py: float, pz: float, dz: float
) -> Triple:
    """Outward normal of a part at a point on it, towards the ray for a sheet."""
    form = solids.form[k]
    if form == HULL:
        row = solids.first_plane[k] + face
        return solids.planes[row, 0], solids.planes[row, 1], solids.planes[row, 2]
    if form == SHEET:
        return 0.0, 0.0, (-1.0 if dz > 0.0 else 1.0)
    if form == ELLIPSOID:
        s = solids.size
        ux, uy, uz = px - s[k, 0], py - s[k, 1], pz - s[k, 2]
        a = s[k, 3] * ux + s[k, 4] * uy + s[k, 5] * uz
        b = s[k, 6] * ux + s[k, 7] * uy + s[k, 8] * uz
        c = s[k, 9] * ux + s[k, 10] * uy + s[k, 11] * uz
        nx = s[k, 3] * a + s[k, 6] * b + s[k, 9] * c
        ny = s[k, 4] * a + s[k, 7] * b + s[k, 10] * c
        nz = s[k, 5] * a + s[k, 8] * b + s[k, 11] * c
        scale = 1.0 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-18)
        return nx * scale, ny * scale, nz * scale
    return 0.0, -1.0, 0.0
