# SPDX-License-Identifier: Apache-2.0
"""Sigma as the disagreement of two students: numbers by hand, settings, replay."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from color_drives import write_color_drive
from hand_made_depth import (
    CONFIDENCE_SCALE,
    LEAST_SHARE,
    PAIR_SCALE,
    color_ramp,
    expected_depth,
    expected_disagreement,
    save_depth_student,
)
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.backends import StudentPair, create_backend
from kd_perception.bags import BagReader
from kd_perception.bundle import load_student
from kd_perception.bundle_depth import SigmaCalibration
from kd_perception.depth_postprocessing import mutual_log_maps
from kd_perception.errors import BackendError, ConfigError
from kd_perception.frames import Frame
from kd_perception.freeze import FreezeConfig
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.pipeline import DepthPipeline, DepthPipelineConfig
from kd_perception.replay import replay_bag
from kd_perception.tasks import DEPTH, load_pipeline

STEADY = DepthPipelineConfig(freeze=FreezeConfig('none'))


def pipeline_of(folder: Path, config: DepthPipelineConfig = STEADY) -> DepthPipeline:
    student = load_student(folder)
    backend = create_backend(student, backend='onnxruntime', device='cpu', threads=1)
    return DepthPipeline(student, backend, config)


@pytest.fixture(scope='module')
def pair(tiny_pair_folder: Path) -> DepthPipeline:
    return pipeline_of(tiny_pair_folder)


@pytest.fixture(autouse=True)
def fresh(pair: DepthPipeline) -> None:
    pair.configure(STEADY)
    pair.reset()


def frame(rgb: np.ndarray) -> Frame:
    return Frame(rgb, 'rgb8', 10**9, 'optical')


def changed(**values: Any) -> DepthPipelineConfig:
    return dataclasses.replace(STEADY, **values)


def log_maps(*depths_m: float) -> np.ndarray:
    logs = np.log(np.array(depths_m))
    return np.stack([logs, np.full_like(logs, -3.0)])[None, :, None].astype(np.float32)


def test_numbers_by_hand() -> None:
    """4 m against 5 m: the sample of their logarithms deviates by ln(1.25) / sqrt(2) = 15.8 %."""
    first, second = log_maps(4.0, 4.0, 5.0, 8.0), log_maps(5.0, 4.0, 4.0, 4.0)
    found = mutual_log_maps(first, second, log_ratio=0.0, least_share=0.01)
    assert found.shape == (1, 2, 1, 4) and found.dtype == np.float32
    np.testing.assert_array_equal(found[0, 0], first[0, 0])
    share = np.exp(found[0, 1, 0].astype(float))
    np.testing.assert_allclose(share, [0.111572, 0.01, 0.111572, 0.346574], rtol=1e-5)
    deviation = np.std(np.log([[4.0, 5.0], [8.0, 4.0]]), axis=1, ddof=1)
    np.testing.assert_allclose(math.sqrt(2.0) * share[[0, 3]], deviation, rtol=1e-5)


def test_the_second_depth_is_brought_to_the_focal_length_of_the_first() -> None:
    """At twice the reference focal length a network tells twice the depth of the same image."""
    found = mutual_log_maps(
        log_maps(10.0), log_maps(5.0), log_ratio=math.log(2.0), least_share=0.001
    )
    assert math.exp(found[0, 1, 0, 0]) == pytest.approx(0.001, rel=1e-4)


DEPTH_M = st.floats(0.1, 1000.0)


@given(DEPTH_M, DEPTH_M, st.floats(0.1, 10.0), st.floats(1e-6, 1.0))
def test_disagreement_is_mutual_and_knows_no_scale(
    one_m: float, other_m: float, factor: float, least: float
) -> None:
    def share(a_m: float, b_m: float) -> float:
        maps = mutual_log_maps(log_maps(a_m), log_maps(b_m), log_ratio=0.0, least_share=least)
        return math.exp(float(maps[0, 1, 0, 0]))

    assert share(one_m, other_m) == pytest.approx(share(other_m, one_m), rel=1e-5)
    assert share(one_m, one_m) == pytest.approx(least, rel=1e-5)
    assert share(one_m, other_m) >= least * 0.99999
    expected = max(abs(math.log(one_m / other_m)) / 2.0, least)
    assert share(one_m, other_m) == pytest.approx(expected, rel=1e-4, abs=2e-6)
    scaled = share(factor * one_m, factor * other_m)
    assert scaled == pytest.approx(share(one_m, other_m), rel=1e-4, abs=2e-6)


@pytest.mark.parametrize(('size', 'focal'), [((96, 128), 100.0), ((48, 64), 60.0)])
def test_sigma_and_confidence_of_a_pair(
    pair: DepthPipeline, size: tuple[int, int], focal: float
) -> None:
    rgb = color_ramp(size=size)
    result = pair.step(frame(rgb), focal_px=focal)
    depth, _, _ = expected_depth(rgb, focal)
    share = expected_disagreement(rgb)
    assert (share < 1.001 * LEAST_SHARE).any() and (share > 2 * LEAST_SHARE).any()
    known = depth < 49.0 * result.scale
    assert result.sigma_m is not None and result.confidence is not None
    sigma = math.sqrt(2.0) * PAIR_SCALE * share * depth
    np.testing.assert_allclose(result.sigma_m[known], sigma[known], rtol=1e-4)
    sure = 255 * (1.0 - np.exp(-0.1 / (CONFIDENCE_SCALE * share)))
    assert np.abs(result.confidence[known] - sure[known]).max() <= 0.51
    assert (pair.uncertainty_method, pair.is_calibrated) == ('mutual', True)


def test_depth_is_that_of_the_first_student_bit_for_bit(
    pair: DepthPipeline, tiny_depth_folder: Path
) -> None:
    alone = pipeline_of(tiny_depth_folder).step(frame(color_ramp()), focal_px=90.0)
    together = pair.step(frame(color_ramp()), focal_px=90.0)
    np.testing.assert_array_equal(together.depth_m, alone.depth_m)
    assert together.sigma_m is not None and alone.sigma_m is not None
    finite = np.isfinite(alone.sigma_m)
    assert (together.sigma_m[finite] != alone.sigma_m[finite]).mean() > 0.9


def test_a_calibration_is_for_one_method_only(pair: DepthPipeline) -> None:
    pair.configure(changed(uncertainty_method='predicted'))
    assert not pair.is_calibrated
    rgb = color_ramp()
    result = pair.step(frame(rgb), focal_px=100.0)
    depth, calibrated_share, _ = expected_depth(rgb, 100.0)
    known = depth < 49.0
    sigma = math.sqrt(2.0) * calibrated_share / 1.5 * depth  # the factor of neither method
    assert result.sigma_m is not None
    np.testing.assert_allclose(result.sigma_m[known], sigma[known], rtol=1e-4)


def test_a_student_that_nothing_was_fitted_on_is_not_calibrated(tmp_path: Path) -> None:
    folder = save_depth_student(tmp_path / 'raw', calibration=SigmaCalibration())
    assert not pipeline_of(folder).is_calibrated


def test_without_a_second_student_the_method_is_refused(
    tiny_depth_folder: Path, pair: DepthPipeline
) -> None:
    mutual = changed(uncertainty_method='mutual')
    with pytest.raises(ConfigError, match='tiny_depth has none'):
        pipeline_of(tiny_depth_folder, mutual)
    alone = pipeline_of(tiny_depth_folder)
    with pytest.raises(ConfigError, match='second student'):
        alone.configure(mutual)
    assert alone.config == STEADY and alone.uncertainty_method == 'predicted'
    values = MONO_DEPTH.defaults() | {
        'model.path': str(tiny_depth_folder), 'uncertainty.method': 'mutual', 'threads': 1,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r'training\.depth_pair'):
        load_pipeline(DEPTH, values)
    with pytest.raises(ConfigError, match='second student'):
        DepthPipeline(pair.student, pipeline_of(tiny_depth_folder).backend, STEADY)
    pair.configure(mutual)
    assert pair.is_calibrated


class _Broken:
    name, device, precision, threads = 'broken', 'cpu', 'fp32', 1

    def __init__(self) -> None:
        self.closed = 0

    def infer(self, image: np.ndarray) -> np.ndarray:
        return np.full((1, 2, 24, 32), np.nan, np.float32)

    def close(self) -> None:
        self.closed += 1


def test_a_second_network_that_is_not_finite_is_an_error(tiny_pair_folder: Path) -> None:
    student, broken = load_student(tiny_pair_folder), _Broken()
    assert student.second is not None
    first = create_backend(student.second, backend='onnxruntime', threads=1)
    made = DepthPipeline(student, StudentPair(first, broken), STEADY)
    with pytest.raises(BackendError, match='finite'):
        made.step(frame(color_ramp()), focal_px=100.0)
    made.configure(changed(uncertainty_method='predicted'))
    made.step(frame(color_ramp()), focal_px=100.0)  # the second is not asked
    made.backend.close()
    assert broken.closed == 1


def test_both_networks_must_run_in_the_precision_asked_for(tiny_pair_folder: Path) -> None:
    student = load_student(tiny_pair_folder)
    half = dataclasses.replace(student, onnx_int8=student.onnx)
    with pytest.raises(BackendError, match='tiny_pair_other has no int8 graph'):
        create_backend(half, backend='onnxruntime', device='cpu', precision='int8')


def test_replay_gives_what_the_pipeline_gives(tiny_pair_folder: Path, tmp_path: Path) -> None:
    values = MONO_DEPTH.defaults() | {
        'model.path': str(tiny_pair_folder), 'backend': 'onnxruntime', 'threads': 1,
        'warmup_iterations': 1,
    }  # fmt: skip
    drive = write_color_drive(tmp_path / 'drive', [100.0, 150.0])
    report = replay_bag(drive, tmp_path / 'out', load_pipeline(DEPTH, values))
    assert (report.published, report.failed) == (2, 0)
    again = load_pipeline(DEPTH, values)
    with BagReader(tmp_path / 'out') as bag:
        found = [f.image for f in bag.frames('/camera/mono_depth/depth/uncertainty')]
    for index, focal in enumerate((100.0, 150.0)):
        expected = again.step(frame(color_ramp(index)), focal_px=focal).sigma_m
        np.testing.assert_array_equal(found[index], expected)
