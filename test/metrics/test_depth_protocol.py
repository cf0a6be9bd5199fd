# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.metrics import (
    DEPTH_PROTOCOLS,
    EIGEN_CROP,
    GARG_CROP,
    NYU_CROP,
    DepthProtocol,
    depth_from_inverse,
    resized,
)


@pytest.mark.parametrize(
    ('crop', 'size', 'rows', 'columns'),
    [
        (GARG_CROP, (375, 1242), (153, 371), (44, 1197)),
        # 0.99189189 * 370 is just below 367, and 0.03594771 * 1224 just below 44.
        (GARG_CROP, (370, 1224), (151, 366), (43, 1180)),
        (EIGEN_CROP, (375, 1242), (124, 342), (44, 1197)),
        (NYU_CROP, (480, 640), (45, 471), (41, 601)),
    ],
)
def test_crops_at_the_sizes_of_their_sets(crop, size, rows, columns):
    assert crop.slices(size) == (slice(*rows), slice(*columns))


def test_only_targets_between_the_caps_count():
    target = np.array([[0.0, 1e-3, 0.5, 80.0, 79.9, np.nan, np.inf, -1.0, 90.0]])
    capped = DepthProtocol().valid(target)
    np.testing.assert_array_equal(np.flatnonzero(capped), [2, 4])
    benchmark = DEPTH_PROTOCOLS['kitti_eigen_benchmark'].valid(target)
    np.testing.assert_array_equal(np.flatnonzero(benchmark), [1, 2, 3, 4, 8])


def test_crop_limits_what_counts():
    valid = DEPTH_PROTOCOLS['kitti_eigen'].valid(np.ones((375, 1242), np.float32))
    assert valid.sum() == (371 - 153) * (1197 - 44)
    assert valid[153, 44] and valid[370, 1196]
    assert not valid[152, 44] and not valid[153, 1197]


def test_prediction_is_scaled_then_clamped():
    prediction = np.array([[0.0, 1.0, 30.0, np.inf]])
    target = np.array([[1.0, 2.0, 3.0, 4.0]])
    pixels = DepthProtocol(scale=5.4).pixels(prediction, target)
    np.testing.assert_allclose(pixels.prediction_m, [1e-3, 5.4, 80.0, 80.0])
    np.testing.assert_array_equal(pixels.target_m, target[0])
    assert pixels.valid.all()


def test_median_scaling_uses_valid_pixels_only_and_undoes_any_factor():
    protocol = DepthProtocol(median_scaling=True)
    target = np.array([[0.0, 0.0, 2.0, 4.0, 10.0]])
    prediction = np.array([[100.0, 100.0, 1.0, 2.0, 7.0]])
    np.testing.assert_allclose(protocol.pixels(prediction, target).prediction_m, [2, 4, 14])
    scaled = replace(protocol, scale=3.0).pixels(prediction * 17, target)
    np.testing.assert_allclose(scaled.prediction_m, [2, 4, 14])


def test_median_scaling_comes_before_the_clamp():
    protocol = DepthProtocol(median_scaling=True)
    pixels = protocol.pixels(np.array([[500.0, 1000.0, 1500.0]]), np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(pixels.prediction_m, [1, 2, 3])


def test_presets_differ_as_the_field_does():
    names = ('kitti_eigen', 'kitti_eigen_benchmark')
    for metric, mono, stereo in (
        [DEPTH_PROTOCOLS[name + end] for end in ('', '_mono', '_stereo')] for name in names
    ):
        assert (metric.scale, metric.median_scaling) == (1.0, False)
        assert mono == replace(metric, median_scaling=True)
        assert stereo == replace(metric, scale=5.4)
    assert DEPTH_PROTOCOLS['kitti_eigen'].crop == GARG_CROP
    assert DEPTH_PROTOCOLS['kitti_eigen_benchmark'].crop is None
    assert DEPTH_PROTOCOLS['nyu'].max_depth_m == 10.0
    # What the world cuts at its far end is no measurement.
    assert not DEPTH_PROTOCOLS['world'].valid(np.full((2, 2), 80.0, np.float32)).any()


def test_inverse_depth_is_interpolated_not_depth():
    inverse = np.array([[1.0, 0.25]])
    depth = depth_from_inverse(inverse, (1, 4))
    # Pixel centers of 4 columns lie at -.25, .25, .75, 1.25 of the 2, the outer ones clamped.
    np.testing.assert_allclose(depth, [[1, 1 / 0.8125, 1 / 0.4375, 4]])


def test_no_inverse_depth_is_infinitely_far():
    assert np.isinf(depth_from_inverse(np.zeros((2, 2), np.float32), (4, 4))).all()


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_shrinking_picks_without_smoothing(dtype):
    values = np.arange(16, dtype=dtype)[None].repeat(2, axis=0)
    np.testing.assert_allclose(resized(values, (2, 4))[0], [1.5, 5.5, 9.5, 13.5])


def test_bad_arguments_are_refused():
    image = np.ones((3, 4), np.float32)
    protocol = DepthProtocol(median_scaling=True)
    with pytest.raises(ShapeError, match=r'received \(3, 4\) and \(3, 3\).*depth_from_inverse'):
        protocol.pixels(image, image[:, 1:])
    with pytest.raises(ShapeError, match='received float32 and uint16'):
        protocol.pixels(image, image.astype(np.uint16))
    with pytest.raises(ShapeError, match='12 NaN of 12'):
        protocol.pixels(image * np.nan, image)
    with pytest.raises(ShapeError, match=r'median .* received 0.0'):
        protocol.pixels(image * 0, image)
    with pytest.raises(ShapeError, match=r'received -1\.0'):
        depth_from_inverse(-image, (3, 4))
    with pytest.raises(ShapeError, match='received nan'):
        depth_from_inverse(image * np.nan, (3, 4))
    with pytest.raises(ShapeError, match=r'HxW floats; received uint8'):
        resized(image.astype(np.uint8), (3, 4))
    with pytest.raises(ShapeError, match='received 0x4'):
        resized(image, (0, 4))
    for wrong in ({'min_depth_m': 0.0}, {'min_depth_m': 90.0}, {'max_depth_m': float('nan')}):
        with pytest.raises(ConfigError, match='min_depth_m < max_depth_m'):
            DepthProtocol(**wrong)
    with pytest.raises(ConfigError, match='scale'):
        DepthProtocol(scale=-1.0)
