# SPDX-License-Identifier: Apache-2.0
"""The skin of vehicles: painted panels with all that sits in them, and the glazed cabin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kd_perception.world.compiling import inlined
from kd_perception.world.materials.base import Color, Material, Point, Sample, Textures
from kd_perception.world.noise import noise

PILLAR_M: Final = 1.25
"""Distance of the pillars between side windows."""

_SIDEWAYS: Final = 0.85
"""Panels whose normal has more than this across the vehicle are its sides."""


@dataclass(frozen=True)
class BodyPaint(Material):
    """The lower body: panels, bonnet, grille, lamps, plates, door gaps, wheel arches, exhaust.

    All temperatures are differences to `base_c`.

    Args:
        base_c: mean temperature of the panels.
        color: of the paint.
        trim: color of bumpers and sills.
        length_m: of the vehicle.
        half_width_m: half its width.
        belt_m: height of the lower edge of the windows.
        clearance_m: height of the lower edge of the body.
        wheel_m: radius of the wheels.
        axle_m: distance of either axle from the middle.
        bonnet_k: panels above the engine.
        grille_k: grille and radiator.
        lamp_k: lamps.
        exhaust_k: round the exhaust pipe.
        gradient_k: per meter of height.
        arch_k: in the wheel arches.
        sill_k: bumpers and sills.
        edge_k: where panels turn from one side to the next.
        emissivity: of paint.
        lamp_glow: light of the front lamps.
        tail_glow: light of the rear lamps.
        kind: which noise.
    """

    base_c: float
    color: Color
    trim: Color
    length_m: float
    half_width_m: float
    belt_m: float
    clearance_m: float
    wheel_m: float
    axle_m: float
    bonnet_k: float
    grille_k: float
    lamp_k: float
    exhaust_k: float
    gradient_k: float
    arch_k: float
    sill_k: float
    edge_k: float
    emissivity: float
    lamp_glow: float
    tail_glow: float
    kind: int


@dataclass(frozen=True)
class CabinGlass(Material):
    """The upper body: roof and pillars of metal, windows of glass that mirrors the sky.

    Args:
        body_c: temperature of roof and pillars.
        color: of roof and pillars.
        glass_c: temperature of the windows.
        belt_m: height where the windows begin.
        roof_m: height of the roof.
        half_width_m: half the width at the belt.
        lean: how far the sides lean inward per meter of height.
        pillar_z_m: where one of the pillars of the sides stands.
        glazed_from_m: no side windows behind this z.
        blind_rear: whether the back has no window.
        pillar_k: how much warmer pillars and frames are than the roof.
        body_emissivity: of metal.
        glass_emissivity: of windows; low, they mirror the sky.
    """

    body_c: float
    color: Color
    glass_c: float
    belt_m: float
    roof_m: float
    half_width_m: float
    lean: float
    pillar_z_m: float
    glazed_from_m: float
    blind_rear: bool
    pillar_k: float
    body_emissivity: float
    glass_emissivity: float


@inlined
def _towards_limb(emissivity: float, facing: float) -> float:
    """Smooth surfaces mirror more where they are seen at a flat angle."""
    away = (1.0 - facing) ** 2
    return max(1.0 - (1.0 - emissivity) * (1.0 + 2.0 * away * away), 0.3)


@inlined
def _panel_delta(material: BodyPaint, point: Point, textures: Textures) -> float:
    """How much warmer than their mean painted panels are at a point."""
    h, z = point.height, point.z
    grain = noise(textures.noise, material.kind, point.x + z, h, 7.0, point.footprint_m)
    streak = noise(
        textures.noise, material.kind + 1, 0.3 * (point.x + z), h, 22.0, point.footprint_m
    )
    delta = (
        0.45 * grain + (0.35 + 0.3 * material.edge_k) * streak + material.gradient_k * (h - 0.5)
    )
    side = abs(point.normal_x) > _SIDEWAYS
    # Below a crease the sides turn to the road and mirror its warmth.
    if side and h - material.clearance_m < 0.42 * (material.belt_m - material.clearance_m):
        delta += 0.5 * material.edge_k + 0.35
    turn = 1.0 - max(abs(point.normal_x), abs(point.normal_y), abs(point.normal_z))
    delta += material.edge_k * min(1.0, 4.0 * turn)
    if z > 0.5 * material.axle_m and not side:
        delta += material.bonnet_k
    return delta


@inlined
def body_paint_sample(material: BodyPaint, point: Point, textures: Textures) -> Sample:
    """What the lower body is at a point."""
    x, h, z = abs(point.x), point.height, point.z
    delta = _panel_delta(material, point, textures)
    red, green, blue = 1.0 * material.color[0], 1.0 * material.color[1], 1.0 * material.color[2]
    glow = 0.0
    side = abs(point.normal_x) > _SIDEWAYS
    front, back = point.normal_z > 0.35, point.normal_z < -0.35
    lift = h - material.clearance_m
    if lift < 0.14 or ((front or back) and lift < 0.3):
        delta += material.sill_k
        red, green, blue = 1.0 * material.trim[0], 1.0 * material.trim[1], 1.0 * material.trim[2]
    middle = x < 0.6 * material.half_width_m
    if front and middle and (0.08 < lift < 0.24 or 0.32 < lift < 0.46):
        slat = 0.4 if (h * 14.0) % 1.0 < 0.4 else 1.0
        delta = material.grille_k * slat
        red, green, blue = 0.02, 0.02, 0.02
    if (front or back) and x < 0.26 and 0.24 < lift < 0.34:
        red, green, blue = 0.6, 0.6, 0.55
    lamp = abs(x - 0.78 * material.half_width_m) < 0.17
    if front and lamp and abs(lift - 0.43) < 0.08:
        delta = material.lamp_k + 0.0
        red, green, blue = 0.5, 0.5, 0.46
        glow = 1.0 * material.lamp_glow
    if back and x > 0.68 * material.half_width_m and abs(h - material.belt_m + 0.2) < 0.13:
        delta = 0.5 * material.lamp_k
        red, green, blue = 0.35, 0.02, 0.02
        glow = 1.0 * material.tail_glow
    if back and lift < 0.16 and abs(point.x - 0.55 * material.half_width_m) < 0.13:
        delta = material.exhaust_k + 0.0
        red, green, blue = 0.1, 0.1, 0.1
    arch = (abs(z) - material.axle_m) ** 2 + (h - material.wheel_m) ** 2
    gap = (z * 1.05 + 0.31 * material.length_m) % 1.15 < 0.025 and lift > 0.14
    if side and arch < (material.wheel_m + 0.08) ** 2:
        delta = material.arch_k + 0.0
        red, green, blue = 0.01, 0.01, 0.01
    elif side and gap and abs(z) < material.axle_m:
        delta -= 1.0
        red, green, blue = 0.3 * red, 0.3 * green, 0.3 * blue
    temperature_c = material.base_c + delta
    emissivity = _towards_limb(material.emissivity, point.facing)
    return Sample(temperature_c, emissivity, red, green, blue, glow, 0.0)


@inlined
def cabin_glass_sample(material: CabinGlass, point: Point, textures: Textures) -> Sample:
    """What roof, pillars and windows are at a point."""
    rise = (point.height - material.belt_m) / (material.roof_m - material.belt_m)
    side = abs(point.normal_x) > 0.6
    glass = abs(point.normal_y) < 0.93 and 0.06 < rise < 0.88
    if side:
        beyond = (point.z - material.pillar_z_m + 0.5 * PILLAR_M) % PILLAR_M
        glass = glass and abs(beyond - 0.5 * PILLAR_M) > 0.05
        glass = glass and point.z > material.glazed_from_m
    else:
        half = material.half_width_m - material.lean * (point.height - material.belt_m)
        glass = glass and abs(point.x) < half - 0.1
        glass = glass and not (material.blind_rear and point.normal_z < 0.0)
    grain = noise(textures.noise, 1, point.x + point.z, point.height, 6.0, point.footprint_m)
    if glass:
        # Seats and dark lining show through; the thermal camera sees the pane and the sky in it.
        shade = 0.02 + 0.015 * max(0.0, grain)
        temperature_c = material.glass_c + 0.4 * grain
        # Upright panes mirror houses and trees, sloping ones the sky.
        mirrored = 1.0 - material.glass_emissivity
        emissivity = 1.0 - (0.35 if side else 1.0) * mirrored
        emissivity = _towards_limb(emissivity, point.facing)
        return Sample(temperature_c, emissivity, shade, shade, 1.15 * shade, 0.0, 1.0)
    temperature_c = material.body_c + 0.4 * grain
    if abs(point.normal_y) < 0.93:
        temperature_c += material.pillar_k
    emissivity = _towards_limb(material.body_emissivity, point.facing)
    red, green, blue = 1.0 * material.color[0], 1.0 * material.color[1], 1.0 * material.color[2]
    return Sample(temperature_c, emissivity, red, green, blue, 0.0, 0.0)
