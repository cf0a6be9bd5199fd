# SPDX-License-Identifier: Apache-2.0
"""The ray caster: which part of which thing every pixel sees, and how far away.

Parts are drawn nearest first into the rectangles that hold them, so that little hidden surface is
met. Rays are linear in column and row, in the part's own coordinates too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kd_perception.world.compiling import kernel
from kd_perception.world.materials import Materials, Textures, opaque
from kd_perception.world.rendering.camera import NEAR_M, Lens
from kd_perception.world.rendering.rays import (
    into_local,
    local_point,
    meet_ball,
    meet_sheet,
    meet_slab,
)
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
                distance = meet_ball(unit, x, y)
            elif form == SHEET:
                distance = meet_sheet(local, first, second, x, y)
            else:
                distance = meet_slab(local, first, second, x, y)
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
