# SPDX-License-Identifier: Apache-2.0
"""Tiles of stage 1: where they are cut, how they are warped, who is held out."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from inverse_form_runs import INVERSE, tiny_run

from kd_perception.errors import ConfigError
from training.data.augmentation import JointConfig
from training.plane_transforms import TransformRanges, matrices_from_parameters
from training.recipes.inverse_form_tiles import (
    TileDrawing,
    TransformSampler,
    boundary_map,
    draw_tiles,
    held_out_tiles,
    stage_frames,
    tile_corners,
    warped_tiles,
    worn,
)


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def matrix_of(*parameters):
    values = torch.tensor([parameters], dtype=torch.float64)
    return matrices_from_parameters(values, TransformRanges(shift=0.25)).numpy()


def random_map(seed=0, size=(40, 48)):
    return np.random.default_rng(seed).random(size).astype(np.float32)


def test_boundaries_have_the_size_of_the_tiling():
    label = np.zeros((40, 60), np.uint8)
    label[:, 30:] = 2
    label[:4] = 255
    edges = boundary_map(label, 2.0, None, 16)
    assert edges.shape == (48, 64) and edges.dtype == np.float32
    assert edges[-1].sum() == pytest.approx(4 * 64 / 60, rel=0.05)
    assert not edges[:4].any(), 'what is not known has no boundary'
    assert boundary_map(label, 2.0, (32, 32), 16).shape == (32, 32)


def test_labels_may_be_read_only(recwarn):
    label = np.zeros((32, 32), np.uint8)
    label.flags.writeable = False
    torch.set_warn_always(True)  # else only the first such array of the process is told
    try:
        boundary_map(label, 2.0, None, 16)
    finally:
        torch.set_warn_always(False)
    assert not recwarn.list


@given(st.integers(0, 2**20), st.integers(0, 6))
def test_corners_are_those_of_tiles_with_enough_boundary(seed, least):
    rng = np.random.default_rng(seed)
    edges = (rng.random((12, 15)) < 0.1).astype(np.float32)
    expected = [
        [y, x] for y in range(9) for x in range(12) if edges[y : y + 4, x : x + 4].sum() >= least
    ]
    assert tile_corners(edges, 4, least).tolist() == expected


def test_a_shift_brings_in_what_lies_beyond_the_tile():
    edges = random_map()
    corners = np.array([[8, 16], [0, 0]])
    shift = matrix_of(1.0, 0.0, 0.0, 0.0)
    moved = warped_tiles(edges, corners, np.concatenate([shift, shift]), 16)
    np.testing.assert_allclose(moved[0], edges[8:24, 14:30], atol=1e-5)
    np.testing.assert_allclose(moved[1][:, 2:], edges[:16, :14], atol=1e-5)
    assert (moved[1][:, :2] == 0.0).all(), 'nothing beyond the map'


def test_a_zoom_is_about_the_center_of_the_tile():
    edges = np.zeros((48, 48), np.float32)
    edges[10 + 12 : 10 + 20, 6 + 12 : 6 + 20] = 1.0
    grown = warped_tiles(edges, np.array([[10, 6]]), matrix_of(0.0, 0.0, 1.0, 1.0), 32)[0]
    assert grown.sum() == pytest.approx(64 * 1.25**2, rel=0.02)
    np.testing.assert_allclose(grown, grown[::-1, ::-1], atol=1e-5)


@given(st.integers(0, 2**20))
def test_worn_tiles_are_fainter_and_have_holes(seed):
    rng = np.random.default_rng(seed)
    tiles = rng.random((3, 16, 16)).astype(np.float32)
    found = worn(tiles, rng, replace(INVERSE, blur_sigma_px=2.0, dropout=0.5))
    assert found.dtype == np.float32 and found.min() >= 0.0 and found.max() <= 1.0
    untouched = worn(tiles, rng, replace(INVERSE, blur_sigma_px=0.0, dropout=0.0))
    np.testing.assert_array_equal(untouched, tiles)
    holes = worn(np.ones((50, 16, 16), np.float32), rng, replace(INVERSE, blur_sigma_px=0.0))
    assert 0.0 < (holes == 0.0).mean() < 0.1 and set(np.unique(holes)) == {0.0, 1.0}


def test_tiles_show_the_transform_that_is_told(config):
    """Without wear, the warped tile is the map of the same view seen through the transform."""
    plain = replace(
        config.inverse, blur_sigma_px=0.0, dropout=0.0, ranges=TransformRanges(log_scale=1e-6)
    )
    view = JointConfig(64, 64, scale_low=1.0, scale_high=1.0, stretch=0.0, angle_deg=0.0)
    config = replace(config, inverse=plain, augmentation=replace(config.augmentation, view=view))
    label = np.zeros((64, 64), np.uint8)
    label[20:44, 20:44] = 1
    table = np.array([[1.0, -1.0, 0.0, 0.0]])
    sampler = TransformSampler(4, table)
    tiles, parameters = draw_tiles(label, np.random.default_rng(0), config, sampler, 12)
    assert tiles.shape == (12, 2, 32, 32) and tiles.dtype == np.float32
    np.testing.assert_array_equal(parameters, np.repeat(table, 12, axis=0).astype(np.float32))
    assert (tiles[:, 1].sum(axis=(1, 2)) >= 10).all()
    shift_px = 0.15 * 16
    for warped, true in tiles:
        low, share = int(shift_px), shift_px - int(shift_px)
        moved = (1 - share) * np.roll(true, low, 1) + share * np.roll(true, low + 1, 1)
        moved = (1 - share) * np.roll(moved, -low, 0) + share * np.roll(moved, -low - 1, 0)
        np.testing.assert_allclose(warped[:28, 4:], moved[:28, 4:], atol=0.04)


def test_a_label_without_boundary_gives_empty_tiles(config):
    label = np.zeros((64, 96), np.uint8)
    sampler = TransformSampler(4)
    tiles, parameters = draw_tiles(label, np.random.default_rng(0), config, sampler, 2)
    assert not tiles.any() and parameters.any()


@given(st.integers(0, 2**20), st.sampled_from([4, 6, 8]))
def test_samplers_stay_within_the_ranges(seed, count):
    rng = np.random.default_rng(seed)
    even = np.stack([TransformSampler(count).draw(rng) for _ in range(200)])
    assert even.shape == (200, count) and np.abs(even).max() <= 1.0
    assert np.abs(even.mean(axis=0)).max() < 0.25 and even.std() == pytest.approx(0.577, abs=0.05)
    table = rng.uniform(-1, 1, (5, count))
    exact = TransformSampler(count, table).draw(rng)
    assert min(np.abs(table - exact).max(axis=1)) < 1e-6
    worn_out = np.stack([TransformSampler(count, table, 0.5).draw(rng) for _ in range(50)])
    assert np.abs(worn_out).max() <= 1.0 and len(np.unique(worn_out[:, 0])) > 20


def test_no_frame_is_both_learnt_from_and_held_out(config):
    config = replace(config, inverse=replace(config.inverse, held_out=0.25))
    learnt, tested = (stage_frames(config, held_out=each)[1] for each in (False, True))
    assert (list(learnt), list(tested)) == ([*range(9)], [9, 10, 11])
    few = replace(config, labeled=4)
    assert [len(stage_frames(few, held_out=each)[1]) for each in (False, True)] == [3, 1]
    with pytest.raises(ConfigError, match=r'must be enough .* got 1 with held_out 0\.25'):
        stage_frames(replace(config, labeled=1), held_out=True)


def test_held_out_tiles_are_the_same_for_every_seed(config):
    sampler = TransformSampler(4)
    one, other = (held_out_tiles(replace(config, seed=seed), sampler) for seed in (0, 5))
    assert len(one[0]) == len(one[1]) == 20
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_samples_are_drawn_alike_in_another_process(config):
    drawing = TileDrawing(config, TransformSampler(4, np.eye(4), 0.1))
    drawn = drawing(3, 1)
    assert drawn[0].shape == (3, 2, 32, 32) and drawn[1].shape == (3, 4)
    sent = pickle.dumps(drawing)
    assert len(sent) < 10_000
    for ours, theirs in zip(drawn, pickle.loads(sent)(3, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(drawn[0], drawing(3, 2)[0])
