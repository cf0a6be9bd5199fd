# SPDX-License-Identifier: Apache-2.0
"""Students of color images: masks from color, by the same pipeline, replay and evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from color_drives import SIZE, TOPIC, stamp_of
from report_text import Page

from kd_perception.backends import create_backend
from kd_perception.bags import BagReader, BagWriter
from kd_perception.bundle import load_student
from kd_perception.cli import main
from kd_perception.errors import ImageEncodingError
from kd_perception.evaluation.image_folder import read_color_frame
from kd_perception.frames import Frame
from kd_perception.pipeline import Output, Pipeline

STRIPE = 16  # px of the camera, four cells of the network's output


def scene(index: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stripes whose green is a class, with red and blue that mean nothing; and the classes."""
    label = np.broadcast_to((np.arange(SIZE[1]) // STRIPE + index) % 9, SIZE).astype(np.uint8)
    rgb = np.random.default_rng(index).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    rgb[..., 1] = np.round(label * 255.0 / 8.0)
    return rgb, label


@pytest.fixture(scope='module')
def pipeline(tiny_color_folder: Path) -> Iterator[Pipeline]:
    student = load_student(tiny_color_folder)
    backend = create_backend(student, backend='onnxruntime', threads=1)
    yield Pipeline(student, backend)
    backend.close()


@pytest.fixture(scope='module')
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('color') / 'drive'
    with BagWriter(folder) as bag:
        for index in range(3):
            rgb, label = scene(index)
            bag.write_image(TOPIC, rgb, stamp_ns=stamp_of(index))
            bag.write_image('/camera/label', label, stamp_ns=stamp_of(index))
    return folder


def away_from_edges() -> np.ndarray:
    """Columns whose neighbors within a cell are of the same stripe."""
    place = np.arange(SIZE[1]) % STRIPE
    return (place >= 4) & (place < STRIPE - 4)


def test_mask_follows_the_color(pipeline: Pipeline) -> None:
    rgb, label = scene()
    result = pipeline.step(Frame(rgb, 'rgb8', 1), Output.ALL)
    inside = away_from_edges()
    np.testing.assert_array_equal(result.mask[:, inside], label[:, inside])
    assert (result.mask == label).mean() > 0.9
    assert result.temperature is None
    expected = rgb @ np.array([0.299, 0.587, 0.114])
    assert np.abs(result.agc_image - expected).max() <= 1.0
    assert (result.agc_low, result.agc_high) == (0.0, 255.0)


def test_the_order_of_the_channels_is_that_of_the_encoding(pipeline: Pipeline) -> None:
    rgb, _ = scene()
    expected = pipeline.step(Frame(rgb, 'rgb8', 1)).mask
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    alpha = np.full((*SIZE, 1), 7, np.uint8)
    for image, encoding in (
        (bgr, 'bgr8'),
        (np.dstack([rgb, alpha]), 'rgba8'),
        (np.dstack([bgr, alpha]), 'bgra8'),
    ):
        found = pipeline.step(Frame(image, encoding, 2))
        np.testing.assert_array_equal(found.mask, expected)


def test_larger_images_are_answered_at_their_size(pipeline: Pipeline) -> None:
    rgb, label = scene()
    large, wanted = (
        cv2.resize(i, (320, 240), interpolation=cv2.INTER_NEAREST) for i in (rgb, label)
    )
    found = pipeline.step(Frame(large, 'rgb8', 1)).mask
    assert found.shape == (240, 320)
    assert (found == wanted).mean() > 0.85


@pytest.mark.parametrize('kind', [np.uint16, np.float32])
def test_thermal_images_are_refused(pipeline: Pipeline, kind: type) -> None:
    encoding = {np.uint16: 'mono16', np.float32: '32FC1'}[kind]
    with pytest.raises(ImageEncodingError, match='not trained on thermal images'):
        pipeline.step(Frame(np.zeros(SIZE, kind), encoding, 1))


def test_replay_and_evaluation_take_the_student(
    tmp_path: Path, drive: Path, tiny_color_folder: Path
) -> None:
    options = ['--student', tiny_color_folder, '--image-topic', TOPIC, '--threads', '1', '--quiet']
    replay = ['replay', drive, '--out', tmp_path / 'masks', *options]
    assert main([str(part) for part in replay]) == 0
    with BagReader(tmp_path / 'masks') as bag:
        masks = [frame.image for frame in bag.frames('/camera/rgb_seg/mask')]
    inside = away_from_edges()
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(mask[:, inside], scene(index)[1][:, inside])
    evaluate = ['evaluate', drive, '--out', tmp_path / 'found', *options]
    assert main([str(part) for part in evaluate]) == 0
    document = json.loads((tmp_path / 'found' / 'metrics.json').read_text())
    assert document['scores']['segmentation']['pixel_accuracy'] > 0.9
    assert document['source']['encoding'] == 'rgb8'
    text = Page((tmp_path / 'found' / 'report.html').read_text()).text
    assert 'Color segmentation of' in text and 'Thermal' not in text


def test_a_folder_of_color_images(tmp_path: Path, tiny_color_folder: Path) -> None:
    images = tmp_path / 'images'
    images.mkdir()
    cv2.imwrite(f'{images}/a.png', scene()[0][..., ::-1])
    cv2.imwrite(f'{images}/b.png', np.zeros(SIZE, np.uint16))
    command = ['evaluate', '--images', images, '--out', tmp_path / 'out', '--quiet']
    assert main([*map(str, command), '--student', str(tiny_color_folder), '--threads', '1']) == 0
    document = json.loads((tmp_path / 'out' / 'images.json').read_text())
    used, refused = document['images']
    assert used['size'] == list(SIZE)
    assert used['class_shares']['car'] == pytest.approx(1 / 8, abs=0.03)
    assert 'color image has 8 bits' in refused['error']


def test_color_files_keep_their_channels(tmp_path: Path) -> None:
    bgra = np.random.default_rng(0).integers(0, 256, (5, 6, 4)).astype(np.uint8)
    for image, encoding in ((bgra, 'bgra8'), (bgra[..., :3], 'bgr8'), (bgra[..., 0], 'mono8')):
        cv2.imwrite(f'{tmp_path}/a.png', image)
        frame = read_color_frame(tmp_path / 'a.png')
        assert frame.encoding == encoding
        np.testing.assert_array_equal(frame.image, image)
