# SPDX-License-Identifier: Apache-2.0
"""The comparison of the world with real frames measures what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_perception.world import WorldConfig, render_frame
from kd_perception.world.classes import CAR, PERSON
from training.realism import (
    display_image,
    frame_statistics,
    gray_image,
    markdown,
    real_pairs,
    sheet,
    summary,
    thing_statistics,
    world_pairs,
)

SIZE = (140, 186)


def scene():
    """A dark road under a gray wall; a person of two halves, a car without contrast."""
    gray = np.full(SIZE, 0.4, np.float32)
    gray[100:] = 0.1
    label = np.zeros(SIZE, np.uint8)
    label[50:80, 40:50], gray[50:65, 40:50], gray[65:80, 40:50] = PERSON, 0.9, 0.5
    label[60:80, 100:140] = CAR
    return gray, label


def test_levels_of_a_known_frame():
    found = frame_statistics(scene()[0])
    assert found['median gray'] == pytest.approx(0.4)
    assert found['road minus middle'] == pytest.approx(-0.3, abs=1e-6)
    assert found['upper third'] == pytest.approx(0.4)


def test_fine_detail_grows_with_noise_and_not_with_contrast():
    rng = np.random.default_rng(0)
    gray, _ = scene()
    noisy = gray + rng.normal(0.0, 0.05, SIZE).astype(np.float32)
    smooth, fine = (frame_statistics(g)['detail finer than 2 px'] for g in (gray, noisy))
    assert fine > 1.5 * smooth
    assert frame_statistics(0.5 * gray)['detail finer than 2 px'] == pytest.approx(smooth)


def test_things_are_measured_one_by_one():
    gray, label = scene()
    (person,) = thing_statistics(gray, label, PERSON)
    (car,) = thing_statistics(gray, label, CAR)
    assert person['contrast'] == pytest.approx(0.3, abs=1e-6)
    assert person['inner spread'] == pytest.approx(0.2, abs=1e-6)
    assert person['share of the frame'] == pytest.approx(300 / label.size)
    assert car['contrast'] == pytest.approx(0.0, abs=1e-6)
    label[10:12, 10:12] = PERSON  # too small to tell anything
    assert len(thing_statistics(gray, label, PERSON)) == 1


def test_table_holds_ratios():
    real = summary([scene()])
    world = real._replace(table={name: 2.0 * value for name, value in real.table.items()})
    assert '| median gray | 0.4000 | 0.8000 | 2.00 |' in markdown(real, world)
    assert '| nan |' in markdown(real, world._replace(table={}))


def test_page_says_that_it_is_fitted_and_how_little_stands_behind_it():
    text = ' '.join(markdown(summary([scene()]), summary([scene()] * 3)).split())
    assert 'fitted to the column of real figures' in text
    assert 'real figures stand 1 frames, 1 persons and 1 cars' in text
    assert 'of the world 3, 3 and 3.' in text


def test_display_camera_leaves_the_sky_aside():
    """Ten kelvin of scene fill the gray levels, though the sky is forty kelvin colder."""
    sky = np.zeros(SIZE, bool)
    sky[:50] = True
    scene_k = np.linspace(280.0, 290.0, SIZE[1])[None].repeat(SIZE[0], axis=0)
    thermal = (100.0 * np.where(sky, 245.0, scene_k)).astype(np.uint16)
    frame = render_frame(WorldConfig(height=32, width=32), 5, 0, ('thermal',))
    image = display_image(replace(frame, thermal=thermal, sky=sky), SIZE)
    assert image.dtype == np.uint8 and image.shape == SIZE
    assert (image[sky] == 0).all()
    assert image[~sky].min() < 40 and image[~sky].max() > 215
    gray = gray_image(image)
    assert gray.min() >= 0.0 and gray.max() <= 1.0


def test_real_and_world_side_by_side(real_data):
    real, world = real_pairs(), list(world_pairs(WorldConfig(), 3, SIZE))
    assert len(real) == 4 and all(gray.shape == label.shape for gray, label in real + world)
    picture = sheet(real, world)
    assert picture.shape == (2 * 280 + 6, 4 * 372)
