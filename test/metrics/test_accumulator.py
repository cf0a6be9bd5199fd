# SPDX-License-Identifier: Apache-2.0
"""What every metric must hold: any cut of the images into processes gives the same figures."""

import inspect
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kd_perception.metrics as all_metrics
from kd_perception.errors import ShapeError
from kd_perception.metrics import (
    Accumulator,
    BoundaryF,
    CalibrationBins,
    ConfusionMatrix,
    DepthErrors,
    DepthSparsification,
    EdgeIoU,
    NegativeLogLikelihood,
    PseudoLabelMatrix,
    SigmaCalibration,
    Sparsification,
)

KINDS = {
    'boundary': lambda: BoundaryF(3, (1, 0.2)),
    'calibration': CalibrationBins,
    'confusion': lambda: ConfusionMatrix(3),
    'depth': DepthErrors,
    'depth_sparsification': DepthSparsification,
    'edge': lambda: EdgeIoU((0.3, 0.6)),
    'nll': NegativeLogLikelihood,
    'pseudo_labels': PseudoLabelMatrix,
    'sigma_calibration': SigmaCalibration,
    'sparsification': Sparsification,
}


PIXEL_KINDS = (
    *('calibration', 'confusion', 'edge', 'nll', 'pseudo_labels', 'sigma_calibration'),
    'sparsification',
)
"""Means over pixels; the others are means over images."""


def image_of(metric, seed):
    """The random image of a seed, whatever the metric takes."""
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 7, 2))
    unit = random.random((3, *shape), np.float32)
    ids = random.choice([0, 1, 2, 255], (2, *shape)).astype(np.uint8)
    flags = unit[2] < 0.5
    arguments = {
        BoundaryF: ids,
        CalibrationBins: (unit[0], flags),
        ConfusionMatrix: ids,
        DepthErrors: (unit[0] + 1, unit[1] + 1),
        DepthSparsification: (unit[0] + 1, unit[1] + 1, unit[2]),
        EdgeIoU: (unit[0], flags),
        NegativeLogLikelihood: (unit[0],),
        PseudoLabelMatrix: ids,
        SigmaCalibration: tuple(np.ravel(part) + 1 for part in unit),
        Sparsification: (unit[0], flags),
    }
    return arguments[type(metric)]


def gathered(make, seeds):
    metric = make()
    for seed in seeds:
        metric.update(*image_of(metric, seed))
    return metric


def flat(result):
    """All numbers of a result, whatever its form."""
    if result is None:
        return []
    if isinstance(result, tuple):
        return [number for part in result for number in flat(part)]
    if hasattr(result, '__dict__'):
        return flat(tuple(vars(result).values()))
    return [float(result)]


def assert_same(one, other):
    np.testing.assert_allclose(flat(one.compute()), flat(other.compute()), rtol=1e-9, atol=1e-9)


def test_every_accumulator_is_among_those_tested():
    public = {
        entry
        for entry in vars(all_metrics).values()
        if inspect.isclass(entry) and issubclass(entry, Accumulator)
    }
    assert public - {Accumulator} == {type(make()) for make in KINDS.values()}


@pytest.mark.parametrize('name', KINDS)
@settings(max_examples=30)
@given(data=st.data())
def test_any_cut_and_any_order_give_the_whole(name, data):
    seeds = data.draw(st.lists(st.integers(0, 1000), max_size=8))
    owners = data.draw(st.lists(st.integers(0, 2), min_size=len(seeds), max_size=len(seeds)))
    whole = gathered(KINDS[name], seeds)
    parts = [
        gathered(KINDS[name], [seed for seed, own in zip(seeds, owners, strict=True) if own == k])
        for k in range(3)
    ]
    reduced = KINDS[name]()
    reduced.load_array(sum(part.as_array() for part in parts))
    merged = KINDS[name]()
    for part in reversed(parts):
        merged.merge(part)
    for other in (merged, reduced, gathered(KINDS[name], data.draw(st.permutations(seeds)))):
        assert_same(other, whole)


@pytest.mark.parametrize('name', KINDS)
def test_pixels_pool_and_image_means_do_not(name):
    whole, cut = KINDS[name](), KINDS[name]()
    for seed in range(8):
        image = image_of(whole, seed)
        whole.update(*image)
        for rows in (slice(0, 1), slice(1, None)):
            if len(image[0][rows]):
                cut.update(*(part[rows] for part in image))
    pooled = np.allclose(flat(whole.compute()), flat(cut.compute()), rtol=1e-9, equal_nan=True)
    assert pooled == (name in PIXEL_KINDS)


@pytest.mark.parametrize('name', KINDS)
def test_pickles_and_goes_on(name):
    whole = gathered(KINDS[name], range(4))
    half = pickle.loads(pickle.dumps(gathered(KINDS[name], range(2))))
    half.merge(gathered(KINDS[name], range(2, 4)))
    assert_same(half, whole)


@pytest.mark.parametrize('name', KINDS)
def test_what_is_handed_out_and_in_is_copied(name):
    metric = gathered(KINDS[name], range(3))
    array = metric.as_array()
    fresh = KINDS[name]()
    fresh.load_array(array)
    array[:] = 0
    assert_same(fresh, metric)


@pytest.mark.parametrize('name', KINDS)
def test_another_kind_or_array_is_refused(name):
    metric = KINDS[name]()
    other = EdgeIoU() if name != 'edge' else CalibrationBins()
    with pytest.raises(ShapeError, match='same kind and settings'):
        metric.merge(other)
    with pytest.raises(ShapeError, match='as_array'):
        metric.load_array(metric.as_array()[:-1])
    with pytest.raises(ShapeError, match='received float16'):
        metric.load_array(metric.as_array().astype(np.float16))
