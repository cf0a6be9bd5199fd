# SPDX-License-Identifier: Apache-2.0
"""Where the scale of depth comes from: focal length, a fixed factor, or nowhere."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from depth_pipelines import changed, frame, pipeline_of
from hand_made_depth import FOCAL_PX, color_ramp, expected_depth, save_depth_student

from kd_perception.pipeline import DepthOutput, DepthPipeline


@pytest.fixture
def pipeline(tiny_depth_folder: Path) -> DepthPipeline:
    return pipeline_of(tiny_depth_folder)


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
