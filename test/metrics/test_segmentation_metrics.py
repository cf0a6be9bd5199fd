# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kd_perception.errors import ShapeError
from kd_perception.metrics import ConfusionMatrix, PseudoLabelMatrix
from kd_perception.metrics.segmentation import metrics_from_counts

CLASSES = 4
IDS = st.sampled_from([0, 1, 2, 3, 255])
PIXELS = st.integers(1, 60).flatmap(lambda size: hnp.arrays(np.uint8, (2, size), elements=IDS))


def confusion(mask, target):
    matrix = ConfusionMatrix(CLASSES)
    matrix.update(mask, target)
    return matrix


def test_worked_example():
    # methods.md 6: the third class is absent, so both readings of the mean differ.
    metrics = metrics_from_counts(np.array([[50, 0, 0], [5, 15, 0], [0, 0, 0]]))
    assert metrics.macc == pytest.approx(0.583333, abs=1e-6)
    assert metrics.miou == pytest.approx(0.553030, abs=1e-6)
    assert metrics.miou_nanmean == pytest.approx(0.829545, abs=1e-6)
    assert metrics.macc_nanmean == pytest.approx(0.875)
    assert metrics.pixel_accuracy == pytest.approx(65 / 70)
    assert math.isnan(metrics.iou[2]) and math.isnan(metrics.accuracy[2])


def test_update_counts_rows_as_target():
    matrix = confusion(np.array([[1, 2], [2, 2]]), np.array([[1, 1], [2, 3]]))
    expected = np.zeros((4, 5))
    expected[1, 1] = expected[1, 2] = expected[2, 2] = expected[3, 2] = 1
    np.testing.assert_array_equal(matrix.counts, expected)


def test_pixels_without_label_do_not_count():
    matrix = confusion(np.array([0, 1, 2], np.uint8), np.array([0, 255, 255], np.uint8))
    assert matrix.counts.sum() == 1
    assert matrix.compute().miou_nanmean == 1.0


def test_pixels_without_prediction_are_misses():
    matrix = confusion(np.array([1, 1, 255, 255], np.uint8), np.array([1, 1, 1, 255], np.uint8))
    metrics = matrix.compute()
    assert metrics.unpredicted == pytest.approx(1 / 3)
    assert metrics.iou[1] == pytest.approx(2 / 3)
    assert metrics.accuracy[1] == pytest.approx(2 / 3)
    assert metrics.pixel_accuracy == pytest.approx(2 / 3)


def test_nothing_labeled_gives_nan_not_a_warning():
    metrics = ConfusionMatrix(3).compute()
    assert metrics.miou == 0.0
    assert math.isnan(metrics.miou_nanmean) and math.isnan(metrics.pixel_accuracy)


@given(PIXELS)
def test_agrees_with_sets_of_pixels(pixels):
    mask, target = pixels
    metrics = confusion(mask, target).compute()
    labeled = target != 255
    for class_id in range(CLASSES):
        in_mask, in_target = (mask == class_id) & labeled, target == class_id
        union = (in_mask | in_target).sum()
        if union:
            assert metrics.iou[class_id] == pytest.approx((in_mask & in_target).sum() / union)
        else:
            assert math.isnan(metrics.iou[class_id])


@given(PIXELS, st.integers(0, 60), st.randoms(use_true_random=False))
def test_cut_merge_and_order_do_not_matter(pixels, cut, random):
    mask, target = pixels
    whole = confusion(mask, target)
    parts = confusion(mask[:cut], target[:cut])
    parts.merge(confusion(mask[cut:], target[cut:]))
    order = random.sample(range(mask.size), mask.size)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_array_equal(confusion(mask[order], target[order]).counts, whole.counts)


@given(PIXELS)
def test_bounds(pixels):
    mask, target = pixels
    metrics = confusion(mask, target).compute()
    for iou, accuracy in zip(metrics.iou, metrics.accuracy, strict=True):
        assert math.isnan(iou) or 0 <= iou <= 1
        assert math.isnan(accuracy) or iou <= accuracy <= 1
    assert 0 <= metrics.miou <= 1
    if not math.isnan(metrics.miou_nanmean):
        assert metrics.miou <= metrics.miou_nanmean <= 1


@given(PIXELS)
def test_perfect_prediction(pixels):
    target = pixels[0]
    metrics = confusion(target, target).compute()
    assert all(math.isnan(iou) or iou == 1 for iou in metrics.iou)


VOC_IDS = st.integers(0, 20) | st.just(255)
VOC_PIXELS = st.integers(1, 60).flatmap(
    lambda size: hnp.arrays(np.uint8, (2, size), elements=VOC_IDS)
)


@given(VOC_PIXELS)
def test_pseudo_labels_agree_with_counting_by_hand(pixels):
    # A pair counts if both sides are decided; the mean is over classes that occur in these pairs.
    mask, target = pixels
    pairs = [(m, t) for m, t in zip(*pixels.tolist(), strict=True) if 255 not in (m, t)]
    ious = []
    for class_id in range(21):
        union = sum(class_id in pair for pair in pairs)
        if union:
            ious.append(sum(pair == (class_id, class_id) for pair in pairs) / union)
    matrix = PseudoLabelMatrix()
    matrix.update(mask, target)
    metrics = matrix.compute()
    assert len(metrics.iou) == 21
    if ious:
        assert metrics.miou_nanmean == pytest.approx(sum(ious) / len(ious), abs=1e-12)
        assert metrics.miou == pytest.approx(sum(ious) / 21, abs=1e-12)
    labeled = (target != 255).sum()
    if labeled:
        left_open = ((mask == 255) & (target != 255)).sum()
        assert metrics.unpredicted == pytest.approx(left_open / labeled)


def test_pixels_that_a_pseudo_mask_leaves_open_are_no_misses():
    mask, target = np.array([5, 255], np.uint8), np.array([5, 5], np.uint8)
    pseudo, strict = PseudoLabelMatrix(), ConfusionMatrix(21)
    for matrix in (pseudo, strict):
        matrix.update(mask, target)
    assert (pseudo.compute().iou[5], strict.compute().iou[5]) == (1.0, 0.5)


def test_stray_ids_are_refused_and_nothing_is_counted():
    matrix = ConfusionMatrix(3)
    with pytest.raises(ShapeError, match=r'target ids .* received \[7\]'):
        matrix.update(np.array([0, 1], np.uint8), np.array([0, 7], np.uint8))
    with pytest.raises(ShapeError, match='mask ids'):
        matrix.update(np.array([3, 1], np.uint8), np.array([0, 1], np.uint8))
    assert matrix.counts.sum() == 0


def test_bad_arguments_are_refused():
    matrix = ConfusionMatrix(3)
    with pytest.raises(ShapeError, match='one shape'):
        matrix.update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
    with pytest.raises(ShapeError, match='integers from 0 to 255'):
        matrix.update(np.zeros(3, np.uint8), np.array([0, 1, -1]))
    with pytest.raises(ShapeError, match='integers'):
        matrix.update(np.zeros(2), np.zeros(2, np.uint8))
    with pytest.raises(ShapeError, match='same kind and settings'):
        matrix.merge(ConfusionMatrix(4))
    with pytest.raises(ShapeError, match='same kind and settings'):
        ConfusionMatrix(21).merge(PseudoLabelMatrix())
    with pytest.raises(ShapeError, match='num_classes'):
        ConfusionMatrix(256)
