# SPDX-License-Identifier: Apache-2.0
"""Guardrails and fences on an upright sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.compiling import inlined
from kd_perception.world.materials.base import Color, Material, Point, Sample, Textures
from kd_perception.world.noise import noise

BEAM, BARS, PIPES = range(3)
"""Kinds: a corrugated beam on posts, upright bars between two rails, pipes on posts."""


@dataclass(frozen=True)
class Rail(Material):
    """A rail along a street.

    Args:
        temperature_c: of the metal.
        color: of the metal.
        style: BEAM, BARS or PIPES.
        height_m: of its upper edge.
        wave_k: how the folds of a beam differ, one mirrors the sky and one the ground.
        emissivity: of the metal; zinc mirrors a good part of the sky.
    """

    temperature_c: float
    color: Color
    style: int
    height_m: float = 0.85
    wave_k: float = 0.6
    emissivity: float = 0.75


@inlined
def rail_opaque(material: Rail, point: Point, textures: Textures) -> bool:
    """Whether a beam, a post or a bar is at a point; far away thin bars do not vanish."""
    x, below = point.x, material.height_m - point.height
    if below < 0.0:
        return False
    slack = 0.3 * point.footprint_m
    if x % 2.0 < 0.1 + slack:
        return True
    if material.style == BEAM:
        return below < 0.33
    if material.style == BARS:
        if below < 0.05 + slack or abs(point.height - 0.15) < 0.025 + slack:
            return True
        return point.height > 0.15 and x % 0.14 < 0.022 + slack
    return below < 0.06 + slack or abs(below - 0.4) < 0.03 + slack


@inlined
def rail_sample(material: Rail, point: Point, textures: Textures) -> Sample:
    """What the metal is at a point."""
    grain = noise(textures.noise, 2, point.x, point.height, 20.0, point.footprint_m)
    below = material.height_m - point.height
    fold = 0.0
    if material.style == BEAM and below < 0.33:
        fold = np.cos((below - 0.165) * 38.0)
    temperature_c = material.temperature_c + 0.2 * grain + material.wave_k * fold
    shade = (1.0 + 0.1 * grain) * (1.0 - 0.3 * fold)
    return Sample(
        temperature_c,
        1.0 * material.emissivity,
        material.color[0] * shade,
        material.color[1] * shade,
        material.color[2] * shade,
        0.0,
        0.0,
    )
