# SPDX-License-Identifier: Apache-2.0
"""From a recording without labels to a bundle that the pipeline of the live node runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cekd_runs import tiny_run
from pair_bags import write_pairs

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError
from kd_perception.frames import Frame
from kd_perception.pipeline import Output, Pipeline
from training.cekd_export import export_student, model_card
from training.distributed import launch
from training.recipes import cekd
from training.recipes.cekd_data import student_frames, teacher_frames
from training.recipes.cekd_trained import trained_network

ALONE = {
    'target': 'label', 'similarity_weight': 0.0, 'edge_hint_weight': 0.0, 'soft_weight': 0.0,
}  # fmt: skip
REPORT = {
    'synthetic_test': {'iou': {'car': 0.5, 'person': None}, 'miou_nanmean': 0.3},
    'calibration': {'temperature': 1.0},
}


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('label_free')
    drive = write_pairs(folder / 'drive', count=5)
    return tiny_run(folder, folder / 'cache', bag=str(drive))


@pytest.fixture(scope='module')
def bundle(config):
    trained = cekd.networks(config, launch(config.launch))
    folder = config.output / 'bundle'
    return trained['student'], load_student(folder, sha256=export_student(config, folder))


def test_the_student_sees_the_recording_at_the_size_of_the_rendered_frames(config):
    frames = student_frames(config)
    assert (len(frames.frames), frames.labeled) == (5, 0)
    assert frames.frames[0].thermal.shape == (64, 96)
    assert teacher_frames(config).labeled == 5
    image, label = frames.draw(np.random.default_rng(0), config, labeled_only=False)
    assert image.shape == (4, 64, 64) and (label == 255).all()


def test_the_bundle_is_the_student(bundle):
    network, student = bundle
    assert student.spec.image_size == (64, 64) and student.spec.output_shape == (1, 9, 64, 64)
    assert 'without labels' in student.spec.provenance['trained_on']
    image = np.random.default_rng(0).random((1, 1, 64, 64), dtype=np.float32)
    backend = create_backend(student, backend='openvino', device='cpu', precision='fp32')
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).logits.numpy()
    np.testing.assert_allclose(backend.infer(image), expected, atol=1e-3)


@pytest.mark.parametrize('backend', ['openvino', 'torch'])
def test_the_pipeline_of_the_node_runs_it(bundle, backend):
    _, student = bundle
    pipeline = Pipeline(student, create_backend(student, backend=backend, device='cpu'))
    thermal = np.random.default_rng(1).integers(29_000, 31_000, (120, 160)).astype(np.uint16)
    result = pipeline.step(Frame(thermal, 'mono16', 1), Output.PREDICTION)
    assert result.mask.shape == (120, 160) and result.mask.max() < 9
    assert np.isfinite(result.uncertainty).all()


def test_the_card_says_where_it_comes_from(config, bundle):
    card = (config.output / 'bundle' / 'MODEL_CARD.md').read_text()
    assert 'the images of the recording drive, without labels' in card
    assert '5 labeled frames' in card and 'temperature' in card


@pytest.mark.parametrize(
    ('changes', 'expected', 'taught'),
    [
        ({}, '12 synthetic frames', True),
        ({'labeled': 99}, '12 synthetic frames', True),
        ({'stage': 'joint'}, '5 frames of the synthetic world, all with labels', True),
        ({'student': {'target': 'both'}}, '12 synthetic frames, 5 of them with labels', True),
        ({'student': ALONE}, '5 frames of the synthetic world, all with labels', False),
        (
            {'student': ALONE, 'mfnet': 'folder'},
            'at most 5 frames of MFNet, all with labels',
            False,
        ),
    ],
)
def test_a_card_claims_no_teacher_and_no_frames_that_were_not_seen(
    config, changes, expected, taught
):
    student = replace(config.student, **changes.get('student', {}))
    config = replace(config, **{'bag': '', **changes, 'student': student})
    card = model_card(config, REPORT, 6)
    assert f'| Learnt from | {expected} |' in card
    assert ('Taught by' in card) == ('distilled' in card) == taught
    assert ('99 labeled' in card, '12 labeled' in card) == (False, config.labeled == 99)


def test_a_run_that_is_not_trained_is_refused(config, tmp_path):
    with pytest.raises(ConfigError, match='train this run first'):
        trained_network(replace(config, output=tmp_path), 'student')
