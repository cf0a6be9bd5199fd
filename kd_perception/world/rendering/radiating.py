# SPDX-License-Identifier: Apache-2.0
"""The loops that turn the G-buffer into radiance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kd_perception.world.compiling import inlined, kernel
from kd_perception.world.rendering.rays import Triple, along_ray
from kd_perception.world.rendering.shading import GBuffer
from kd_perception.world.scenes.shapes import Array

_SKY_PATH_M = 800.0


class Light(NamedTuple):
    """The weather as the kernel needs it.

    Args:
        sun: direction to the sun.
        sun_color: irradiance at normal incidence.
        disk: radiance of the sun's disk.
        zenith: radiance of the sky overhead.
        horizon: radiance of the sky at the horizon.
        cloud: share of clouds.
        sky: irradiance of a surface that sees nothing but sky.
        bounce: irradiance from the ground.
        lamps: position, power and color of lamps [n, 7]; none by day.
        headlights: position, power and direction of the camera's own car [n, 7]; none by day.
        fog: radiance of thick fog.
        fog_per_m: extinction.
    """

    sun: Array
    sun_color: Array
    disk: float
    zenith: Array
    horizon: Array
    cloud: float
    sky: Array
    bounce: float
    lamps: Array
    headlights: Array
    fog: Array
    fog_per_m: float


@kernel
def radiate(buffer: GBuffer, rays: Array, light: Light, clouds: Array, image: Array) -> None:
    """Radiance of every pixel, into `image` float32 [height, width, 3]."""
    height, width = buffer.depth_m.shape
    for y in range(height):
        for x in range(width):
            ray = along_ray(rays, 3, x, y)
            length = np.sqrt(ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2])
            distance = float(buffer.depth_m[y, x])
            if distance == np.inf:
                total = _sky_radiance(ray, length, light, clouds)
                path = _SKY_PATH_M
            else:
                origin = along_ray(rays, 0, x, y)
                place = (
                    origin[0] + distance * ray[0],
                    origin[1] + distance * ray[1],
                    origin[2] + distance * ray[2],
                )
                normal = (buffer.normal[y, x, 0], buffer.normal[y, x, 1], buffer.normal[y, x, 2])
                total = _irradiance(float(buffer.sun[y, x]), place, normal, light)
                total = _leaving(buffer, y, x, normal, ray, length, light, total)
                path = distance * length
            haze = np.exp(-light.fog_per_m * path)
            image[y, x, 0] = total[0] * haze + light.fog[0] * (1.0 - haze)
            image[y, x, 1] = total[1] * haze + light.fog[1] * (1.0 - haze)
            image[y, x, 2] = total[2] * haze + light.fog[2] * (1.0 - haze)


@inlined
def _irradiance(sun: float, place: Triple, normal: Triple, light: Light) -> Triple:
    """Light that falls on a surface."""
    up = 0.5 - 0.5 * normal[1]
    bounce = light.bounce * (1.0 - up)
    red = light.sun_color[0] * sun + light.sky[0] * up + bounce
    green = light.sun_color[1] * sun + light.sky[1] * up + bounce
    blue = light.sun_color[2] * sun + light.sky[2] * up + bounce
    for k in range(len(light.lamps)):
        shine = _falloff(light.lamps, k, place, normal) * light.lamps[k, 3]
        red += shine * light.lamps[k, 4]
        green += shine * light.lamps[k, 5]
        blue += shine * light.lamps[k, 6]
    for k in range(len(light.headlights)):
        shine = _falloff(light.headlights, k, place, normal) * light.headlights[k, 3]
        shine *= _beam(light.headlights, k, place)
        red, green, blue = red + shine, green + shine, blue + shine
    return red, green, blue


@inlined
def _falloff(sources: Array, k: int, place: Triple, normal: Triple) -> float:
    """Cosine over squared distance, a little of it on the far side too."""
    dx, dy, dz = sources[k, 0] - place[0], sources[k, 1] - place[1], sources[k, 2] - place[2]
    squared = dx * dx + dy * dy + dz * dz + 0.5
    cosine = (dx * normal[0] + dy * normal[1] + dz * normal[2]) / np.sqrt(squared)
    shine: float = max(cosine, 0.03) / squared
    return shine


@inlined
def _beam(headlights: Array, k: int, place: Triple) -> float:
    """Share of a headlight's power towards a place: full within a flat cone."""
    dx = place[0] - headlights[k, 0]
    dy = place[1] - headlights[k, 1]
    dz = place[2] - headlights[k, 2]
    along = dx * headlights[k, 4] + dy * headlights[k, 5] + dz * headlights[k, 6]
    if along <= 0.1:
        return 0.0
    across = max(dx * dx + dy * dy + dz * dz - along * along, 0.0) / (along * along)
    share: float = 1.0 / (1.0 + (across / 0.2) ** 2)
    return share


@inlined
def _leaving(
    buffer: GBuffer,
    y: int,
    x: int,
    normal: Triple,
    ray: Triple,
    length: float,
    light: Light,
    falling: Triple,
) -> Triple:
    """The light that leaves a surface: reflected, given off, and mirrored by glass."""
    r, g, b = buffer.albedo[y, x, 0], buffer.albedo[y, x, 1], buffer.albedo[y, x, 2]
    dark = 1.0 - 0.45 * buffer.wetness[y, x]
    glow = buffer.glow[y, x] / max(r, g, b, 1e-3)
    red = r * (falling[0] * dark + glow)
    green = g * (falling[1] * dark + glow)
    blue = b * (falling[2] * dark + glow)
    if buffer.glass[y, x]:
        along = ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2]
        # What glass mirrors: sky where the reflected ray goes up, street where it goes down.
        up = 2.0 * along * normal[1] - ray[1] > 0.0
        share = 0.12 + 0.5 * (1.0 - abs(along) / length) ** 3
        red += share * ((light.horizon[0] if up else 0.3 * light.sky[0]) - red)
        green += share * ((light.horizon[1] if up else 0.3 * light.sky[1]) - green)
        blue += share * ((light.horizon[2] if up else 0.3 * light.sky[2]) - blue)
    return red, green, blue


@inlined
def _sky_radiance(ray: Triple, length: float, light: Light, clouds: Array) -> Triple:
    elevation = max(-ray[1] / length, 0.0)
    column = int(np.floor(np.arctan2(ray[0], ray[2]) * 90.0)) & 255
    row = int(np.floor(elevation * 160.0)) & 255
    cover = min(max(light.cloud + 0.35 * clouds[1, row, column] * (1.0 - light.cloud), 0.0), 1.0)
    towards = (ray[0] * light.sun[0] + ray[1] * light.sun[1] + ray[2] * light.sun[2]) / length
    halo = 0.6 * (1.0 - 0.8 * cover) * max(towards, 0.0) ** 64
    disk = light.disk if towards > 0.9995 else 0.0
    rise = (1.0 - elevation) ** 4
    clear, low = (1.0 - cover) * (1.0 - rise), (1.0 - cover) * rise + 0.9 * cover
    return (
        clear * light.zenith[0] + low * light.horizon[0] + halo * light.sun_color[0] + disk,
        clear * light.zenith[1] + low * light.horizon[1] + halo * light.sun_color[1] + disk,
        clear * light.zenith[2] + low * light.horizon[2] + halo * light.sun_color[2] + disk,
    )


@kernel
def reflect(buffer: GBuffer, rays: Array, to_pixel: Array, seen: Array, image: Array) -> None:
    """Wet ground mirrors what stands above it, as far as that is in the image."""
    height, width = buffer.depth_m.shape
    for y in range(height):
        for x in range(width):
            wet = buffer.wetness[y, x]
            if wet <= 0.0 or not buffer.ground[y, x]:
                continue
            dx = rays[3, 0] + x * rays[4, 0] + y * rays[5, 0]
            dy = rays[3, 1] + x * rays[4, 1] + y * rays[5, 1]
            dz = rays[3, 2] + x * rays[4, 2] + y * rays[5, 2]
            length = np.sqrt(dx * dx + dy * dy + dz * dz)
            w = to_pixel[2, 0] * dx - to_pixel[2, 1] * dy + to_pixel[2, 2] * dz
            u = (to_pixel[0, 0] * dx - to_pixel[0, 1] * dy + to_pixel[0, 2] * dz) / w
            v = (to_pixel[1, 0] * dx - to_pixel[1, 1] * dy + to_pixel[1, 2] * dz) / w
            column = min(max(int(u + 0.5), 0), width - 1)
            row = min(max(int(v + 0.5), 0), height - 1)
            share = wet * (0.03 + 0.85 * (1.0 - min(abs(dy) / length, 1.0)) ** 5)
            for i in range(3):
                image[y, x, i] += share * (seen[row, column, i] - image[y, x, i])
