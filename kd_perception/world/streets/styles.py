# SPDX-License-Identifier: Apache-2.0
"""The types of streets: what the streets of one type have in common."""

from __future__ import annotations

from typing import Final, NamedTuple

from kd_perception.world.config import Range
from kd_perception.world.materials.ground import (
    DASHED,
    DOUBLE,
    FIELD,
    GRASS,
    GRAVEL,
    NO_MARKS,
    PAVING,
    SOLID,
)

CAMPUS, CITY, SUBURB, RURAL, CAR_PARK = 'campus', 'city', 'suburb', 'rural', 'car_park'


class Style(NamedTuple):
    """What the streets of one type have in common; shares 0 to 1, counts per block and side.

    Args:
        share: of all streets.
        half_width_m: half the carriageway.
        strip_share: how often there is a parking strip.
        pavement_m: width of the pavement.
        setback_m: distance of the fronts behind the pavement.
        house_share: share of the length with houses.
        house_height_m: from the lowest to the highest house.
        shop_share: houses with shops.
        fence_share: share of the remaining length with walls, hedges and fences.
        trees: trees near the street.
        back_trees: trees behind the fronts.
        canopy: share of trees whose crowns hang over the street.
        clutter: things without class.
        lamp_m: distance of street lamps, 0 for none.
        crossing_share: how often crossing streets come.
        marks: kinds of middle lines, drawn with equal chances.
        beyond: kinds of ground beyond the pavement, drawn with equal chances.
        parked: parked cars.
        driven: cars on their way in the whole block.
        persons: on foot in the whole block.
        bikes: parked, in the whole block.
        riders: in the whole block.
        rails: guardrails.
        curb_share: how often curbs stand.
        cones: in the whole block.
        stops: car stops in the whole block.
        bumps: in the whole block.
        animals: in the whole block.
    """

    share: float
    half_width_m: Range
    strip_share: float
    pavement_m: Range
    setback_m: Range
    house_share: float
    house_height_m: Range
    shop_share: float
    fence_share: float
    trees: float
    back_trees: float
    canopy: float
    clutter: float
    lamp_m: float
    crossing_share: float
    marks: tuple[int, ...]
    beyond: tuple[int, ...]
    parked: float
    driven: float
    persons: float
    bikes: float
    riders: float
    rails: float
    curb_share: float
    cones: float
    stops: float
    bumps: float
    animals: float


# fmt: off
STYLES: Final = {
    CAMPUS: Style(0.48, (2.6, 4.5), 0.1, (1.0, 3.0), (0.5, 7.0), 0.45, (4.0, 22.0), 0.06, 0.6, 6.5,
                  9.0, 0.8, 4.0, 28.0, 0.25, (NO_MARKS, NO_MARKS, SOLID, DASHED),
                  (GRASS, GRASS, GRAVEL, PAVING), 0.7, 0.7, 2.6, 1.4, 0.6, 0.3, 0.65, 1.3, 0.6,
                  0.3, 0.15),
    CITY: Style(0.2, (3.2, 7.0), 0.5, (2.0, 4.5), (0.0, 1.0), 0.85, (6.0, 40.0), 0.6, 0.4, 3.0,
                0.3, 0.45, 5.0, 24.0, 0.5, (DASHED, DOUBLE, SOLID), (PAVING,), 1.2, 1.1, 3.2, 1.3,
                0.6, 0.35, 0.7, 1.2, 0.5, 0.15, 0.08),
    SUBURB: Style(0.17, (2.6, 4.2), 0.3, (1.0, 2.2), (2.5, 9.0), 0.6, (3.2, 8.0), 0.03, 0.7, 4.0,
                  6.5, 0.5, 3.0, 32.0, 0.35, (NO_MARKS, DASHED), (GRASS, GRASS, GRAVEL), 1.1, 0.7,
                  1.8, 1.0, 0.45, 0.25, 0.55, 1.0, 0.7, 0.45, 0.3),
    RURAL: Style(0.08, (2.6, 4.0), 0.0, (0.3, 1.2), (4.0, 16.0), 0.14, (3.0, 8.0), 0.0, 0.25, 3.2,
                 5.0, 0.3, 1.4, 0.0, 0.2, (DASHED, SOLID, NO_MARKS), (FIELD, GRASS, GRASS), 0.2,
                 0.9, 0.9, 0.35, 0.5, 0.8, 0.15, 0.8, 0.3, 0.12, 0.7),
    CAR_PARK: Style(0.07, (2.9, 3.4), 0.0, (0.5, 1.5), (6.0, 18.0), 0.4, (3.0, 16.0), 0.15, 0.5,
                    4.0, 6.0, 0.3, 2.5, 30.0, 0.0, (NO_MARKS,), (GRASS, PAVING, GRAVEL), 4.0, 0.7,
                    1.8, 0.9, 0.3, 0.15, 0.4, 1.5, 2.5, 0.4, 0.12),
}
# fmt: on
"""By type of street. Campus streets with trees close are what the MFNet set shows most."""
