# SPDX-License-Identifier: Apache-2.0
"""One street: its cross-section, its ground, its crossings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.ground import FIELD, GRASS, GRAVEL, PAVING, Ground
from kd_perception.world.streets.styles import CAMPUS, CAR_PARK, CITY, RURAL, STYLES, Style


@dataclass(frozen=True)
class StreetPlan:
    """One street.

    Args:
        kind: its type, a key of `STYLES`.
        style: what its type has in common.
        ground: cross-section and looks of the ground, without a centerline.
        edge_m: distance of the outer edge of the pavement from the middle.
        curb_m: distance of the curb from the middle.
        side_kinds: per side (left, right), what the factor on its houses is.
        tree_color: what the leaves have as common color.
        bare_share: share of trees without leaves.
        crossing_m: distance of crossing streets, 0 for none.
        crossing_half_m: half the width of a crossing carriageway.
        crossing_start_m: where one of them lies.
        curbs: per side, whether a curb stands.
        lamps: per side, whether street lamps stand.
        lamp_color: of their light.
    """

    kind: str
    style: Style
    ground: Ground
    edge_m: float
    curb_m: float
    side_kinds: tuple[float, float]
    tree_color: Color
    bare_share: float
    crossing_m: float
    crossing_half_m: float
    crossing_start_m: float
    curbs: tuple[bool, bool]
    lamps: tuple[bool, bool]
    lamp_color: Color

    def crossing_near(self, z_m: float) -> float:
        """The middle of the nearest crossing street, infinity if there is none."""
        if self.crossing_m <= 0.0:
            return math.inf
        step = round((z_m - self.crossing_start_m) / self.crossing_m)
        return self.crossing_start_m + step * self.crossing_m

    def in_gap(self, z0_m: float, z1_m: float) -> bool:
        """Whether a crossing street, its pavements included, lies between two coordinates."""
        nearest = self.crossing_near(0.5 * (z0_m + z1_m))
        reach = self.crossing_half_m + self.ground.pavement_m
        return z0_m < nearest + reach and z1_m > nearest - reach


def draw_plan(rng: np.random.Generator, climate: Climate) -> StreetPlan:
    """Draw a street."""
    kind = _pick_kind(float(rng.uniform()))
    style = STYLES[kind]
    ground = _draw_ground(rng, climate, kind, style)
    curb_m = ground.half_width_m + ground.strip_m
    if kind == CAR_PARK:
        curb_m = ground.reach_m
    half, spacing, start, warm = rng.uniform(size=4).tolist()
    crossing = rng.uniform() < style.crossing_share
    ground_edge = curb_m + ground.pavement_m
    a, b, c, d = (rng.uniform(size=4) < (style.curb_share,) * 2 + (0.6, 0.6)).tolist()
    return StreetPlan(
        kind=kind,
        style=style,
        ground=ground,
        edge_m=ground_edge,
        curb_m=curb_m,
        side_kinds=(float(rng.uniform(0.3, 1.3)), float(rng.uniform(0.3, 1.3))),
        tree_color=_draw_leaf_color(rng),
        bare_share=float(rng.uniform(0.0, 0.3) if rng.uniform() < 0.7 else rng.uniform(0.3, 0.9)),
        crossing_m=90.0 + 120.0 * spacing if crossing else 0.0,
        crossing_half_m=2.8 + 3.0 * half,
        crossing_start_m=12.0 + 60.0 * start,
        curbs=(a, b),
        lamps=(c, d or not c),
        lamp_color=(1.0, 0.62, 0.3) if warm < 0.5 else (0.95, 1.0, 0.95),
    )


def _pick_kind(share: float) -> str:
    for kind, style in STYLES.items():
        share -= style.share
        if share < 0.0:
            return kind
    return CAMPUS


def _draw_leaf_color(rng: np.random.Generator) -> Color:
    a, b, autumn = rng.uniform(size=3).tolist()
    if autumn < 0.2:
        return (0.18 + 0.12 * a, 0.09 + 0.09 * b, 0.02)
    return (0.03 + 0.04 * a, 0.07 + 0.06 * b, 0.015 + 0.01 * a)


_BEYOND_COLORS: Final = {
    GRASS: (0.06, 0.1, 0.03),
    GRAVEL: (0.22, 0.2, 0.17),
    FIELD: (0.13, 0.1, 0.05),
    PAVING: (0.24, 0.23, 0.21),
}


def _draw_ground(rng: np.random.Generator, climate: Climate, kind: str, style: Style) -> Ground:
    dark, pale, tint, worn, grain = rng.uniform(size=5).tolist()
    strip = rng.uniform() < style.strip_share
    beyond = style.beyond[int(rng.integers(len(style.beyond)))]
    hard_c = {GRASS: climate.grass_c, FIELD: climate.grass_c + rng.normal(0.0, 1.0)}
    park = kind == CAR_PARK
    gray = 0.05 + 0.08 * dark
    stone = 0.16 + 0.2 * pale
    half = float(rng.uniform(*style.half_width_m))
    return Ground(
        road_c=climate.road_c,
        pavement_c=climate.pavement_c,
        beyond_c=float(hard_c.get(beyond, climate.pavement_c)),
        road_color=(gray, gray, gray * (0.95 + 0.12 * tint)),
        pavement_color=(stone, stone * (0.92 + 0.08 * tint), stone * (0.8 + 0.2 * tint)),
        beyond_color=tuple(c * (0.7 + 0.7 * pale) for c in _BEYOND_COLORS[beyond]),
        half_width_m=half,
        strip_m=5.0 if park else 2.2 if strip else 0.0,
        bay_m=2.6 if park else float(rng.choice((0.0, 5.6))) if strip else 0.0,
        pavement_m=float(rng.uniform(*style.pavement_m)),
        period_m=2.0 * (half + 5.0) if park else 0.0,
        reach_m=(half + 5.0) * float(rng.integers(1, 3) * 2 - 1) if park else 0.0,
        marks=style.marks[int(rng.integers(len(style.marks)))],
        edge_line=kind in (RURAL, CITY) and worn < 0.6,
        zebra=bool(rng.uniform() < 0.7),
        beyond=beyond,
        paint_k=float(rng.normal(-0.5, 0.4)) if climate.night else float(rng.normal(-1.0, 0.6)),
        grain_k=0.15 + 0.35 * grain,
        wear=worn,
        kind=int(rng.integers(4)),
    )
