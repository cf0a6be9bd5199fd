# SPDX-License-Identifier: Apache-2.0
"""All materials, and the compiled choice between them.

To add one: a module with the dataclass and its compiled `..._sample` (and `..._opaque` where rays
may pass), a field of `Materials`, an entry of `KINDS` and its number, a line in `sample` (and in
`opaque` and `MAY_BE_CLEAR`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from kd_perception.world.compiling import inlined
from kd_perception.world.materials.base import Material, Point, Sample, Textures
from kd_perception.world.materials.bike import Bicycle, bicycle_opaque, bicycle_sample
from kd_perception.world.materials.facade import Facade, facade_sample
from kd_perception.world.materials.ground import Ground, ground_sample
from kd_perception.world.materials.leaves import Leaves, leaves_opaque, leaves_sample
from kd_perception.world.materials.plain import Plain, plain_sample
from kd_perception.world.materials.rail import Rail, rail_opaque, rail_sample
from kd_perception.world.materials.strokes import Strokes, strokes_opaque, strokes_sample
from kd_perception.world.materials.vehicle import (
    BodyPaint,
    CabinGlass,
    body_paint_sample,
    cabin_glass_sample,
)
from kd_perception.world.scenes.shapes import Array

__all__ = ['KINDS', 'Material', 'Materials', 'Point', 'Sample', 'Textures', 'opaque', 'sample']


class Materials(NamedTuple):
    """The records of a scene's materials, one structured array per kind."""

    plain: Array
    facade: Array
    leaves: Array
    strokes: Array
    body_paint: Array
    cabin_glass: Array
    bicycle: Array
    rail: Array
    ground: Array


KINDS: Final[tuple[type[Material], ...]] = (
    Plain,
    Facade,
    Leaves,
    Strokes,
    BodyPaint,
    CabinGlass,
    Bicycle,
    Rail,
    Ground,
)
"""The classes in the order of the fields of `Materials`; a kind is an index into it."""

PLAIN, FACADE, LEAVES, STROKES, BODY_PAINT, CABIN_GLASS, BICYCLE, RAIL, GROUND = range(len(KINDS))

MAY_BE_CLEAR: Final = tuple(kind in (LEAVES, STROKES, BICYCLE, RAIL) for kind in range(len(KINDS)))
"""By kind, whether `opaque` may be false: it is asked for these kinds alone."""


@inlined
def _floats(found: Sample) -> Sample:
    """One type for what all kinds return."""
    return Sample(
        np.float64(found.temperature_c),
        np.float64(found.emissivity),
        np.float64(found.red),
        np.float64(found.green),
        np.float64(found.blue),
        np.float64(found.glow),
        np.float64(found.glass),
    )


@inlined
def sample(kind: int, row: int, materials: Materials, point: Point, textures: Textures) -> Sample:
    """What the material is at a point."""
    if kind == PLAIN:
        return _floats(plain_sample(materials.plain[row], point, textures))
    if kind == FACADE:
        return _floats(facade_sample(materials.facade[row], point, textures))
    if kind == LEAVES:
        return _floats(leaves_sample(materials.leaves[row], point, textures))
    if kind == STROKES:
        return _floats(strokes_sample(materials.strokes[row], point, textures))
    if kind == BODY_PAINT:
        return _floats(body_paint_sample(materials.body_paint[row], point, textures))
    if kind == CABIN_GLASS:
        return _floats(cabin_glass_sample(materials.cabin_glass[row], point, textures))
    if kind == BICYCLE:
        return _floats(bicycle_sample(materials.bicycle[row], point, textures))
    if kind == RAIL:
        return _floats(rail_sample(materials.rail[row], point, textures))
    return _floats(ground_sample(materials.ground[row], point, textures))


@inlined
def opaque(kind: int, row: int, materials: Materials, point: Point, textures: Textures) -> bool:
    """Whether the material stops a ray at a point."""
    if kind == LEAVES:
        return bool(leaves_opaque(materials.leaves[row], point, textures))
    if kind == STROKES:
        return bool(strokes_opaque(materials.strokes[row], point, textures))
    if kind == BICYCLE:
        return bool(bicycle_opaque(materials.bicycle[row], point, textures))
    if kind == RAIL:
        return bool(rail_opaque(materials.rail[row], point, textures))
    return True
