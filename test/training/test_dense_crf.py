# SPDX-License-Identifier: Apache-2.0
"""The lattice against sums over all pairs, and the random field against one with exact sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, ShapeError
from training.dense_crf import DenseCrfConfig, Normalized, refine
from training.permutohedral import Permutohedral


def gaussian(features):
    distances = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    return np.exp(-0.5 * distances)


@pytest.mark.parametrize('dimensions', [1, 2, 3, 5])
def test_the_lattice_is_close_to_sums_over_all_pairs(dimensions):
    rng = np.random.default_rng(dimensions)
    features = rng.uniform(0.0, 6.0 if dimensions < 5 else 3.0, (600, dimensions))
    values = rng.uniform(size=(600, 3))
    found = Permutohedral(features).filter(values)
    expected = gaussian(features) @ values
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97
    means = found / Permutohedral(features).filter(np.ones((600, 1)))
    exact = expected / gaussian(features).sum(axis=1, keepdims=True)
    assert np.abs(means - exact).mean() < 0.25 * exact.std() + 0.01


@given(st.integers(0, 2**20), st.integers(1, 4))
def test_shares_sum_to_one_and_filtering_is_linear_and_symmetric(seed, dimensions):
    rng = np.random.default_rng(seed)
    features = rng.normal(0.0, 5.0, (12, dimensions))
    lattice = Permutohedral(features)
    shares = lattice._splat
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-9)
    assert shares.data.min() > -1e-9
    matrix = lattice.filter(np.eye(12))
    assert (matrix >= -1e-12).all()
    values = rng.normal(size=(12, 2))
    np.testing.assert_allclose(lattice.filter(values), matrix @ values, atol=1e-9)
    if dimensions == 1:  # the order of the axes changes nothing there
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)


def test_places_far_apart_do_not_meet_and_moving_all_changes_little():
    features = np.array([[0.0, 0.0], [50.0, 0.0], [50.3, 0.1]])
    matrix = Permutohedral(features).filter(np.eye(3))
    assert matrix[0, 1] == matrix[1, 0] == 0.0 and matrix[1, 2] > 0.3


@pytest.mark.parametrize('features', [np.zeros(3), np.zeros((0, 2)), np.full((2, 2), np.nan)])
def test_wrong_features_are_refused(features):
    with pytest.raises(ShapeError, match='places, dimensions'):
        Permutohedral(features)


def test_features_without_end_are_refused():
    with pytest.raises(ConfigError, match='within fewer deviations'):
        Permutohedral(1e6 * np.random.default_rng(0).normal(size=(50, 5)))


def picture():
    """A disk before a background, and noisy beliefs about it."""
    rows, columns = np.mgrid[:24, :28]
    disk = (rows - 11) ** 2 + (columns - 13) ** 2 < 50
    rng = np.random.default_rng(0)
    image = np.where(disk[..., None], (200, 60, 60), (60, 120, 60)) + rng.integers(
        -4, 5, (24, 28, 3)
    )
    noisy = np.clip(0.5 + 0.2 * (disk - 0.5) + rng.normal(0.0, 0.2, disk.shape), 0.05, 0.95)
    return disk, image.astype(np.uint8), np.stack([1.0 - noisy, noisy])


CONFIG = DenseCrfConfig(iterations=5, appearance_px=8.0, appearance_levels=10.0)


def exact_field(probabilities, image, config):
    """The mean field with all pairs, as the paper writes it."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([rows.ravel(), columns.ravel()], axis=1) * 1.0
    colors = image.reshape(-1, 3) * 1.0
    total = np.zeros((height * width,) * 2)
    for weight, features in (
        (config.smoothness_weight, places / config.smoothness_px),
        (config.appearance_weight,
         np.hstack([places / config.appearance_px, colors / config.appearance_levels])),
    ):  # fmt: skip
        kernel = gaussian(features)
        norm = 1.0 / np.sqrt(kernel.sum(axis=1))
        total += weight * norm[:, None] * kernel * norm[None]
    unary = np.log(probabilities.reshape(len(probabilities), -1).T)
    belief = np.exp(unary)
    for _ in range(config.iterations):
        support = np.exp(unary + total @ belief)
        belief = support / support.sum(axis=1, keepdims=True)
    return belief.T.reshape(probabilities.shape)


def test_the_field_agrees_with_exact_sums_and_follows_the_image():
    disk, image, probabilities = picture()
    found = refine(probabilities, image, CONFIG)
    expected = exact_field(probabilities, image, CONFIG)
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-9)
    assert np.abs(found - expected).mean() < 0.02
    before = ((probabilities[1] > 0.5) == disk).mean()
    after = ((found[1] > 0.5) == disk).mean()
    assert before < 0.8 and after > 0.98


def test_without_weights_nothing_changes_but_the_scale():
    _, image, probabilities = picture()
    config = DenseCrfConfig(smoothness_weight=0.0, appearance_weight=0.0)
    np.testing.assert_allclose(refine(probabilities, image, config), probabilities, atol=1e-9)


def test_heat_works_as_color_does():
    disk, image, probabilities = picture()
    found = refine(probabilities, image[..., 0], CONFIG)
    assert ((found[1] > 0.5) == disk).mean() > 0.98


def test_filters_are_normalized_from_both_ends():
    rng = np.random.default_rng(1)
    features = rng.uniform(0.0, 4.0, (300, 1))
    kernel = gaussian(features)
    norm = 1.0 / np.sqrt(kernel.sum(axis=1, keepdims=True))
    values = rng.uniform(size=(300, 1))
    expected = norm * (kernel @ (norm * values))
    found = Normalized(features).filter(values)
    assert np.abs(found / expected - 1.0).mean() < 0.05


@pytest.mark.parametrize(
    'change', [{'iterations': 0}, {'appearance_px': 0.0}, {'smoothness_weight': -1.0}]
)
def test_wrong_settings_are_refused(change):
    with pytest.raises(ConfigError):
        DenseCrfConfig(**change)


def test_sizes_must_agree():
    _, image, probabilities = picture()
    with pytest.raises(ShapeError, match='one size'):
        refine(probabilities, image[:-1], CONFIG)
