# SPDX-License-Identifier: Apache-2.0
"""Lines on a sheet: twigs, fences, railings, wires. Everything else is transparent."""

from __future__ import annotations

from dataclasses import dataclass

from kd_perception.world.compiling import inlined
from kd_perception.world.materials.base import Color, Material, Point, Sample, Textures
from kd_perception.world.noise import noise

Segment = tuple[float, float, float, float, float]
"""(x0, height0, x1, height1, radius) [m]."""


@dataclass(frozen=True)
class Strokes(Material):
    """Straight lines of one matter.

    Args:
        temperature_c: of the lines.
        segments: (x0, height0, x1, height1, radius) of every line [m].
        color: reflectance.
        emissivity: 0 to 1.
        grain_k: deviation of the grain along the lines.
        first: row of the first line in `Textures.lines`; filled when a scene is packed.
        count: number of lines; filled when a scene is packed.
    """

    temperature_c: float
    segments: tuple[Segment, ...] = ()
    color: Color = (0.12, 0.1, 0.08)
    emissivity: float = 0.95
    grain_k: float = 0.3
    first: int = 0
    count: int = 0

    def lines(self) -> tuple[Segment, ...]:
        """What a scene packs into `Textures.lines`."""
        return self.segments


@inlined
def strokes_sample(material: Strokes, point: Point, textures: Textures) -> Sample:
    """One matter with grain."""
    grain = noise(textures.noise, 2, point.x, point.height, 12.0, point.footprint_m)
    shade = 1.0 + 0.2 * grain
    return Sample(
        material.temperature_c + material.grain_k * grain,
        material.emissivity,
        material.color[0] * shade,
        material.color[1] * shade,
        material.color[2] * shade,
        0.0,
        0.0,
    )


@inlined
def strokes_opaque(material: Strokes, point: Point, textures: Textures) -> bool:
    """Within the radius of a line."""
    for k in range(material.first, material.first + material.count):
        x0, h0 = textures.lines[k, 0], textures.lines[k, 1]
        dx, dh = textures.lines[k, 2] - x0, textures.lines[k, 3] - h0
        radius = textures.lines[k, 4]
        px, ph = point.x - x0, point.height - h0
        share = (px * dx + ph * dh) / max(dx * dx + dh * dh, 1e-9)
        share = min(max(share, 0.0), 1.0)
        px -= share * dx
        ph -= share * dh
        if px * px + ph * ph < radius * radius:
            return True
    return False
