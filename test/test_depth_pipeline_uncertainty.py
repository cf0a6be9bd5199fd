# SPDX-License-Identifier: Apache-2.0
"""Uncertain depth is left out; mirrored images tell how uncertain it is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from depth_pipelines import changed, frame, pipeline_of
from hand_made_depth import color_ramp, expected_depth

from kd_perception.pipeline import DepthOutput, DepthPipeline


@pytest.fixture
def pipeline(tiny_depth_folder: Path) -> DepthPipeline:
    return pipeline_of(tiny_depth_folder)


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
