# SPDX-License-Identifier: Apache-2.0
"""The things that a camera sees, and the ray caster that fills the G-buffer.

World axes: X right, Y down, Z forward along the street, meters, the ground at Y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kd_perception.world.camera import NEAR_M, Camera
from kd_perception.world.shapes import Directions, Shape, Vector

Array = npt.NDArray[Any]


_UNIT_CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)


class SurfacePoint(NamedTuple):
    """Points on a surface, one array each: local position, outward normal and viewing geometry.

    `facing` is the cosine between the normal and the view, 0 at the limb; `footprint_m` the size
    of a pixel at that distance.
    """

    x: Array
    height: Array
    z: Array
    normal: Directions
    facing: Array
    footprint_m: Array


class Sample(NamedTuple):
    """What a surface is at some points; `opaque` False lets the ray through (None: all opaque)."""

    temperature_c: Array | float
    emissivity: Array | float
    opaque: Array | None = None


class Surface(Protocol):
    """Gives the thermal properties at points of a solid."""

    def __call__(self, point: SurfacePoint) -> Sample:
        """Properties at `point`."""
        ...


@dataclass(frozen=True)
class Solid:
    """One shape with its surface, somewhere in the world.

    Args:
        shape: its form, in local coordinates.
        surface: its temperatures.
        position: local origin in the world [m].
        yaw: rotation about the vertical [rad]; 0: its front points along the street.
        label: class id.
        instance: id of the object that it belongs to, 0 for none.
        absorptance: share of the sun's warming that it takes.
    """

    shape: Shape
    surface: Surface
    position: Vector
    yaw: float = 0.0
    label: int = 0
    instance: int = 0
    absorptance: float = 1.0

    @cached_property
    def corners(self) -> Array:
        """The eight corners of its box in the world, float32 [8, 3]."""
        low, high = (np.array(end) for end in self.shape.bounds())
        x, y, z = (low + (high - low) * _UNIT_CORNERS).T
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        placed: Array = np.empty((8, 3), np.float32)
        placed[:, 0] = cosine * x - sine * z + self.position[0]
        placed[:, 1] = y + self.position[1]
        placed[:, 2] = sine * x + cosine * z + self.position[2]
        return placed


@dataclass(frozen=True)
class GBuffer:
    """What every pixel sees; arrays [height, width].

    Args:
        depth_m: distance along the optical axis, infinite on sky, float32.
        temperature_c: surface temperature, float32.
        emissivity: 0 to 1, float32.
        sky_view: share of the reflected hemisphere that is sky, float32.
        label: class id, uint8.
        instance: object id, int32.
    """

    depth_m: Array
    temperature_c: Array
    emissivity: Array
    sky_view: Array
    label: Array
    instance: Array

    @classmethod
    def empty(cls, image_size: tuple[int, int]) -> GBuffer:
        """A buffer of black sky."""
        return cls(
            depth_m=np.full(image_size, np.inf, np.float32),
            temperature_c=np.zeros(image_size, np.float32),
            emissivity=np.ones(image_size, np.float32),
            sky_view=np.full(image_size, 0.5, np.float32),
            label=np.zeros(image_size, np.uint8),
            instance=np.zeros(image_size, np.int32),
        )


@dataclass(frozen=True)
class Sun:
    """Direct warming: unit vector towards the sun in the world, kelvin at normal incidence."""

    direction: Vector
    warming_k: float


def cast(solids: list[Solid], camera: Camera, sun: Sun, buffer: GBuffer, rays: Directions) -> None:
    """Draw solids into the buffer, nearest first so that little hidden surface is evaluated."""
    if not solids:
        return
    corners = np.stack([solid.corners for solid in solids])
    nearest_m, windows = camera.windows(corners)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        for k in np.argsort(nearest_m, kind='stable'):
            window = windows[k]
            # Whole things behind others are skipped; the margin is for rounding.
            if window is not None and 0.999 * nearest_m[k] < buffer.depth_m[window].max():
                _draw(solids[k], window, camera, sun, buffer, rays)


def _draw(
    solid: Solid,
    window: tuple[slice, slice],
    camera: Camera,
    sun: Sun,
    buffer: GBuffer,
    rays: Directions,
) -> None:
    cosine, sine = np.float32(np.cos(solid.yaw)), np.float32(np.sin(solid.yaw))
    offset = (camera.position - np.array(solid.position)).astype(np.float32)
    dx, dy, dz = (ray[window] for ray in rays)
    direction = (cosine * dx + sine * dz, dy, cosine * dz - sine * dx)
    across, along = cosine * offset[0] + sine * offset[2], cosine * offset[2] - sine * offset[0]
    origin = np.array([across, offset[1], along], np.float32)
    hit = solid.shape.intersect(origin, direction)
    found = hit.found & (hit.distance > NEAR_M) & (hit.distance < buffer.depth_m[window])
    if not found.any():
        return
    rows, columns = np.nonzero(found)
    distance = hit.distance[found]
    local = [origin[i] + distance * direction[i][found] for i in range(3)]
    n = tuple(component[found] for component in hit.normal)
    length = np.sqrt(sum(component[found] ** 2 for component in direction))
    facing = np.abs(sum(n[i] * direction[i][found] for i in range(3))) / length
    point = SurfacePoint(
        local[0], -local[1], local[2], (n[0], n[1], n[2]), facing, distance / camera.focal_px
    )
    sample = solid.surface(point)
    world_normal = (cosine * n[0] - sine * n[2], n[1], sine * n[0] + cosine * n[2])
    lit = sum(a * b for a, b in zip(world_normal, sun.direction, strict=True))
    warming = solid.absorptance * sun.warming_k * np.maximum(lit, 0.0)
    _write(buffer, solid, sample, warming, (rows, columns), window, distance, n[1])


def _write(
    buffer: GBuffer,
    solid: Solid,
    sample: Sample,
    warming: Array,
    where: tuple[Array, Array],
    window: tuple[slice, slice],
    distance: Array,
    normal_y: Array,
) -> None:
    rows, columns = where[0] + window[0].start, where[1] + window[1].start
    values = [
        (buffer.depth_m, distance),
        (buffer.temperature_c, np.asarray(sample.temperature_c, np.float32) + warming),
        (buffer.emissivity, np.broadcast_to(np.float32(sample.emissivity), distance.shape)),
        (buffer.sky_view, 0.5 - 0.5 * normal_y),
    ]
    if sample.opaque is not None:
        keep = np.nonzero(sample.opaque)[0]
        rows, columns = rows[keep], columns[keep]
        values = [(plane, value[keep]) for plane, value in values]
    for plane, value in values:
        plane[rows, columns] = value
    buffer.label[rows, columns] = solid.label
    buffer.instance[rows, columns] = solid.instance
