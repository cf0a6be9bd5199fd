# SPDX-License-Identifier: Apache-2.0
"""The ray caster: which part of which thing every pixel sees, and how far away.

Parts are drawn nearest first into the rectangles that hold them, so that little hidden surface is
met. Rays are linear in column and row, in the part's own coordinates too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kd_perception.world.compiling import inlined, kernel
from kd_perception.world.materials import Materials, Point, Textures, opaque
from kd_perception.world.rendering.camera import NEAR_M, Lens
from kd_perception.world.rendering.tables import ELLIPSOID, HULL, SHEET, Solids
from kd_perception.world.scenes.shapes import Array

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Hits:
    """What rays meet first; arrays [height, width].

    Args:
        depth_m: distance along the ray in lengths of its direction, infinite on sky, float32.
        part: row of `Solids`, -1 on sky, int32.
        face: which plane of a hull, int16.
    """

    depth_m: Array
    part: Array
    face: Array


class Scratch(NamedTuple):
    """Room for one part: its rays, those in the space of a ball, how rays meet planes."""

    local: Array
    unit: Array
    planes: Array


def cast(
    solids: Solids, materials: Materials, textures: Textures, lens: Lens, pixel_angle: float
) -> Hits:
    """Find what every pixel of a camera sees.

    Args:
        solids: the scene.
        materials: its materials, some of which let rays through.
        textures: what they look up.
        lens: the camera.
        pixel_angle: size of a pixel at unit depth, for the fading of fine holes.
    """
    shape = lens.image_size
    hits = Hits(
        np.full(shape, np.inf, np.float32), np.full(shape, -1, np.int32), np.zeros(shape, np.int16)
    )
    if len(solids.form):
        nearest_m, windows = lens.windows(solids.corners)
        order = np.argsort(nearest_m, kind='stable')
        most = int(solids.plane_count.max())
        scratch = Scratch(np.empty((6, 3)), np.empty((6, 3)), np.empty((most, 6)))
        _cast(
            solids, materials, textures, order, nearest_m, windows, lens.rays(), pixel_angle,
            scratch, hits.depth_m, hits.part, hits.face,
        )  # fmt: skip
    return hits


@kernel
def _cast(
    solids: Solids,
    materials: Materials,
    textures: Textures,
    order: Array,
    nearest_m: Array,
    windows: Array,
    rays: Array,
    pixel_angle: float,
    scratch: Scratch,
    depth: Array,
    part: Array,
    face: Array,
) -> None:
    local = scratch.local
    for place in range(len(order)):
        k = order[place]
        window = windows[k]
        if window[0] >= window[1] or window[2] >= window[3]:
            continue
        # The margin is for rounding.
        nearest = max(0.999 * nearest_m[k], NEAR_M)
        into_local(rays, solids, k, local)
        form = solids.form[k]
        if form == HULL:
            first = solids.first_plane[k]
            planes = solids.planes[first : first + solids.plane_count[k]]
            _meet_planes(planes, local, scratch.planes)
            _cast_hull(k, len(planes), scratch.planes, window, nearest, depth, part, face)
        else:
            _cast_other(
                k, form, solids, materials, textures, scratch, window, nearest, pixel_angle,
                depth, part,
            )  # fmt: skip


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


@kernel
def _meet_planes(planes: Array, local: Array, met: Array) -> None:
    """How far rays start before planes, and how fast they come nearer.

    Both change linearly from pixel to pixel: rows of (room, per column, per row; slope, per
    column, per row).
    """
    for p in range(len(planes)):
        a, b, c = planes[p, 0], planes[p, 1], planes[p, 2]
        for i in range(3):
            met[p, i] = -(a * local[i, 0] + b * local[i, 1] + c * local[i, 2])
            met[p, 3 + i] = a * local[3 + i, 0] + b * local[3 + i, 1] + c * local[3 + i, 2]
        met[p, 0] += planes[p, 3]


@kernel
def _cast_hull(
    k: int,
    count: int,
    met: Array,
    window: Array,
    nearest: float,
    depth: Array,
    part: Array,
    face: Array,
) -> None:
    """Clip rays by one plane after the other."""
    for y in range(window[0], window[1]):
        for x in range(window[2], window[3]):
            limit = depth[y, x]
            if limit <= nearest:
                continue
            entry, leave, front = -np.inf, limit, -1
            for p in range(count):
                r = met[p, 0] + x * met[p, 1] + y * met[p, 2]
                s = met[p, 3] + x * met[p, 4] + y * met[p, 5]
                if s < 0.0:
                    # r / s > entry without a division
                    if r < entry * s:
                        entry = r / s
                        front = p
                        if entry >= leave:
                            break
                elif s > 0.0:
                    if r < leave * s:
                        leave = r / s
                        if entry >= leave:
                            break
                elif r < 0.0:
                    entry = np.inf
                    break
            if front >= 0 and NEAR_M < entry < leave:
                depth[y, x] = entry
                part[y, x] = k
                face[y, x] = front


@kernel
def _cast_other(
    k: int,
    form: int,
    solids: Solids,
    materials: Materials,
    textures: Textures,
    scratch: Scratch,
    window: Array,
    nearest: float,
    pixel_angle: float,
    depth: Array,
    part: Array,
) -> None:
    """Ellipsoids, sheets and slabs, some of which let rays through."""
    first, second = solids.size[k, 0], solids.size[k, 1]
    local, unit = scratch.local, scratch.unit
    if form == ELLIPSOID:
        _unit_rays(local, solids.size[k], unit)
    clear = solids.clear[k]
    kind, row = solids.kind[k], solids.row[k]
    for y in range(window[0], window[1]):
        for x in range(window[2], window[3]):
            limit = depth[y, x]
            if limit <= nearest:
                continue
            if form == ELLIPSOID:
                distance = _meet_ball(unit, x, y)
            elif form == SHEET:
                distance = _meet_sheet(local, first, second, x, y)
            else:
                distance = _meet_slab(local, first, second, x, y)
            if not NEAR_M < distance < limit:
                continue
            if clear:
                point = local_point(solids, k, 0, local, x, y, distance, pixel_angle)
                if not opaque(kind, row, materials, point, textures):
                    continue
            depth[y, x] = distance
            part[y, x] = k


@kernel
def _unit_rays(local: Array, size: Array, unit: Array) -> None:
    """Rays in the space where an ellipsoid is the unit ball, into `unit`."""
    for i in range(6):
        x, y, z = local[i, 0], local[i, 1], local[i, 2]
        if i == 0:
            x, y, z = x - size[0], y - size[1], z - size[2]
        for j in range(3):
            unit[i, j] = size[3 + 3 * j] * x + size[4 + 3 * j] * y + size[5 + 3 * j] * z


@inlined
def _meet_ball(unit: Array, x: int, y: int) -> Any:
    ox, oy, oz = along_ray(unit, 0, x, y)
    dx, dy, dz = along_ray(unit, 3, x, y)
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    discriminant = b * b - a * (ox * ox + oy * oy + oz * oz - 1.0)
    if discriminant <= 0.0:
        return -1.0
    return (-b - np.sqrt(discriminant)) / a


@inlined
def _meet_sheet(local: Array, half_width_m: float, height_m: float, x: int, y: int) -> Any:
    ox, oy, oz = along_ray(local, 0, x, y)
    dx, dy, dz = along_ray(local, 3, x, y)
    distance = -oz / dz
    up = -oy - distance * dy
    inside = abs(ox + distance * dx) <= half_width_m and 0.0 <= up <= height_m
    return distance if inside else -1.0


@inlined
def _meet_slab(local: Array, half_width_m: float, length_m: float, x: int, y: int) -> Any:
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
