# SPDX-License-Identifier: Apache-2.0
"""The depth student in the repository: small, honest, equal in torch and ONNX, and of some use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load

from kd_perception.bundle import load_student
from kd_perception.frames import Frame
from kd_perception.metrics import DepthErrors, SigmaCalibration
from kd_perception.models import build_network
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.pipeline import CameraConfig
from kd_perception.pipeline.camera_side import CameraSide
from kd_perception.tasks import DEPTH, load_pipeline
from kd_perception.world import WorldConfig, render_frame
from training.depth_export import finished_record
from training.depth_model_card import depth_model_card
from training.observations import observations
from training.recipes.compress_depth_config import CompressDepthConfig
from training.settings import load_config

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'students' / 'mono_depth_s'
LARGEST_FILE_BYTES = 4_000_000
UNSEEN_SEED = 77
WORLD = WorldConfig(height=192, width=640)


@pytest.fixture(scope='module')
def student():
    return load_student(FOLDER)


@pytest.fixture(scope='module')
def config(student):
    file = ROOT / 'training' / 'configs' / 'compress_depth' / 'mono_depth_s.yaml'
    seed = student.spec.provenance['seed']
    return load_config(CompressDepthConfig, ['--config_path', str(file), '--seed', str(seed)])


@pytest.fixture(scope='module')
def record(config):
    return json.loads((ROOT / config.record_path).read_text())


def test_files_are_small():
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert max(sizes.values()) < LARGEST_FILE_BYTES, sizes


def test_torch_and_onnx_give_the_same_maps(student):
    network = build_network(student.spec.architecture)
    network.load_state_dict(load(student.weights))
    camera = CameraSide(student.spec.input, CameraConfig())
    rgb = render_frame(WORLD, UNSEEN_SEED, 0).rgb
    image, _ = camera.network_input(camera.look(Frame(rgb, 'rgb8', 0)))
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    session = onnxruntime.InferenceSession(student.onnx, providers=['CPUExecutionProvider'])
    found = session.run(None, {session.get_inputs()[0].name: image})[0]
    assert found.shape == student.spec.output_shape == (1, 2, 48, 160)
    assert np.abs(found - expected).max() <= 1e-3
    assert np.ptp(found[0, 0]) > 1.0, 'the logarithm of depth differs over a street'


def test_bundle_says_what_its_record_says(student, record):
    provenance = student.spec.provenance
    assert 'synthetic' in provenance['trained_on']
    assert provenance['metrics'] == record['metrics']
    assert student.spec.depth.calibration.scale == record['metrics']['sigma_scale']


def test_the_card_follows_from_the_record(config, record, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert finished_record(config) == record
    seen = observations(config, record['frame_keys']['train'])
    card = depth_model_card(config, record['metrics'], config.loop.steps, seen=seen)
    assert card == (FOLDER / 'MODEL_CARD.md').read_text()


def test_sigma_covers_the_errors_of_the_test_split(record):
    after = record['metrics']['test']['sigma']['after']
    assert after['coverage_1_sigma'] == pytest.approx(0.68, abs=0.03)
    assert after['coverage_2_sigma'] == pytest.approx(0.95, abs=0.03)


def test_no_seed_is_better_on_the_validation_split(student):
    found = {}
    for path in (ROOT / 'results' / 'compress_depth').glob('mono_depth_s_seed*.json'):
        run = json.loads(path.read_text())
        found[run['seed']] = run['metrics']['validation']['all']['abs_rel']
    assert len(found) >= 3
    assert found[student.spec.provenance['seed']] == min(found.values())


@pytest.mark.slow
def test_it_tells_depth_and_sigma_of_unseen_rendered_frames():
    pipeline = load_pipeline(DEPTH, MONO_DEPTH.check({'model.path': str(FOLDER), 'threads': 1}))
    errors, coverage = DepthErrors(), SigmaCalibration()
    for index in range(12):
        frame = render_frame(WORLD, UNSEEN_SEED, index)
        pipeline.reset()
        found = pipeline.step(
            Frame(frame.rgb, 'rgb8', 0), focal_px=float(frame.camera_matrix[0, 0])
        )
        known = np.isfinite(found.depth_m) & (frame.depth_m > 1.0) & (frame.depth_m < 80.0)
        errors.update(np.where(known, found.depth_m, 1.0), np.where(known, frame.depth_m, 0.0))
        coverage.update(found.depth_m[known], frame.depth_m[known], found.sigma_m[known])
    pipeline.backend.close()
    assert errors.compute().abs_rel < 0.5
    assert coverage.compute().within_2_sigma > 0.8
