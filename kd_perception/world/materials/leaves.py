# SPDX-License-Identifier: Apache-2.0
"""Foliage: crowns, hedges and distant tree lines with clumps, holes and a ragged edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kd_perception.world.compiling import inlined
from kd_perception.world.materials.base import Color, Material, Point, Sample, Textures
from kd_perception.world.noise import hash01, noise

_CLUMPS_PER_M: Final = 3.5
_TWIGS_PER_M: Final = 12.0
_LEAVES_PER_M: Final = 35.0
_TREE_M: Final = 5.5


@dataclass(frozen=True)
class Leaves(Material):
    """Leaves in clumps.

    Args:
        temperature_c: mean temperature.
        color: reflectance.
        clump_k: deviation of the pattern of clumps.
        ragged: how far the edge of a rounded crown frays.
        edge: cosine to the view below which a crown ends; -1 for a body without holes.
        top_m: height of the treetops on a sheet, 0 for other forms.
        relief_m: how much the treetops on a sheet differ.
        gloom: how much darker the lower side is, 0 to 1.
        kind: which noise.
    """

    temperature_c: float
    color: Color = (0.05, 0.1, 0.02)
    clump_k: float = 0.6
    ragged: float = 0.2
    edge: float = 0.2
    top_m: float = 0.0
    relief_m: float = 0.0
    gloom: float = 0.5
    kind: int = 0


@inlined
def _coarse(material: Leaves, point: Point, textures: Textures) -> float:
    """Boughs: smooth, of about unit deviation."""
    return noise(
        textures.noise,
        material.kind,
        point.x + 0.7 * point.z,
        point.height + 0.5 * point.x - 0.4 * point.z,
        6.0,
        point.footprint_m,
    )


@inlined
def _cells(material: Leaves, point: Point, warp_m: float, cells_per_m: float) -> float:
    """Clumps, twigs, leaves: another value in every cell of space, of about unit deviation."""
    column = int(np.floor((point.x + warp_m) * cells_per_m))
    row = int(np.floor((point.height - warp_m) * cells_per_m))
    layer = int(np.floor((point.z + 0.7 * warp_m) * cells_per_m))
    cells = point.footprint_m * cells_per_m
    value = hash01(column, row + 31 * material.kind, layer)
    return 3.4 * (value - 0.5) / (1.0 + 0.15 * cells * cells)


@inlined
def _crown(material: Leaves, point: Point, coarse: float) -> tuple[float, float]:
    """On a tree line: how much one tree differs (-0.5 to 0.5), how far from its sides (0 to 1)."""
    place = (point.x + 1.0 * coarse) / _TREE_M
    tree = int(np.floor(place))
    side = 2.0 * (place - tree) - 1.0
    return hash01(tree, 7, material.kind) - 0.5, 1.0 - side * side


@inlined
def leaves_sample(material: Leaves, point: Point, textures: Textures) -> Sample:
    """Warm and cool, bright and dark clumps."""
    coarse = _coarse(material, point, textures)
    clump = _cells(material, point, 0.4 * coarse, _CLUMPS_PER_M)
    twig = _cells(material, point, 0.08 * coarse, _TWIGS_PER_M)
    leaf = _cells(material, point, 0.0, _LEAVES_PER_M)
    fine = 0.6 * twig + 0.6 * leaf
    temperature_c = material.temperature_c
    temperature_c += material.clump_k * (0.9 * coarse + 0.25 * clump + 0.4 * fine)
    shade = 1.0 + 0.18 * coarse + 0.08 * clump + 0.25 * fine
    shade *= 1.0 - material.gloom * 0.5 * (1.0 + point.normal_y)
    if material.top_m > 0.0:
        tree, middle = _crown(material, point, coarse)
        rise = min(2.2 * point.height / material.top_m, 1.0)
        temperature_c += material.clump_k * (1.5 * tree + middle + 0.7 * rise - 1.2)
        shade *= (1.0 + 0.6 * tree) * (0.55 + 0.6 * middle) * (0.4 + 0.6 * rise)
    shade = max(shade, 0.1)
    yellow = 1.0 + 0.1 * clump
    return Sample(
        temperature_c,
        0.96,
        material.color[0] * shade * yellow,
        material.color[1] * shade,
        material.color[2] * shade,
        0.0,
        0.0,
    )


@inlined
def leaves_opaque(material: Leaves, point: Point, textures: Textures) -> bool:
    """Within the ragged edge of a crown, below the tops of a tree line."""
    if material.top_m > 0.0:
        boughs = _coarse(material, point, textures)
        tree, middle = _crown(material, point, boughs)
        twig = _cells(material, point, 0.08 * boughs, _TWIGS_PER_M)
        tops = 1.6 * tree + middle - 0.65 + 0.15 * boughs + 0.12 * twig
        return point.height < material.top_m + material.relief_m * tops
    if material.edge < 0.0:
        return True
    if point.facing > material.edge + 2.0 * material.ragged:
        return True  # crowns fray at their edge only
    coarse = _coarse(material, point, textures)
    fray = 0.7 * coarse + 0.45 * _cells(material, point, 0.25 * coarse, _CLUMPS_PER_M)
    fray += 0.45 * _cells(material, point, 0.08 * coarse, _TWIGS_PER_M)
    return point.facing > material.edge + material.ragged * fray
