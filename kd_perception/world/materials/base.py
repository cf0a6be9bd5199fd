# SPDX-License-Identifier: Apache-2.0
"""What a material is: parameters in a record, and compiled functions of a point on a surface.

A material is a frozen dataclass with numbers and colors as fields. A scene packs the materials of
one kind into one structured array; compiled code reads `material.field` from its record.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from kd_perception.world.scenes.shapes import Array

Color = tuple[float, float, float]
"""Linear reflectance (red, green, blue), 0 to 1."""


class Point(NamedTuple):
    """A point on a surface, as compiled code sees it; floats.

    Args:
        x: to the right of the thing's origin, in its own coordinates [m].
        height: above its origin [m].
        z: to its front [m].
        normal_x: outward normal in the same coordinates (y points down).
        normal_y: see `normal_x`.
        normal_z: see `normal_x`.
        facing: cosine between normal and view, 0 at the limb.
        footprint_m: size of a pixel at that distance [m].
    """

    x: float
    height: float
    z: float
    normal_x: float
    normal_y: float
    normal_z: float
    facing: float
    footprint_m: float


class Sample(NamedTuple):
    """What a surface is at a point; floats.

    Args:
        temperature_c: temperature without the sun's warming [°C].
        emissivity: in the thermal infrared, 0 to 1; the rest is reflected.
        red: linear reflectance, 0 to 1.
        green: see `red`.
        blue: see `red`.
        glow: light that it gives off itself; 1 is a white sheet in full sun.
        glass: 1 where it is glass, else 0.
    """

    temperature_c: float
    emissivity: float
    red: float
    green: float
    blue: float
    glow: float
    glass: float


class Textures(NamedTuple):
    """What compiled materials look up.

    Args:
        noise: tiling noise, float32 [kinds, size, size].
        lines: (x0, height0, x1, height1, radius) of drawn lines [m], float32 [lines, 5].
    """

    noise: Array
    lines: Array


@dataclass(frozen=True)
class Material:
    """Base of all materials; fields of other types than float, int, bool and Color stay behind."""


_NUMBERS: dict[str, Any] = {
    'float': np.float32,
    'int': np.int32,
    'bool': np.bool_,
    'Color': (np.float32, 3),
}


_RECORD_TYPES: dict[type[Material], np.dtype[Any]] = {}


def record_type(material: type[Material]) -> np.dtype[Any]:
    """The structured type that holds the numbers and colors of a material class, aligned."""
    if material not in _RECORD_TYPES:
        known = [(f.name, _NUMBERS[str(f.type)]) for f in fields(material) if f.type in _NUMBERS]
        members = [(name, *n) if isinstance(n, tuple) else (name, n) for name, n in known]
        _RECORD_TYPES[material] = np.dtype(members, align=True)
    return _RECORD_TYPES[material]


def records(material: type[Material], members: Iterable[Material]) -> Array:
    """The numbers and colors of materials of one class, one record each."""
    kind = record_type(material)
    # Every material has two numbers at least, so that the getter gives tuples.
    values = attrgetter(*kind.names or ())
    return np.array([values(member) for member in members], kind)
