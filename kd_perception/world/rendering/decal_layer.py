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


def lay_decals(buffer: GBuffer, decals: Iterable[Decal], lens: Lens) -> None:
    """Change temperature, color and wetness of the ground where decals lie."""
    rows = [
        (
            *d.position,
            *(np.cos(d.yaw), np.sin(d.yaw), d.half_width_m, d.half_length_m, d.warming_k),
            *(*d.color, d.blend, d.wetness, d.softness, d.stripe_m),
        )
        for d in decals
    ]
    if not rows:
        return
    table = np.array(rows)
    windows = lens.windows(_decal_corners(table))[1]
    _lay(buffer, table, windows, lens.rays())


def _decal_corners(table: Array) -> Array:
    """Eight corners (four of them twice) of every decal with its soft edge."""
    cosine, sine = table[:, 3:4], table[:, 4:5]
    reach = 1.0 + table[:, 13:14]
    across = table[:, 5:6] * reach * np.array([[-1.0, 1, -1, 1, -1, 1, -1, 1]])
    along = table[:, 6:7] * reach * np.array([[-1.0, -1, 1, 1, -1, -1, 1, 1]])
    x = table[:, 0:1] + cosine * across - sine * along
    z = table[:, 2:3] + sine * across + cosine * along
    # Ground that rises or falls beneath the decal still lies within.
    y = table[:, 1:2] + np.array([[-0.3, -0.3, -0.3, -0.3, 0.3, 0.3, 0.3, 0.3]])
    return np.stack([x, np.broadcast_to(y, x.shape), z], axis=-1)


@kernel
def _lay(buffer: GBuffer, table: Array, windows: Array, rays: Array) -> None:
    for k in range(len(table)):
        decal = table[k]
        cosine, sine = decal[3], decal[4]
        for y in range(windows[k, 0], windows[k, 1]):
            for x in range(windows[k, 2], windows[k, 3]):
                if not buffer.ground[y, x]:
                    continue
                d = buffer.depth_m[y, x]
                wx = rays[0, 0] + d * (rays[3, 0] + x * rays[4, 0] + y * rays[5, 0]) - decal[0]
                wz = rays[0, 2] + d * (rays[3, 2] + x * rays[4, 2] + y * rays[5, 2]) - decal[2]
                across, along = cosine * wx + sine * wz, cosine * wz - sine * wx
                outside = max(abs(across) / decal[5], abs(along) / decal[6])
                share = min(max((1.0 + 0.5 * decal[13] - outside) / decal[13], 0.0), 1.0)
                if decal[14] > 0.0 and (across + along) % decal[14] < 0.5 * decal[14]:
                    continue
                buffer.temperature_c[y, x] += decal[7] * share
                for i in range(3):
                    color = buffer.albedo[y, x, i]
                    buffer.albedo[y, x, i] = color + decal[11] * share * (decal[8 + i] - color)
                wet = buffer.wetness[y, x]
                buffer.wetness[y, x] = wet + share * max(decal[12] - wet, 0.0)
