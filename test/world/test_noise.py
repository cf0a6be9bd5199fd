# SPDX-License-Identifier: Apache-2.0
"""Noise is what it says, and what is kept for later cannot be written into."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.world.noise import TILE_COUNT, TILE_SIZE, cloud_tiles, noise_tiles, normal_noise

SMALL, LARGE = (40, 50), (1500, 1600)


@pytest.mark.parametrize(
    'make',
    [
        noise_tiles,
        cloud_tiles,
        lambda: normal_noise(SMALL, np.random.default_rng(1)),
        lambda: normal_noise(LARGE, np.random.default_rng(1)),
    ],
)
def test_what_is_handed_out_again_cannot_be_written_into(make):
    with pytest.raises(ValueError, match='read-only'):
        make()[:1] += 1.0
    assert make().flags.c_contiguous


@pytest.mark.parametrize('shape', [SMALL, LARGE])
def test_normal_noise_is_normal_and_follows_the_stream(shape):
    first, again, other = (normal_noise(shape, np.random.default_rng(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == shape and first.dtype == np.float32
    assert abs(first.mean()) < 0.1 and abs(first.std() - 1.0) < 0.1
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.1


def test_tiles_join_at_their_edges_and_clouds_are_smooth():
    tiles, clouds = noise_tiles(), cloud_tiles()
    assert tiles.shape == clouds.shape == (TILE_COUNT, TILE_SIZE, TILE_SIZE)
    np.testing.assert_allclose(tiles.std(axis=(1, 2)), 1.0, atol=1e-4)
    for array in (tiles, clouds):
        steps = np.abs(np.diff(array, axis=2)).mean()
        assert np.abs(array[:, :, 0] - array[:, :, -1]).mean() < 1.5 * steps
    assert np.abs(np.diff(clouds, axis=2)).mean() < 0.7 * np.abs(np.diff(tiles, axis=2)).mean()
