# SPDX-License-Identifier: Apache-2.0
"""What persons wear: how warm it looks from outside, and its color."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kd_perception.world.climate import SKIN_C, Climate
from kd_perception.world.materials.base import Color
from kd_perception.world.materials.plain import Plain

_MUTED: tuple[Color, ...] = (
    (0.02, 0.02, 0.022),
    (0.02, 0.02, 0.022),
    (0.02, 0.03, 0.07),
    (0.05, 0.07, 0.13),
    (0.08, 0.08, 0.085),
    (0.2, 0.2, 0.21),
    (0.1, 0.065, 0.04),
    (0.28, 0.22, 0.15),
    (0.05, 0.08, 0.04),
)
_BRIGHT: tuple[Color, ...] = (
    (0.62, 0.62, 0.6),
    (0.35, 0.03, 0.04),
    (0.03, 0.12, 0.4),
    (0.5, 0.38, 0.05),
    (0.45, 0.2, 0.25),
    (0.55, 0.22, 0.03),
    (0.05, 0.25, 0.12),
)
_SKIN: tuple[Color, ...] = ((0.45, 0.28, 0.21), (0.35, 0.2, 0.14), (0.18, 0.1, 0.06))
_HAIR: tuple[Color, ...] = ((0.015, 0.013, 0.012), (0.06, 0.035, 0.02), (0.3, 0.28, 0.26))


@dataclass(frozen=True)
class Clothing:
    """The materials of one person, and which of the loose pieces there are.

    Args:
        face: skin.
        hand: skin or gloves.
        hair: of the head.
        top: shirt, jumper or jacket.
        sleeve: upper arms.
        forearm: bare below short sleeves.
        collar: what shows of the neck.
        bottom: hips and thighs.
        calf: bare below skirts and shorts.
        shoe: feet.
        fold: where cloth lies close to the body.
        coat: hangs down from the hips, with the material of `top`.
        skirt: hangs down from the hips, with the material of `bottom`.
        open_front: the warm shirt shows in an open jacket.
        tight_back: the back shines through between the shoulder blades.
        long_hair: down to the shoulders.
        hat: cap, hood or helmet, if any.
        brim: whether the hat has one.
        backpack: on the back, if any.
        hand_bag: in the left hand, if any.
        box: carried before the belly, if any.
    """

    face: Plain
    hand: Plain
    hair: Plain
    top: Plain
    sleeve: Plain
    forearm: Plain
    collar: Plain
    bottom: Plain
    calf: Plain
    shoe: Plain
    fold: Plain
    coat: bool
    skirt: bool
    open_front: bool
    tight_back: bool
    long_hair: bool
    hat: Plain | None
    brim: bool
    backpack: Plain | None
    hand_bag: Plain | None
    box: Plain | None


class _Wardrobe:
    """Draws materials whose warmth is a share of the way from the air to the skin."""

    def __init__(self, rng: np.random.Generator, climate: Climate, cold: bool) -> None:
        self.rng = rng
        self.base_c = climate.air_c
        if cold:
            towards_road = rng.uniform(0.0, 0.5) * (climate.road_c - climate.air_c)
            self.base_c += towards_road + rng.normal(0.0, 0.5)
        # Skin in the open is cooler than at rest indoors, the more the wind blows.
        warmth = rng.uniform(0.6, 1.0) * (SKIN_C + rng.uniform(-1.5, 1.5) - climate.air_c)
        self.span_k = 0.03 * warmth if cold else max(warmth, 2.5)

    def cloth(self, low: float, high: float, color: Color, folds: float = 1.0) -> Plain:
        """A material between two shares of warmth."""
        rng = self.rng
        return Plain(
            self.base_c + self.span_k * rng.uniform(low, high),
            color,
            emissivity=0.96,
            grain_k=self.span_k * folds * rng.uniform(0.05, 0.15),
            texels_per_m=rng.uniform(28.0, 55.0),
            kind=int(rng.integers(4)),
            limb_k=self.span_k * rng.uniform(0.03, 0.14),
        )

    def shifted(self, material: Plain, share: float) -> Plain:
        """The same, warmer by a share of the span."""
        return replace(material, temperature_c=material.temperature_c + share * self.span_k)

    def color(self, bright_share: float = 0.25) -> Color:
        """Of a piece of clothing, mostly dark."""
        colors = _BRIGHT if self.rng.uniform() < bright_share else _MUTED
        return _varied(self.rng, colors)

    def maybe(self, share: float, low: float, high: float) -> Plain | None:
        """A loose piece, with some probability."""
        if self.rng.uniform() >= share:
            return None
        return self.cloth(low, high, self.color(0.3), 0.5)


def _varied(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    red, green, blue = colors[int(rng.integers(len(colors)))]
    shade = rng.uniform(0.7, 1.4)
    return red * shade, green * shade, blue * shade


def draw_clothing(
    rng: np.random.Generator, climate: Climate, *, cold: bool = False, helmet: bool = False
) -> Clothing:
    """Draw the clothes of a person, thicker in the cold.

    Args:
        rng: stream to draw from.
        climate: the colder the air, the thicker the clothes.
        cold: everything at the temperature of the surroundings.
        helmet: wears one for certain.
    """
    wardrobe = _Wardrobe(rng, climate, cold)
    summer = rng.uniform() < np.clip((climate.air_c - 14.0) / 12.0, 0.0, 0.9)
    face = wardrobe.cloth(0.6, 0.96, _varied(rng, _SKIN), 0.5)
    skin = wardrobe.shifted(face, rng.uniform(-0.2, -0.02))
    hand = skin if rng.uniform() < 0.8 else wardrobe.cloth(0.15, 0.4, wardrobe.color())
    top = wardrobe.cloth(*((0.2, 0.6) if summer else (0.04, 0.34)), wardrobe.color(0.22))
    bottom = wardrobe.cloth(*((0.2, 0.6) if summer else (0.1, 0.44)), wardrobe.color(0.05))
    sleeve = wardrobe.shifted(top, rng.normal(0.0, 0.06))
    bare_legs = rng.uniform() < (0.4 if summer else 0.08)
    return Clothing(
        face=face,
        hand=hand,
        hair=wardrobe.cloth(*_hair_warmth(rng), _varied(rng, _HAIR), 1.5),
        top=top,
        sleeve=sleeve,
        forearm=skin if summer and rng.uniform() < 0.7 else sleeve,
        collar=face if rng.uniform() < 0.75 else wardrobe.cloth(0.1, 0.4, wardrobe.color(0.4)),
        bottom=bottom,
        calf=skin if bare_legs else wardrobe.shifted(bottom, rng.normal(-0.02, 0.08)),
        shoe=wardrobe.cloth(0.02, 0.4, wardrobe.color(0.3), 0.5),
        fold=wardrobe.shifted(top, rng.uniform(0.06, 0.28)),
        coat=bool(not summer and rng.uniform() < 0.25),
        skirt=bool(bare_legs and rng.uniform() < 0.5),
        open_front=bool(rng.uniform() < 0.3),
        tight_back=bool(rng.uniform() < 0.35),
        long_hair=bool(rng.uniform() < 0.3),
        hat=wardrobe.maybe(1.0 if helmet else 0.22, 0.02, 0.4),
        brim=bool(rng.uniform() < 0.5),
        backpack=wardrobe.maybe(0.25, 0.0, 0.25),
        hand_bag=wardrobe.maybe(0.15, 0.0, 0.2),
        box=wardrobe.maybe(0.04, 0.0, 0.15),
    )


def _hair_warmth(rng: np.random.Generator) -> tuple[float, float]:
    """Short hair is nearly as warm as skin, thick hair as cool as clothes."""
    return (0.6, 0.92) if rng.uniform() < 0.4 else (0.15, 0.55)
