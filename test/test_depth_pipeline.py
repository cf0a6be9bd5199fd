# SPDX-License-Identifier: Apache-2.0
"""Color frames to meters, held against NumPy and OpenCV in double precision."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hand_made_depth import (
    FOCAL_PX,
    color_ramp,
    expected_depth,
    save_depth_student,
    save_thermal_depth_student,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.encodings import image_from_compressed
from kd_perception.errors import (
    BackendError,
    ConfigError,
    ImageEncodingError,
    KdPerceptionError,
    ShapeError,
)
from kd_perception.frames import Frame
from kd_perception.freeze import FreezeConfig
from kd_perception.pipeline import DepthOutput, DepthPipeline, DepthPipelineConfig, Pipeline
from kd_perception.preprocessing import AgcConfig

SECOND = 10**9
STEADY = DepthPipelineConfig(freeze=FreezeConfig('none'))


def pipeline_of(folder: Path, config: DepthPipelineConfig = STEADY) -> DepthPipeline:
    student = load_student(folder)
    backend = create_backend(student, backend='openvino', precision='fp32', threads=2)
    return DepthPipeline(student, backend, config)


@pytest.fixture(scope='module')
def pipeline(tiny_depth_folder: Path) -> DepthPipeline:
    return pipeline_of(tiny_depth_folder)


@pytest.fixture(autouse=True)
def fresh(pipeline: DepthPipeline) -> None:
    pipeline.configure(STEADY)
    pipeline.reset()


def frame(rgb: np.ndarray, encoding: str = 'rgb8') -> Frame:
    return Frame(rgb, encoding, SECOND, 'optical')


def changed(**values: Any) -> DepthPipelineConfig:
    return dataclasses.replace(STEADY, **values)


@pytest.mark.parametrize(
    ('size', 'focal'), [((96, 128), 100.0), ((48, 64), 60.0), ((240, 320), 200.0)]
)
def test_depth_sigma_and_confidence(
    pipeline: DepthPipeline, size: tuple[int, int], focal: float
) -> None:
    rgb = color_ramp(size=size)
    result = pipeline.step(frame(rgb), focal_px=focal)
    depth, share, confidence = expected_depth(rgb, focal)
    assert result.depth_m is not None and result.relative_depth is None
    assert result.sigma_m is not None and result.confidence is not None
    assert result.focal_px == pytest.approx(focal * 128 / size[1])
    assert result.scale == pytest.approx(result.focal_px / FOCAL_PX)
    far = 50.0 * result.scale
    sure = np.abs(depth / far - 1.0) > 1e-4  # rounding decides at the limit itself
    known = sure & (depth < far)
    np.testing.assert_allclose(result.depth_m[known], depth[known], rtol=2e-5)
    assert (result.depth_m[sure & (depth > far)] == np.inf).all()
    np.testing.assert_allclose(
        result.sigma_m[known], (math.sqrt(2.0) * share * depth)[known], rtol=3e-5
    )
    assert np.abs(result.confidence[known] - 255 * confidence[known]).max() <= 0.51
    lost = ~np.isfinite(result.depth_m)
    assert np.isnan(result.sigma_m[lost]).all() and not result.confidence[lost].any()
    assert result.valid_ratio == pytest.approx(1.0 - lost.mean())


def test_ranges_are_infinities_and_never_clipped(pipeline: DepthPipeline) -> None:
    rgb = color_ramp()
    depth, _, _ = expected_depth(rgb, 100.0)
    pipeline.configure(changed(min_range_m=3.0, max_range_m=20.0))
    result = pipeline.step(frame(rgb), focal_px=100.0)
    assert result.depth_m is not None
    for limit, beyond, value in (
        (3.0, depth < 3.0 * 0.9999, -np.inf),
        (20.0, depth > 20.0 * 1.0001, np.inf),
    ):
        assert beyond.any() and (result.depth_m[beyond] == value).all()
        assert not np.isclose(result.depth_m[beyond], limit).any()
    inside = (depth > 3.001) & (depth < 19.99)
    assert inside.any() and np.isfinite(result.depth_m[inside]).all()


def test_unreliable_depth_is_not_a_number(pipeline: DepthPipeline) -> None:
    rgb = color_ramp()
    _, share, _ = expected_depth(rgb, 100.0)
    pipeline.configure(changed(max_relative_uncertainty=0.1))
    result = pipeline.step(frame(rgb), DepthOutput.DEPTH, focal_px=100.0)
    assert result.depth_m is not None and result.sigma_m is None and result.confidence is None
    unsure, sure = math.sqrt(2.0) * share > 0.1001, math.sqrt(2.0) * share < 0.0999
    assert unsure.any() and sure.any()
    assert np.isnan(result.depth_m[unsure]).all()
    assert not np.isnan(result.depth_m[sure]).any()


def test_letterbox_is_undone(pipeline: DepthPipeline) -> None:
    """A square image fills three quarters of the width; its border is no part of the answer."""
    rgb = color_ramp(size=(96, 96))
    result = pipeline.step(frame(rgb), focal_px=100.0)
    wide = np.concatenate([rgb, np.repeat(rgb[:, -1:], 32, axis=1)], axis=1)
    depth, _, _ = expected_depth(wide, 100.0)
    assert result.depth_m is not None and result.depth_m.shape == (96, 96)
    inner = (slice(None), slice(0, 90))
    finite = np.isfinite(result.depth_m[inner])
    assert finite.mean() > 0.5
    np.testing.assert_allclose(result.depth_m[inner][finite], depth[:, :90][finite], rtol=2e-5)


def test_network_size_on_request(pipeline: DepthPipeline) -> None:
    pipeline.configure(changed(output_size='network'))
    result = pipeline.step(frame(color_ramp(size=(192, 192))), focal_px=200.0)
    assert result.depth_m is not None
    assert result.depth_m.shape == result.size == pipeline.output_size((192, 192)) == (96, 96)


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


def test_without_focal_length_depth_is_relative(pipeline: DepthPipeline) -> None:
    rgb = color_ramp()
    result = pipeline.step(frame(rgb))
    assert result.depth_m is None and result.sigma_m is None and result.confidence is None
    assert not result.is_metric and math.isnan(result.scale) and math.isnan(result.focal_px)
    depth, _, _ = expected_depth(rgb, FOCAL_PX)
    np.testing.assert_allclose(result.relative_depth, depth, rtol=2e-5)
    nothing = pipeline.step(frame(rgb), DepthOutput.DEPTH)
    assert nothing.relative_depth is None and nothing.timings.infer_ms == 0.0


def test_where_the_scale_comes_from(pipeline: DepthPipeline, tmp_path: Path) -> None:
    rgb = color_ramp()
    base, _, _ = expected_depth(rgb, FOCAL_PX)
    for config, focal, factor in (
        (changed(scale_mode='fixed', scale_factor=0.5), None, 0.5),
        (changed(scale_mode='fixed', scale_factor=0.5), 300.0, 0.5),
        (changed(require_calibration=False), None, 1.0),
        (changed(require_calibration=False), 50.0, 0.5),
    ):
        pipeline.configure(config)
        result = pipeline.step(frame(rgb), focal_px=focal)
        assert result.depth_m is not None and result.scale == factor
        assert result.is_assumed == (factor == 1.0)
        near = base < 49.0
        np.testing.assert_allclose(result.depth_m[near], factor * base[near], rtol=2e-5)
    pipeline.configure(changed(scale_mode='none'))
    assert pipeline.step(frame(rgb), focal_px=100.0).depth_m is None
    unscaled = pipeline_of(save_depth_student(tmp_path / 'unscaled', metric=False))
    assert unscaled.step(frame(rgb), focal_px=100.0).depth_m is None
    unscaled.configure(changed(scale_mode='fixed', scale_factor=2.0))
    assert unscaled.step(frame(rgb)).scale == 2.0


def test_sigma_in_meters_grows_with_the_scale_of_the_depth(tmp_path: Path) -> None:
    """exp(log_sigma) meters at the training's focal length; twice that at twice the length."""
    student = pipeline_of(save_depth_student(tmp_path / 'meters', sigma_unit='meter'))
    rgb = color_ramp()
    depth, share, _ = expected_depth(rgb, 200.0)
    result = student.step(frame(rgb), focal_px=200.0)
    assert result.sigma_m is not None
    known = depth < 79.0  # the range asked for
    # Logarithms are interpolated, so the share is that of the depth at each pixel.
    np.testing.assert_allclose(
        result.sigma_m[known], (2.0 * math.sqrt(2.0) * share)[known], rtol=3e-5
    )


def test_mirrored_images_tell_the_uncertainty(pipeline: DepthPipeline) -> None:
    """A scene that is its own mirror image has the least one; the calibration is not for it."""
    assert pipeline.is_calibrated
    pipeline.configure(changed(uncertainty_method='tta_flip'))
    assert not pipeline.is_calibrated
    rgb = color_ramp()
    result = pipeline.step(frame(rgb), focal_px=100.0)
    blocks = rgb.reshape(24, 4, 32, 4, 3).mean((1, 3)) / 255.0
    log_depth = blocks @ np.array([1.0, 2.0, 1.0])
    # The hand-made network sees each block by itself, so it says the same of mirrored blocks.
    assert result.sigma_m is not None and result.depth_m is not None
    finite = np.isfinite(result.depth_m)
    assert (result.sigma_m[finite] / result.depth_m[finite]).max() < 1e-4
    assert (log_depth[:, 0] < log_depth[:, -1]).all()


def test_mirrored_maps_are_compared_at_the_same_place() -> None:
    from kd_perception.bundle_depth import DepthSpec
    from kd_perception.depth_postprocessing import relative_log_maps

    generator = np.random.default_rng(3)
    maps, mirrored = generator.normal(1.0, 0.5, (2, 1, 2, 5, 7)).astype(np.float32)
    found = relative_log_maps(maps, DepthSpec(100.0, 0.1, 50.0), mirrored)
    for row in range(5):
        for column in range(7):
            here, there = np.exp(maps[0, 0, row, column]), np.exp(mirrored[0, 0, row, 6 - column])
            expected = math.log(max(abs(here - there) / here, 1e-6))
            assert found[0, 1, row, column] == pytest.approx(expected, abs=1e-4)
    np.testing.assert_array_equal(found[0, 0], maps[0, 0])


def test_frozen_frames_have_no_prediction(pipeline: DepthPipeline) -> None:
    pipeline.configure(changed(freeze=FreezeConfig('detect', 'flag', 2, 0.0)))
    rgb = color_ramp()
    first, second = (pipeline.step(frame(rgb), focal_px=100.0) for _ in range(2))
    assert not first.frozen and first.valid_ratio > 0.5
    assert second.frozen and not second.held and second.valid_ratio == 0.0
    assert second.depth_m is not None and np.isnan(second.depth_m).all()
    assert second.confidence is not None and not second.confidence.any()
    pipeline.configure(changed(freeze=FreezeConfig('detect', 'hold', 2, 0.0)))
    assert pipeline.step(frame(rgb), focal_px=100.0).held
    assert not pipeline.step(frame(color_ramp(1)), focal_px=100.0).frozen


def test_any_number_of_threads_gives_the_same(tiny_depth_folder: Path) -> None:
    student = load_student(tiny_depth_folder)
    results = []
    for threads in (1, 2, 3):
        backend = create_backend(
            student, backend='openvino', precision='fp32', threads=threads, deterministic=True
        )
        backend.threads = threads
        pipeline = DepthPipeline(student, backend, STEADY)
        results.append(pipeline.step(frame(color_ramp(size=(101, 130))), focal_px=90.0))
    for other in results[1:]:
        np.testing.assert_array_equal(other.depth_m, results[0].depth_m)
        np.testing.assert_array_equal(other.sigma_m, results[0].sigma_m)
        np.testing.assert_array_equal(other.confidence, results[0].confidence)


@settings(max_examples=40)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.sampled_from(['rgb8', 'bgra8', 'mono8', 'mono16', 'x']),
    st.none() | st.floats(-10.0, 1.0e4),
)
def test_any_frame_is_answered_at_its_size_or_refused(
    pipeline: DepthPipeline, height: int, width: int, encoding: str, focal: float | None
) -> None:
    channels = {'rgb8': (3,), 'bgra8': (4,)}.get(encoding, ())
    kind = np.uint16 if encoding == 'mono16' else np.uint8
    image = np.full((height, width, *channels), 77, kind)
    try:
        result = pipeline.step(frame(image, encoding), focal_px=focal)
    except KdPerceptionError:
        return
    depth = result.depth_m if result.is_metric else result.relative_depth
    assert depth is not None and depth.shape == (height, width) and depth.dtype == np.float32


def test_wrong_settings_and_students(
    pipeline: DepthPipeline, tiny_student_folder: Path, tiny_depth_folder: Path
) -> None:
    for values in (
        {'min_range_m': 0.0}, {'min_range_m': 90.0}, {'max_range_m': math.inf},
        {'scale_mode': 'guess'}, {'scale_factor': 0.0}, {'uncertainty_method': 'mutual'},
        {'max_relative_uncertainty': -1.0}, {'output_size': 'large'},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            changed(**values)
    with pytest.raises(ConfigError, match='focal length'):
        pipeline.step(frame(color_ramp()), focal_px=0.0)
    with pytest.raises(ShapeError, match='sides'):
        pipeline.step(frame(np.zeros((1, 30000, 3), np.uint8)), focal_px=100.0)
    for kind, folder in ((DepthPipeline, tiny_student_folder), (Pipeline, tiny_depth_folder)):
        student = load_student(folder)
        with pytest.raises(ConfigError, match='of task'):
            kind(student, pipeline.backend)


class _Broken:
    name, device, precision, threads = 'broken', 'cpu', 'fp16', 1

    def infer(self, image: np.ndarray) -> np.ndarray:
        return np.full((1, 2, 24, 32), np.nan, np.float32)

    def close(self) -> None:
        pass


def test_outputs_that_are_not_finite_are_an_error(tiny_depth_folder: Path) -> None:
    pipeline = DepthPipeline(load_student(tiny_depth_folder), _Broken(), STEADY)
    with pytest.raises(BackendError, match='finite'):
        pipeline.step(frame(color_ramp()), focal_px=100.0)
