# SPDX-License-Identifier: Apache-2.0
"""The ground plane with its lanes and patches of heat, and the sky above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.world.camera import Camera
from kd_perception.world.climate import Climate
from kd_perception.world.geometry import GBuffer
from kd_perception.world.noise import cloud, noise
from kd_perception.world.shapes import Directions, Vector

Array = npt.NDArray[Any]

_FAR_M = 400.0
_HORIZON = 1e-4


@dataclass(frozen=True)
class StreetPlan:
    """The cross-section of a street.

    Args:
        half_width_m: half the carriageway.
        pavement_m: width of each pavement.
        lane_marks: whether lines are painted.
        grain_k: deviation of the ground's pattern.
        kind: which noise.
        cloud_k: deviation of the sky's pattern.
    """

    half_width_m: float
    pavement_m: float
    lane_marks: bool
    grain_k: float
    kind: int
    cloud_k: float


@dataclass(frozen=True)
class HeatPatch:
    """A rectangle on the ground that is warmer or cooler, with soft edges."""

    position: Vector
    yaw: float
    half_width_m: float
    half_length_m: float
    warming_k: float


def paint_sky(buffer: GBuffer, rays: Directions, plan: StreetPlan, climate: Climate) -> None:
    """Fill the rows that hold sky: colder with elevation, clouds in between."""
    above = np.nonzero((rays[1] <= _HORIZON).any(axis=1))[0]
    part = slice(0, int(above[-1]) + 1 if above.size else 0)
    dx, dy, dz = (ray[part] for ray in rays)
    elevation = np.maximum(-dy / np.sqrt(dx * dx + dz * dz), 0.0)
    pattern = cloud(plan.kind, np.arctan2(dx, dz), elevation)
    warming = (climate.air_c - climate.sky_c) * np.exp(-7.0 * elevation)
    buffer.temperature_c[part] = climate.sky_c + warming + plan.cloud_k * pattern


def paint_ground(
    buffer: GBuffer,
    camera: Camera,
    rays: Directions,
    plan: StreetPlan,
    climate: Climate,
    patches: list[HeatPatch],
) -> None:
    """Draw the ground plane, then the patches of heat on it."""
    below = rays[1] > _HORIZON
    rows = np.nonzero(below.any(axis=1))[0]
    if not rows.size:
        return
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    below = below[part]
    distance = np.float32(-camera.position[1]) / np.where(below, rays[1][part], 1.0)
    near = np.minimum(distance, np.float32(_FAR_M))
    x = np.float32(camera.position[0]) + near * rays[0][part]
    z = np.float32(camera.position[2]) + near * rays[2][part]
    footprint = near / np.float32(camera.focal_px)
    grain = noise(plan.kind, x, z, 22.0, footprint)
    grain += 0.9 * noise(plan.kind + 1, z, x, 3.0, footprint)
    road = np.abs(x) < plan.half_width_m
    pavement = np.abs(x) < plan.half_width_m + plan.pavement_m
    base = np.where(road, climate.road_c, np.where(pavement, climate.pavement_c, climate.grass_c))
    temperature = base.astype(np.float32) + np.float32(plan.grain_k) * grain
    if plan.lane_marks:
        line = (np.abs(x) < 0.08) & (z % 5.0 < 2.6)
        line |= np.abs(np.abs(x) - plan.half_width_m + 0.35) < 0.06
        temperature -= np.float32(0.4) * line
    for patch in patches:
        _warm(temperature, (x, z), patch, camera, part)
    for plane, value in (
        (buffer.temperature_c, temperature),
        (buffer.depth_m, distance),
        (buffer.emissivity, np.float32(0.95)),
        (buffer.sky_view, np.float32(0.8)),
    ):
        np.copyto(plane[part], value, where=below)


def _warm(
    temperature: Array,
    ground: tuple[Array, Array],
    patch: HeatPatch,
    camera: Camera,
    part: slice,
) -> None:
    reach = 1.3 * float(np.hypot(patch.half_width_m, patch.half_length_m))
    px, _, pz = patch.position
    square = [(px + a * reach, 0.0, pz + b * reach) for a in (-1, 1) for b in (-1, 1)]
    (window,) = camera.windows(np.array([square], np.float32))[1]
    if window is None:
        return
    rows = slice(max(window[0].start - part.start, 0), max(window[0].stop - part.start, 0))
    cosine, sine = np.float32(np.cos(patch.yaw)), np.float32(np.sin(patch.yaw))
    x, z = (g[rows, window[1]] - np.float32(c) for g, c in zip(ground, (px, pz), strict=True))
    across, along = np.abs(cosine * x + sine * z), np.abs(cosine * z - sine * x)
    outside = np.maximum(
        across / np.float32(patch.half_width_m), along / np.float32(patch.half_length_m)
    )
    fade = np.clip((np.float32(1.25) - outside) / np.float32(0.4), 0.0, 1.0)
    temperature[rows, window[1]] += np.float32(patch.warming_k) * fade
