# SPDX-License-Identifier: Apache-2.0
"""From hits to the G-buffer: temperature, emissivity, reflectance, normal, sun and shadow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.compiling import inlined, kernel
from kd_perception.world.materials import Materials, Point, Sample, Textures, sample
from kd_perception.world.noise import cloud_tiles
from kd_perception.world.rendering.camera import Lens
from kd_perception.world.rendering.casting import Hits
from kd_perception.world.rendering.rays import Triple, along_ray, into_local, local_point
from kd_perception.world.rendering.shadows import SunMap, sunlight
from kd_perception.world.rendering.tables import SLAB, Solids
from kd_perception.world.scenes.shapes import Array

_GROUND_SKY_VIEW = 0.8


class GBuffer(NamedTuple):
    """What every pixel sees; float32 [height, width] unless said otherwise.

    Args:
        depth_m: distance along the optical axis, infinite on sky.
        temperature_c: surface temperature; of sky its apparent one.
        emissivity: 0 to 1, 1 on sky.
        sky_view: share of the reflected hemisphere that is sky.
        albedo: linear reflectance [height, width, 3].
        glow: light given off.
        normal: unit vector in the world [height, width, 3], zero on sky.
        sun: cosine to the sun where it shines, 0 in shadow.
        wetness: of the ground, 0 elsewhere.
        ground: whether it is ground, bool.
        glass: bool.
        label: class id, uint8.
        instance: object id, int32.
        salient: whether the thing draws the eye, bool.
    """

    depth_m: Array
    temperature_c: Array
    emissivity: Array
    sky_view: Array
    albedo: Array
    glow: Array
    normal: Array
    sun: Array
    wetness: Array
    ground: Array
    glass: Array
    label: Array
    instance: Array
    salient: Array

    @classmethod
    def empty(cls, depth_m: Array) -> GBuffer:
        """A buffer of black sky."""
        shape = depth_m.shape
        zeros = [np.zeros(shape, np.float32) for _ in range(6)]
        return cls(
            depth_m=depth_m,
            temperature_c=zeros[0],
            emissivity=np.ones(shape, np.float32),
            sky_view=zeros[1],
            albedo=np.zeros((*shape, 3), np.float32),
            glow=zeros[2],
            normal=np.zeros((*shape, 3), np.float32),
            sun=zeros[3],
            wetness=zeros[4],
            ground=np.zeros(shape, bool),
            glass=np.zeros(shape, bool),
            label=np.zeros(shape, np.uint8),
            instance=np.zeros(shape, np.int32),
            salient=np.zeros(shape, bool),
        )


class _Sky(NamedTuple):
    """What the shading kernel needs of the weather."""

    sun_x: float
    sun_y: float
    sun_z: float
    warming_k: float
    air_c: float
    sky_c: float
    cloud_k: float
    wetness: float


def shade(
    hits: Hits,
    solids: Solids,
    materials: Materials,
    textures: Textures,
    lens: Lens,
    pixel_angle: float,
    climate: Climate,
    sun_map: SunMap,
) -> GBuffer:
    """Evaluate materials, sun and shadow where the rays have met something."""
    buffer = GBuffer.empty(hits.depth_m)
    sky = _Sky(
        *climate.sun.direction,
        climate.sun.warming_k,
        climate.air_c,
        climate.sky_c,
        0.3 + 2.5 * climate.overcast * (1.0 - climate.overcast),
        climate.wetness,
    )
    _shade(
        hits.part, hits.face, solids, materials, textures, lens.rays(), pixel_angle, sky,
        sun_map, cloud_tiles(), np.empty((6, 3)), buffer,
    )  # fmt: skip
    return buffer


@kernel
def _shade(
    part: Array,
    face: Array,
    solids: Solids,
    materials: Materials,
    textures: Textures,
    rays: Array,
    pixel_angle: float,
    sky: _Sky,
    sun_map: SunMap,
    clouds: Array,
    local: Array,
    buffer: GBuffer,
) -> None:
    # Numbers in tuples, no slices: a view of an array costs more than all that is done with it.
    height, width = part.shape
    last = -1
    for y in range(height):
        for x in range(width):
            k = part[y, x]
            if k < 0:
                direction = along_ray(rays, 3, x, y)
                buffer.temperature_c[y, x] = _sky_temperature(direction, sky, clouds)
                continue
            if k != last:
                into_local(rays, solids, k, local)
                last = k
            distance = float(buffer.depth_m[y, x])
            point = local_point(solids, k, face[y, x], local, x, y, distance, pixel_angle)
            found = sample(solids.kind[k], solids.row[k], materials, point, textures)
            normal = _turned(solids, k, point)
            lit = max(normal[0] * sky.sun_x + normal[1] * sky.sun_y + normal[2] * sky.sun_z, 0.0)
            now, long = sunlight(sun_map, _place(rays, x, y, distance), lit)
            warming = sky.warming_k * lit * long * solids.absorptance[k]
            buffer.temperature_c[y, x] = found.temperature_c + warming
            buffer.sun[y, x] = lit * now
            _store(buffer, y, x, found, normal)
            buffer.label[y, x] = solids.label[k]
            buffer.instance[y, x] = solids.instance[k]
            buffer.salient[y, x] = solids.salient[k]
            if solids.form[k] == SLAB:
                buffer.ground[y, x] = True
                buffer.sky_view[y, x] = _GROUND_SKY_VIEW
                buffer.wetness[y, x] = sky.wetness


@inlined
def _place(rays: Array, x: int, y: int, distance: float) -> Triple:
    origin, direction = along_ray(rays, 0, x, y), along_ray(rays, 3, x, y)
    return (
        origin[0] + distance * direction[0],
        origin[1] + distance * direction[1],
        origin[2] + distance * direction[2],
    )


@inlined
def _turned(solids: Solids, k: int, point: Point) -> Triple:
    """The normal in world axes."""
    nx, ny, nz = point.normal_x, point.normal_y, point.normal_z
    turn = solids.rotation
    return (
        turn[k, 0, 0] * nx + turn[k, 0, 1] * ny + turn[k, 0, 2] * nz,
        turn[k, 1, 0] * nx + turn[k, 1, 1] * ny + turn[k, 1, 2] * nz,
        turn[k, 2, 0] * nx + turn[k, 2, 1] * ny + turn[k, 2, 2] * nz,
    )


@inlined
def _store(buffer: GBuffer, y: int, x: int, found: Sample, normal: Triple) -> None:
    buffer.emissivity[y, x] = found.emissivity
    buffer.sky_view[y, x] = 0.5 - 0.5 * normal[1]
    buffer.albedo[y, x, 0] = found.red
    buffer.albedo[y, x, 1] = found.green
    buffer.albedo[y, x, 2] = found.blue
    buffer.glow[y, x] = found.glow
    buffer.glass[y, x] = found.glass > 0.5
    buffer.normal[y, x, 0] = normal[0]
    buffer.normal[y, x, 1] = normal[1]
    buffer.normal[y, x, 2] = normal[2]


@inlined
def _sky_temperature(direction: Triple, sky: _Sky, clouds: Array) -> Any:
    """Colder with elevation, clouds in between."""
    flat = np.sqrt(direction[0] * direction[0] + direction[2] * direction[2])
    elevation = max(-direction[1] / flat, 0.0)
    column = int(np.floor(np.arctan2(direction[0], direction[2]) * 90.0)) & 255
    row = int(np.floor(elevation * 160.0)) & 255
    warming = (sky.air_c - sky.sky_c) * np.exp(-7.0 * elevation)
    return sky.sky_c + warming + sky.cloud_k * clouds[0, row, column]
