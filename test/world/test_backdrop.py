# SPDX-License-Identifier: Apache-2.0
"""Houses, plants, posts and clutter: without a class, on the ground, near the air's warmth."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.world.climate import draw_climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.materials.leaves import Leaves
from kd_perception.world.streets.styles import STYLES
from kd_perception.world.things.backdrop import (
    draw_building,
    draw_fence,
    draw_shed,
    draw_tower,
    draw_wall,
)
from kd_perception.world.things.clutter import draw_clutter, draw_rack
from kd_perception.world.things.plants import (
    Grove,
    draw_bush,
    draw_hedge,
    draw_tree,
    draw_tree_line,
)
from kd_perception.world.things.posts import draw_lights, draw_street_lamp

DAY = draw_climate(np.random.default_rng(1), WorldConfig(night_share=0.0))
NIGHT = draw_climate(np.random.default_rng(1), WorldConfig(night_share=1.0))
GREEN = (0.05, 0.1, 0.02)
CITY = STYLES['city']

DRAWN = {
    'building': (lambda rng, c: draw_building(rng, c, CITY, 1.0, 12.0), 5.0, 45.0),
    'shed': (lambda rng, c: draw_shed(rng, c, -1.0), 1.3, 3.3),
    'wall': (lambda rng, c: draw_wall(rng, c, 9.0), 0.3, 2.9),
    'fence': (lambda rng, c: draw_fence(rng, c, 9.0), 0.9, 2.2),
    'tower': (lambda rng, c: draw_tower(rng, c, 'city'), 7.0, 60.0),
    'tree': (lambda rng, c: draw_tree(rng, c, GREEN), 3.0, 20.0),
    'bare tree': (lambda rng, c: draw_tree(rng, c, GREEN, bare=True), 4.0, 12.0),
    'bush': (lambda rng, c: draw_bush(rng, c, GREEN), 0.3, 2.5),
    'hedge': (lambda rng, c: draw_hedge(rng, c, GREEN, 9.0), 0.4, 2.3),
    'tree line': (lambda rng, c: draw_tree_line(rng, c, GREEN, 30.0, 9.0), 9.0, 20.0),
    'lights': (lambda rng, c: draw_lights(rng, c), 2.5, 6.0),
    'rack': (lambda rng, c: draw_rack(rng, c), 0.5, 1.0),
    **{
        f'clutter of {kind}': (lambda rng, c, kind=kind: draw_clutter(rng, c, kind), 0.1, 10.0)
        for kind in STYLES
    },
}


def corners(thing):
    boxes = [(part.shape.bounds(), part.offset) for part in thing.parts]
    low = np.min([np.add(b[0], offset) for b, offset in boxes], axis=0)
    return low, np.max([np.add(b[1], offset) for b, offset in boxes], axis=0)


@pytest.mark.parametrize('name', DRAWN)
@pytest.mark.parametrize('climate', [DAY, NIGHT], ids=['day', 'night'])
def test_backdrop_has_no_class_and_stands_on_the_ground(name, climate):
    draw, lowest_m, highest_m = DRAWN[name]
    for k in range(40):
        thing = draw(np.random.default_rng([k, 2]), climate)
        assert (thing.label, thing.instance, thing.moving) == (0, 0, False)
        assert all(part.label == -1 for part in thing.parts)
        low, high = corners(thing)
        assert high[1] > -0.02, 'it hangs in the air'
        assert lowest_m <= -low[1] <= highest_m


@pytest.mark.parametrize('name', DRAWN)
def test_backdrop_is_about_as_warm_as_the_air(name):
    draw = DRAWN[name][0]
    for k in range(40):
        for part in draw(np.random.default_rng([k, 3]), NIGHT).parts:
            material = part.material
            own = getattr(material, 'temperature_c', getattr(material, 'wall_c', None))
            assert -10.0 < own - NIGHT.air_c < 12.0


def test_houses_reach_away_from_the_street():
    for side in (-1.0, 1.0):
        low, high = corners(draw_building(np.random.default_rng(4), DAY, CITY, side, 12.0))
        toward, away = sorted((abs(low[0]), abs(high[0])))
        assert toward < 1.5
        assert away > 6.0
        assert np.sign(low[0] + high[0]) == side


def test_crowns_can_hang_over_the_street():
    over = draw_tree(np.random.default_rng(5), DAY, GREEN, lean=(-3.0, 0.0))
    crown = [part for part in over.parts if isinstance(part.material, Leaves)]
    assert np.mean([part.offset[0] for part in crown]) == pytest.approx(-3.0, abs=1.5)
    assert corners(over)[0][0] < -4.0


def test_grove_gives_the_kinds_of_trees_asked_for():
    grove = Grove(np.random.default_rng(6), DAY, GREEN, bare_share=0.3)
    numbers = np.random.default_rng(8).uniform(size=400)

    def is_bare(tree):
        return not any(isinstance(part.material, Leaves) for part in tree.parts)

    bare = [is_bare(grove.pick(number)) for number in numbers]
    assert np.mean(bare) == pytest.approx(0.3, abs=0.06)
    assert len({id(grove.pick(number)) for number in numbers}) > 5
    over = grove.pick(0.9, over=True)
    assert corners(over)[0][0] < corners(over)[1][0] * -1.0


def test_street_lamps_shine_by_night_only():
    for climate, lit in ((DAY, False), (NIGHT, True)):
        lamp = draw_street_lamp(np.random.default_rng(7), climate, (1.0, 0.6, 0.3), 6.0, 1.0)
        assert (max(part.material.glow for part in lamp.parts) > 0.0) == lit
