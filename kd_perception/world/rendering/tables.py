# SPDX-License-Identifier: Apache-2.0
"""A scene as flat arrays, which compiled code reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from kd_perception.world.materials import KINDS, MAY_BE_CLEAR, Material, Materials, Textures
from kd_perception.world.materials.base import record_type
from kd_perception.world.materials.strokes import Strokes
from kd_perception.world.noise import noise_tiles
from kd_perception.world.scenes.shapes import Array, Ellipsoid, Hull, Shape, Sheet, Slab
from kd_perception.world.scenes.solids import Part, Placed, rotations

HULL, ELLIPSOID, SHEET, SLAB = range(4)

_UNIT_CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
_KIND_OF = {material: kind for kind, material in enumerate(KINDS)}
_FORM_OF: dict[type, int] = {Hull: HULL, Ellipsoid: ELLIPSOID, Sheet: SHEET, Slab: SLAB}


class Solids(NamedTuple):
    """All parts of a scene, one row each.

    Args:
        form: HULL, ELLIPSOID, SHEET or SLAB, uint8 [n].
        rotation: local to world, float64 [n, 3, 3].
        position: of the local origin in the world, float64 [n, 3].
        size: the numbers of the form, float64 [n, 12]: an ellipsoid's center and map to the unit
            ball, a sheet's half width and height, a slab's half width and length.
        first_plane: of a hull, int32 [n].
        plane_count: of a hull, int32 [n].
        planes: outward normal and offset of every plane, float64 [planes, 4].
        kind: of the material, uint8 [n].
        row: of the material among its kind, int32 [n].
        clear: whether rays may pass, bool [n].
        label: class id, uint8 [n].
        instance: object id, int32 [n].
        absorptance: share of the sun's warming, float32 [n].
        salient: bool [n].
        moving: bool [n].
        corners: of its box in the world, float64 [n, 8, 3].
    """

    form: Array
    rotation: Array
    position: Array
    size: Array
    first_plane: Array
    plane_count: Array
    planes: Array
    kind: Array
    row: Array
    clear: Array
    label: Array
    instance: Array
    absorptance: Array
    salient: Array
    moving: Array
    corners: Array


def pack(scene: Iterable[Placed]) -> tuple[Solids, Materials, Textures]:
    """Turn placed things into tables."""
    pairs = [(placed, part) for placed in scene for part in placed.thing.parts]
    things = [placed.thing for placed, _ in pairs]
    parts = [part for _, part in pairs]
    kind, row, materials, lines = _pack_materials([part.material for part in parts])
    rotation, position = _frames(pairs)
    first, count, planes = _pack_hulls([part.shape for part in parts])
    solids = Solids(
        form=np.array([_FORM_OF[type(part.shape)] for part in parts], np.uint8),
        rotation=rotation,
        position=position,
        size=_pack_sizes([part.shape for part in parts]),
        first_plane=first,
        plane_count=count,
        planes=planes,
        kind=kind,
        row=row,
        clear=np.array(MAY_BE_CLEAR, bool)[kind],
        label=np.array(
            [t.label if p.label < 0 else p.label for t, p in zip(things, parts, strict=True)],
            np.uint8,
        ),
        instance=np.array([thing.instance for thing in things], np.int32),
        absorptance=np.array([thing.absorptance for thing in things], np.float32),
        salient=np.array([thing.salient for thing in things], bool),
        moving=np.array([thing.moving for thing in things], bool),
        corners=_corners(parts, rotation, position),
    )
    return solids, materials, Textures(noise_tiles(), lines)


def _pack_materials(materials: list[Material]) -> tuple[Array, Array, Materials, Array]:
    """Kind and row of each, the records by kind, and the lines of all strokes.

    One material may serve many parts: it is stored once.
    """
    rows: list[list[Material]] = [[] for _ in KINDS]
    seen: dict[int, tuple[int, int]] = {}
    lines: list[tuple[float, float, float, float, float]] = []
    places = []
    for material in materials:
        place = seen.get(id(material))
        if place is None:
            kind = _KIND_OF[type(material)]
            place = seen[id(material)] = (kind, len(rows[kind]))
            if isinstance(material, Strokes):
                drawn = material.lines()
                material = replace(material, first=len(lines), count=len(drawn))
                lines += drawn
            rows[kind].append(material)
        places.append(place)
    kinds = np.array(places, np.int32).reshape(-1, 2)
    tables = [
        np.array([m.row() for m in members], record_type(cls))
        for cls, members in zip(KINDS, rows, strict=True)
    ]
    return (
        kinds[:, 0].astype(np.uint8),
        np.ascontiguousarray(kinds[:, 1]),
        Materials(*tables),
        np.array(lines, np.float32).reshape(-1, 5),
    )


def _frames(pairs: list[tuple[Placed, Part]]) -> tuple[Array, Array]:
    """Rotation (local to world) and origin of every part."""
    numbers = np.array(
        [
            (*place.position, place.yaw, place.pitch, *part.offset, part.yaw)
            for (_, place), part in pairs
        ],
        float,
    ).reshape(-1, 9)
    outer = rotations(numbers[:, 3], numbers[:, 4])
    inner = rotations(numbers[:, 8], np.zeros(len(numbers)))
    offset = np.einsum('nij,nj->ni', outer, numbers[:, 5:8])
    return outer @ inner, numbers[:, :3] + offset


def _pack_sizes(shapes: list[Shape]) -> Array:
    size = np.zeros((len(shapes), 12))
    for k, shape in enumerate(shapes):
        if isinstance(shape, Ellipsoid):
            size[k, :3], size[k, 3:] = shape.center, shape.to_unit.ravel()
        elif isinstance(shape, Sheet):
            size[k, :2] = shape.half_width_m, shape.height_m
        elif isinstance(shape, Slab):
            size[k, :2] = shape.half_width_m, shape.length_m
    return size


def _pack_hulls(shapes: list[Shape]) -> tuple[Array, Array, Array]:
    hulls = [shape if isinstance(shape, Hull) else None for shape in shapes]
    count = np.array([0 if hull is None else len(hull.offsets) for hull in hulls], np.int32)
    first = np.zeros_like(count)
    first[1:] = np.cumsum(count)[:-1]
    planes = np.zeros((int(count.sum()), 4))
    solid = [hull for hull in hulls if hull is not None]
    if solid:
        planes[:, :3] = np.concatenate([hull.normals for hull in solid])
        planes[:, 3] = np.concatenate([hull.offsets for hull in solid])
    return first, count, planes


def _corners(parts: list[Part], rotation: Array, position: Array) -> Array:
    bounds = np.array([part.shape.bounds() for part in parts], float).reshape(-1, 2, 3)
    low, extent = bounds[:, :1], bounds[:, 1:] - bounds[:, :1]
    local = low + extent * _UNIT_CORNERS
    corners: Array = np.einsum('nij,nkj->nki', rotation, local) + position[:, None]
    return corners
