# SPDX-License-Identifier: Apache-2.0
"""What every camera of the augmentation does: gain window, gamma, contrast, blur and noise."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.augmentation import cameras
from training.data.augmentation.cameras import camera_image

SEEDS = range(60)


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setattr(cameras, '_noise', lambda shape, *_: np.zeros(shape, np.float32))


def ramp(low=273.15, high=303.15, size=(48, 256)):
    return np.broadcast_to(np.linspace(low, high, size[1], dtype=np.float32), size).copy()


def displays(kelvin, make=cameras._display_frame):
    return [make(kelvin, np.random.default_rng(seed)) for seed in SEEDS]


def test_window_of_the_gain_is_another_one_at_every_draw():
    windows = displays(ramp(), cameras._display_window)
    assert all((np.diff(gray[0]) >= 0).all() for gray in windows)
    black = np.array([(gray[0] == 0).mean() for gray in windows])
    white = np.array([(gray[0] == 1).mean() for gray in windows])
    assert black.min() < 0.05 and black.max() > 0.3, 'the cold sky is cut off, or is not'
    assert white.min() == 0.0 and white.max() > 0.01


def test_gamma_bends_the_middle_both_ways(quiet, monkeypatch):
    monkeypatch.setattr(cameras, '_display_window', lambda k, _: (k - k.min()) / np.ptp(k))
    middles = np.array([gray[:, 128].mean() / 255 for gray in displays(ramp())])
    assert (middles < 0.42).mean() > 0.15 and (middles > 0.58).mean() > 0.15


def test_contrast_of_some_displays_is_compressed(quiet, monkeypatch):
    monkeypatch.setattr(cameras, '_display_window', lambda k, _: (k - k.min()) / np.ptp(k))
    spans = np.array([np.ptp(gray.mean(axis=0)) / 255 for gray in displays(ramp())])
    assert 0.05 < (spans < 0.85).mean() < 0.5
    assert np.median(spans) > 0.9


@pytest.mark.parametrize('raw', [False, True])
def test_some_lenses_blur_an_edge(quiet, raw):
    step = np.where(np.arange(64) < 32, 280.0, 290.0).astype(np.float32)
    edges = [
        camera_image(np.tile(step, (48, 1)), np.random.default_rng(seed), coarse=1.0, raw=raw)
        for seed in SEEDS
    ]
    soft = np.mean([((gray[24] > 0.1) & (gray[24] < 0.9)).any() for gray in edges])
    assert 0.1 < soft < 0.6


def test_noise_is_of_pixels_and_for_some_cameras_of_columns_and_rows():
    patterns = [
        cameras._noise((80, 90), np.random.default_rng(seed), 0.1, 0.1, 0.1) for seed in SEEDS
    ]
    pixels = np.array([np.diff(np.diff(p, axis=0), axis=1).std() / 2 for p in patterns])
    assert 0.05 < pixels.mean() < 0.12
    # Means of 80 or 90 pixels of noise alone deviate by a tenth of it.
    columns = np.mean([p.mean(axis=0).std() > 0.3 * p.std() for p in patterns])
    rows = np.mean([p.mean(axis=1).std() > 0.3 * p.std() for p in patterns])
    assert 0.2 < columns < 0.7 and 0.02 < rows < 0.4


def test_noise_reaches_the_picture_of_every_kind_of_camera():
    flat = ramp(285.0, 285.0)
    flat[:, 128:] += 3.0
    for raw in (False, True):
        pictures = [
            camera_image(flat, np.random.default_rng(seed), coarse=1.0, raw=raw) for seed in SEEDS
        ]
        assert np.median([gray[10:40, 20:100].std() for gray in pictures]) > 0.005
