# SPDX-License-Identifier: Apache-2.0
"""In how many ways a vehicle may be warm: parked long ago, in the sun, with a running engine."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.config import Range
from kd_perception.world.materials.base import Color


@dataclass(frozen=True)
class MotorHeat:
    """Temperatures [°C] and differences to the body [K] of one vehicle.

    Args:
        body_c: panels.
        roof_c: roof and pillars.
        glass_c: windows.
        tire_c: tires.
        rim_c: rims, warm from the brakes or as cold as the wind.
        engine_c: below the engine.
        under_c: the rest of the underside.
        bonnet_k: above the engine.
        grille_k: grille and intake.
        lamp_k: lamps.
        exhaust_k: pipe.
        gradient_k: of the panels per meter of height.
        arch_k: wheel arches.
        sill_k: bumpers and sills.
        edge_k: rounded edges.
        pillar_k: pillars and window frames.
        tire_limb_k: how much cooler tires look where they turn away.
        glow_k: ground beneath.
        engine_glow_k: ground beneath the engine, on top of `glow_k`.
        paint_emissivity: of panels and roof.
        glass_emissivity: of windows.
    """

    body_c: float
    roof_c: float
    glass_c: float
    tire_c: float
    rim_c: float
    engine_c: float
    under_c: float
    bonnet_k: float
    grille_k: float
    lamp_k: float
    exhaust_k: float
    gradient_k: float
    arch_k: float
    sill_k: float
    edge_k: float
    pillar_k: float
    tire_limb_k: float
    glow_k: float
    engine_glow_k: float
    paint_emissivity: float
    glass_emissivity: float


class _State(NamedTuple):
    """Ranges of what a state warms, relative to the air (body) or to the body (the rest)."""

    body: Range
    roof: Range
    bonnet: Range
    grille: Range
    lamp: Range
    exhaust: Range
    arch: Range
    sill: Range
    tire: Range
    rim: Range
    engine: Range
    under: Range
    glow: Range
    engine_glow: Range


_LONG_PARKED = _State(
    (-2.0, 0.5), (-1.5, 0.3), (-0.6, 0.3), (-1.2, 0.4), (-1.5, 0.3), (0.0, 0.0), (-0.5, 1.2),
    (-0.5, 0.8), (-0.3, 1.5), (-0.8, 0.8), (-0.5, 1.5), (-0.5, 1.5), (-1.0, 2.5), (-0.2, 0.2),
)  # fmt: skip
_SUN_WARMED = _State(
    (1.0, 6.0), (0.0, 4.0), (-0.5, 1.5), (-3.0, 1.0), (-3.0, 0.5), (0.0, 0.0), (-4.0, -1.0),
    (-2.0, 0.5), (0.0, 5.0), (-2.0, 2.0), (-4.0, -1.0), (-4.0, -1.0), (-4.0, -1.0), (0.0, 0.0),
)  # fmt: skip
_ENGINE_WARM = _State(
    (0.0, 3.0), (-1.5, 0.5), (3.0, 11.0), (1.0, 9.0), (-1.0, 3.0), (0.0, 5.0), (1.0, 6.0),
    (0.5, 3.0), (1.0, 6.0), (1.0, 9.0), (4.0, 14.0), (1.0, 6.0), (1.0, 5.0), (2.0, 10.0),
)  # fmt: skip
_RUNNING = _State(
    (0.5, 5.0), (-2.0, 0.5), (0.5, 7.0), (-3.0, 10.0), (-3.0, 5.0), (4.0, 20.0), (2.0, 10.0),
    (0.5, 4.0), (4.0, 13.0), (-1.0, 12.0), (6.0, 18.0), (3.0, 12.0), (2.0, 8.0), (3.0, 14.0),
)  # fmt: skip
_ARRIVED = _State(
    (0.5, 4.0), (-1.5, 0.5), (2.0, 9.0), (-1.0, 9.0), (-2.0, 4.0), (3.0, 12.0), (2.0, 9.0),
    (0.5, 3.0), (5.0, 14.0), (6.0, 22.0), (5.0, 16.0), (3.0, 12.0), (2.0, 8.0), (3.0, 14.0),
)  # fmt: skip


def draw_motor_heat(
    rng: np.random.Generator, climate: Climate, color: Color, *, moving: bool, cold: bool
) -> MotorHeat:
    """Draw how warm a vehicle is.

    Args:
        rng: stream to draw from.
        climate: of the scene; rain cools panels.
        color: of the paint: dark ones take more of the sun.
        moving: has a running engine.
        cold: at the temperature of its surroundings, whatever else.
    """
    if cold:
        return _background(rng, climate)
    state = _RUNNING if moving else _draw_state(rng, climate)

    def k(ends: Range) -> float:
        return float(rng.uniform(*ends))

    body_k = k(state.body) * (1.0 - 0.5 * climate.wetness)
    if state is _SUN_WARMED:
        body_k *= 1.3 - 0.8 * max(color)
    body_c = climate.air_c + body_k
    warm = state not in (_LONG_PARKED, _SUN_WARMED)
    tire_c = body_c + k(state.tire)
    return MotorHeat(
        body_c=body_c,
        roof_c=body_c + k(state.roof),
        glass_c=climate.air_c + rng.uniform(-2.0, 1.5) + 0.4 * max(body_k, 0.0),
        tire_c=tire_c,
        rim_c=body_c + k(state.rim) if rng.uniform() < 0.7 else body_c + rng.uniform(-1.0, 2.0),
        engine_c=body_c + k(state.engine),
        under_c=body_c + k(state.under),
        bonnet_k=k(state.bonnet),
        grille_k=k(state.grille),
        lamp_k=k(state.lamp),
        exhaust_k=k(state.exhaust),
        gradient_k=rng.uniform(-3.0, 0.5) if warm else rng.uniform(-1.5, 1.5),
        arch_k=k(state.arch),
        sill_k=k(state.sill),
        edge_k=rng.uniform(0.0, 3.5) if warm else rng.uniform(-0.5, 1.0),
        pillar_k=rng.uniform(0.0, 3.0) if warm else rng.uniform(-0.3, 1.0),
        tire_limb_k=rng.uniform(-3.0, 2.0) if warm else rng.uniform(-0.5, 0.5),
        glow_k=k(state.glow),
        engine_glow_k=k(state.engine_glow),
        paint_emissivity=rng.uniform(0.8, 0.96),
        glass_emissivity=rng.uniform(0.6, 0.92),
    )


def _draw_state(rng: np.random.Generator, climate: Climate) -> _State:
    draw = rng.uniform()
    if draw < 0.14:
        return _ARRIVED
    if draw < 0.32:
        return _ENGINE_WARM
    if draw < 0.42:
        return _RUNNING
    sunny = not climate.night and rng.uniform() < 0.3 + 0.6 * min(climate.sun.light, 1.0)
    return _SUN_WARMED if sunny else _LONG_PARKED


def _background(rng: np.random.Generator, climate: Climate) -> MotorHeat:
    """As warm as the ground and the air about it, within a few tenths of a kelvin."""
    base_c = climate.ground_mix_c + rng.normal(0.0, 0.5)
    names = [field.name for field in fields(MotorHeat)]
    spread = dict(zip(names, rng.normal(0.0, 0.35, len(names)).tolist(), strict=True))
    for name in names:
        if name.endswith('_c'):
            spread[name] += base_c
    spread['paint_emissivity'] = rng.uniform(0.93, 0.98)
    spread['glass_emissivity'] = rng.uniform(0.85, 0.95)
    return MotorHeat(**spread)
