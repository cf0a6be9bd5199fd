# SPDX-License-Identifier: Apache-2.0
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.errors import ShapeError
from kd_perception.metrics import Sparsification

UNIT_FLOATS = st.floats(0, 1, width=32)
PIXELS = st.integers(1, 80).flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.float32, size, elements=UNIT_FLOATS), hnp.arrays(np.bool_, size)
    )
)


def sparsification(uncertainty, wrong):
    result = Sparsification()
    result.update(np.asarray(uncertainty, np.float32), np.asarray(wrong, bool))
    return result


def exact_curve_area(uncertainty, error):
    """The textbook form: sort, remove 2 % at a time, average the rest, last point 0."""
    ordered = error[np.argsort(uncertainty, kind='stable')]
    size = ordered.size
    curve = [ordered[: round(size * (1 - k / 50))].mean() for k in range(50)] + [0.0]
    return sum(left + right for left, right in pairwise(curve)) / 100


def test_uncertainty_that_is_the_error_has_no_area_to_the_oracle():
    wrong = np.random.default_rng(0).random(10_000) < 0.13
    metrics = sparsification(wrong, wrong).compute()
    assert metrics.ause == pytest.approx(0.0, abs=1e-12)
    assert metrics.curve == pytest.approx(metrics.oracle)
    assert metrics.error_rate == wrong.mean()


def test_constant_uncertainty_gains_a_hundredth_of_the_error():
    wrong = np.arange(1000) % 4 == 0
    metrics = sparsification(np.full(1000, 0.3), wrong).compute()
    assert metrics.aurg == pytest.approx(0.25 / 100)
    assert metrics.curve[:-1] == pytest.approx([0.25] * 50)


def test_agrees_with_sorting_every_pixel():
    random = np.random.default_rng(1)
    uncertainty = random.random(50_000).astype(np.float32) ** 4
    wrong = random.random(50_000) < 0.3 * uncertainty**0.5
    metrics = sparsification(uncertainty, wrong).compute()
    area = exact_curve_area(uncertainty, wrong.astype(float))
    oracle = exact_curve_area(wrong.astype(float), wrong.astype(float))
    assert metrics.aurg == pytest.approx(wrong.mean() - area, abs=2e-4)
    assert metrics.ause == pytest.approx(area - oracle, abs=2e-4)


def test_inverted_uncertainty_is_worse_than_random():
    random = np.random.default_rng(2)
    uncertainty = random.random(5000)
    wrong = random.random(5000) < uncertainty
    good = sparsification(uncertainty, wrong).compute()
    bad = sparsification(1 - uncertainty, wrong).compute()
    assert bad.aurg < 0 < good.aurg
    assert bad.ause > good.ause


def test_order_is_kept_between_nearly_sure_pixels():
    # A student that is always nearly sure: a histogram of equal bins would see one bin only.
    uncertainty = np.repeat([1e-6, 1e-5], 500)
    wrong = np.repeat([False, True], 500)
    assert sparsification(uncertainty, wrong).compute().ause == pytest.approx(0.0, abs=1e-12)


@given(PIXELS, st.integers(0, 80), st.randoms(use_true_random=False))
def test_cut_merge_and_order_do_not_matter(pixels, cut, random):
    uncertainty, wrong = pixels
    whole = sparsification(uncertainty, wrong)
    parts = sparsification(uncertainty[:cut], wrong[:cut])
    parts.merge(sparsification(uncertainty[cut:], wrong[cut:]))
    order = random.sample(range(wrong.size), wrong.size)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    shuffled = sparsification(uncertainty[order], wrong[order])
    np.testing.assert_array_equal(shuffled.counts, whole.counts)


@given(PIXELS)
def test_bounds(pixels):
    metrics = sparsification(*pixels).compute()
    assert metrics.error_rate == pytest.approx(pixels[1].mean())
    assert metrics.curve[0] == pytest.approx(metrics.error_rate)
    assert metrics.ause >= -1e-12
    assert all(low <= high + 1e-9 for low, high in zip(metrics.oracle, metrics.curve, strict=True))
    assert all(0 <= value <= 1 + 1e-9 for value in metrics.curve)


def test_no_pixels():
    assert Sparsification().compute() is None


def test_negative_zero_is_zero():
    assert sparsification([-0.0], [True]).counts[0].tolist() == [0, 1]


def test_flags_must_be_bool_and_as_many():
    with pytest.raises(ShapeError, match='bool'):
        Sparsification().update(np.zeros(3, np.float32), np.array([0, 2, 1]))
    with pytest.raises(ShapeError, match='one shape'):
        Sparsification().update(np.zeros(3, np.float32), np.zeros(2, bool))


@pytest.mark.parametrize('bad', [-0.01, 1.01, math.nan])
def test_what_is_no_uncertainty_is_refused(bad):
    with pytest.raises(ShapeError, match='from 0 to 1'):
        sparsification([0.5, bad], [True, True])
