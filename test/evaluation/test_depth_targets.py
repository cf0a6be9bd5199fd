# SPDX-License-Identifier: Apache-2.0
"""True depth from messages and files: which encodings are meters, and what is none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from kd_perception.bags import BagReader, BagWriter
from kd_perception.errors import ConfigError, ImageEncodingError
from kd_perception.evaluation.depth_targets import (
    default_depth_topic,
    depth_from_file,
    depth_from_message,
    depth_targets,
)

COUNTS = np.array([[0, 1500, 65535]], np.uint16)


def from_message(folder: Path, image: np.ndarray, encoding: str) -> np.ndarray:
    with BagWriter(folder / 'bag') as bag:
        bag.write_image('/depth', image, stamp_ns=1, encoding=encoding)
    with BagReader(folder / 'bag') as bag:
        (message,) = bag.messages(['/depth'])
        return depth_from_message(message)


@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
def test_counts_are_millimeters(tmp_path: Path, encoding: str) -> None:
    depth = from_message(tmp_path, COUNTS, encoding)
    np.testing.assert_allclose(depth, [[np.nan, 1.5, 65.535]], rtol=1e-6)
    assert depth.dtype == np.float32


def test_floats_are_meters_and_what_is_no_measurement_is_nan(tmp_path: Path) -> None:
    image = np.array([[1.5, 0.0, -2.0, np.nan, np.inf, -np.inf]], np.float32)
    depth = from_message(tmp_path, image, '32FC1')
    np.testing.assert_array_equal(depth, [[1.5, *[np.nan] * 5]])


@pytest.mark.parametrize(
    ('image', 'encoding'),
    [(np.zeros((2, 3), np.uint8), 'mono8'), (np.zeros((2, 3, 3), np.uint8), 'rgb8')],
)
def test_other_images_are_no_depth(tmp_path: Path, image: np.ndarray, encoding: str) -> None:
    with pytest.raises(ImageEncodingError, match='/depth: true depth must be one channel'):
        from_message(tmp_path, image, encoding)


@pytest.mark.parametrize('scale', [0.001, 1 / 256])
def test_files_of_16_bit_have_a_scale(tmp_path: Path, scale: float) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), COUNTS)
    depth = depth_targets(scale).from_file(tmp_path / 'a.png')
    np.testing.assert_allclose(depth, [[np.nan, 1500 * scale, 65535 * scale]], rtol=1e-6)


def test_files_of_floats_are_meters(tmp_path: Path) -> None:
    image = np.array([[2.5, 0.0]], np.float64)
    np.save(tmp_path / 'a.npy', image)
    cv2.imwrite(str(tmp_path / 'a.tiff'), image.astype(np.float32))
    for name in ('a.npy', 'a.tiff'):
        np.testing.assert_array_equal(depth_from_file(tmp_path / name, 0.001), [[2.5, np.nan]])


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / 'a.png').write_bytes(b'no image')
    (tmp_path / 'a.npy').write_bytes(b'no array')
    np.save(tmp_path / 'b.npy', np.array([{'no': 'pickles'}]), allow_pickle=True)
    np.save(tmp_path / 'c.npy', np.zeros((2, 2, 2), np.float32))
    np.save(tmp_path / 'd.npy', np.zeros((2, 2), np.int64))
    for name in ('a.png', 'a.npy', 'b.npy', 'c.npy', 'd.npy', 'absent.npy', 'absent.png'):
        with pytest.raises(ImageEncodingError, match=name):
            depth_from_file(tmp_path / name, 0.001)


@pytest.mark.parametrize('scale', [0.0, -1.0, float('nan'), 1e4])
def test_a_scale_that_is_none(scale: float) -> None:
    with pytest.raises(ConfigError, match='scale of depth files must be above 0'):
        depth_targets(scale)


@pytest.mark.parametrize(
    ('topics', 'image_topic', 'found'),
    [
        (['/camera/depth'], '/camera/color/image_raw', '/camera/depth'),
        (['/camera/depth'], '/camera/image_raw/compressed', '/camera/depth'),
        (['/camera/depth/image', '/camera/depth'], '/camera/image_raw', '/camera/depth/image'),
        (['/other/depth'], '/camera/image_raw', ''),
    ],
)
def test_the_topic_that_is_near(
    tmp_path: Path, topics: list[str], image_topic: str, found: str
) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        for topic in topics:
            bag.write_image(topic, COUNTS, stamp_ns=1)
    with BagReader(tmp_path / 'bag') as bag:
        assert default_depth_topic(bag, image_topic) == found
