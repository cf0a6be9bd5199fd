# SPDX-License-Identifier: Apache-2.0
"""Cars and vans: hulls with slanted screens, heat of engine, tires and road beneath."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.classes import CAR
from kd_perception.world.climate import Climate
from kd_perception.world.geometry import Sample, Solid, Surface, SurfacePoint
from kd_perception.world.materials import Plain
from kd_perception.world.noise import noise
from kd_perception.world.shapes import Hull, Shape, Vector, ball, box, prism

CLEARANCE_M = 0.22
Part = tuple[Shape, Surface]


@dataclass(frozen=True)
class BodyPaint:
    """The lower body: panels, bonnet, grille, lamps, door gaps, wheel arches, exhaust.

    All temperatures are differences to `base_c`.
    """

    base_c: float
    length_m: float
    half_width_m: float
    belt_m: float
    bonnet_k: float
    grille_k: float
    lamp_k: float
    exhaust_k: float
    gradient_k: float
    emissivity: float
    kind: int

    def __call__(self, point: SurfacePoint) -> Sample:
        """Temperature of the panels and what sits in them."""
        x, h, z = point.x, point.height, point.z
        grain = noise(self.kind, x + z, h, 7.0, point.footprint_m)
        delta = 0.7 * grain + self.gradient_k * (h - 0.5)
        side = np.abs(point.normal[0]) > 0.7
        front, back = point.normal[2] > 0.4, point.normal[2] < -0.4
        delta = np.where((z > 0.18 * self.length_m) & ~side, delta + self.bonnet_k, delta)
        low_middle = (np.abs(h - 0.45) < 0.15) & (np.abs(x) < 0.55 * self.half_width_m)
        slats = np.where((h * 14.0) % 1.0 < 0.4, 0.4, 1.0)
        delta = np.where(front & low_middle, self.grille_k * slats, delta)
        lamp = (np.abs(np.abs(x) - 0.76 * self.half_width_m) < 0.16) & (np.abs(h - 0.66) < 0.09)
        delta = np.where((front | back) & lamp, self.lamp_k, delta)
        pipe = back & (h < 0.36) & (np.abs(x - 0.6 * self.half_width_m) < 0.12)
        delta = np.where(pipe, self.exhaust_k, delta)
        gap = side & ((z * 1.05 + 0.31 * self.length_m) % 1.15 < 0.03) & (h > 0.3)
        arch = side & ((np.abs(z) - 0.31 * self.length_m) ** 2 + (h - 0.33) ** 2 < 0.16)
        delta = np.where(gap | arch | (h < CLEARANCE_M + 0.08), delta - 1.5, delta)
        return Sample(self.base_c + delta, self.emissivity)


@dataclass(frozen=True)
class CabinGlass:
    """The upper body: roof and pillars in the body's temperature, glass of low emissivity."""

    body_c: float
    glass_c: float
    belt_m: float
    roof_m: float
    half_width_m: float
    glazed_from_m: float
    body_emissivity: float
    glass_emissivity: float

    def __call__(self, point: SurfacePoint) -> Sample:
        """Glass between belt and roof, but for the pillars."""
        rise = (point.height - self.belt_m) / (self.roof_m - self.belt_m)
        side = np.abs(point.normal[0]) > 0.6
        upright = np.abs(point.normal[1]) < 0.93
        glass = upright & (rise > 0.06) & (rise < 0.88)
        pillar = side & (np.abs(point.z + 0.1) < 0.05)
        edge = ~side & (np.abs(point.x) > self.half_width_m * (1.0 - 0.22 * rise) - 0.14)
        blind = point.z < self.glazed_from_m
        glass &= ~(pillar | edge | blind)
        grain = noise(1, point.x + point.z, point.height, 6.0, point.footprint_m)
        temperature = np.where(glass, self.glass_c, self.body_c) + 0.5 * grain
        emissivity = np.where(glass, self.glass_emissivity, self.body_emissivity)
        return Sample(temperature, emissivity)


@dataclass(frozen=True)
class Car:
    """One vehicle, ready to be put anywhere.

    Args:
        parts: shape and surface pairs in its own coordinates.
        instance: object id.
        half_width_m: for the heat on the road.
        half_length_m: for the heat on the road.
        glow_k: how much warmer the road beneath is.
    """

    parts: tuple[Part, ...]
    instance: int
    half_width_m: float
    half_length_m: float
    glow_k: float

    def solids(self, position: Vector, yaw: float) -> list[Solid]:
        """Its solids at a place; at yaw 0 its front points along the street."""
        return [
            Solid(shape, surface, position, yaw, CAR, self.instance, 0.5)
            for shape, surface in self.parts
        ]


def draw_car(rng: np.random.Generator, climate: Climate, instance: int, *, moving: bool) -> Car:
    """Draw the form and the heat of a vehicle."""
    warm = moving or rng.uniform() < 0.4
    heat = rng.uniform(0.0, 7.0) if warm else _parked_offset_k(rng)
    length, half_width = rng.uniform(3.3, 4.9), rng.uniform(0.78, 0.95)
    belt, roof = rng.uniform(0.82, 1.0), rng.uniform(1.38, 1.72)
    van = rng.uniform() < 0.15
    if van:
        length, roof = rng.uniform(4.4, 6.0), rng.uniform(1.85, 2.6)
    parts: list[Part] = [
        _lower_body(rng, climate.air_c + heat, warm, (length, half_width, belt)),
        _cabin(rng, climate.air_c, heat, (length, half_width, belt, roof), van),
        *_wheels(rng, climate.air_c + heat, warm, (length, half_width)),
        _underside(rng, climate, heat, (length, half_width)),
    ]
    glow = rng.uniform(1.0, 8.0) if warm else rng.uniform(-1.5, 1.5)
    return Car(tuple(parts), instance, half_width, length / 2, glow)


def _parked_offset_k(rng: np.random.Generator) -> float:
    """Parked cars: often without any contrast, else a little cooler or sun-warmed."""
    return float(rng.normal(0.0, 0.5) if rng.uniform() < 0.35 else rng.uniform(-3.0, 6.0))


def _lower_body(
    rng: np.random.Generator, base_c: float, warm: bool, size: tuple[float, float, float]
) -> tuple[Hull, BodyPaint]:
    length, half_width, belt = size
    half = length / 2
    nose, tail = rng.uniform(0.08, 0.35), rng.uniform(0.02, 0.2)
    profile = [
        (-half, 0.45),
        (-half + 0.08, CLEARANCE_M),
        (half - 0.12, CLEARANCE_M),
        (half, 0.42),
        (half - 0.06, belt - nose),
        (half - 0.35, belt - nose / 3),
        (half - rng.uniform(0.9, 1.3), belt + 0.02),
        (-half + tail, belt),
        (-half, belt - 0.2),
    ]
    bonnet_k = rng.uniform(0.0, 9.0) if warm else rng.uniform(-1.0, 1.0)
    paint = BodyPaint(
        base_c=base_c,
        length_m=length,
        half_width_m=half_width,
        belt_m=belt,
        bonnet_k=bonnet_k,
        grille_k=bonnet_k + (rng.uniform(-2.0, 9.0) if warm else rng.uniform(-1.5, 0.5)),
        lamp_k=rng.uniform(-2.0, 6.0) if warm else rng.uniform(-1.5, 0.5),
        exhaust_k=rng.uniform(2.0, 15.0) if warm else 0.0,
        gradient_k=rng.uniform(-3.0, 3.0),
        emissivity=rng.uniform(0.6, 0.95),
        kind=int(rng.integers(4)),
    )
    return prism(profile, half_width, lean=0.06, bevel_m=rng.uniform(0.06, 0.2)), paint


def _cabin(
    rng: np.random.Generator,
    air_c: float,
    heat_k: float,
    size: tuple[float, float, float, float],
    van: bool,
) -> tuple[Hull, CabinGlass]:
    length, half_width, belt, roof = size
    half = length / 2
    start = half - (rng.uniform(0.3, 0.9) if van else rng.uniform(0.95, 1.35))
    end = -half + (0.05 if van or rng.uniform() < 0.45 else rng.uniform(0.3, 0.9))
    screen = rng.uniform(0.35, 0.75) * (0.6 if van else 1.0)
    rear = 0.05 if van else rng.uniform(0.15, 0.7)
    profile = [
        (start, belt - 0.05),
        (start - screen, roof - 0.06),
        (start - screen - 0.35, roof),
        (end + rear + 0.3, roof),
        (end + rear, roof - 0.05),
        (end, belt - 0.05),
    ]
    surface = CabinGlass(
        body_c=air_c + heat_k * rng.uniform(0.2, 1.0),
        glass_c=air_c + rng.uniform(-9.0, 2.0) + 0.3 * heat_k,
        belt_m=belt,
        roof_m=roof,
        half_width_m=half_width,
        glazed_from_m=start - screen - 0.9 if van and rng.uniform() < 0.85 else -half,
        body_emissivity=rng.uniform(0.5, 0.92),
        glass_emissivity=rng.uniform(0.55, 0.9),
    )
    return prism(profile, half_width, lean=0.06 if van else rng.uniform(0.15, 0.3)), surface


def _wheels(
    rng: np.random.Generator, base_c: float, warm: bool, size: tuple[float, float]
) -> list[Part]:
    length, half_width = size
    radius = rng.uniform(0.29, 0.36)
    tire_c = base_c + (rng.uniform(0.0, 14.0) if warm else rng.uniform(-1.0, 3.0))
    surface = Plain(tire_c, 0.95, 0.6, 9.0, limb_k=rng.uniform(-3.0, 3.0))
    places = [(s * (half_width - 0.1), e * 0.31 * length) for s in (-1, 1) for e in (-1, 1)]
    half_axes = (0.13, radius, radius)
    return [(ball((x, -radius, z), half_axes), surface) for x, z in places]


def _underside(
    rng: np.random.Generator, climate: Climate, heat_k: float, size: tuple[float, float]
) -> tuple[Hull, Plain]:
    length, half_width = size
    temperature = climate.ground_mix_c + heat_k * rng.uniform(0.0, 1.5)
    shape = box(0.85 * half_width, CLEARANCE_M, 0.42 * length, base_m=0.04)
    return shape, Plain(temperature, 0.93, 0.5)
