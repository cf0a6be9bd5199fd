# SPDX-License-Identifier: Apache-2.0
"""Color frames to meters, held against NumPy and OpenCV in double precision."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from depth_pipelines import STEADY, changed, frame, pipeline_of
from hand_made_depth import FOCAL_PX, color_ramp, expected_depth
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import BackendError, ConfigError, KdPerceptionError, ShapeError
from kd_perception.freeze import FreezeConfig
from kd_perception.pipeline import DepthPipeline, Pipeline


@pytest.fixture(scope='module')
def pipeline(tiny_depth_folder: Path) -> DepthPipeline:
    return pipeline_of(tiny_depth_folder)


@pytest.fixture(autouse=True)
def fresh(pipeline: DepthPipeline) -> None:
    pipeline.configure(STEADY)
    pipeline.reset()


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
        {'scale_mode': 'guess'}, {'scale_factor': 0.0}, {'uncertainty_method': 'guess'},
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
