# SPDX-License-Identifier: Apache-2.0
"""What lies flat on the ground, laid over the G-buffer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kd_perception.world.compiling import kernel
from kd_perception.world.rendering.camera import Lens
from kd_perception.world.rendering.shading import GBuffer
from kd_perception.world.scenes.decals import Decal
from kd_perception.world.scenes.shapes import Array

_RECORD = np.dtype(
    [
        ('x', float),
        ('y', float),
        ('z', float),
        ('cosine', float),
        ('sine', float),
        ('half_width_m', float),
        ('half_length_m', float),
        ('warming_k', float),
        ('color', float, 3),
        ('blend', float),
        ('wetness', float),
        ('softness', float),
        ('stripe_m', float),
    ]
)


def lay_decals(buffer: GBuffer, decals: Iterable[Decal], lens: Lens) -> None:
    """Change temperature, color and wetness of the ground where decals lie."""
    rows = [
        (
            *d.position,
            *(np.cos(d.yaw), np.sin(d.yaw), d.half_width_m, d.half_length_m, d.warming_k),
            *(d.color, d.blend, d.wetness, d.softness, d.stripe_m),
        )
        for d in decals
    ]
    if not rows:
        return
    table = np.array(rows, _RECORD)
    windows = lens.windows(_decal_corners(table))[1]
    _lay(buffer, table, windows, lens.rays())


def _decal_corners(table: Array) -> Array:
    """Eight corners (four of them twice) of every decal with its soft edge."""
    columns = {name: table[name][:, None] for name in _RECORD.names or ()}
    cosine, sine = columns['cosine'], columns['sine']
    reach = 1.0 + columns['softness']
    across = columns['half_width_m'] * reach * np.array([[-1.0, 1, -1, 1, -1, 1, -1, 1]])
    along = columns['half_length_m'] * reach * np.array([[-1.0, -1, 1, 1, -1, -1, 1, 1]])
    x = columns['x'] + cosine * across - sine * along
    z = columns['z'] + sine * across + cosine * along
    # Ground that rises or falls beneath the decal still lies within.
    y = columns['y'] + np.array([[-0.3, -0.3, -0.3, -0.3, 0.3, 0.3, 0.3, 0.3]])
    return np.stack([x, np.broadcast_to(y, x.shape), z], axis=-1)


@kernel
def _lay(buffer: GBuffer, table: Array, windows: Array, rays: Array) -> None:
    for k in range(len(table)):
        decal = table[k]
        cosine, sine = decal.cosine, decal.sine
        for y in range(windows[k, 0], windows[k, 1]):
            for x in range(windows[k, 2], windows[k, 3]):
                if not buffer.ground[y, x]:
                    continue
                d = buffer.depth_m[y, x]
                wx = rays[0, 0] + d * (rays[3, 0] + x * rays[4, 0] + y * rays[5, 0]) - decal.x
                wz = rays[0, 2] + d * (rays[3, 2] + x * rays[4, 2] + y * rays[5, 2]) - decal.z
                across, along = cosine * wx + sine * wz, cosine * wz - sine * wx
                outside = max(abs(across) / decal.half_width_m, abs(along) / decal.half_length_m)
                share = min(max((1.0 + 0.5 * decal.softness - outside) / decal.softness, 0.0), 1.0)
                if (
                    decal.stripe_m > 0.0
                    and (across + along) % decal.stripe_m < 0.5 * decal.stripe_m
                ):
                    continue
                buffer.temperature_c[y, x] += decal.warming_k * share
                for i in range(3):
                    color = buffer.albedo[y, x, i]
                    buffer.albedo[y, x, i] = color + decal.blend * share * (decal.color[i] - color)
                wet = buffer.wetness[y, x]
                buffer.wetness[y, x] = wet + share * max(decal.wetness - wet, 0.0)
