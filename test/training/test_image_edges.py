# SPDX-License-Identifier: Apache-2.0
"""Edges of color images: where they are, what they answer to, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from kd_perception.errors import ConfigError, ShapeError
from training.losses import image_edges, shrink_edges


def step(levels, *, dark=60, channels=(0, 1, 2), size=(32, 40)):
    rgb = torch.full((1, 3, *size), dark, dtype=torch.uint8)
    for channel in channels:
        rgb[:, channel, :, 20:] = dark + levels
    return rgb


@pytest.mark.parametrize('channels', [(0,), (1,), (2,), (0, 1, 2)])
def test_step_in_any_channel_is_one_line(channels):
    edges = image_edges(step(80, channels=channels))
    assert edges.dtype == torch.uint8
    assert edges.shape == (1, 32, 40)
    assert (edges.sum(dim=2) == 1).all()
    assert edges[0, :, 19:21].sum() == 32


def test_thresholds_are_levels_per_pixel_in_any_direction():
    slanted = step(80)
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(40), indexing='ij')
    slanted[:] = torch.where(rows + columns < 36, 60, 140)
    for rgb in (step(80), slanted):
        blurred = cv2.GaussianBlur(np.float64(rgb[0, 0].numpy()), (0, 0), 1.4)
        gradient = np.hypot(*(cv2.Sobel(blurred, -1, *d) / 8 for d in ((1, 0), (0, 1)))).max()
        assert gradient == pytest.approx(0.25 * 80, rel=0.05)
        for share, seen in ((0.93, True), (1.07, False)):
            limit = share * float(gradient)
            assert bool(image_edges(rgb, low=limit, high=limit).any()) is seen


def test_weak_edges_go_on_from_strong_ones_only():
    assert not image_edges(step(25)).any()
    rgb = step(25)
    rgb[..., 20:] = 60 + torch.linspace(80, 25, 32).to(torch.uint8)[:, None]
    assert image_edges(rgb)[0].sum() == 32
    assert image_edges(rgb, low=10.0)[0, 26:].sum() == 0


def test_night_shows_fewer_edges():
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.random((24, 32, 3)).astype(np.float32), (160, 120))
    day = torch.from_numpy(scene.transpose(2, 0, 1)[None].copy())
    shares = [float(image_edges(gain * day).float().mean()) for gain in (1.0, 0.4, 0.1)]
    assert shares[0] > shares[1] > shares[2]


def test_floats_and_bytes_agree_image_by_image():
    rng = np.random.default_rng(1)
    rgb = torch.from_numpy(rng.integers(0, 256, (3, 3, 20, 24), dtype=np.uint8))
    edges = image_edges(rgb, blur_sigma_px=2.0)
    assert edges.any()
    assert torch.equal(edges, image_edges(rgb.float() / 255.0, blur_sigma_px=2.0))
    for k in range(3):
        assert torch.equal(edges[k : k + 1], image_edges(rgb[k : k + 1], blur_sigma_px=2.0))


def test_edges_see_what_labels_and_rounding_do_not():
    assert not image_edges(torch.full((1, 3, 16, 16), 0.5)).any()
    slightly_over = torch.full((1, 3, 16, 16), 1.0 + 1e-6)
    assert not image_edges(slightly_over).any()
    assert shrink_edges(image_edges(step(80))).sum() == 8


@pytest.mark.parametrize('value', [2.0, 60.0, -0.1, float('nan')])
def test_images_out_of_range_are_refused(value):
    rgb = torch.zeros(1, 3, 16, 16)
    rgb[0, 0, 3, 3] = value
    with pytest.raises(ShapeError, match='within 0 to 1'):
        image_edges(rgb)


def test_wrong_images_and_settings_are_refused():
    with pytest.raises(ShapeError, match=r'rgb must be of shape \[any, 3, any, any\]'):
        image_edges(torch.zeros(1, 4, 16, 16))
    with pytest.raises(ShapeError, match='uint8, or floats'):
        image_edges(torch.zeros(1, 3, 16, 16, dtype=torch.int64))
    for low, high in ((0.0, 5.0), (6.0, 5.0), (float('nan'), 5.0)):
        with pytest.raises(ConfigError, match='0 < low <= high'):
            image_edges(step(80), low=low, high=high)
    with pytest.raises(ConfigError, match='blur_sigma_px'):
        image_edges(step(80), blur_sigma_px=0.0)
