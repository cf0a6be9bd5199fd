# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_perception.errors import ShapeError
from kd_perception.postprocessing import mask_from_logits, prediction_from_logits
from kd_perception.preprocessing import letterbox
from kd_perception.row_workers import RowWorkers
from kd_perception.uncertainty import confidence_from_logits


def reference(
    logits: np.ndarray, network: tuple[int, int], content: tuple[int, int], size: tuple[int, int]
) -> np.ndarray:
    """Full-size logits by OpenCV: up to the network, cut to the content, back to the size."""
    scaled = [cv2.resize(plane, network[::-1], interpolation=cv2.INTER_LINEAR) for plane in logits]
    cut = [plane[: content[0], : content[1]] for plane in scaled]
    return np.stack([cv2.resize(p, size[::-1], interpolation=cv2.INTER_LINEAR) for p in cut])


@given(
    classes=st.integers(2, 12),
    spread=st.floats(0.01, 60.0),
    temperature=st.floats(0.2, 5.0),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_one_pass_equals_resize_softmax_and_entropy(
    classes: int, spread: float, temperature: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (1, classes, 12, 16)).astype(np.float32)
    box = letterbox((48, 64), (48, 64))
    found = prediction_from_logits(logits, box, temperature=temperature, size=(48, 64))
    full = reference(logits[0], (48, 64), (48, 64), (48, 64))
    expected = confidence_from_logits(full, temperature)
    np.testing.assert_allclose(found.uncertainty, expected.uncertainty, atol=2e-5)
    np.testing.assert_allclose(found.confidence, 255 * expected.confidence, atol=0.51)
    best_two = np.sort(full, axis=0)[-2:]
    clear = best_two[1] - best_two[0] > 1e-4 * spread
    np.testing.assert_array_equal(found.mask[clear], expected.mask[clear])


def test_padding_never_reaches_the_result() -> None:
    box = letterbox((64, 64), (96, 128))
    assert box.content_size == (96, 96)
    logits = np.zeros((1, 3, 24, 32), np.float32)
    logits[0, 1] = 4.0
    logits[0, 2, :, 24:] = 50.0  # cells that hold padding only
    found = prediction_from_logits(logits, box, temperature=1.0, size=(64, 64))
    assert (found.mask == 1).all()
    assert np.ptp(found.uncertainty) < 1e-6


@pytest.mark.parametrize('camera', [(48, 64), (24, 32), (96, 128), (30, 40), (480, 640)])
def test_a_chequer_stays_where_it_is(camera: tuple[int, int]) -> None:
    """Cells of 3x4 logits: the mask must change within one cell of the true border."""
    network = (96, 128)
    box = letterbox(camera, network)
    rows, columns = np.mgrid[0:24, 0:32]
    chequer = ((rows // 6 + columns // 8) % 2).astype(np.float32)
    logits = np.stack([1 - chequer, chequer])[None] * 8
    mask = prediction_from_logits(logits, box, temperature=1.0, size=camera).mask
    y = (np.arange(camera[0]) + 0.5) / camera[0] * 24
    x = (np.arange(camera[1]) + 0.5) / camera[1] * 32
    truth = ((y[:, None] // 6 + x[None] // 8) % 2).astype(np.uint8)
    inside = (np.abs((y + 3) % 6 - 3) > 0.5)[:, None] & (np.abs((x + 4) % 8 - 4) > 0.5)[None]
    np.testing.assert_array_equal(mask[inside], truth[inside])


def test_certain_and_undecided_pixels() -> None:
    logits = np.zeros((1, 9, 8, 8), np.float32)
    logits[0, 4, :4] = 200.0
    box = letterbox((32, 32), (32, 32))
    found = prediction_from_logits(logits, box, temperature=1.0, size=(32, 32))
    assert (found.mask[0, 0], found.confidence[0, 0]) == (4, 255)
    assert found.uncertainty[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert found.confidence[-1, 0] == round(255 / 9)
    assert found.uncertainty[-1, 0] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize('shape', [(2, 3, 8, 8), (3, 8, 8), (1, 1, 8, 8), (1, 300, 8, 8)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    box = letterbox((32, 32), (32, 32))
    with pytest.raises(ShapeError):
        prediction_from_logits(np.zeros(shape, np.float32), box, temperature=1.0, size=(32, 32))


@given(
    classes=st.integers(2, 12),
    camera=st.sampled_from([(48, 64), (31, 57), (96, 128), (7, 9)]),
    temperature=st.floats(0.2, 5.0),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_mask_alone_is_the_same_bit_for_bit(
    classes: int, camera: tuple[int, int], temperature: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (1, classes, 24, 32)).astype(np.float32)
    logits[..., ::5] = np.round(logits[..., ::5])  # equal scores, too
    box = letterbox(camera, (96, 128))
    full = prediction_from_logits(logits, box, temperature=temperature, size=camera)
    alone = mask_from_logits(logits, box, temperature=temperature, size=camera)
    np.testing.assert_array_equal(alone, full.mask)


def test_mask_alone_refuses_other_shapes() -> None:
    box = letterbox((48, 64), (48, 64))
    for shape in ((1, 1, 12, 16), (2, 3, 12, 16), (3, 12, 16)):
        with pytest.raises(ShapeError):
            mask_from_logits(np.zeros(shape, np.float32), box, temperature=1.0, size=(48, 64))


@pytest.mark.parametrize('threads', [2, 3, 7])
def test_any_number_of_threads_gives_the_same_bits(threads: int) -> None:
    logits = np.random.default_rng(2).normal(0, 3, (1, 9, 24, 32)).astype(np.float32)
    box, workers = letterbox((95, 128), (96, 128)), RowWorkers(threads)
    for camera in ((95, 128), (5, 7)):
        values = {'temperature': 1.3, 'size': camera}
        alone = prediction_from_logits(logits, box, **values)
        shared = prediction_from_logits(logits, box, **values, workers=workers)
        for one, other in zip(alone, shared, strict=True):
            np.testing.assert_array_equal(one, other)
        mask = mask_from_logits(logits, box, **values, workers=workers)
        np.testing.assert_array_equal(mask, alone.mask)
