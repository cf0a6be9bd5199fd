# SPDX-License-Identifier: Apache-2.0
"""Depth of images in every encoding: the same for all that say the same, or refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from depth_pipelines import frame, pipeline_of
from hand_made_depth import color_ramp, save_thermal_depth_student

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.encodings import image_from_compressed
from kd_perception.errors import ImageEncodingError
from kd_perception.pipeline import DepthPipeline, DepthPipelineConfig
from kd_perception.preprocessing import AgcConfig


@pytest.fixture
def pipeline(tiny_depth_folder: Path) -> DepthPipeline:
    return pipeline_of(tiny_depth_folder)


ENCODED = {
    'bgr8': lambda rgb: rgb[..., ::-1],
    '8UC3': lambda rgb: rgb[..., ::-1],
    'rgba8': lambda rgb: np.dstack([rgb, np.full(rgb.shape[:2], 7, np.uint8)]),
    'bgra8': lambda rgb: np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 7, np.uint8)]),
}


@pytest.mark.parametrize('encoding', ENCODED)
def test_the_order_of_channels_does_not_matter(pipeline: DepthPipeline, encoding: str) -> None:
    rgb = color_ramp()
    expected = pipeline.step(frame(rgb), focal_px=100.0)
    found = pipeline.step(
        frame(np.ascontiguousarray(ENCODED[encoding](rgb)), encoding), focal_px=100.0
    )
    np.testing.assert_array_equal(found.depth_m, expected.depth_m)
    np.testing.assert_array_equal(found.confidence, expected.confidence)


def test_gray_and_compressed_images(pipeline: DepthPipeline) -> None:
    rgb = color_ramp()
    gray = rgb[..., 1]
    expected = pipeline.step(frame(np.dstack([gray] * 3)), focal_px=100.0)
    for encoding in ('mono8', '8UC1'):
        found = pipeline.step(frame(gray, encoding), focal_px=100.0)
        np.testing.assert_array_equal(found.depth_m, expected.depth_m)
    done, png = cv2.imencode('.png', rgb[..., ::-1])
    assert done
    image, encoding = image_from_compressed(png.tobytes())
    found = pipeline.step(frame(image, encoding), focal_px=100.0)
    np.testing.assert_array_equal(found.depth_m, pipeline.step(frame(rgb), focal_px=100.0).depth_m)


@pytest.mark.parametrize('encoding', ['mono16', '16UC1', '32FC1'])
def test_thermal_images_are_refused(pipeline: DepthPipeline, encoding: str) -> None:
    kind = np.float32 if encoding == '32FC1' else np.uint16
    with pytest.raises(ImageEncodingError, match='color image'):
        pipeline.step(frame(np.zeros((96, 128), kind), encoding), focal_px=100.0)


def test_a_thermal_student_sees_images_after_gain_control(tmp_path: Path) -> None:
    student = load_student(save_thermal_depth_student(tmp_path / 'thermal_depth'))
    backend = create_backend(student, backend='onnxruntime', threads=1)
    gain = AgcConfig(low_percentile=0.0, high_percentile=100.0)
    made = DepthPipeline(student, backend, DepthPipelineConfig(agc=gain))
    blocks = np.random.default_rng(0).integers(29_000, 31_000, (24, 32)).astype(np.uint16)
    blocks[0, :2] = 29_000, 31_000
    raw = np.kron(blocks, np.ones((4, 4), np.uint16))
    result = made.step(frame(raw, 'mono16'), focal_px=150.0)
    gray = (blocks.astype(float) - 29_000) / 2000.0
    log_depth = cv2.resize(4.0 * gray, (128, 96), interpolation=cv2.INTER_LINEAR)
    expected = 1.5 * np.exp(log_depth)
    near = expected < 70.0
    assert result.depth_m is not None
    np.testing.assert_allclose(result.depth_m[near], expected[near], rtol=1e-3)
    with pytest.raises(ImageEncodingError, match='thermal'):
        made.step(frame(color_ramp()), focal_px=150.0)
    backend.close()
