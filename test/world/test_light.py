# SPDX-License-Identifier: Apache-2.0
"""Light follows the sun, the lamps and the weather, and the color camera what light gives it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kd_perception.world import preset, render_frame
from kd_perception.world.climate import Sun, draw_climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.materials.plain import Plain
from kd_perception.world.rendering.camera import Camera, camera_rotation
from kd_perception.world.rendering.casting import cast
from kd_perception.world.rendering.color_camera import ColorSensor, color_image
from kd_perception.world.rendering.decal_layer import lay_decals
from kd_perception.world.rendering.light import Lamp, radiance
from kd_perception.world.rendering.shading import shade
from kd_perception.world.rendering.shadows import sun_map
from kd_perception.world.rendering.tables import pack
from kd_perception.world.scenes.decals import Decal
from kd_perception.world.scenes.shapes import Slab, box
from kd_perception.world.scenes.solids import Part, Placement, Thing

NOON = Sun((0.0, -1.0, 0.0), 10.0, 1.0)
NO_SUN = Sun((0.0, -1.0, 0.0), 0.0, 0.0)
CLEAR = dataclasses.replace(
    draw_climate(np.random.default_rng(0), WorldConfig()),
    night=False,
    glare=False,
    rain=0.0,
    wetness=0.0,
    visibility_m=1e9,
    air_c=20.0,
    sky_c=-10.0,
    overcast=0.0,
    ambient=1.0,
    lamp_light=0.0,
    sun=NOON,
)
NIGHT = dataclasses.replace(CLEAR, night=True, ambient=0.0, lamp_light=1.0, sun=NO_SUN)
LENS = Camera((90, 120), 100.0, np.array([0.0, -2.0, 0.0]), camera_rotation(0.0, -0.25, 0.0))
PERFECT = ColorSensor(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def plane(color=(0.5, 0.5, 0.5)):
    material = Plain(20.0, color, grain_k=0.0)
    return Thing((Part(Slab(100.0, 200.0), material),)).at(Placement((0.0, 0.0, -20.0)))


def table(moving=False):
    """A plate over the road, four meters ahead."""
    plate = Part(box(1.0, 0.1, 1.0, base_m=1.0), Plain(20.0, (0.5, 0.5, 0.5), grain_k=0.0))
    return Thing((plate,), instance=1, label=1, moving=moving).at(Placement((0.0, 0.0, 6.0)))


def see(scene, climate, decals=()):
    tables = pack(scene)
    hits = cast(*tables, LENS, 0.01)
    buffer = shade(hits, *tables, LENS, 0.01, climate, sun_map(*tables, climate, LENS))
    lay_decals(buffer, decals, LENS)
    return buffer


def light(scene, climate=CLEAR, lamps=(), decals=()):
    return radiance(see(scene, climate, decals), climate, LENS, lamps, LENS)


def pixel_of(point):
    seen = LENS.rotation.T @ (np.array(point) - LENS.position)
    column, row, _ = LENS.matrix @ (seen / seen[2])
    return round(row), round(column)


def test_white_sheet_in_full_sun_has_radiance_one_plus_sky():
    no_sky = dataclasses.replace(CLEAR, ambient=0.0)
    image = light([plane((1.0, 1.0, 1.0))], no_sky)
    assert image[60:, :, 0].mean() == pytest.approx(1.0, rel=0.02)  # its color has a grain
    assert light([plane((1.0, 1.0, 1.0))])[60:, :, 0].mean() > 1.1


def test_light_is_linear_in_reflectance_and_keeps_color():
    dark, bright = light([plane((0.1, 0.2, 0.3))]), light([plane((0.2, 0.4, 0.6))])
    np.testing.assert_allclose(bright[80], 2.0 * dark[80], rtol=1e-5)
    assert (np.diff(dark[80].mean(axis=0)) > 0).all()


def test_shadow_lies_under_the_plate_at_noon_and_moves_with_the_sun():
    under = pixel_of((0.0, 0.0, 6.0))
    beside = pixel_of((2.2, 0.0, 6.0))
    low = (-0.8, -0.6, 0.0)  # 37 degrees up from the left: the shadow lies 1.4 m to the right
    noon = see([plane(), table()], CLEAR)
    evening = see([plane(), table()], dataclasses.replace(CLEAR, sun=Sun(low, 10.0, 1.0)))
    assert noon.sun[beside] == 1.0 and evening.sun[pixel_of((-2.2, 0.0, 6.0))] > 0.5
    assert evening.sun[pixel_of((1.5, 0.0, 6.0))] == 0.0
    # The road under the plate is seen below its front edge.
    row, column = under
    assert noon.sun[row:, column].min() == 0.0


def test_only_what_stands_leaves_a_shadow_in_the_heat():
    row, column = pixel_of((0.0, 0.0, 5.6))
    standing, moving = (see([plane(), table(m)], CLEAR) for m in (False, True))
    assert standing.ground[row, column] and moving.ground[row, column]
    assert standing.sun[row, column] == moving.sun[row, column] == 0.0
    assert standing.temperature_c[row, column] == pytest.approx(20.0, abs=0.01)
    assert moving.temperature_c[row, column] == pytest.approx(30.0, abs=0.01)


def test_lamp_shines_by_night_with_the_square_of_the_distance():
    lamp = Lamp((0.0, -4.0, 8.0), 1.0, (1.0, 0.0, 0.0))
    dark = dataclasses.replace(NIGHT, ambient=0.0)
    lit = light([plane()], dark, [lamp]) - light([plane()], dark)
    assert not lit[..., 1:].any()
    row, column = pixel_of((0.0, 0.0, 8.0))
    # The sun alone, at radiance one, tells the reflectance with its grain.
    irradiance = lit[..., 0] / light([plane()], dataclasses.replace(CLEAR, ambient=0.0))[..., 0]
    assert irradiance[row, column] == pytest.approx(1.0 / 16.0, rel=0.05)
    slant = np.hypot(6.0, 4.0)
    far = irradiance[pixel_of((0.0, 0.0, 14.0))]
    assert far == pytest.approx(4.0 / slant / slant**2, rel=0.15)  # a row is 0.4 m there
    assert not (light([plane()], CLEAR, [lamp]) - light([plane()], CLEAR)).any()


def test_headlights_light_the_road_ahead_by_night():
    image = light([plane()], NIGHT).mean(axis=2)
    middle = image[:, 60]
    assert middle[70] > 5.0 * image[pixel_of((0.0, 0.0, 60.0))]
    assert middle[70] > 0.003


def test_fog_hides_the_far_first():
    fog = dataclasses.replace(CLEAR, visibility_m=40.0)
    scene = [plane((0.02, 0.02, 0.02))]
    near, far = pixel_of((0.0, 0.0, 5.0)), pixel_of((0.0, 0.0, 60.0))
    gain = light(scene, fog)[..., 1] - light(scene)[..., 1]
    assert 0.0 < gain[near] < 0.5 * gain[far]


def test_wet_ground_is_darker_and_mirrors_the_sky():
    wet = dataclasses.replace(CLEAR, wetness=1.0)
    near, far = pixel_of((0.0, 0.0, 4.5)), pixel_of((0.0, 0.0, 60.0))
    ratio = light([plane((0.1, 0.1, 0.1))], wet).mean(2) / light([plane((0.1, 0.1, 0.1))]).mean(2)
    assert ratio[near] < 0.9
    assert ratio[far] > ratio[near]


def test_decal_paints_warms_and_wets_the_ground_only():
    decal = Decal((0.0, 0.0, 6.0), 0.0, 0.8, 0.8, 5.0, (0.9, 0.0, 0.0), 1.0, 0.7, softness=0.1)
    plain, laid = see([plane(), table()], CLEAR), see([plane(), table()], CLEAR, [decal])
    changed = plain.temperature_c != laid.temperature_c
    assert changed.sum() > 10 and laid.ground[changed].all()
    inside = laid.wetness > 0.69
    np.testing.assert_allclose((laid.temperature_c - plain.temperature_c)[inside], 5.0, atol=1e-4)
    np.testing.assert_allclose(laid.albedo[inside], [[0.9, 0.0, 0.0]] * inside.sum(), atol=1e-5)
    assert not laid.ground[plain.instance == 1].any()


def develop(value, sensor, climate=CLEAR, seed=0):
    radiance_of = np.full((64, 80, 3), value, np.float32)
    return color_image(radiance_of, climate, sensor, np.random.default_rng(seed))


def test_camera_is_monotonic_and_keeps_black_and_white():
    levels = [float(develop(v, PERFECT).mean()) for v in (0.0, 0.05, 0.2, 0.5, 0.8, 3.0)]
    assert levels[0] == 0.0 and levels[-1] > 250.0
    assert (np.diff(levels) > 5.0).all()
    assert levels[2] == pytest.approx(255.0 * 0.2 ** (1 / 2.2), abs=1.0)


def test_light_beyond_white_blooms_and_noise_is_fresh():
    spot = np.zeros((64, 80, 3), np.float32)
    spot[28:36, 36:44] = 10.0
    plain = color_image(spot.copy(), CLEAR, PERFECT, np.random.default_rng(0))
    glow = color_image(
        spot.copy(), CLEAR, dataclasses.replace(PERFECT, bloom=0.2), np.random.default_rng(0)
    )
    assert plain[20, 40, 0] == 0 and glow[20, 40, 0] > 20
    noisy = dataclasses.replace(PERFECT, read_noise=0.02)
    first, second = develop(0.2, noisy, seed=1), develop(0.2, noisy, seed=2)
    assert first.std() > 2.0 and (first != second).mean() > 0.5


def test_rain_leaves_streaks():
    rainy = dataclasses.replace(CLEAR, rain=1.0)
    assert develop(0.1, PERFECT).std() == 0.0
    assert develop(0.1, PERFECT, rainy).std() > 0.5


def test_headlights_belong_to_the_car_and_not_to_who_looks(monkeypatch):
    """All views of a moment are lit from the left camera; another car lights another road."""
    buffer = see([plane()], NIGHT)
    own = radiance(buffer, NIGHT, LENS, (), LENS)
    assert np.abs(own - radiance(buffer, NIGHT, LENS, (), LENS.moved(2.0))).max() > 0.2 * own.max()
    eyes, cars = [], []

    def spy(buffer, climate, camera, lamps, car):
        eyes.append(tuple(camera.position))
        cars.append(tuple(car.position))
        return radiance(buffer, climate, camera, lamps, car)

    monkeypatch.setattr('kd_perception.world.render.radiance', spy)
    render_frame(preset('night', height=48, width=64), 1, 0, ('rgb', 'right'))
    assert len(set(eyes)) == 2 and cars == [eyes[0]] * 2
