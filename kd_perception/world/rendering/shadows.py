# SPDX-License-Identifier: Apache-2.0
"""The sun's own view of the scene: what it sees is lit, the rest is shadow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.compiling import inlined
from kd_perception.world.materials import Materials, Textures
from kd_perception.world.rendering.camera import Camera, ParallelCamera
from kd_perception.world.rendering.casting import cast
from kd_perception.world.rendering.tables import SLAB, Solids
from kd_perception.world.scenes.shapes import Array

_PIXELS = 640
_PIXEL_M = 0.12
_AHEAD_M = 30.0
_ABOVE_M = 120.0
_BIAS_M = 0.2


class SunMap(NamedTuple):
    """A parallel view from the sun.

    Args:
        depth_m: how far the sun's rays get, float32 [rows, columns]; [0, 0] where no sun shines.
        moving: whether they end on a thing on its way, bool.
        to_map: world to (column, row, depth), float64 [3, 4].
    """

    depth_m: Array
    moving: Array
    to_map: Array


def sun_map(
    solids: Solids, materials: Materials, textures: Textures, climate: Climate, camera: Camera
) -> SunMap:
    """What the sun sees around the camera; empty where it does not shine."""
    if climate.sun.light == 0.0 and climate.sun.warming_k == 0.0:
        return SunMap(np.zeros((0, 0), np.float32), np.zeros((0, 0), bool), np.zeros((3, 4)))
    towards = np.array(climate.sun.direction)
    # Whole pixels of the world, so that shadows do not crawl as the camera moves.
    middle = camera.position + _AHEAD_M * camera.rotation[:, 2]
    lens = ParallelCamera(
        (_PIXELS, _PIXELS),
        _PIXEL_M,
        np.round(middle) + _ABOVE_M * towards,
        (-float(towards[0]), -float(towards[1]), -float(towards[2])),
    )
    casters = _without_ground(solids)
    hits = cast(casters, materials, textures, lens, _PIXEL_M / _ABOVE_M)
    moving = np.append(casters.moving, False)[hits.part]
    scale = np.array([1.0 / _PIXEL_M, 1.0 / _PIXEL_M, 1.0])
    to_map = np.empty((3, 4))
    to_map[:, :3] = lens.rotation.T * scale[:, None]
    to_map[:, 3] = -to_map[:, :3] @ lens.origin + np.array([(_PIXELS - 1) / 2] * 2 + [0.0])
    return SunMap(hits.depth_m, moving, to_map)


def _without_ground(solids: Solids) -> Solids:
    keep = np.nonzero(solids.form != SLAB)[0]
    values = {
        name: value if name == 'planes' else value[keep]
        for name, value in solids._asdict().items()
    }
    return Solids(**values)


@inlined
def sunlight(sun: SunMap, world: Array, cosine: float) -> tuple[float, float]:
    """How far the sun shines on a point, 0 to 1: now, and for long.

    Things on their way do not shade for long.
    """
    if cosine <= 0.0 or sun.depth_m.shape[0] == 0:
        return 0.0, 0.0
    place = np.empty(3)
    for i in range(3):
        place[i] = (
            sun.to_map[i, 0] * world[0]
            + sun.to_map[i, 1] * world[1]
            + sun.to_map[i, 2] * world[2]
            + sun.to_map[i, 3]
        )
    left, top = int(np.floor(place[0])), int(np.floor(place[1]))
    rows, columns = sun.depth_m.shape
    if not (0 <= top < rows - 1 and 0 <= left < columns - 1):
        return 1.0, 1.0
    # At grazing light a pixel of the map spans much depth.
    reach = place[2] - _BIAS_M - _PIXEL_M * min(1.0 / max(cosine, 0.05), 8.0)
    now, long = 0.0, 0.0
    for row in range(top, top + 2):
        for column in range(left, left + 2):
            share = 1.0 - abs(place[0] - column)
            share *= 1.0 - abs(place[1] - row)
            lit = sun.depth_m[row, column] >= reach
            now += share if lit else 0.0
            long += share if lit or sun.moving[row, column] else 0.0
    return now, long
