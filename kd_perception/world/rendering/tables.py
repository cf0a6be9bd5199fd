# SPDX-License-Identifier: Apache-2.0
"""A scene as flat arrays, which compiled code reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from kd_perception.world.materials import KINDS, MAY_BE_CLEAR, Material, Materials, Textures
from kd_perception.world.materials.base import records
from kd_perception.world.materials.strokes import Strokes
from kd_perception.world.noise import noise_tiles
from kd_perception.world.scenes.shapes import Array, Ellipsoid, Hull, Shape, Sheet, Slab
from kd_perception.world.scenes.solids import Part, Placed, Placement, Thing, rotations

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
    placed = list(scene)
    things = [thing for thing, _ in placed]
    parts = [part for thing in things for part in thing.parts]
    shapes = [part.shape for part in parts]
    owner = np.repeat(
        np.arange(len(things)), np.array([len(thing.parts) for thing in things], int)
    )
    kind, row, materials, lines = _pack_materials([part.material for part in parts])
    rotation, position = _frames([place for _, place in placed], parts, owner)
    first, count, planes = _pack_hulls(shapes)
    solids = Solids(
        form=np.array([_FORM_OF[type(shape)] for shape in shapes], np.uint8),
        rotation=rotation,
        position=position,
        size=_pack_sizes(shapes),
        first_plane=first,
        plane_count=count,
        planes=planes,
        kind=kind,
        row=row,
        clear=np.array(MAY_BE_CLEAR, bool)[kind],
        label=_pack_labels(things, parts, owner),
        instance=np.array([thing.instance for thing in things], np.int32)[owner],
        absorptance=np.array([thing.absorptance for thing in things], np.float32)[owner],
        salient=np.array([thing.salient for thing in things], bool)[owner],
        moving=np.array([thing.moving for thing in things], bool)[owner],
        corners=_corners(shapes, rotation, position),
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
    tables = [records(cls, members) for cls, members in zip(KINDS, rows, strict=True)]
    return (
        kinds[:, 0].astype(np.uint8),
        np.ascontiguousarray(kinds[:, 1]),
        Materials(*tables),
        np.array(lines, np.float32).reshape(-1, 5),
    )


def _frames(places: list[Placement], parts: list[Part], owner: Array) -> tuple[Array, Array]:
    """Rotation (local to world) and origin of every part."""
    outer = np.array([(*p.position, p.yaw, p.pitch) for p in places], float).reshape(-1, 5)
    inner = np.array([(*part.offset, part.yaw) for part in parts], float).reshape(-1, 4)
    turns = rotations(outer[:, 3], outer[:, 4])[owner]
    offset = np.einsum('nij,nj->ni', turns, inner[:, :3])
    return turns @ rotations(inner[:, 3], np.zeros(len(inner))), outer[owner, :3] + offset


def _pack_labels(things: list[Thing], parts: list[Part], owner: Array) -> Array:
    own = np.array([part.label for part in parts], int)
    common = np.array([thing.label for thing in things], int)
    return np.where(own < 0, common[owner], own).astype(np.uint8)


def _pack_sizes(shapes: list[Shape]) -> Array:
    size = np.zeros((len(shapes), 12))
    balls, rows = [], []
    for k, shape in enumerate(shapes):
        if isinstance(shape, Ellipsoid):
            balls.append(shape)
            rows.append(k)
        elif isinstance(shape, Sheet):
            size[k, :2] = shape.half_width_m, shape.height_m
        elif isinstance(shape, Slab):
            size[k, :2] = shape.half_width_m, shape.length_m
    if balls:
        size[rows, :3] = [ball.center for ball in balls]
        size[rows, 3:] = np.concatenate([ball.to_unit for ball in balls]).reshape(-1, 9)
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


def _corners(shapes: list[Shape], rotation: Array, position: Array) -> Array:
    ends = [shape.bounds() for shape in shapes]
    low = np.array([low for low, _ in ends], float).reshape(-1, 1, 3)
    high = np.array([high for _, high in ends], float).reshape(-1, 1, 3)
    local = low + (high - low) * _UNIT_CORNERS
    corners: Array = local @ rotation.swapaxes(1, 2) + position[:, None]
    return corners
