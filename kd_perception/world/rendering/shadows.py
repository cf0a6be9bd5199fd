# SPDX-License-Identifier: Apache-2.0
"""The sun's own view of the scene: what it sees is lit, the rest is shadow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.compiling import inlined
from kd_perception.world.materials import Materials, Textures
from kd_perception.world.rendering.camera import Camera, ParallelCamera
from kd_perception.world.rendering.casting import cast
from kd_perception.world.rendering.rays import Triple
from kd_perception.world.rendering.tables import SLAB, Solids
from kd_perception.world.scenes.shapes import Array

_PIXELS = 512
_PIXEL_M = 0.14
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
    lens = _sun_camera(np.array(climate.sun.direction), camera)
    casters = _without_ground(solids)
    hits = cast(casters, materials, textures, lens, _PIXEL_M / _ABOVE_M)
    moving = np.append(casters.moving, False)[hits.part]
    scale = np.array([1.0 / _PIXEL_M, 1.0 / _PIXEL_M, 1.0])
    to_map = np.empty((3, 4))
    to_map[:, :3] = lens.rotation.T * scale[:, None]
    to_map[:, 3] = -to_map[:, :3] @ lens.origin + np.array([(_PIXELS - 1) / 2] * 2 + [0.0])
    return SunMap(hits.depth_m, moving, to_map)


def _sun_camera(towards: Array, camera: Camera) -> ParallelCamera:
    """The sun's view of what lies ahead of the camera, moved by whole pixels only.

    So every spot of the world falls on the same place of a pixel as the camera moves, and shadows
    do not crawl.
    """
    x, y, z = (-towards).tolist()
    middle = camera.position + _AHEAD_M * camera.rotation[:, 2]
    turn = ParallelCamera((_PIXELS, _PIXELS), _PIXEL_M, middle, (x, y, z)).rotation
    steps = np.round(turn.T @ middle / _PIXEL_M)
    origin = turn @ steps * _PIXEL_M + _ABOVE_M * towards
    return ParallelCamera((_PIXELS, _PIXELS), _PIXEL_M, origin, (x, y, z))


def _without_ground(solids: Solids) -> Solids:
    keep = np.nonzero(solids.form != SLAB)[0]
    values = {
        name: value if name == 'planes' else value[keep]
        for name, value in solids._asdict().items()
    }
    return Solids(**values)


@inlined
def _on_map(sun: SunMap, i: int, world: Triple) -> Any:
    x, y, z = world
    turn = sun.to_map
    return turn[i, 0] * x + turn[i, 1] * y + turn[i, 2] * z + turn[i, 3]


@inlined
def sunlight(sun: SunMap, world: Triple, cosine: float) -> tuple[float, float]:
    """How far the sun shines on a point, 0 to 1: now, and for long.

    Things on their way do not shade for long.
    """
    if cosine <= 0.0 or sun.depth_m.shape[0] == 0:
        return 0.0, 0.0
    column_at = _on_map(sun, 0, world)
    row_at = _on_map(sun, 1, world)
    left, top = int(np.floor(column_at)), int(np.floor(row_at))
    rows, columns = sun.depth_m.shape
    if not (0 <= top < rows - 1 and 0 <= left < columns - 1):
        return 1.0, 1.0
    # At grazing light a pixel of the map spans much depth.
    reach = _on_map(sun, 2, world) - _BIAS_M - _PIXEL_M * min(1.0 / max(cosine, 0.05), 8.0)
    depth, moving = sun.depth_m, sun.moving
    a, b = depth[top, left] >= reach, depth[top, left + 1] >= reach
    c, d = depth[top + 1, left] >= reach, depth[top + 1, left + 1] >= reach
    if a and b and c and d:
        return 1.0, 1.0
    right, down = column_at - left, row_at - top
    now = _blend(a, b, c, d, right, down)
    a, b = a or moving[top, left], b or moving[top, left + 1]
    c, d = c or moving[top + 1, left], d or moving[top + 1, left + 1]
    return now, _blend(a, b, c, d, right, down)


@inlined
def _blend(a: bool, b: bool, c: bool, d: bool, right: float, down: float) -> float:
    """Bilinear mean of four corners."""
    upper = (1.0 - right) * a + right * b
    lower = (1.0 - right) * c + right * d
    return (1.0 - down) * upper + down * lower
