# SPDX-License-Identifier: Apache-2.0
"""Bikes: bicycles with and without baskets, scooters and motorbikes, all with volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.classes import BIKE
from kd_perception.world.climate import Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.bike import Bicycle
from kd_perception.world.materials.plain import Plain
from kd_perception.world.scenes.shapes import Shape, Sheet, Vector, ball, box, limb
from kd_perception.world.scenes.solids import Part, Placed, Placement, Thing
from kd_perception.world.things.furniture import cold_c

BICYCLES = ('city', 'basket', 'racing')
MOTOR_BIKES = ('scooter', 'motorbike')
_BLACK: Color = (0.02, 0.02, 0.02)
_COLORS: tuple[Color, ...] = (
    _BLACK,
    (0.3, 0.3, 0.31),
    (0.55, 0.55, 0.54),
    (0.35, 0.02, 0.02),
    (0.02, 0.06, 0.25),
    (0.03, 0.15, 0.08),
)


@dataclass(frozen=True)
class Bike:
    """One bike, ready to be put anywhere; at yaw 0 its front wheel points along the street.

    Args:
        thing: the bike.
        kind: one of `BICYCLES` or `MOTOR_BIKES`.
        saddle_m: height of the saddle.
        lean: of a rider's trunk [rad].
    """

    thing: Thing
    kind: str
    saddle_m: float
    lean: float

    @property
    def pedals(self) -> bool:
        """Whether a rider moves his legs."""
        return self.kind in BICYCLES

    def at(self, placement: Placement) -> Placed:
        """The bike at a place."""
        return Placed(self.thing, placement)


def draw_bike(
    rng: np.random.Generator,
    climate: Climate,
    instance: int,
    kind: str | None = None,
    *,
    running: bool = False,
) -> Bike:
    """Draw the form, the paint and the heat of a bike.

    Args:
        rng: stream to draw from.
        climate: of the scene.
        instance: object id.
        kind: one of `BICYCLES` or `MOTOR_BIKES`, None to draw it.
        running: whether it is ridden: engine, tires and lamp are on.
    """
    if kind is None:
        kind = (*BICYCLES, *MOTOR_BIKES)[int(rng.choice(5, p=(0.3, 0.34, 0.16, 0.12, 0.08)))]
    if kind in BICYCLES:
        return _draw_bicycle(rng, climate, instance, kind, running)
    return _draw_motor_bike(rng, climate, instance, kind, running)


def _paint(rng: np.random.Generator) -> Color:
    red, green, blue = _COLORS[int(rng.integers(len(_COLORS)))]
    shade = rng.uniform(0.8, 1.3)
    return red * shade, green * shade, blue * shade


def _draw_bicycle(
    rng: np.random.Generator, climate: Climate, instance: int, kind: str, running: bool
) -> Bike:
    base_c = cold_c(rng, climate.ground_mix_c)
    side = Bicycle(
        tire_c=base_c + rng.uniform(-0.5, 3.0 if running else 2.0),
        frame_c=base_c + rng.normal(-0.4, 1.0),
        spoke_c=base_c + rng.normal(0.0, 0.4),
        color=_paint(rng),
        wheel_m=rng.uniform(0.29, 0.35),
        step_through=kind != 'racing' and bool(rng.uniform() < 0.6),
    )
    scale = side.wheel_m / 0.34
    saddle_m = (0.98 if kind == 'racing' else 0.86) * scale
    parts = [*_wheels_and_frame(side), *_fittings(rng, climate, side, kind, saddle_m, running)]
    thing = Thing(tuple(parts), BIKE, instance, absorptance=0.4, salient=True, moving=running)
    return Bike(thing, kind, saddle_m, rng.uniform(0.6, 0.9) if kind == 'racing' else 0.2)


def _wheels_and_frame(side: Bicycle) -> list[Part]:
    """Wheels as lenses and the frame on a sheet, all drawn with the bicycle's side view.

    The lenses give the wheels width, so that the bike shows from the front.
    """
    radius, axle = 1.03 * side.wheel_m, 0.54 * side.wheel_m / 0.34
    turned = np.pi / 2
    lenses = [
        Part(ball((x, -side.wheel_m, 0.0), (radius, radius, 0.035)), side, yaw=turned)
        for x in (-axle, axle)
    ]
    return [*lenses, Part(Sheet(0.95 * side.wheel_m / 0.34, 1.06), side, yaw=turned)]


def _fittings(
    rng: np.random.Generator,
    climate: Climate,
    side: Bicycle,
    kind: str,
    saddle_m: float,
    running: bool,
) -> list[Part]:
    """Handlebar, fork, saddle, basket and mudguards: what shows from the front."""
    scale = side.wheel_m / 0.34
    front, high = 0.36 * scale, (0.93 if kind == 'racing' else 1.03) * scale
    metal = Plain(side.frame_c, (0.3, 0.3, 0.3), 0.8)
    tube = Plain(side.frame_c, side.color, 0.9)
    black = Plain(side.frame_c + rng.normal(0.3, 0.5), _BLACK, 0.95)
    wide = 0.21 if kind == 'racing' else rng.uniform(0.26, 0.32)
    saddle_c = side.frame_c + (rng.uniform(2.0, 8.0) if running else rng.normal(0.0, 0.8))
    parts = [
        Part(limb((-wide, -high, front - 0.1), (wide, -high, front - 0.1), 0.022), metal),
        Part(limb((0, -high, front - 0.06), (0, -0.34 * scale, 0.54 * scale), 0.03, 1.0), tube),
        Part(limb((0, -saddle_m, -0.2), (0, -0.34 * scale, -0.1), 0.025, 1.0), tube),
        Part(ball((0, -saddle_m - 0.03, -0.22), (0.085, 0.045, 0.14)), Plain(saddle_c, _BLACK)),
        Part(limb((-0.17, -0.2, -0.08), (0.17, -0.4, -0.16), 0.03, 1.0), black),
    ]
    if kind == 'basket' or rng.uniform() < 0.15:
        wire = Plain(side.frame_c + rng.normal(0.0, 0.5), _paint(rng), 0.9, 0.6, 60.0)
        shape = box(0.18, 0.24, 0.14, base_m=high - 0.22)
        parts.append(Part(shape, wire, (0.0, 0.0, front + 0.16)))
    if running and climate.night:
        lamp = Plain(side.frame_c + 2.0, (0.8, 0.8, 0.75), glow=rng.uniform(1.0, 6.0))
        parts.append(Part(ball((0, -high + 0.16, front + 0.1), (0.035, 0.035, 0.035)), lamp))
    return parts


def _draw_motor_bike(
    rng: np.random.Generator, climate: Climate, instance: int, kind: str, running: bool
) -> Bike:
    base_c = climate.ground_mix_c + rng.normal(0.0, 1.0)
    warm_k = rng.uniform(6.0, 22.0) if running else rng.uniform(0.0, 9.0) * (rng.uniform() < 0.4)
    paint = Plain(base_c + 0.1 * warm_k, _paint(rng), rng.uniform(0.8, 0.95), 0.4)
    hot = Plain(base_c + warm_k, (0.1, 0.1, 0.1), 0.85, 1.0)
    tire = Plain(base_c + 0.5 * warm_k, _BLACK, 0.95, 0.5, limb_k=-0.15 * warm_k)
    seat = Plain(base_c + (rng.uniform(1.0, 6.0) if running else rng.normal(0.0, 0.7)), _BLACK)
    glow = rng.uniform(4.0, 20.0) if running and climate.night else 0.0
    lamp = Plain(base_c + 0.4 * warm_k, (0.7, 0.7, 0.68), glow=glow)
    tail = Plain(base_c, (0.4, 0.02, 0.02), glow=0.1 * glow)
    pieces = _scooter_forms() if kind == 'scooter' else _motorbike_forms()
    materials = {'tire': tire, 'paint': paint, 'hot': hot, 'seat': seat, 'lamp': lamp}
    materials |= {'tail': tail, 'dark': Plain(base_c + 0.2 * warm_k, _BLACK, 0.93)}
    parts = tuple(Part(shape, materials[name]) for name, shape in pieces)
    thing = Thing(parts, BIKE, instance, absorptance=0.5, salient=True, moving=running)
    return Bike(thing, kind, 0.74, 0.05 if kind == 'scooter' else rng.uniform(0.1, 0.4))


def _scooter_forms() -> list[tuple[str, Shape]]:
    """Material names and forms of a scooter with a flat step and a front shield."""
    wheel, width = 0.24, 0.06
    bar = -1.02
    return [
        ('tire', ball((0, -wheel, 0.62), (width, wheel, wheel))),
        ('tire', ball((0, -wheel, -0.6), (width, wheel, wheel))),
        ('paint', limb((0, -0.4, 0.52), (0, -0.98, 0.36), 0.16, 1.0)),
        ('paint', ball((0, -0.42, 0.62), (0.1, 0.09, 0.26))),
        ('dark', box(0.15, 0.08, 0.3, base_m=0.24)),
        ('paint', ball((0, -0.5, -0.5), (0.17, 0.2, 0.45))),
        ('seat', ball((0, -0.71, -0.4), (0.14, 0.07, 0.36))),
        ('hot', ball((0.16, -0.28, -0.5), (0.08, 0.08, 0.26))),
        ('dark', limb((-0.34, bar, 0.32), (0.34, bar, 0.32), 0.03)),
        ('dark', limb((-0.3, bar, 0.32), (-0.36, bar - 0.18, 0.3), 0.035)),
        ('dark', limb((0.3, bar, 0.32), (0.36, bar - 0.18, 0.3), 0.035)),
        ('lamp', ball((0, -0.92, 0.48), (0.09, 0.08, 0.06))),
        ('tail', ball((0, -0.62, -0.93), (0.09, 0.04, 0.04))),
    ]


def _motorbike_forms() -> list[tuple[str, Shape]]:
    """Material names and forms of a motorbike with an engine in the open."""
    wheel, width, bar = 0.31, 0.07, -1.0
    ends: tuple[Vector, Vector] = ((0, -0.95, 0.5), (0, -wheel, 0.72))
    return [
        ('tire', ball((0, -wheel, 0.72), (width, wheel, wheel))),
        ('tire', ball((0, -wheel, -0.68), (1.3 * width, wheel, wheel))),
        ('dark', limb(*ends, 0.09, 1.0)),
        ('paint', ball((0, -0.82, 0.12), (0.16, 0.14, 0.3))),
        ('hot', ball((0, -0.45, 0.08), (0.2, 0.22, 0.26))),
        ('hot', limb((0.17, -0.34, 0.1), (0.2, -0.38, -0.85), 0.06, 1.0)),
        ('dark', ball((0, -0.6, -0.2), (0.12, 0.16, 0.4))),
        ('seat', ball((0, -0.76, -0.42), (0.14, 0.07, 0.4))),
        ('paint', ball((0, -0.72, -0.75), (0.1, 0.08, 0.25))),
        ('dark', limb((-0.38, bar, 0.4), (0.38, bar, 0.4), 0.03)),
        ('dark', limb((-0.3, bar, 0.42), (-0.38, bar - 0.16, 0.42), 0.035)),
        ('dark', limb((0.3, bar, 0.42), (0.38, bar - 0.16, 0.42), 0.035)),
        ('lamp', ball((0, -0.86, 0.62), (0.1, 0.1, 0.07))),
        ('tail', ball((0, -0.74, -0.98), (0.08, 0.04, 0.04))),
    ]
