# SPDX-License-Identifier: Apache-2.0
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.errors import ShapeError
from kd_perception.metrics import DEPTH_PROTOCOLS, DepthErrors, DepthProtocol, depth_metrics

DEPTHS = st.floats(0.01, 100)
PAIRS = st.integers(1, 40).flatmap(lambda size: hnp.arrays(float, (2, size), elements=DEPTHS))


def errors_by_loops(prediction, target):
    count = len(target)
    pairs = list(zip(prediction, target, strict=True))
    ratios = [max(g / p, p / g) for p, g in pairs]
    return (
        sum(abs(g - p) / g for p, g in pairs) / count,
        sum((g - p) ** 2 / g for p, g in pairs) / count,
        math.sqrt(sum((g - p) ** 2 for p, g in pairs) / count),
        math.sqrt(sum((math.log(g) - math.log(p)) ** 2 for p, g in pairs) / count),
        *(sum(ratio < 1.25**k for ratio in ratios) / count for k in (1, 2, 3)),
    )


def protocol_by_loops(prediction, target, *, rows, columns, cap, median, scale):
    """The protocol, pixel by pixel: pairs that count, scaled and clamped."""
    pairs = [
        (float(prediction[y, x]) * scale, float(target[y, x]))
        for y in range(*rows)
        for x in range(*columns)
        if (1e-3 < target[y, x] < 80 if cap else target[y, x] > 0)
    ]
    ratio = 1.0
    if median:
        p, g = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = g / p
    return zip(*((min(max(p * ratio, 1e-3), 80.0), g) for p, g in pairs), strict=True)


def test_worked_example():
    # methods.md 2.8.
    metrics = depth_metrics(np.array([1.0, 1.0, 8.0]), np.array([1.0, 2.0, 4.0]))
    assert metrics[:4] == pytest.approx((0.5, 1.5, 2.380476, 0.565952), abs=1e-6)
    assert metrics[4:] == pytest.approx((1 / 3, 1 / 3, 1 / 3))


@given(PAIRS)
def test_agrees_with_loops(pair):
    prediction, target = pair
    expected = errors_by_loops(prediction.tolist(), target.tolist())
    assert depth_metrics(prediction, target) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_deltas_are_strict():
    metrics = depth_metrics(np.array([4.0, 5.0]), np.array([5.0, 5.0]))
    assert (metrics.delta1, metrics.delta2) == (0.5, 1.0)


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('kitti_eigen', {'cap': True, 'median': False, 'scale': 1.0}),
        ('kitti_eigen_mono', {'cap': True, 'median': True, 'scale': 1.0}),
        ('kitti_eigen_stereo', {'cap': True, 'median': False, 'scale': 5.4}),
        ('kitti_eigen_benchmark_mono', {'cap': False, 'median': True, 'scale': 1.0}),
        ('world', {'cap': True, 'median': False, 'scale': 1.0}),
    ],
)
def test_whole_protocol_agrees_with_loops(name, options):
    random = np.random.default_rng(0)
    errors = DepthErrors(DEPTH_PROTOCOLS[name])
    parts = []
    height, width = 40, 120
    cropped = {'rows': (16, 39), 'columns': (4, 115)}
    whole = {'rows': (0, height), 'columns': (0, width)}
    where = cropped if DEPTH_PROTOCOLS[name].crop else whole
    for _ in range(3):
        target = np.float32(np.exp(random.uniform(-1, 5, (height, width))))
        target[random.random(target.shape) < 0.5] = 0
        noise = np.exp(random.normal(0, 0.3, target.shape))
        prediction = np.float32(np.where(target > 0, target, 5) * noise / 3)
        found = errors.update(prediction, target)
        parts.append(errors_by_loops(*protocol_by_loops(prediction, target, **where, **options)))
        assert found == pytest.approx(parts[-1], abs=1e-6)
    means = [sum(column) / 3 for column in zip(*parts, strict=True)]
    assert errors.compute() == pytest.approx(means, abs=1e-6)
    assert errors.images == 3


def test_mean_is_over_images_not_pixels():
    target = np.full((1, 4), 2.0)
    sparse = np.array([[2.0, 0.0, 0.0, 0.0]])
    errors = DepthErrors()
    errors.update(target * 1.5, target)
    errors.update(target, sparse)
    assert errors.compute().abs_rel == pytest.approx(0.25)


def test_images_without_target_are_skipped_and_counted():
    errors = DepthErrors()
    assert errors.compute() is None
    assert errors.update(np.ones((2, 2)), np.zeros((2, 2))) is None
    assert errors.compute() is None
    errors.update(np.ones((2, 2)), np.ones((2, 2)))
    assert (errors.images, errors.skipped_images) == (1, 1)
    assert errors.compute() == (0, 0, 0, 0, 1, 1, 1)


@given(PAIRS, st.floats(0.1, 10))
def test_median_scaling_forgives_a_factor(pair, factor):
    prediction, target = pair[:, None]
    protocol = DepthProtocol(1e-9, 1e9, median_scaling=True)
    one, other = DepthErrors(protocol), DepthErrors(protocol)
    one.update(prediction, target)
    other.update(prediction * factor, target)
    # A ratio on the edge of a delta may fall either way.
    assert other.compute()[:4] == pytest.approx(one.compute()[:4], rel=1e-6, abs=1e-7)


def test_bad_arguments_are_refused():
    good = np.ones(3)
    with pytest.raises(ShapeError, match=r'received \(3,\) and \(2,\)'):
        depth_metrics(good, good[1:])
    with pytest.raises(ShapeError, match='at least one'):
        depth_metrics(good[:0], good[:0])
    with pytest.raises(ShapeError, match='flat'):
        depth_metrics(good[None], good[None])
    with pytest.raises(ShapeError, match='target must be above 0'):
        depth_metrics(good, np.array([1.0, 0.0, 1.0]))
    with pytest.raises(ShapeError, match='prediction must be above 0 and finite'):
        depth_metrics(good * np.nan, good)
    with pytest.raises(ShapeError, match='same kind and settings'):
        DepthErrors().merge(DepthErrors(DepthProtocol(max_depth_m=50)))
