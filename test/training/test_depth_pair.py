# SPDX-License-Identifier: Apache-2.0
"""Two depth students become one bundle whose sigma is fitted to their disagreement."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from compress_depth_runs import FOCAL_PX as RUN_FOCAL_PX
from compress_depth_runs import tiny_run
from hand_made_depth import (
    SECOND_FOCAL_PX,
    SECOND_LOG_DEPTH_WEIGHTS,
    color_ramp,
    expected_depth,
    expected_disagreement,
    save_depth_student,
    save_thermal_depth_student,
)

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import BundleError, ConfigError
from kd_perception.frames import Frame
from kd_perception.pipeline import DepthPipeline
from training import depth_pair
from training.depth_disagreement import LEAST_SHARES, PREDICTED, fit, observe, quality
from training.recipes.compress_depth_config import CompressDepthConfig
from training.recipes.mutual_distillation_frames import ScoredFrame

FACTOR, LEAST, FOCAL = 3.0, 0.01, 120.0


@pytest.fixture(scope='module')
def students(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pair_parts')
    first = save_depth_student(folder / 'first')
    second = save_depth_student(
        folder / 'second', SECOND_LOG_DEPTH_WEIGHTS, focal_px=SECOND_FOCAL_PX
    )
    return load_student(first), load_student(second)


def frames_off_by(factor, seeds):
    """Frames whose truth deviates by a factor of the disagreement, as a normal distribution."""
    camera = np.diag([FOCAL, FOCAL, 1.0])
    for seed in seeds:
        rgb = color_ramp(seed)
        depth_m, _, _ = expected_depth(rgb, FOCAL)
        sigma_m = math.sqrt(2.0) * expected_disagreement(rgb, LEAST) * depth_m
        noise = np.random.default_rng(100 + seed).standard_normal(depth_m.shape)
        target_m = np.maximum(depth_m + factor * sigma_m * noise, 0.5)
        yield ScoredFrame(rgb, target_m.astype(np.float32), {}, camera)


def hand_made_frames(config):
    assert not config.presets  # nothing is rendered that is not looked at
    return {
        'validation': list(frames_off_by(FACTOR, range(4))),
        'test': list(frames_off_by(FACTOR, range(4, 7))),
    }


@pytest.fixture(scope='module')
def joined(students, tmp_path_factory):
    """What was fitted, and the bundle."""
    folder = tmp_path_factory.mktemp('pairs') / 'pair'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depth_pair, 'scored_frames', hand_made_frames)
        report = depth_pair.join(CompressDepthConfig(), *students, folder)
    return report, load_student(folder)


def test_observed_are_depth_truth_and_disagreement(students):
    (frame,) = frames_off_by(FACTOR, [5])
    found = observe(*students, [frame], (LEAST,)).pixels(LEAST)
    depth_m, _, _ = expected_depth(frame.rgb, FOCAL)
    sigma_m = math.sqrt(2.0) * expected_disagreement(frame.rgb, LEAST) * depth_m
    expected = np.stack([depth_m, frame.target_m, sigma_m])[:, ::3, ::3].reshape(3, -1)
    known = (expected[1] > 0.1) & (expected[1] < 80.0)
    assert known.mean() > 0.9
    inner = (expected[1] > 0.6) & (expected[1] < 79.0)
    matching = np.isin(found[1], expected[1][inner].astype(np.float32))
    np.testing.assert_allclose(found[:, matching], expected[:, inner], rtol=1e-3)


def test_the_factor_and_the_least_disagreement_are_found(students):
    """Errors are three times the disagreement, of 1 % at least, by construction."""
    fitted = fit(observe(*students, frames_off_by(FACTOR, range(4)), LEAST_SHARES))
    assert fitted['least_share'] == LEAST
    assert fitted['sigma_scale'] == pytest.approx(FACTOR, rel=0.03)
    shares = (PREDICTED, LEAST)
    found = quality(observe(*students, frames_off_by(FACTOR, range(4, 7)), shares), fitted)
    assert found['sigma']['after']['coverage_1_sigma'] == pytest.approx(0.68, abs=0.02)
    assert found['sigma']['after']['coverage_2_sigma'] == pytest.approx(0.95, abs=0.02)
    before = math.erf(1.0 / FACTOR / math.sqrt(2.0))
    assert found['sigma']['before']['coverage_1_sigma'] == pytest.approx(before, abs=0.02)
    assert found['ause'] < found['ause_predicted']  # which knows nothing of these errors


def test_the_bundle_tells_what_was_fitted(students, joined):
    report, pair = joined
    first, second = students
    depth = pair.spec.depth
    assert pair.spec.name == 'pair'
    assert (depth.uncertainty_method, depth.focal_px) == ('mutual', first.spec.depth.focal_px)
    assert (depth.second.sha256, depth.second.least_share) == (second.sha256, LEAST)
    assert depth.calibration.scale == report['sigma_scale'] != first.spec.depth.calibration.scale
    assert depth.calibration.confidence_scale == report['confidence_scale']
    assert depth.calibration.fitted_on == 'synthetic validation split'
    assert depth.calibration.coverage_after == report['sigma']['after']['coverage_68']
    assert depth.calibration.ause == report['ause']
    assert pair.spec.provenance['mutual']['second'] == 'second'
    assert pair.spec.provenance['trained_on'] == first.spec.provenance['trained_on']
    assert (pair.onnx, pair.weights) == (first.onnx, first.weights)
    assert pair.second.spec == second.spec
    card = (pair.folder / 'MODEL_CARD.md').read_text()
    for text in ('# pair', '`second`', f'{report["sigma_scale"]:.3f}', '1.4%', '# depth'):
        assert text in card, text
    assert '{' not in card


def test_the_node_tells_the_sigma_that_was_scored(joined):
    report, pair = joined
    pipeline = DepthPipeline(pair, create_backend(pair, backend='onnxruntime', threads=1))
    errors = []
    for frame in frames_off_by(FACTOR, range(4, 7)):
        found = pipeline.step(Frame(frame.rgb, 'rgb8', 10**9), focal_px=FOCAL)
        known = np.isfinite(found.depth_m)
        errors.append(np.abs(found.depth_m - frame.target_m)[known] / found.sigma_m[known])
    assert pipeline.is_calibrated
    within = (np.concatenate(errors) <= 1.0).mean()
    assert within == pytest.approx(report['sigma']['after']['coverage_1_sigma'], abs=0.02)


def test_the_command_joins_bundles_on_rendered_frames(students, tmp_path, monkeypatch, capsys):
    config = tiny_run(tmp_path, tmp_path / 'world')
    assert config.focal_px == RUN_FOCAL_PX and config.presets
    monkeypatch.setattr(depth_pair, 'load_config', lambda kind, arguments: config)
    first, second = (str(student.folder) for student in students)
    folder = tmp_path / 'pair'
    depth_pair.main(['--first', first, '--second', second, '--folder', str(folder)])
    pair = load_student(folder)
    assert pair.spec.depth.second.least_share in LEAST_SHARES
    assert 'errors lie within one and two sigma' in capsys.readouterr().out


def test_students_that_are_no_pair_are_refused(students, joined, tmp_path):
    (first, second), pair = students, joined[1]
    config, folder = CompressDepthConfig(), tmp_path / 'refused'
    with pytest.raises(ConfigError, match='same network twice'):
        depth_pair.join(config, first, first, folder)
    with pytest.raises(ConfigError, match='none of a pair'):
        depth_pair.join(config, pair, second, folder)
    with pytest.raises(BundleError, match='second one each'):
        depth_pair.join(config, first, pair, folder)
    other = replace(first.spec.depth, metric=False)
    unscaled = replace(second, spec=replace(second.spec, depth=other))
    with pytest.raises(BundleError, match='know meters'):
        depth_pair.join(config, first, unscaled, folder)
    thermal = load_student(save_thermal_depth_student(tmp_path / 'thermal'))
    with pytest.raises(ConfigError, match='thermal ones'):
        depth_pair.join(config, thermal, replace(thermal, onnx=b''), folder)
    assert not folder.exists()


def test_frames_without_known_depth_fit_nothing(students, tmp_path, monkeypatch):
    (frame,) = frames_off_by(FACTOR, [0])
    for splits in ({}, {'validation': [frame]}, {'test': [frame]}):
        monkeypatch.setattr(depth_pair, 'scored_frames', lambda config, found=splits: found)
        with pytest.raises(ConfigError, match='no lidar'):
            depth_pair.join(CompressDepthConfig(), *students, tmp_path / 'pair')
    blind = frame._replace(target_m=np.zeros_like(frame.target_m))
    for validation, test in ((blind, frame), (frame, blind)):
        splits = {'validation': [validation], 'test': [test]}
        monkeypatch.setattr(depth_pair, 'scored_frames', lambda config, found=splits: found)
        with pytest.raises(ConfigError, match='known depth'):
            depth_pair.join(CompressDepthConfig(), *students, tmp_path / 'pair')
    assert not (tmp_path / 'pair').exists()
