# SPDX-License-Identifier: Apache-2.0
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.errors import ShapeError
from kd_perception.metrics import CITYSCAPES_BOUNDS, BoundaryF
from kd_perception.metrics.boundary import bound_px, boundary, disk

CLASSES = 3
IDS = st.sampled_from([0, 1, 2, 255])
SIZES = st.tuples(st.integers(1, 8), st.integers(1, 8))
PAIRS = SIZES.flatmap(lambda size: hnp.arrays(np.uint8, (2, *size), elements=IDS))


def boundary_f(images, **options):
    score = BoundaryF(CLASSES, **options)
    for mask, target in images:
        score.update(np.asarray(mask, np.uint8), np.asarray(target, np.uint8))
    return score


def outline_by_loops(inside, height, width):
    """Coordinates of the outline of a set of coordinates."""
    return {
        (y, x)
        for y in range(height)
        for x in range(width)
        for down, across in ((0, 1), (1, 0), (1, 1))
        if y + down < height or (down, across) == (1, 1)
        if ((y, x) in inside)
        != ((min(y + down, height - 1), min(x + across, width - 1)) in inside)
    }


def f_by_distances(mask, target, class_id, bound):
    """The definition with sets of coordinates and distances between all pairs of them."""
    height, width = target.shape
    cells = [(y, x) for y in range(height) for x in range(width) if target[y, x] != 255]
    predicted = outline_by_loops({c for c in cells if mask[c] == class_id}, height, width)
    true = outline_by_loops({c for c in cells if target[c] == class_id}, height, width)
    if not predicted or not true:
        return 1.0 if not predicted and not true else 0.0

    def matched(some, others):
        return sum(any(math.dist(a, b) <= bound for b in others) for a in some) / len(some)

    precision, recall = matched(predicted, true), matched(true, predicted)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@given(PAIRS, st.sampled_from([1, 2, 3]))
def test_agrees_with_distances_between_all_pairs(pair, bound):
    mask, target = pair
    scores = BoundaryF(CLASSES, bounds=(bound,)).update(mask, target)
    expected = [f_by_distances(mask, target, class_id, bound) for class_id in range(CLASSES)]
    assert scores[0] == pytest.approx(expected, abs=1e-12)


def test_larger_images_agree_with_distances():
    random = np.random.default_rng(0)
    for _ in range(3):
        target = np.kron(random.integers(0, CLASSES, (4, 5)), np.ones((6, 6))).astype(np.uint8)
        mask = np.roll(target, random.integers(-2, 3, 2), (0, 1))
        target[:, 3:5] = 255
        scores = BoundaryF(CLASSES, bounds=(1, 2, 5)).update(mask, target)
        for row, bound in zip(scores, (1, 2, 5), strict=True):
            expected = [f_by_distances(mask, target, k, bound) for k in range(CLASSES)]
            assert row == pytest.approx(expected, abs=1e-12)


def test_outline_of_a_square_is_one_pixel_wide_and_up_left():
    region = np.zeros((5, 5), bool)
    region[2:4, 2:4] = True
    expected = np.zeros((5, 5), bool)
    expected[1:4, 1:4] = True
    expected[2, 2] = False
    np.testing.assert_array_equal(boundary(region), expected)


def test_region_that_fills_the_image_has_no_outline():
    assert not boundary(np.ones((3, 4), bool)).any()
    at_border = np.zeros((3, 4), bool)
    at_border[:, 2:] = True
    np.testing.assert_array_equal(np.argwhere(boundary(at_border)), [[0, 1], [1, 1], [2, 1]])


def test_shift_matches_from_the_bound_on():
    target = np.zeros((20, 20), np.uint8)
    target[:, 10:] = 1
    mask = np.roll(target, 3, axis=1)
    mask[:, :3] = 0
    scores = BoundaryF(2, bounds=(1, 2, 3, 4)).update(mask, target)
    np.testing.assert_array_equal(scores, [[0, 0], [0, 0], [1, 1], [1, 1]])


def test_empty_classes_and_both_means():
    empty = np.zeros((6, 6), np.uint8)
    full = empty.copy()
    full[2:4, 2:4] = 1
    score = boundary_f([(empty, empty), (full, full), (empty, full)], bounds=(1,)).compute()
    # Class 1: both empty 1, perfect 1, missed 0. Class 2 never occurs.
    assert score.images == 3
    assert score.scores[0].f == pytest.approx((2 / 3, 2 / 3, 1.0))
    assert score.scores[0].f_present[:2] == pytest.approx((2 / 3, 1 / 2))
    assert math.isnan(score.scores[0].f_present[2])
    assert score.scores[0].mean == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert score.scores[0].mean_present == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_ignored_pixels_belong_to_no_class_in_either_image():
    target = np.array([[1, 1, 255, 255]], np.uint8)
    mask = np.array([[1, 1, 2, 1]], np.uint8)
    np.testing.assert_array_equal(BoundaryF(3, bounds=(1,)).update(mask, target), [[1, 1, 1]])


def test_no_images():
    score = BoundaryF(2).compute()
    assert score.images == 0
    assert all(math.isnan(entry.mean) and math.isnan(entry.mean_present) for entry in score.scores)


@given(PAIRS)
def test_bounds_and_symmetry(pair):
    mask, target = pair
    mask = np.where(mask == 255, 0, mask)
    target = np.where(target == 255, 0, target)
    score = BoundaryF(CLASSES)
    scores = score.update(mask, target)
    assert scores.min() >= 0 and scores.max() <= 1
    assert (np.diff(scores, axis=0) >= -1e-12).all()
    np.testing.assert_allclose(BoundaryF(CLASSES).update(target, mask), scores)
    assert (BoundaryF(CLASSES).update(target, target) == 1).all()


def test_fractions_of_the_diagonal_are_rounded_up():
    assert [bound_px(bound, (1024, 2048)) for bound in CITYSCAPES_BOUNDS] == [3, 5, 9, 12]
    assert bound_px(0.0013, (480, 640)) == 2
    assert bound_px(7, (480, 640)) == 7
    images = [(np.tri(40, 30), np.tri(40, 30, 2))]
    fraction, pixels = (boundary_f(images, bounds=(b,)).sums for b in (0.03, 2))
    np.testing.assert_array_equal(fraction, pixels)


def test_disk_holds_whole_distances():
    assert disk(1).tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    assert [int(disk(radius).sum()) for radius in (2, 3, 5)] == [13, 29, 81]


def test_bad_arguments_are_refused():
    score = BoundaryF(3)
    image = np.zeros((4, 5), np.uint8)
    with pytest.raises(ShapeError, match=r'received \(4, 5\) and \(4, 4\)'):
        score.update(image, image[:, 1:])
    with pytest.raises(ShapeError, match=r'HxW; received \(1, 4, 5\)'):
        score.update(image[None], image[None])
    with pytest.raises(ShapeError, match='integers from 0 to 255; received float64'):
        score.update(image.astype(float), image)
    with pytest.raises(ShapeError, match=r'mask ids .* received \[3\]'):
        score.update(image + 3, image)
    with pytest.raises(ShapeError, match=r'target ids .* received \[9\]'):
        score.update(image, image + 9)
    for bounds in ((0,), (1.5,), (-1,), (float('nan'),), ()):
        with pytest.raises(ShapeError, match='bound'):
            BoundaryF(3, bounds=bounds)
    assert not score.sums.any()


def test_a_camera_image_takes_well_below_100_ms():
    random = np.random.default_rng(0)
    target = np.kron(random.integers(0, 9, (24, 32)), np.ones((20, 20))).astype(np.uint8)
    mask = np.roll(target, 2, axis=1)
    score = BoundaryF(9, bounds=(2,))
    times_s = []
    for _ in range(5):
        start_s = time.process_time()
        score.update(mask, target)
        times_s.append(time.process_time() - start_s)
    assert min(times_s) < 0.1
