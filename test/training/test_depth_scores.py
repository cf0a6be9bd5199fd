# SPDX-License-Identifier: Apache-2.0
"""Scores of depth by region, what lidar reaches, and pictures, against NumPy and hand numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from kd_perception.metrics import DepthProtocol
from kd_perception.world import preset, render_frame
from training.data.lidar_footprint import lidar_footprint
from training.depth_evaluation import (
    Prediction,
    SigmaErrors,
    network_size_image,
    score_depth,
)
from training.depth_pictures import depth_picture, error_picture, sigma_picture


class Frame(NamedTuple):
    rgb: np.ndarray
    target_m: np.ndarray
    regions: dict


def frame(seed, *, sky_rows=2):
    rng = np.random.default_rng(seed)
    target_m = rng.uniform(2.0, 55.0, (8, 10)).astype(np.float32)
    target_m[:sky_rows] = 0.0
    sky = target_m == 0.0
    inside = np.arange(8)[:, None].repeat(10, 1) >= 4
    regions = {'inside': inside, 'outside': ~inside, 'sky': sky, 'glass': np.zeros_like(sky)}
    return Frame(rng.integers(0, 255, (8, 10, 3), dtype=np.uint8), target_m, regions)


def predict_of(frames, factor):
    """A prediction that is off by a factor of its own per pixel; sigma is the true error."""
    answers = {}
    for known in frames:
        true_m = np.where(known.target_m > 0, known.target_m, 50.0)
        depth_m = (true_m * factor(true_m)).astype(np.float32)
        answers[known.rgb.tobytes()] = Prediction(1.0 / depth_m, np.abs(depth_m - true_m) / true_m)
    return lambda frame: answers[frame.rgb.tobytes()]


def test_errors_by_region_are_means_over_images():
    frames = [frame(0), frame(1)]
    predict = predict_of(frames, lambda true_m: 1.0 + 0.004 * true_m)
    found = score_depth(predict, frames, DepthProtocol())
    relative = [0.004 * one.target_m for one in frames]
    known = [one.target_m > 0 for one in frames]
    masks = {'all': [np.ones((8, 10), bool)] * 2,
             'inside': [one.regions['inside'] for one in frames],
             'outside': [one.regions['outside'] for one in frames]}  # fmt: skip
    for name, inside in masks.items():
        expected = np.mean(
            [r[k & m].mean() for r, k, m in zip(relative, known, inside, strict=True)]
        )
        assert found[name]['abs_rel'] == pytest.approx(expected, abs=2e-5)
    assert found['inside']['abs_rel'] != found['outside']['abs_rel']
    assert 'glass' not in found and 'sky' not in found  # nothing to score there


def test_uncertainty_that_is_the_error_sorts_perfectly():
    frames = [frame(0), frame(1)]
    predict = predict_of(frames, lambda true_m: 1.0 + 0.004 * true_m)
    found = score_depth(predict, frames, DepthProtocol())
    assert found['sparsification']['abs_rel']['ause'] == pytest.approx(0.0, abs=1e-4)
    assert found['sparsification']['abs_rel']['aurg'] > 0.02
    expected = np.mean([
        np.where(one.target_m > 0, 0.004 * one.target_m, 0.2)[one.regions['outside']].mean()
        for one in frames
    ])  # fmt: skip
    assert found['sigma_outside'] == pytest.approx(expected, rel=1e-3)
    without = score_depth(predict, frames, DepthProtocol(), with_sigma=False)
    assert 'sparsification' not in without and 'sigma_inside' not in without
    assert without['all'] == found['all']


def test_pixels_are_kept_for_the_calibration_of_sigma():
    frames = [frame(0), frame(1)]
    predict = predict_of(frames, lambda true_m: 1.0 + 0.004 * true_m)
    kept = SigmaErrors(DepthProtocol(), stride=2)
    assert kept.pixels().shape == (3, 0)
    score_depth(predict, frames, DepthProtocol(), sigma_errors=kept)
    depth_m, target_m, sigma = kept.pixels()
    expected = np.concatenate([one.target_m[2::2, ::2].ravel() for one in frames])
    np.testing.assert_array_equal(target_m, expected)  # the first rows are sky
    np.testing.assert_allclose(depth_m, expected * (1 + 0.004 * expected), rtol=1e-5)
    np.testing.assert_allclose(sigma, 0.004 * expected, rtol=1e-2)
    assert kept.told_share == 1.0


def test_sigma_is_judged_where_depth_is_told_as_a_finite_one():
    kept = SigmaErrors(DepthProtocol(), stride=1)
    assert kept.told_share == 0.0
    depth_m = np.array([[0.5, 2.0, 4.0, 9.0]], np.float32)
    target_m = np.array([[1.0, 0.0, 5.0, 5.0]], np.float32)
    kept.update(depth_m, target_m, np.ones_like(depth_m), (1.0, 4.0))
    assert kept.pixels().tolist() == [[4.0], [5.0], [1.0]]
    assert kept.told_share == pytest.approx(1 / 3)


def test_scale_is_told_and_taken_out():
    frames = [frame(0), frame(1)]
    predict = predict_of(frames, lambda true_m: np.full_like(true_m, 0.5))
    found = score_depth(predict, frames, DepthProtocol())
    assert found['all']['abs_rel'] == pytest.approx(0.5, abs=1e-4)
    assert found['all_median_scaled']['abs_rel'] == pytest.approx(0.0, abs=1e-4)
    assert found['scale_ratio'] == pytest.approx(2.0, rel=1e-4)
    assert found['sky_far_share'] == 0.0  # 25 m
    far = score_depth(
        predict_of(frames, lambda true_m: np.ones_like(true_m)), frames, DepthProtocol()
    )
    assert far['sky_far_share'] == 1.0  # 50 m


def test_images_come_at_the_size_of_the_network():
    rgb = np.zeros((20, 40, 3), np.uint8)
    rgb[..., 1] = 255
    image = network_size_image(rgb, (32, 64))
    assert image.shape == (1, 3, 32, 64) and image.dtype == np.float32
    np.testing.assert_array_equal(image[0, 1], 1.0)
    np.testing.assert_array_equal(image[0, 0], 0.0)


@pytest.mark.parametrize('index', range(4))
def test_every_return_is_inside_of_what_the_lidar_reaches(index):
    """And returns are next to its upper and its lower limit, unless the image ends before."""
    config = preset('day', height=96, width=128, focal_share=(0.6, 0.6), night_share=0.0)
    rendered = render_frame(config, 11, index, ('lidar',))
    size = rendered.lidar_m.shape
    inside = lidar_footprint(rendered.camera_matrix, rendered.camera_pose, size)
    hit = rendered.lidar_m > 0
    assert hit.sum() > 100 and not (hit & ~inside).any()
    assert 0.3 < inside.mean() < 0.8
    beams = np.nonzero(hit.any(axis=1))[0]
    rows = np.nonzero(inside.any(axis=1))[0]
    assert abs(int(beams[-1]) - int(rows[-1])) <= 4


def test_footprint_of_a_level_camera_by_hand():
    """Beams between 2 degrees up and 24 down: rows 50 - 1.75 to 50 + 22.26 at 50 px."""
    matrix = np.array([[50.0, 0.0, 40.0], [0.0, 50.0, 50.0], [0.0, 0.0, 1.0]])
    inside = lidar_footprint(matrix, np.eye(4), (100, 81))
    rows = np.nonzero(inside[:, 40])[0]
    assert (rows[0], rows[-1]) == (48, 72)
    turned = np.eye(4)
    turned[:3, :3] = np.diag([-1.0, 1.0, -1.0])  # looks back, still level
    np.testing.assert_array_equal(lidar_footprint(matrix, turned, (100, 81)), inside)


def test_pictures_show_near_bright_and_unknown_black():
    depth_m = np.array([[0.0, 3.0, 70.0]], np.float32)
    picture = depth_picture(depth_m)
    assert picture.dtype == np.uint8 and picture.shape == (1, 3, 3)
    none, near, far = picture.astype(int).sum(axis=2)[0]
    assert none == 0 and near > far
    error = error_picture(np.full((1, 3), 3.0), depth_m).astype(int).sum(axis=2)[0]
    assert error[0] == 0 and error[2] > error[1]
    sigma = sigma_picture(np.array([[0.1, 10.0]])).astype(int).sum(axis=2)[0]
    assert sigma[1] > sigma[0]
    assert sigma_picture(np.ones((2, 2))).shape == (2, 2, 3)
