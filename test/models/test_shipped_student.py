# SPDX-License-Identifier: Apache-2.0
"""The students in the repository: small, honest, equal in torch and ONNX, and of some use."""

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
from kd_perception.metrics.segmentation import ConfusionMatrix
from kd_perception.models import build_network
from kd_perception.pipeline.camera_side import CameraSide
from kd_perception.pipeline.config import CameraConfig
from kd_perception.postprocessing import prediction_from_logits
from kd_perception.world import WorldConfig, render_frame
from kd_perception.world.classes import CAR, PERSON

ROOT = Path(__file__).resolve().parents[2]
LARGEST_FILE_BYTES = {'thermal_seg_s': 4_000_000, 'thermal_seg': 8_000_000, 'rgb_seg_s': 4_000_000}
UNSEEN_SEED = 77
LEAST_PERSON = {'thermal': 0.4, 'rgb': 0.25}


@pytest.fixture(scope='module', params=LARGEST_FILE_BYTES)
def folder(request):
    return ROOT / 'students' / request.param


@pytest.fixture(scope='module')
def student(folder):
    return load_student(folder)


@pytest.fixture(scope='module')
def session(student):
    return onnxruntime.InferenceSession(student.onnx, providers=['CPUExecutionProvider'])


def run(session, image):
    return session.run(None, {session.get_inputs()[0].name: image})[0]


def network_image(student, rendered):
    """A rendered frame as the node brings it to the network, and how it was fitted in."""
    camera = CameraSide(student.spec.input, CameraConfig())
    if student.spec.input.modality == 'rgb':
        return camera.network_input(camera.look(Frame(rendered.rgb, 'rgb8', 0)))
    return camera.network_input(camera.look(Frame(rendered.thermal, 'mono16', 0)))


def test_files_are_small(folder):
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert len(sizes) == 5
    assert max(sizes.values()) < LARGEST_FILE_BYTES[folder.name], sizes


def test_every_shipped_student_is_tested():
    shipped = {path.name for path in (ROOT / 'students').iterdir() if path.is_dir()}
    elsewhere = {'mono_depth_s'}  # test_shipped_depth_student.py
    assert shipped == {*LARGEST_FILE_BYTES, *elsewhere}


def test_torch_and_onnx_give_the_same_logits(student, session):
    network = build_network(student.spec.architecture)
    network.load_state_dict(load(student.weights))
    image, _ = network_image(student, render_frame(WorldConfig(), UNSEEN_SEED, 0))
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    found = run(session, image)
    assert found.shape == student.spec.output_shape == (1, 9, 120, 160)
    assert np.abs(found - expected).max() <= 1e-3
    assert np.ptp(found) > 5.0


def test_bundle_says_what_its_record_says(student):
    provenance = student.spec.provenance
    name = f'{student.spec.name}_seed{provenance["seed"]}.json'
    record = json.loads((ROOT / 'results' / provenance['recipe'] / name).read_text())
    assert 'synthetic' in provenance['trained_on']
    assert provenance['metrics']['synthetic_test'] == record['metrics']['synthetic_test']
    assert provenance['data_digest'] == record['metrics']['data_digest']
    assert provenance['seed'] == record['seed']
    calibration = student.spec.calibration
    assert calibration.temperature == record['metrics']['calibration']['temperature']
    assert calibration.ece_after < calibration.ece_before


@pytest.mark.parametrize('name', ['thermal_seg_s', 'rgb_seg_s'])
def test_no_seed_is_better_on_the_validation_split(name):
    provenance = load_student(ROOT / 'students' / name).spec.provenance
    found = {}
    for path in (ROOT / 'results' / provenance['recipe']).glob(f'{name}_seed*.json'):
        record = json.loads(path.read_text())
        found[record['seed']] = record['metrics']['synthetic_validation']['miou_nanmean']
    assert len(found) >= 3
    equal = 0.001 if provenance['tiles_chose'] else 0.0
    assert found[provenance['seed']] >= max(found.values()) - equal


@pytest.mark.slow
def test_it_finds_cars_and_persons_in_unseen_rendered_frames(student, session):
    confusion = ConfusionMatrix(9)
    for index in range(12):
        frame = render_frame(WorldConfig(), UNSEEN_SEED, index)
        image, box = network_image(student, frame)
        logits = run(session, image)
        mask = prediction_from_logits(logits, box, temperature=1.0, size=(480, 640)).mask
        confusion.update(mask, frame.label)
    iou = confusion.compute().iou
    assert iou[CAR] > 0.4
    assert iou[PERSON] > LEAST_PERSON[student.spec.input.modality]
