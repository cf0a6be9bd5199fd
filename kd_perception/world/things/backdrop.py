# SPDX-License-Identifier: Apache-2.0
"""What frames the street and has no class: houses, sheds, walls, fences, distant towers."""

from __future__ import annotations

import math

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.facade import Facade
from kd_perception.world.materials.plain import Plain
from kd_perception.world.materials.strokes import Segment, Strokes
from kd_perception.world.scenes.shapes import Hull, Sheet, box
from kd_perception.world.scenes.solids import Part, Thing
from kd_perception.world.streets.styles import CITY, Style

_ABSORPTANCE = 0.7
_WALL_COLORS: tuple[Color, ...] = (
    (0.36, 0.34, 0.3),
    (0.3, 0.3, 0.3),
    (0.25, 0.1, 0.06),
    (0.18, 0.08, 0.05),
    (0.5, 0.48, 0.44),
    (0.4, 0.33, 0.22),
    (0.12, 0.12, 0.13),
    (0.3, 0.22, 0.13),
    (0.2, 0.26, 0.3),
)


def _tinted(color: Color, factor: float) -> Color:
    return color[0] * factor, color[1] * factor, color[2] * factor


def draw_facade(
    rng: np.random.Generator,
    climate: Climate,
    height_m: float,
    *,
    blind: bool,
    shop: bool = False,
) -> Facade:
    """Draw a wall's looks and temperatures.

    Args:
        rng: stream.
        climate: temperatures of the scene.
        height_m: of the wall.
        blind: whether it has no windows.
        shop: whether there are shops at its foot.
    """
    a = rng.uniform(size=18).tolist()
    wall_c = climate.wall_c + float(rng.normal(0.0, 1.3))
    color = _tinted(_WALL_COLORS[int(a[0] * len(_WALL_COLORS))], 0.7 + 0.6 * a[1])
    return Facade(
        wall_c=wall_c,
        color=color,
        trim_color=_tinted((0.5, 0.5, 0.48), 0.2 + 1.2 * a[2]),
        window_c=0.5 * (climate.air_c + wall_c) + 5.0 * a[3] - 3.0,
        lit_k=5.0 * a[4] ** 2,
        lit_share=(0.4 if climate.night else 0.06) * a[5],
        glow=(0.04 + 0.2 * a[6] ** 2) if climate.night else 0.25,
        grain_k=0.12 + 0.45 * a[7],
        gradient_k=2.5 * (a[8] - 0.3),
        spacing_u_m=0.0 if blind else 1.5 + 2.6 * a[9],
        spacing_v_m=2.6 + 1.1 * a[10],
        share_u=0.2 + 0.6 * a[11],
        share_v=0.35 + 0.4 * a[12],
        offset_m=5.0 * a[13],
        shop_m=2.8 + a[14] if shop else 0.0,
        height_m=height_m,
        course_m=0.12 + 1.6 * a[15] ** 2 if a[16] < 0.6 else 0.0,
        leak_k=1.2 * (a[17] - 0.25),
        kind=int(4 * a[14]),
        seed=int(1000 * a[10]),
    )


def _gable(half_width_m: float, low_m: float, ridge_m: float, half_length_m: float) -> Hull:
    """A roof whose ridge runs along z."""
    rise = ridge_m - low_m
    scale = math.hypot(rise, half_width_m)
    nx, ny = rise / scale, half_width_m / scale
    top = ny * ridge_m
    normals = np.array([[nx, -ny, 0], [-nx, -ny, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
    offsets = np.array(
        [top, top, -low_m, half_length_m, half_length_m],
        np.float32,
    )
    low = (-half_width_m, -ridge_m, -half_length_m)
    return Hull(normals, offsets, low, (half_width_m, -low_m, half_length_m))


def draw_building(
    rng: np.random.Generator, climate: Climate, style: Style, side: float, length_m: float
) -> Thing:
    """A house with its front in the plane x = 0 that reaches away from the street.

    Args:
        rng: stream.
        climate: temperatures of the scene.
        style: type of the street.
        side: 1 if it stands to the right of the street, -1 to the left.
        length_m: its front.
    """
    a = rng.uniform(size=8).tolist()
    low, high = style.house_height_m
    height = low + (high - low) * a[0] ** 2
    depth = 3.5 + 5.0 * a[1]
    shop = a[2] < style.shop_share
    facade = draw_facade(rng, climate, height, blind=a[3] < 0.15 and not shop, shop=shop)
    base = Part(box(depth, height + 2.0, length_m / 2, -2.0), facade, (side * depth, 0.0, 0.0))
    parts = [base]
    roof = _roof_material(climate, a[4])
    if height < 9.0 and a[5] < 0.75:
        ridge = height + 0.35 * depth * (1.0 + a[6])
        parts.append(
            Part(_gable(depth + 0.4, height, ridge, length_m / 2 + 0.3), roof, base.offset)
        )
    elif a[5] < 0.5:
        ledge = box(depth + 0.3, 0.5, length_m / 2 + 0.3, height - 0.2)
        parts.append(Part(ledge, roof, base.offset))
    parts += _front_parts(rng, climate, facade, side, length_m)
    return Thing(tuple(parts), absorptance=_ABSORPTANCE)


def _roof_material(climate: Climate, number: float) -> Plain:
    tone = 0.06 + 0.2 * number
    cold_k = -4.0 if climate.night else -1.0
    return Plain(
        climate.air_c + cold_k + 4.0 * number,
        (tone * (1.0 + number), tone, tone * 0.9),
        0.8 + 0.15 * number,
        0.4,
        3.0,
        stripe_m=0.5,
        stripe_k=0.3,
        stripe_color=(0.8 * tone, 0.75 * tone, 0.7 * tone),
    )


def _front_parts(
    rng: np.random.Generator, climate: Climate, facade: Facade, side: float, length_m: float
) -> list[Part]:
    """Awnings, doors, pillars and the warm boxes of air conditioners."""
    a = rng.uniform(size=8).tolist()
    parts, out = [], -side
    half = 0.5 * length_m
    if facade.shop_m > 0.0:
        cloth = Plain(climate.air_c + 2.0 * a[0] - 1.0, (0.1 + 0.4 * a[1], 0.1 + 0.3 * a[2], 0.2))
        awning = box(0.6, 0.15, half * (0.3 + 0.5 * a[3]), facade.shop_m - 0.35)
        parts.append(Part(awning, cloth, (out * 0.6, 0.0, half * 0.3 * (a[4] - 0.5))))
    elif facade.spacing_u_m > 0.0 and a[5] < 0.4:
        stone = Plain(facade.wall_c + 0.5, facade.color, 0.93, facade.grain_k)
        pillar = box(0.25, min(facade.height_m, 6.0), 0.3)
        step = max(2.0 * facade.spacing_u_m, 3.0)
        for k in range(min(int(length_m / step), 5)):
            parts.append(Part(pillar, stone, (out * 0.25, 0.0, -half + (k + 0.5) * step)))
    if a[6] < 0.35:
        machine = Plain(climate.air_c + 9.0 * a[7], (0.45, 0.45, 0.43), 0.9, 0.4, stripe_m=0.08)
        where = (out * 0.2, 0.0, half * (2.0 * a[0] - 1.0) * 0.9)
        parts.append(Part(box(0.2, 0.7, 0.4, 0.1 + 5.0 * a[3] * (a[2] < 0.4)), machine, where))
    return parts


def draw_shed(rng: np.random.Generator, climate: Climate, side: float) -> Thing:
    """A low windowless body: shed, container, stall, garage; what a car is mistaken for."""
    a = rng.uniform(size=9).tolist()
    height, half = 1.4 + 1.6 * a[0], 1.0 + 2.4 * a[1]
    depth = 0.8 + 1.2 * a[2]
    tone = 0.1 + 0.35 * a[3]
    skin = Plain(
        climate.wall_c + 3.0 * (a[4] - 0.5),
        (tone, tone * (0.6 + 0.4 * a[5]), tone * (0.4 + 0.6 * a[6])),
        0.8 + 0.14 * a[7],
        0.4,
        6.0,
        1,
        stripe_m=0.3 if a[8] < 0.6 else 0.0,
        stripe_k=0.5,
        stripe_color=(0.8 * tone, 0.7 * tone, 0.5 * tone),
    )
    body = Part(box(depth, height, half), skin, (side * depth, 0.0, 0.0))
    roof = Part(box(depth + 0.2, 0.12, half + 0.2, height), _roof_material(climate, a[4]))
    return Thing((body, roof._replace(offset=body.offset)), absorptance=_ABSORPTANCE)


def draw_wall(rng: np.random.Generator, climate: Climate, length_m: float) -> Thing:
    """A blind wall along the street, from knee height to overhead."""
    a = rng.uniform(size=3).tolist()
    height = 0.35 + 2.3 * a[0] ** 1.3
    facade = draw_facade(rng, climate, height, blind=True)
    parts = [Part(box(0.12 + 0.2 * a[1], height + 0.5, length_m / 2, -0.5), facade)]
    if a[2] < 0.4:
        cap = Plain(facade.wall_c - 0.8, _tinted(facade.color, 1.2), 0.93, 0.2)
        parts.append(Part(box(0.2 + 0.2 * a[1], 0.1, length_m / 2, height), cap))
    return Thing(tuple(parts), absorptance=0.6)


def draw_fence(rng: np.random.Generator, climate: Climate, length_m: float) -> Thing:
    """Posts with rails or boards along the street, unlike a guardrail: tall, thin or wooden."""
    a = rng.uniform(size=4).tolist()
    height, step = 0.9 + 1.1 * a[0], 1.2 + 1.5 * a[1]
    half = length_m / 2
    lines: list[Segment] = [
        (-half, height * share, half, height * share, 0.025) for share in (0.25, 0.6, 0.95)
    ]
    for k in range(int(length_m / step) + 1):
        x = -half + k * step
        lines.append((x, 0.0, x, height, 0.05))
    tone = 0.05 + 0.4 * a[2]
    iron = Strokes(
        climate.air_c + 2.0 * (a[3] - 0.6),
        tuple(lines),
        (tone, 0.9 * tone, 0.8 * tone),
        0.75 + 0.2 * a[1],
    )
    return Thing((Part(Sheet(half, height + 0.1), iron, yaw=math.pi / 2),))


def draw_tower(rng: np.random.Generator, climate: Climate, kind: str) -> Thing:
    """A building far away."""
    a = rng.uniform(size=3).tolist()
    height = 8.0 + (50.0 if kind == CITY else 22.0) * a[0] ** 2
    facade = draw_facade(rng, climate, height, blind=False)
    shape = box(5.0 + 9.0 * a[1], height + 4.0, 5.0 + 9.0 * a[2], -4.0)
    return Thing((Part(shape, facade),), absorptance=_ABSORPTANCE)
