# SPDX-License-Identifier: Apache-2.0
"""Cars, vans, trucks and buses: painted hulls with wheels, warm in one of many ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.classes import CAR
from kd_perception.world.climate import Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.plain import Plain
from kd_perception.world.materials.vehicle import BodyPaint, CabinGlass
from kd_perception.world.scenes.decals import Decal
from kd_perception.world.scenes.shapes import ball, box
from kd_perception.world.scenes.solids import Part, Placed, Placement, Thing
from kd_perception.world.things.bodies import Form, body, cabin, draw_form, rounded_prism, wheel
from kd_perception.world.things.motor_heat import MotorHeat, draw_motor_heat

_PAINTS: tuple[tuple[float, Color], ...] = (
    (0.27, (0.66, 0.66, 0.65)),
    (0.2, (0.35, 0.36, 0.37)),
    (0.2, (0.02, 0.02, 0.022)),
    (0.1, (0.12, 0.125, 0.13)),
    (0.07, (0.4, 0.02, 0.02)),
    (0.07, (0.02, 0.06, 0.25)),
    (0.03, (0.3, 0.26, 0.18)),
    (0.02, (0.02, 0.12, 0.06)),
    (0.02, (0.6, 0.16, 0.02)),
    (0.02, (0.6, 0.5, 0.05)),
)
_DARK: Color = (0.015, 0.015, 0.016)


@dataclass(frozen=True)
class Car:
    """One vehicle, ready to be put anywhere.

    Args:
        thing: the vehicle; at yaw 0 its front points along the street.
        kind: one of `bodies.VEHICLES`.
        half_width_m: without mirrors.
        half_length_m: bumper to middle.
        glow_k: how much warmer (cooler if negative) the ground beneath is.
        engine_glow_k: the same beneath the engine.
    """

    thing: Thing
    kind: str
    half_width_m: float
    half_length_m: float
    glow_k: float
    engine_glow_k: float

    def at(self, placement: Placement) -> Placed:
        """The vehicle at a place."""
        return Placed(self.thing, placement)

    def decals(self, placement: Placement) -> list[Decal]:
        """What it leaves on the ground beneath."""
        wide, long = 1.05 * self.half_width_m, self.half_length_m
        front = placement.point((0.0, 0.0, 0.62 * long))
        return [
            Decal(placement.position, placement.yaw, wide, 1.02 * long, self.glow_k),
            Decal(front, placement.yaw, wide, 0.42 * long, self.engine_glow_k, softness=0.8),
        ]


def draw_car(
    rng: np.random.Generator,
    climate: Climate,
    instance: int,
    *,
    moving: bool,
    cold: bool = False,
    kind: str | None = None,
) -> Car:
    """Draw the form, the paint and the heat of a vehicle.

    Args:
        rng: stream to draw from.
        climate: of the scene.
        instance: object id.
        moving: with a running engine and, in the dark, lamps.
        cold: at the temperature of its surroundings.
        kind: one of `bodies.VEHICLES`, None to draw it.
    """
    form = draw_form(rng, kind)
    color = _draw_paint(rng, form)
    heat = draw_motor_heat(rng, climate, color, moving=moving, cold=cold)
    parts = (
        Part(body(form), _body_paint(rng, climate, form, color, heat, moving)),
        Part(cabin(form), _cabin_glass(rng, form, color, heat)),
        *_wheels(rng, form, heat),
        *_underside(form, heat),
        *_mirrors(form, color, heat),
        *_load(rng, form, color, heat),
    )
    thing = Thing(parts, CAR, instance, absorptance=0.5, salient=True, moving=moving)
    return Car(
        thing, form.kind, form.half_width_m, form.length_m / 2, heat.glow_k, heat.engine_glow_k
    )


def _draw_paint(rng: np.random.Generator, form: Form) -> Color:
    shares = np.array([share for share, _ in _PAINTS])
    pick = int(rng.choice(len(shares), p=shares / shares.sum()))
    if form.kind in ('van', 'truck', 'bus') and rng.uniform() < 0.5:
        pick = 0
    red, green, blue = _PAINTS[pick][1]
    shade = rng.uniform(0.8, 1.15)
    return red * shade, green * shade, blue * shade


def _body_paint(
    rng: np.random.Generator,
    climate: Climate,
    form: Form,
    color: Color,
    heat: MotorHeat,
    moving: bool,
) -> BodyPaint:
    shining = moving and (climate.night or climate.visibility_m < 400.0)
    return BodyPaint(
        base_c=heat.body_c,
        color=color,
        trim=color if rng.uniform() < 0.7 else (0.03, 0.03, 0.03),
        length_m=form.length_m,
        half_width_m=form.half_width_m,
        belt_m=form.belt_m,
        clearance_m=form.clearance_m,
        wheel_m=form.wheel_m,
        axle_m=form.axle_m,
        bonnet_k=heat.bonnet_k,
        grille_k=heat.grille_k,
        lamp_k=heat.lamp_k,
        exhaust_k=heat.exhaust_k,
        gradient_k=heat.gradient_k,
        arch_k=heat.arch_k,
        sill_k=heat.sill_k,
        edge_k=heat.edge_k,
        emissivity=heat.paint_emissivity,
        lamp_glow=rng.uniform(6.0, 30.0) if shining else 0.0,
        tail_glow=rng.uniform(0.4, 3.0) if shining else 0.0,
        kind=int(rng.integers(4)),
    )


def _cabin_glass(
    rng: np.random.Generator, form: Form, color: Color, heat: MotorHeat
) -> CabinGlass:
    half = form.length_m / 2
    windscreen_end = half - form.bonnet_m - form.screen_m
    return CabinGlass(
        body_c=heat.roof_c,
        color=color,
        glass_c=heat.glass_c,
        belt_m=form.belt_m,
        roof_m=form.roof_m,
        half_width_m=form.half_width_m - 0.05 * (form.belt_m - form.clearance_m),
        lean=form.lean,
        pillar_z_m=rng.uniform(-0.35, 0.05),
        glazed_from_m=-half if form.glazed else windscreen_end - 0.75,
        blind_rear=not form.glazed,
        pillar_k=heat.pillar_k,
        body_emissivity=heat.paint_emissivity,
        glass_emissivity=heat.glass_emissivity,
    )


def _wheels(rng: np.random.Generator, form: Form, heat: MotorHeat) -> list[Part]:
    """Tires as cylinders, rims as discs on their outer faces."""
    radius, half = form.wheel_m, 0.11 if form.wheel_m < 0.4 else 0.14
    tire = Plain(heat.tire_c, (0.015, 0.015, 0.016), 0.95, 0.5, 12.0, limb_k=heat.tire_limb_k)
    silver = rng.uniform(0.08, 0.3)
    rim = Plain(heat.rim_c, (silver, silver, silver), 0.85, 0.6, 25.0, limb_k=-heat.tire_limb_k)
    shape, face = wheel(radius, half), 0.66 * radius
    x = form.half_width_m - half + 0.012
    parts = []
    for z in (-form.axle_m, form.axle_m):
        for side in (-1.0, 1.0):
            center = (side * x, -radius, z)
            parts.append(Part(shape, tire, center))
            disc = ball((side * half, 0.0, 0.0), (0.02, face, face))
            parts.append(Part(disc, rim, center))
    return parts


def _underside(form: Form, heat: MotorHeat) -> list[Part]:
    """Engine tray and exhaust, seen below the bumper and between the wheels."""
    wide, low = 0.84 * form.half_width_m, 0.62 * form.clearance_m
    long, high = 0.12 * form.length_m, form.clearance_m + 0.1 - low
    engine = Plain(heat.engine_c, (0.02, 0.02, 0.02), 0.93, 0.8, 6.0)
    rear = Plain(heat.under_c, (0.02, 0.02, 0.02), 0.93, 0.8, 6.0)
    return [
        Part(box(wide, high, long, base_m=low), engine, (0.0, 0.0, 0.33 * form.length_m)),
        Part(
            box(wide, high, 0.33 * form.length_m, base_m=low), rear, (0, 0, -0.12 * form.length_m)
        ),
    ]


def _mirrors(form: Form, color: Color, heat: MotorHeat) -> list[Part]:
    paint = Plain(heat.body_c, color, heat.paint_emissivity, 0.2)
    z = form.length_m / 2 - form.bonnet_m - 0.35 * form.screen_m
    up = -form.belt_m - 0.07
    return [
        Part(ball((side * (form.half_width_m + 0.07), up, z), (0.11, 0.075, 0.06)), paint)
        for side in (-1.0, 1.0)
    ]


def _load(rng: np.random.Generator, form: Form, color: Color, heat: MotorHeat) -> list[Part]:
    """A cargo box on a truck, a bed behind a pickup's cabin, a sign on some roofs."""
    half = form.length_m / 2
    if form.kind == 'truck':
        front, high = half - form.bonnet_m - form.screen_m - 1.1, rng.uniform(2.5, 3.2)
        profile = [(-half, 0.75), (front, 0.75), (front, high), (-half, high)]
        wall = Plain(heat.roof_c, (0.65, 0.65, 0.64), 0.88, 0.5, 4.0)
        hull = rounded_prism(profile, 1.04 * form.half_width_m, lean=0.0, cut_m=0.03)
        return [Part(hull, wall)]
    if form.kind in ('sedan', 'tall') and rng.uniform() < 0.15:
        lamp = Plain(heat.roof_c + rng.uniform(-1.0, 3.0), (0.7, 0.6, 0.4), 0.9)
        z = half - form.bonnet_m - form.screen_m - 0.7
        return [Part(ball((0.0, -form.roof_m - 0.05, z), (0.25, 0.1, 0.1)), lamp)]
    if form.kind == 'estate' and rng.uniform() < 0.5:
        rail = Plain(heat.roof_c, _DARK, 0.9)
        return [
            Part(box(0.02, 0.05, 0.8, base_m=form.roof_m - 0.05), rail, (x, 0.0, -0.3))
            for x in (-0.5, 0.5)
        ]
    return []
