# SPDX-License-Identifier: Apache-2.0
import math
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.errors import ShapeError
from kd_perception.metrics import (
    DEPTH_PROTOCOLS,
    DepthErrors,
    DepthProtocol,
    DepthSparsification,
)

FEW_DEPTHS = st.sampled_from([1.0, 1.5, 2.0, 3.0, 7.0])
IMAGES = st.integers(1, 120).flatmap(
    lambda size: st.tuples(
        hnp.arrays(float, (2, 1, size), elements=FEW_DEPTHS | st.floats(0.5, 50)),
        hnp.arrays(float, (1, size), elements=st.sampled_from([0.0, 0.5, 2.0]) | st.floats(0, 9)),
    )
)


def scored(prediction, target, uncertainty, protocol=None):
    result = DepthSparsification(protocol)
    result.update(*(np.asarray(part, float) for part in (prediction, target, uncertainty)))
    return result


def noisy_depth(seed, shape=(60, 80)):
    random = np.random.default_rng(seed)
    target = random.uniform(1, 60, shape)
    sigma = random.uniform(0.01, 0.4, shape)
    prediction = target * np.exp(sigma * random.normal(size=shape))
    # Within the caps, so that clamping changes nothing.
    return prediction.clip(0.1, 79.0), target, sigma


def areas_by_masks(prediction, target, uncertainty):
    """The definition: one mask and one mean per step, and trapezoids 1/50 wide."""
    ratio = np.maximum(prediction / target, target / prediction)
    errors = {
        'abs_rel': (np.abs(prediction - target) / target, lambda e: e.mean()),
        'rmse': ((prediction - target) ** 2, lambda e: math.sqrt(e.mean())),
        'outliers': (ratio, lambda e: (e >= 1.25).mean()),
    }
    found = {}
    for name, (error, metric) in errors.items():
        curves = []
        for order in (uncertainty, error):
            kept = [-order >= np.percentile(-order, 2 * k) for k in range(50)]
            curves.append([metric(error[mask]) for mask in kept] + [0.0])
        curve, oracle = (sum(low + high for low, high in pairwise(c)) / 100 for c in curves)
        found[name] = (curve - oracle, metric(error) - curve)
    return found


def check_areas(result, expected, tolerance=1e-9):
    for name, (ause, aurg) in expected.items():
        metrics = getattr(result.compute(), name)
        assert metrics.ause == pytest.approx(ause, abs=tolerance)
        assert metrics.aurg == pytest.approx(aurg, abs=tolerance)


@given(IMAGES)
def test_agrees_with_masks_with_and_without_ties(images):
    (prediction, target), uncertainty = images
    expected = areas_by_masks(prediction[0], target[0], uncertainty[0])
    check_areas(scored(prediction, target, uncertainty), expected)


def test_whole_images_agree_with_masks():
    maps = noisy_depth(0)
    check_areas(scored(*maps), areas_by_masks(*(part.ravel() for part in maps)))


def test_mean_over_images_is_the_mean_of_the_areas():
    result = DepthSparsification()
    parts = []
    for seed in range(3):
        maps = noisy_depth(seed, (10 + 7 * seed, 11))
        result.update(*maps)
        parts.append(areas_by_masks(*(part.ravel() for part in maps)))
    mean = {name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]}
    check_areas(result, mean)
    assert result.images == 3


def test_uncertainty_that_is_the_error_has_no_area_to_the_oracle():
    prediction, target, _ = noisy_depth(1)
    difference = np.abs(prediction - target)
    assert scored(prediction, target, difference / target).compute().abs_rel.ause == 0
    assert scored(prediction, target, difference**2).compute().rmse.ause == 0
    # Any rising function of the error will do.
    assert scored(prediction, target, np.log(difference)).compute().rmse.ause == 0


def test_constant_uncertainty_gains_a_hundredth_of_the_metric():
    prediction, target, _ = noisy_depth(2)
    errors = DepthErrors()
    errors.update(prediction, target)
    expected = errors.compute()
    found = scored(prediction, target, np.full(target.shape, 0.7)).compute()
    assert found.abs_rel.error_rate == pytest.approx(expected.abs_rel)
    assert found.rmse.error_rate == pytest.approx(expected.rmse)
    assert found.outliers.error_rate == pytest.approx(1 - expected.delta1)
    for metrics in found:
        assert metrics.aurg == pytest.approx(metrics.error_rate / 100, rel=1e-9)
        assert metrics.curve[-1] == metrics.oracle[-1] == 0


def test_only_the_order_of_the_uncertainty_matters():
    prediction, target, sigma = noisy_depth(3)
    result = scored(prediction, target, sigma)
    np.testing.assert_allclose(scored(prediction, target, 8 * sigma - 64).sums, result.sums)


def test_good_uncertainty_beats_its_opposite():
    prediction, target, sigma = noisy_depth(4)
    good = scored(prediction, target, sigma).compute()
    bad = scored(prediction, target, -sigma).compute()
    for name in ('abs_rel', 'rmse', 'outliers'):
        assert getattr(bad, name).aurg < 0 < getattr(good, name).aurg
        assert getattr(bad, name).ause > getattr(good, name).ause > 0


def test_protocol_selects_scales_and_clamps():
    prediction, target, sigma = noisy_depth(5)
    target[::2] = 0
    protocol = DEPTH_PROTOCOLS['kitti_eigen_mono']
    pixels = protocol.pixels(prediction / 7, target)
    result = scored(prediction / 7, target, np.where(target > 0, sigma, np.nan), protocol)
    expected = areas_by_masks(pixels.prediction_m, pixels.target_m, sigma[pixels.valid])
    check_areas(result, expected)


def test_no_image_and_no_target():
    result = DepthSparsification()
    assert result.compute() is None
    result.update(np.ones((2, 2)), np.zeros((2, 2)), np.ones((2, 2)))
    assert result.compute() is None
    assert (result.images, result.skipped_images) == (0, 1)


def test_bad_arguments_are_refused():
    image = np.ones((3, 4))
    result = DepthSparsification()
    with pytest.raises(ShapeError, match=r'received float64 \(3, 3\)'):
        result.update(image, image, image[:, 1:])
    with pytest.raises(ShapeError, match='received bool'):
        result.update(image, image, image > 0)
    with pytest.raises(ShapeError, match='finite'):
        result.update(image, image, image * np.nan)
    with pytest.raises(ShapeError, match='one size'):
        result.update(image[1:], image, image)
    with pytest.raises(ShapeError, match='same kind and settings'):
        result.merge(DepthSparsification(DepthProtocol(scale=2.0)))
    assert not result.sums.any()


def test_a_camera_image_takes_below_200_ms():
    maps = [part.astype(np.float32) for part in noisy_depth(6, (480, 640))]
    result = DepthSparsification()
    times_s = []
    for _ in range(3):
        start_s = time.process_time()
        result.update(*maps)
        times_s.append(time.process_time() - start_s)
    assert min(times_s) < 0.2
