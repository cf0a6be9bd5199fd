# SPDX-License-Identifier: Apache-2.0
"""Plain matter: one temperature and color with grain, stripes and a cooler limb."""

from __future__ import annotations

from dataclasses import dataclass

from kd_perception.world.compiling import inlined
from kd_perception.world.materials.base import Color, Material, Point, Sample, Textures
from kd_perception.world.noise import noise


@dataclass(frozen=True)
class Plain(Material):
    """Most things that are no wall, leaf or vehicle.

    Args:
        temperature_c: mean temperature.
        color: reflectance.
        emissivity: 0 to 1.
        grain_k: deviation of the grain.
        texels_per_m: scale of the grain.
        kind: which noise.
        limb_k: how much cooler the surface looks where it turns away.
        stripe_m: period of stripes along x + z, 0 for none.
        stripe_k: temperature step of the stripes.
        stripe_color: reflectance of every other stripe.
        glow: light that it gives off.
    """

    temperature_c: float
    color: Color = (0.3, 0.3, 0.3)
    emissivity: float = 0.95
    grain_k: float = 0.3
    texels_per_m: float = 20.0
    kind: int = 0
    limb_k: float = 0.0
    stripe_m: float = 0.0
    stripe_k: float = 0.0
    stripe_color: Color = (0.3, 0.3, 0.3)
    glow: float = 0.0


@inlined
def plain_sample(material: Plain, point: Point, textures: Textures) -> Sample:
    """What plain matter is at a point."""
    u = point.x + point.z
    grain = noise(
        textures.noise,
        material.kind,
        u,
        point.height,
        material.texels_per_m,
        point.footprint_m,
    )
    temperature_c = material.temperature_c + material.grain_k * grain
    temperature_c -= material.limb_k * (1.0 - point.facing)
    shade = 1.0 + 0.12 * grain
    red, green, blue = material.color[0], material.color[1], material.color[2]
    if material.stripe_m > 0.0 and u % material.stripe_m < 0.5 * material.stripe_m:
        temperature_c += material.stripe_k
        red, green, blue = (
            material.stripe_color[0],
            material.stripe_color[1],
            material.stripe_color[2],
        )
    return Sample(
        temperature_c,
        material.emissivity,
        red * shade,
        green * shade,
        blue * shade,
        material.glow,
        0.0,
    )
