# SPDX-License-Identifier: Apache-2.0
"""The ray caster: which part of which thing every pixel sees, and how far away.

Parts are drawn nearest first into the rectangles that hold them, so that little hidden surface is
met. Rays are linear in column and row, in the part's own coordinates too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_perception.world.compiling import compiled, inlined
from kd_perception.world.materials import Materials, Point, Textures, opaque
from kd_perception.world.rendering.camera import NEAR_M, Lens
from kd_perception.world.rendering.tables import ELLIPSOID, HULL, SHEET, Solids
from kd_perception.world.scenes.shapes import Array


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
        _cast(
            solids, materials, textures, order, nearest_m, windows, lens.rays(), pixel_angle,
            hits.depth_m, hits.part, hits.face,
        )  # fmt: skip
    return hits


@compiled
def _cast(
    solids: Solids,
    materials: Materials,
    textures: Textures,
    order: Array,
    nearest_m: Array,
    windows: Array,
    rays: Array,
    pixel_angle: float,
    depth: Array,
    part: Array,
    face: Array,
) -> None:
    for k in order:
        window = windows[k]
        if window[0] >= window[1] or window[2] >= window[3]:
            continue
        # The margin is for rounding.
        nearest = max(0.999 * nearest_m[k], NEAR_M)
        local = _local_rays(rays, solids.position[k], solids.rotation[k])
        form = solids.form[k]
        if form == HULL:
            first = solids.first_plane[k]
            planes = solids.planes[first : first + solids.plane_count[k]]
            _cast_hull(k, planes, local, window, nearest, depth, part, face)
        else:
            _cast_other(
                k, form, solids, materials, textures, local, window, nearest, pixel_angle,
                depth, part,
            )  # fmt: skip


@compiled
def _local_rays(rays: Array, position: Array, rotation: Array) -> Array:
    """Rays in a part's own coordinates: rows as in `Lens.rays`."""
    local = np.empty((6, 3))
    for i in range(6):
        x, y, z = rays[i, 0], rays[i, 1], rays[i, 2]
        if i == 0:
            x, y, z = x - position[0], y - position[1], z - position[2]
        for j in range(3):
            local[i, j] = rotation[0, j] * x + rotation[1, j] * y + rotation[2, j] * z
    return local


@compiled
def _cast_hull(
    k: int,
    planes: Array,
    local: Array,
    window: Array,
    nearest: float,
    depth: Array,
    part: Array,
    face: Array,
) -> None:
    """Clip rays by one plane after the other.

    Along a row both the room before a plane and the slope towards it change linearly.
    """
    count = len(planes)
    room = np.empty((count, 3))
    slope = np.empty((count, 3))
    for p in range(count):
        a, b, c = planes[p, 0], planes[p, 1], planes[p, 2]
        for i in range(3):
            room[p, i] = -(a * local[i, 0] + b * local[i, 1] + c * local[i, 2])
            slope[p, i] = a * local[3 + i, 0] + b * local[3 + i, 1] + c * local[3 + i, 2]
        room[p, 0] += planes[p, 3]
    for y in range(window[0], window[1]):
        for x in range(window[2], window[3]):
            limit = depth[y, x]
            if limit <= nearest:
                continue
            entry, leave, front = -np.inf, limit, -1
            for p in range(count):
                r = room[p, 0] + x * room[p, 1] + y * room[p, 2]
                s = slope[p, 0] + x * slope[p, 1] + y * slope[p, 2]
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


@compiled
def _cast_other(
    k: int,
    form: int,
    solids: Solids,
    materials: Materials,
    textures: Textures,
    local: Array,
    window: Array,
    nearest: float,
    pixel_angle: float,
    depth: Array,
    part: Array,
) -> None:
    """Ellipsoids, sheets and slabs, some of which let rays through."""
    size = solids.size[k]
    unit = _unit_rays(local, size) if form == ELLIPSOID else local
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
                distance = _meet_sheet(local, size, x, y)
            else:
                distance = _meet_slab(local, size, x, y)
            if not NEAR_M < distance < limit:
                continue
            if clear:
                point = local_point(form, size, local, x, y, distance, pixel_angle)
                if not opaque(kind, row, materials, point, textures):
                    continue
            depth[y, x] = distance
            part[y, x] = k


@compiled
def _unit_rays(local: Array, size: Array) -> Array:
    """Rays in the space where an ellipsoid is the unit ball."""
    unit = np.empty((6, 3))
    for i in range(6):
        x, y, z = local[i, 0], local[i, 1], local[i, 2]
        if i == 0:
            x, y, z = x - size[0], y - size[1], z - size[2]
        for j in range(3):
            unit[i, j] = size[3 + 3 * j] * x + size[4 + 3 * j] * y + size[5 + 3 * j] * z
    return unit


@inlined
def _along(rays: Array, i: int, axis: int, x: int, y: int) -> Any:
    return rays[i, axis] + x * rays[i + 1, axis] + y * rays[i + 2, axis]


@inlined
def _meet_ball(unit: Array, x: int, y: int) -> Any:
    ox, oy, oz = _along(unit, 0, 0, x, y), _along(unit, 0, 1, x, y), _along(unit, 0, 2, x, y)
    dx, dy, dz = _along(unit, 3, 0, x, y), _along(unit, 3, 1, x, y), _along(unit, 3, 2, x, y)
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    discriminant = b * b - a * (ox * ox + oy * oy + oz * oz - 1.0)
    if discriminant <= 0.0:
        return -1.0
    return (-b - np.sqrt(discriminant)) / a


@inlined
def _meet_sheet(local: Array, size: Array, x: int, y: int) -> Any:
    distance = -_along(local, 0, 2, x, y) / _along(local, 3, 2, x, y)
    across = _along(local, 0, 0, x, y) + distance * _along(local, 3, 0, x, y)
    up = -_along(local, 0, 1, x, y) - distance * _along(local, 3, 1, x, y)
    return distance if abs(across) <= size[0] and 0.0 <= up <= size[1] else -1.0


@inlined
def _meet_slab(local: Array, size: Array, x: int, y: int) -> Any:
    down = _along(local, 3, 1, x, y)
    if down <= 0.0:
        return -1.0
    distance = -_along(local, 0, 1, x, y) / down
    across = _along(local, 0, 0, x, y) + distance * _along(local, 3, 0, x, y)
    along = _along(local, 0, 2, x, y) + distance * _along(local, 3, 2, x, y)
    return distance if abs(across) <= size[0] and 0.0 <= along <= size[1] else -1.0


@inlined
def local_point(
    form: int, size: Array, local: Array, x: int, y: int, distance: float, pixel_angle: float
) -> Point:
    """The point of a part (no hull) that a ray meets at a distance."""
    dx, dy, dz = _along(local, 3, 0, x, y), _along(local, 3, 1, x, y), _along(local, 3, 2, x, y)
    px = _along(local, 0, 0, x, y) + distance * dx
    py = _along(local, 0, 1, x, y) + distance * dy
    pz = _along(local, 0, 2, x, y) + distance * dz
    nx, ny, nz = 0.0, 0.0, 0.0
    if form == ELLIPSOID:
        ux, uy, uz = px - size[0], py - size[1], pz - size[2]
        a = size[3] * ux + size[4] * uy + size[5] * uz
        b = size[6] * ux + size[7] * uy + size[8] * uz
        c = size[9] * ux + size[10] * uy + size[11] * uz
        nx = size[3] * a + size[6] * b + size[9] * c
        ny = size[4] * a + size[7] * b + size[10] * c
        nz = size[5] * a + size[8] * b + size[11] * c
        scale = 1.0 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-18)
        nx, ny, nz = nx * scale, ny * scale, nz * scale
    elif form == SHEET:
        nz = -1.0 if dz > 0.0 else 1.0
    else:
        ny = -1.0
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    facing = abs(nx * dx + ny * dy + nz * dz) / length
    return Point(px, -py, pz, nx, ny, nz, facing, distance * pixel_angle)
