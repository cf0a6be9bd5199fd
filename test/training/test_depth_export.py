# SPDX-License-Identifier: Apache-2.0
"""A depth student from a checkpoint to the pipeline of the node, its description and its card."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from compress_depth_runs import tiny_run

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.bundle_depth import SigmaCalibration
from kd_perception.errors import ConfigError
from kd_perception.evaluation.report_page import is_synthetic_trained
from kd_perception.frames import Frame
from kd_perception.freeze import FreezeConfig
from kd_perception.models import RepUNetConfig
from kd_perception.pipeline import DepthPipeline, DepthPipelineConfig
from training import depth_export, export, observations
from training.depth_evaluation import Prediction
from training.distributed import launch
from training.recipes import compress_depth
from training.recipes.compress_depth import build, deployable_network, train
from training.recipes.compress_depth_data import scored_frames
from training.recipes.compress_depth_report import predictor
from training.records import read_record, write_record
from training.settings import plain

RECORD = {'frame_keys': {'train': 'ab'}}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of three steps with its record, and its bundle."""
    folder = tmp_path_factory.mktemp('depth_export')
    config = tiny_run(folder, folder / 'world', presets=())
    config = replace(config, loop=replace(config.loop, steps=3))
    train(config, launch(config.launch))
    depth_export.export_depth_student(config, folder / 'bundle')
    return config, load_student(folder / 'bundle')


def test_the_bundle_says_what_the_run_knows(trained):
    config, student = trained
    spec = student.spec
    assert (spec.task, spec.name, spec.classes) == ('depth', 'tiny', ())
    assert spec.output_shape == (1, 2, 16, 24)
    assert (spec.input.modality, spec.image_size) == ('rgb', (64, 96))
    assert (spec.depth.focal_px, spec.depth.metric) == (config.focal_px, True)
    assert (spec.depth.min_depth_m, spec.depth.max_depth_m) == (1.0, 80.0)
    assert spec.depth.sigma_unit == 'relative'
    assert is_synthetic_trained(spec.provenance)
    metrics = spec.provenance['metrics']
    after = metrics['test']['sigma']['after']
    assert spec.depth.calibration.scale == metrics['sigma_scale']
    assert spec.depth.calibration.coverage_after == after['coverage_68']
    assert spec.depth.calibration.nll_after == after['nll']


@pytest.mark.parametrize('backend', ['onnxruntime', 'torch'])
def test_the_node_tells_what_was_scored(trained, backend):
    """Depth and standard deviation of the pipeline are those of the scores, calibrated."""
    config, student = trained
    frame = scored_frames(config)['test'][0]
    expected = predictor(deployable_network(build(config)), config)(frame)
    pipeline = DepthPipeline(
        student,
        create_backend(student, backend=backend, precision='fp32', threads=1),
        DepthPipelineConfig(freeze=FreezeConfig('none')),
    )
    found = pipeline.step(
        Frame(frame.rgb, 'rgb8', 10**9, 'camera'), focal_px=float(frame.camera_matrix[0, 0])
    )
    finite = np.isfinite(found.depth_m)
    assert finite.mean() > 0.5
    np.testing.assert_allclose(
        found.depth_m[finite], 1.0 / expected.inverse_depth[finite], rtol=1e-3
    )
    scale = student.spec.depth.calibration.scale
    np.testing.assert_allclose(found.sigma_m[finite], scale * expected.sigma[finite], rtol=2e-3)


def test_the_card_has_every_split_and_what_is_not_known(trained):
    card = (trained[1].folder / 'MODEL_CARD.md').read_text()
    for text in ('synthetic', '| validation |', '| test |', 'focal length of 100 px', 'nobody',
                 '64x96', 'compare it with a lidar', 'Not looked at yet', '3 steps'):  # fmt: skip
        assert text in card, text
    assert '{' not in card


def test_an_unfinished_run_is_said_to_be_one(trained):
    text = depth_export.depth_model_card(trained[0], reported(trained), 2)
    assert '2 of 3 (unfinished run)' in text
    assert 'Taught by | nobody' in text


def reported(trained):
    return trained[1].spec.provenance['metrics']


def test_the_record_of_a_finished_run_is_used(trained, tmp_path, monkeypatch, capsys):
    config = trained[0]
    metrics = {**reported(trained), 'sigma_scale': 1.25}
    write_record(config.record_path, {**RECORD, 'metrics': metrics, 'config': plain(config)})
    monkeypatch.setattr(export, 'load_config', lambda kind, arguments: config)
    export.main(['--recipe', 'compress_depth', '--folder', str(tmp_path / 'again')])
    calibration = load_student(tmp_path / 'again').spec.depth.calibration
    assert calibration.scale == 1.25
    assert calibration.confidence_scale == metrics['confidence_scale']
    assert 'SHA-256' in capsys.readouterr().out
    recorded = read_record(config.record_path)['config']
    del recorded['bag']['camera_frame']  # as runs have it that are older than that
    write_record(config.record_path, {**RECORD, 'metrics': metrics, 'config': recorded})
    depth_export.export_depth_student(config, tmp_path / 'older')
    wrong = {**recorded, 'seed': 5}
    write_record(config.record_path, {**RECORD, 'metrics': metrics, 'config': wrong})
    with pytest.raises(ConfigError, match='seed differ'):
        depth_export.export_depth_student(config, tmp_path / 'none')
    config.record_path.unlink()


def test_the_card_says_what_was_seen_of_this_run(trained, tmp_path, monkeypatch, capsys):
    config = trained[0]
    monkeypatch.setattr(observations, 'OBSERVATIONS', tmp_path)
    record = {'metrics': reported(trained), 'config': plain(config), 'frame_keys': {'train': 'ab'}}
    write_record(config.record_path, record)
    depth_export.export_depth_student(config, tmp_path / 'unseen')
    path = observations.observations_path(config, 'ab')
    assert str(path) in capsys.readouterr().out
    path.write_text('Trees are farther than they look.\n')
    depth_export.export_depth_student(config, tmp_path / 'seen')
    for folder, seen in (('seen', True), ('unseen', False)):
        card = (tmp_path / folder / 'MODEL_CARD.md').read_text()
        assert ('Trees are farther' in card, 'Not looked at yet' in card) == (seen, not seen)
    write_record(config.record_path, {**record, 'frame_keys': {'train': 'of another world'}})
    depth_export.export_depth_student(config, tmp_path / 'other')
    assert 'Not looked at yet' in (tmp_path / 'other' / 'MODEL_CARD.md').read_text()
    config.record_path.unlink()


def test_what_was_not_scored_is_not_told(trained):
    """A recording without a lidar, or with so few frames that none is left to fit or to judge."""
    config = trained[0]
    for without in (('validation', 'test'), ('validation',), ('test',)):
        report = {k: v for k, v in reported(trained).items() if k not in without}
        spec = depth_export.student_spec(config, RepUNetConfig.preset(config.network), report, 3)
        assert spec.depth.calibration == SigmaCalibration()
        card = depth_export.depth_model_card(config, report, 3)
        assert 'Not scored' in card and '{' not in card and '| test |' not in card


def test_a_run_without_checkpoint_is_refused(trained, tmp_path):
    with pytest.raises(ConfigError, match='must hold a checkpoint'):
        depth_export.export_depth_student(replace(trained[0], seed=7), tmp_path / 'none')


def test_evaluation_and_card_work_for_answers_made_by_hand(trained, monkeypatch):
    """A network that knows the truth with an error of 10 % that it tells as 5 %."""
    config = trained[0]

    def knowing(network, config):
        def predict(frame):
            true_m = np.where(frame.target_m > 0, frame.target_m, np.float32(50.0))
            rng = np.random.default_rng(0)
            depth_m = true_m * np.exp(0.1 * rng.standard_normal(true_m.shape)).astype(np.float32)
            return Prediction(1.0 / depth_m, 0.05 * true_m)

        return predict

    monkeypatch.setattr('training.recipes.compress_depth_report.predictor', knowing)
    report = compress_depth.evaluate(None, config)
    assert report['sigma_scale'] == pytest.approx(2.0, rel=0.05)
    assert report['test']['all']['abs_rel'] == pytest.approx(0.08, rel=0.05)
    after = report['test']['sigma']['after']
    assert after['coverage_1_sigma'] == pytest.approx(0.68, abs=0.02)
    assert after['coverage_2_sigma'] == pytest.approx(0.95, abs=0.02)
    sure = report['test']['confidence']['after']
    assert sure['stated'] == pytest.approx(sure['observed'], abs=0.02)
    card = depth_export.depth_model_card(config, report, 3)
    assert f'{after["coverage_2_sigma"]:.1%}' in card
