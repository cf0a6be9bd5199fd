# SPDX-License-Identifier: Apache-2.0
"""Presets give the weather they are named after; splits and the shifted sensor share nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError
from kd_perception.world import render_frame
from kd_perception.world.classes import PERSON
from kd_perception.world.climate import draw_climate
from kd_perception.world.presets import PRESETS, preset
from kd_perception.world.splits import SPLITS, split_seed


def climates(name):
    config = preset(name)
    return [draw_climate(np.random.default_rng([5, k]), config) for k in range(60)]


def test_day_and_night_are_what_they_say_and_dry():
    for name, night in (('day', False), ('night', True)):
        drawn = climates(name)
        assert {climate.night for climate in drawn} == {night}
        assert not any(climate.rain or climate.glare for climate in drawn)
        assert min(climate.visibility_m for climate in drawn) > 5_000.0


def test_night_has_no_sun_and_day_has_no_lamps():
    assert all(c.sun.light == 0.0 and c.lamp_light > 0.0 for c in climates('night'))
    assert all(c.lamp_light == 0.0 for c in climates('day'))


def test_rain_falls_and_wets():
    assert all(c.rain > 0.0 and c.wetness > 0.5 for c in climates('rain'))


def test_fog_hides():
    assert max(c.visibility_m for c in climates('fog')) <= 150.0


def test_glare_dazzles_by_day_and_by_night():
    drawn = climates('glare')
    assert all(c.glare for c in drawn)
    assert {c.night for c in drawn} == {False, True}


def test_default_mixes_all_weather():
    drawn = climates('default')
    assert {c.night for c in drawn} == {False, True}
    assert 0 < sum(c.rain > 0.0 for c in drawn) < 40
    assert 0 < sum(c.visibility_m <= 150.0 for c in drawn) < 40


def test_hard_is_colder_and_emptier():
    assert preset('hard').cold_share > 0.5 > preset('default').cold_share
    assert preset('hard').density < preset('default').density


@pytest.mark.parametrize('name', [name for name in PRESETS if name != 'shifted'])
def test_shifted_sensor_and_mount_are_never_those_of_another_preset(name):
    ours, shifted = preset(name), preset('shifted')
    pairs = [
        (getattr(ours.sensor, field), getattr(shifted.sensor, field))
        for field in ('blur_share', 'netd_k', 'pattern_k')
    ]
    pairs.append((ours.focal_share, shifted.focal_share))
    pairs.append((ours.camera_height_m, shifted.camera_height_m))
    for (low, high), (other_low, other_high) in pairs:
        assert high < other_low or other_high < low


def test_overrides_replace_fields():
    config = preset('rain', width=96, density=0.5)
    assert (config.width, config.density, config.rain_share) == (96, 0.5, 1.0)


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match='default, day'):
        preset('dusk')
    with pytest.raises(ConfigError, match='fields of WorldConfig'):
        preset('day', brightness=2.0)


@pytest.mark.parametrize('name', PRESETS)
def test_every_preset_renders(name):
    frame = render_frame(preset(name, height=96, width=128), 1, 0)
    assert np.ptp(frame.thermal) > 100 and frame.rgb.std() > 3.0


def test_presets_change_what_they_say():
    def frames_of(name):
        return [render_frame(preset(name, height=96, width=128), 3, i) for i in range(12)]

    sky = {
        name: np.median([f.rgb[f.sky].mean() for f in frames_of(name) if f.sky.any()])
        for name in ('day', 'night')
    }
    assert sky['night'] < 0.6 * sky['day']
    far = {}
    for name in ('day', 'fog'):
        scenes = frames_of(name)
        spread = [f.rgb[(f.depth_m > 25) & ~f.sky].std() for f in scenes]
        far[name] = np.nanmean(spread)
    assert far['fog'] < 0.7 * far['day']

    def contrast(scenes):
        values = []
        for f in scenes:
            person, beside = f.label == PERSON, (f.label == 0) & (f.depth_m > 0)
            if person.sum() > 20:
                values.append(np.mean(f.thermal[person]) - np.mean(f.thermal[beside]))
        return np.median(values)

    assert contrast(frames_of('hard')) < 0.5 * contrast(frames_of('default'))


@given(
    st.tuples(st.sampled_from(SPLITS), st.integers(0, 10**9)),
    st.tuples(st.sampled_from(SPLITS), st.integers(0, 10**9)),
)
def test_no_two_splits_or_seeds_share_frames(a, b):
    assert (split_seed(*a) == split_seed(*b)) == (a == b)


def test_split_refuses_what_it_does_not_know():
    with pytest.raises(ConfigError, match='train, val'):
        split_seed('dev', 1)
    with pytest.raises(ConfigError, match='>= 0'):
        split_seed('train', -1)
