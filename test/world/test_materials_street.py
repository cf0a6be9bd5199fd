# SPDX-License-Identifier: Apache-2.0
"""Ground, walls, leaves and drawn lines: what a point on them is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_perception.world.materials import Point, opaque, sample
from kd_perception.world.materials.facade import Facade
from kd_perception.world.materials.ground import DASHED, NO_MARKS, Ground
from kd_perception.world.materials.leaves import Leaves
from kd_perception.world.materials.strokes import Strokes
from kd_perception.world.rendering.tables import pack
from kd_perception.world.scenes.shapes import Sheet
from kd_perception.world.scenes.solids import Part, Placement, Thing


class Probe:
    """Asks the compiled code about points of one material."""

    def __init__(self, *materials):
        parts = tuple(Part(Sheet(1.0, 1.0), material) for material in materials)
        placed = [Thing(parts).at(Placement((0.0, 0.0, 0.0)))]
        self.solids, self.materials, self.textures = pack(placed)

    def _ask(self, function, point, which):
        kind, row = int(self.solids.kind[which]), int(self.solids.row[which])
        return function(kind, row, self.materials, point, self.textures)

    def sample(self, point, which=0):
        return self._ask(sample, point, which)

    def opaque(self, point, which=0):
        return self._ask(opaque, point, which)


def point(x=0.0, height=0.0, z=0.0, normal=(0.0, 0.0, 1.0), facing=1.0, footprint_m=0.01):
    return Point(*map(float, (x, height, z, *normal, facing, footprint_m)))


def ground(**fields):
    base = {'grain_k': 0.0, 'wear': 0.0, 'marks': NO_MARKS, 'paint_k': -0.5}
    return Ground(1.0, 11.0, 21.0, **{**base, **fields})


def on_ground(probe, u, z):
    return probe.sample(point(u, 0.0, z, (0.0, -1.0, 0.0)))


def test_cross_section_is_road_then_pavement_then_grass():
    probe = Probe(ground(half_width_m=3.0, pavement_m=2.0))
    for u, temperature_c in ((0.5, 1.0), (-2.9, 1.0), (3.1, 11.0), (-4.9, 11.0), (5.1, 21.0)):
        assert on_ground(probe, u, 7.0).temperature_c == pytest.approx(temperature_c)


def test_edges_follow_the_curve():
    probe = Probe(ground(half_width_m=3.0, center_0=1.0, center_2=0.01))
    assert on_ground(probe, 3.9, 0.0).temperature_c == pytest.approx(1.0)
    assert on_ground(probe, -2.1, 0.0).temperature_c == pytest.approx(11.0)
    assert on_ground(probe, 4.9, 10.0).temperature_c == pytest.approx(1.0)
    assert on_ground(probe, -1.6, 10.0).temperature_c == pytest.approx(11.0)


def test_dashes_come_every_nine_meters_and_are_bright():
    probe = Probe(ground(marks=DASHED, start_m=900.0))
    painted = [on_ground(probe, 0.0, z).red > 0.3 for z in np.arange(0.05, 90.0, 0.1)]
    assert sum(painted) == pytest.approx(0.4 * len(painted), abs=5)
    assert on_ground(probe, 0.0, 1.0).temperature_c == pytest.approx(0.5)
    assert not on_ground(probe, 0.3, 1.0).red > 0.3


def test_crossing_street_cuts_the_pavement_and_has_zebras():
    fields = {'half_width_m': 3.0, 'crossing_m': 40.0, 'crossing_half_m': 3.0}
    with_zebra, without = Probe(ground(zebra=True, **fields)), Probe(ground(**fields))
    assert on_ground(without, 12.0, 40.8).temperature_c <= 1.0
    assert on_ground(without, 12.0, 60.0).temperature_c == pytest.approx(21.0)
    row = [on_ground(with_zebra, u, 45.0).red > 0.3 for u in np.arange(-2.9, 2.9, 0.05)]
    assert sum(row) == pytest.approx(0.5 * len(row), abs=12)
    assert not any(on_ground(without, u, 45.0).red > 0.3 for u in np.arange(-2.9, 2.9, 0.05))


def test_car_park_repeats_and_ends():
    probe = Probe(ground(half_width_m=3.0, strip_m=5.0, bay_m=2.5, period_m=16.0, reach_m=24.0))
    for u in (-21.0, -5.0, 5.0, 11.0, 21.0):
        # Paint is worn off where the asphalt is darkest.
        lines = [on_ground(probe, u, 2.5 * k + 0.05).red > 0.3 for k in range(20)]
        assert sum(lines) > 12
        assert on_ground(probe, u, 1.0).temperature_c == pytest.approx(1.0)
    assert on_ground(probe, 30.0, 1.0).temperature_c == pytest.approx(21.0)


def wall(**fields):
    base = {'grain_k': 0.0, 'window_c': 3.0, 'spacing_u_m': 2.0, 'spacing_v_m': 3.0}
    return Facade(10.0, **{**base, **fields})


def wall_points(step=0.1):
    return [(x, h) for x in np.arange(0.03, 20.0, step) for h in np.arange(0.05, 8.9, step)]


def test_blind_wall_has_no_glass():
    probe = Probe(wall(spacing_u_m=0.0))
    assert all(probe.sample(point(x, h)).glass == 0.0 for x, h in wall_points(0.3))


def test_windows_fill_their_share_in_full_storeys():
    probe = Probe(wall(share_u=0.5, share_v=0.5, height_m=9.3))
    glass = [probe.sample(point(x, h)).glass for x, h in wall_points()]
    assert np.mean(glass) == pytest.approx(0.25, abs=0.02)


def test_windows_are_lit_by_chance_and_warm():
    lit, dark = wall(lit_share=1.0, lit_k=8.0, glow=0.2), wall(lit_share=0.0, glow=0.2)
    probe = Probe(lit, dark)
    at = point(1.0, 1.65)
    assert probe.sample(at).glow > 0.0
    assert probe.sample(at).temperature_c > probe.sample(at, 1).temperature_c + 2.0
    assert probe.sample(at, 1).glow == 0.0


def test_roof_of_a_walled_box_has_no_windows():
    probe = Probe(wall())
    assert probe.sample(point(1.0, 1.65)).glass == 1.0
    assert probe.sample(point(1.0, 1.65, normal=(0.0, -1.0, 0.0))).glass == 0.0


def test_shops_glaze_the_foot_and_nothing_above():
    probe = Probe(wall(shop_m=3.2, share_u=0.01))
    low = np.mean([probe.sample(point(x, 1.5)).glass for x in np.arange(0.0, 40.0, 0.1)])
    high = np.mean([probe.sample(point(x, 4.6)).glass for x in np.arange(0.0, 40.0, 0.1)])
    assert low > 0.8
    assert high < 0.1


def test_crown_is_dense_in_the_middle_and_frays_at_the_limb():
    probe = Probe(Leaves(5.0, edge=0.4, ragged=0.25), Leaves(5.0, edge=-1.0))
    spots = [(x, h) for x in np.arange(0.0, 6.0, 0.23) for h in np.arange(1.0, 6.0, 0.23)]

    def share(facing, which=0):
        return np.mean([probe.opaque(point(x, h, facing=facing), which) for x, h in spots])

    assert share(0.95) > 0.9
    assert 0.1 < share(0.4) < 0.9
    assert share(0.02) < 0.15
    assert share(0.02, 1) == 1.0


def test_tree_line_ends_near_its_top():
    probe = Probe(Leaves(5.0, top_m=8.0, relief_m=1.0))
    columns = np.arange(-20.0, 20.0, 0.5)
    assert all(probe.opaque(point(x, 3.0)) for x in columns)
    assert not any(probe.opaque(point(x, 14.0)) for x in columns)
    assert 0.2 < np.mean([probe.opaque(point(x, 8.0)) for x in columns]) < 0.8


LINES = ((0.0, 0.0, 0.0, 2.0, 0.05), (-1.0, 1.0, 1.0, 1.5, 0.1), (0.5, 0.5, 0.5, 0.5, 0.2))
STROKES = Probe(Strokes(1.0, LINES[:1]), Strokes(2.0, LINES))


@settings(deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(-0.2, 2.5))
def test_strokes_are_opaque_within_their_radius(x, height):
    def distance(line):
        a, b = np.array(line[:2]), np.array(line[2:4])
        share = np.clip((np.array([x, height]) - a) @ (b - a) / max((b - a) @ (b - a), 1e-9), 0, 1)
        return np.hypot(*(np.array([x, height]) - a - share * (b - a)))

    margins = [distance(line) - line[4] for line in LINES]
    if min(map(abs, margins)) > 1e-4:
        assert STROKES.opaque(point(x, height), 1) == (min(margins) < 0.0)
        assert STROKES.opaque(point(x, height), 0) == (margins[0] < 0.0)
