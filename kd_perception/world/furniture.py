# SPDX-License-Identifier: Apache-2.0
"""Street things that have a class: bikes, cones, guardrails, car stops, bumps and curbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.classes import BIKE, BUMP, CAR_STOP, COLOR_CONE, CURVE, GUARDRAIL
from kd_perception.world.climate import Climate
from kd_perception.world.geometry import Sample, Solid, SurfacePoint
from kd_perception.world.materials import Plain, Segment, squared_distance
from kd_perception.world.noise import noise
from kd_perception.world.shapes import Sheet, Vector, box, cone, prism

COLD_DEVIATION_K = 1.4
"""Spread of things without own heat about the temperature of their surroundings."""

_FRAME: tuple[Segment, ...] = (
    (-0.54, 0.34, -0.12, 0.34),
    (-0.54, 0.34, -0.2, 0.82),
    (-0.2, 0.88, -0.1, 0.34),
    (-0.12, 0.34, 0.36, 0.8),
    (-0.2, 0.78, 0.38, 0.78),
    (0.54, 0.34, 0.34, 0.98),
    (0.2, 1.0, 0.42, 1.0),
    (-0.33, 0.93, -0.1, 0.93),
)


@dataclass(frozen=True)
class BikeSurface:
    """A bike from the side. Its wheels count as filled, as annotators draw them."""

    tire_c: float
    frame_c: float
    spoke_c: float

    def __call__(self, point: SurfacePoint) -> Sample:
        """Tires, frame with saddle and handlebar, and the dim wheel discs."""
        x, h = point.x, point.height
        squared = np.minimum((x - 0.54) ** 2, (x + 0.54) ** 2) + (h - 0.34) ** 2
        tire = np.abs(np.sqrt(squared) - 0.30) < 0.05
        wheel = squared < 0.35**2
        frame = np.zeros(x.shape, bool)
        for segment in _FRAME:
            frame |= squared_distance(x, h, segment) < 0.045**2
        temperature = np.where(tire, self.tire_c, np.where(frame, self.frame_c, self.spoke_c))
        return Sample(temperature, np.where(frame, 0.85, 0.93), wheel | frame)


@dataclass(frozen=True)
class RailSurface:
    """A beam on posts, or a fence of upright bars between two beams."""

    temperature_c: float
    bars: bool

    def __call__(self, point: SurfacePoint) -> Sample:
        """Opaque on beams, posts and bars."""
        x, h = point.x, point.height
        post = (x % 2.0 < 0.12) & (h < 0.85)
        if self.bars:
            beam = (np.abs(h - 0.85) < 0.04) | (np.abs(h - 0.15) < 0.03)
            post |= (x % 0.16 < 0.04) & (h > 0.12) & (h < 0.88)
        else:
            beam = np.abs(h - 0.58) < 0.17
        wave = 0.25 * np.cos((h - 0.58) * 33.0) * (not self.bars)
        grain = noise(2, x, h, 20.0, point.footprint_m)
        return Sample(self.temperature_c + 0.2 * grain + wave, 0.82, post | beam)


def _cold(rng: np.random.Generator, base_c: float) -> float:
    return float(base_c + rng.normal(0.0, COLD_DEVIATION_K))


@dataclass(frozen=True)
class Bike:
    """One bike, ready to be put anywhere."""

    surface: BikeSurface
    instance: int

    def solids(self, position: Vector, yaw: float) -> list[Solid]:
        """At yaw 0 its front wheel points along the street."""
        shape = Sheet(0.92, 1.06)
        return [Solid(shape, self.surface, position, yaw + np.pi / 2, BIKE, self.instance, 0.3)]


def draw_bike(rng: np.random.Generator, climate: Climate, instance: int) -> Bike:
    """Draw a bike's temperatures."""
    base = _cold(rng, climate.ground_mix_c)
    tire_c, frame_c = base + rng.uniform(-0.5, 2.0), base + rng.normal(-0.5, 1.0)
    return Bike(BikeSurface(tire_c, frame_c, base + rng.normal(0.0, 0.4)), instance)


def draw_cone(
    rng: np.random.Generator, climate: Climate, position: Vector, instance: int
) -> list[Solid]:
    """A traffic cone on its square foot."""
    height = rng.uniform(0.45, 0.95)
    surface = Plain(_cold(rng, climate.ground_mix_c), 0.93, 0.25)
    body = cone(0.22 * height, 0.05 * height, height)
    foot = box(0.28 * height, 0.05 * height, 0.28 * height)
    yaw = rng.uniform(0.0, np.pi / 2)
    return [Solid(shape, surface, position, yaw, COLOR_CONE, instance) for shape in (body, foot)]


def draw_guardrail(
    rng: np.random.Generator, climate: Climate, position: Vector, length_m: float, instance: int
) -> list[Solid]:
    """A rail or fence along the street, `position` at its middle."""
    surface = RailSurface(_cold(rng, climate.ground_mix_c), bool(rng.uniform() < 0.35))
    yaw = np.pi / 2 + rng.normal(0.0, 0.01)
    return [Solid(Sheet(length_m / 2, 0.92), surface, position, yaw, GUARDRAIL, instance, 0.4)]


def draw_car_stop(
    rng: np.random.Generator, climate: Climate, position: Vector, instance: int
) -> list[Solid]:
    """A wheel stop of concrete or rubber."""
    high = rng.uniform(0.1, 0.2)
    profile = [(-0.12, 0.0), (0.12, 0.0), (0.07, high), (-0.07, high)]
    temperature = _cold(rng, climate.road_c)
    striped = rng.uniform() < 0.6
    surface = Plain(
        temperature, 0.93, 0.2, stripe_m=0.7 if striped else 0.0, stripe_k=rng.normal(0.0, 0.4)
    )
    yaw = rng.normal(0.0, 0.3)
    half_width = rng.uniform(0.5, 0.95)
    return [Solid(prism(profile, half_width), surface, position, yaw, CAR_STOP, instance)]


def draw_bump(
    rng: np.random.Generator,
    climate: Climate,
    position: Vector,
    half_width_m: float,
    instance: int,
) -> list[Solid]:
    """A speed bump across the carriageway."""
    half, high = rng.uniform(0.2, 0.5), rng.uniform(0.04, 0.09)
    profile = [(-half, 0.0), (half, 0.0), (half / 2, high), (-half / 2, high)]
    surface = Plain(
        _cold(rng, climate.road_c + 0.5), 0.93, 0.25, stripe_m=1.0, stripe_k=rng.normal(0.0, 0.5)
    )
    return [Solid(prism(profile, half_width_m), surface, position, 0.0, BUMP, instance)]


def draw_curb(
    temperature_c: float, position: Vector, length_m: float, instance: int
) -> list[Solid]:
    """A curb stone along the street, `position` at its middle."""
    shape = box(0.14, 0.14, length_m / 2)
    surface = Plain(temperature_c, 0.93, 0.25, 8.0, 3)
    return [Solid(shape, surface, position, 0.0, CURVE, instance)]
