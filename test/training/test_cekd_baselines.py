# SPDX-License-Identifier: Apache-2.0
"""Other networks as students of CEKD: what teaches them, what is refused, and their records."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from cekd_runs import LOOP, tiny_run

from kd_perception.errors import ConfigError
from kd_perception.models import CENet, EKNet
from training.baseline_networks import ThermalMFNet, UNet
from training.cekd_export import export_student
from training.cekd_figures import mask_of
from training.engine import LoopConfig
from training.recipes import cekd
from training.recipes.cekd_data import teacher_frames
from training.recipes.cekd_losses import student_losses
from training.recipes.cekd_networks import StudentConfig, new_student
from training.recipes.cekd_report import show, shown_frames
from training.recipes.cekd_trained import trained_network

KINDS = {'unet': UNet, 'mfnet': ThermalMFNet}


def taught(architecture, **changes):
    """A student of another network, by default taught by labels alone."""
    values = {'target': 'label', 'similarity_weight': 0.0, 'edge_hint_weight': 0.0}
    values |= {'soft_weight': 0.0, 'loop': LOOP}
    return StudentConfig(architecture=architecture, **{**values, **changes})


@pytest.fixture(params=KINDS)
def config(request, tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache, student=taught(request.param))


def test_the_network_is_the_one_that_was_asked_for(config):
    network = new_student(config.student_network())
    assert type(network) is KINDS[config.student.architecture]
    assert type(new_student(replace(config, student=StudentConfig()).student_network())) is EKNet


def test_each_architecture_has_a_fingerprint_of_its_own(config):
    eknet = replace(config, student=replace(config.student, architecture='eknet'))
    assert eknet.fingerprint() != config.fingerprint()
    assert eknet.teacher_fingerprint() == config.teacher_fingerprint()


@pytest.mark.parametrize(
    ('changes', 'names'),
    [
        ({}, ['label']),
        ({'target': 'teacher'}, ['segmentation']),
        ({'target': 'both', 'soft_weight': 0.5}, ['label', 'segmentation', 'soft_cross_entropy']),
        ({'target': 'none', 'soft_weight': 1.0}, ['soft_cross_entropy']),
    ],
)
def test_terms_that_look_at_scores_alone(config, changes, names):
    config = replace(config, student=replace(config.student, **changes))
    student, teacher = new_student(config.student_network()), CENet(config.teacher_network())
    frames, rng = teacher_frames(config), np.random.default_rng(0)
    samples = [frames.draw(rng, config, labeled_only=True) for _ in range(2)]
    batch = tuple(torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True))
    terms = student_losses(
        student, teacher.eval() if config.student.needs_teacher else None, batch, config, None
    )
    assert list(terms) == names
    sum(terms.values()).backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'similarity_weight': 1.0}, 'similarity_weight must be 0 or empty'),
        ({'edge_hint_weight': 0.1}, 'edge_hint_weight must be 0 or empty'),
        ({'weights_file': 'resnet.pth'}, 'weights_file must be 0 or empty'),
    ],
)
@pytest.mark.parametrize('architecture', KINDS)
def test_what_needs_eknet_is_refused(architecture, changes, message):
    with pytest.raises(ConfigError, match=message):
        taught(architecture, **changes)


def test_unknown_architectures_and_presets_are_refused(config):
    with pytest.raises(ConfigError, match="'mfnet'\\], got 'segnet'"):
        taught('segnet')
    with pytest.raises(ConfigError, match="\\['paper', 'tiny'\\], got 'small'"):
        replace(config, student=replace(config.student, network='small'))


def test_a_baseline_is_trained_scored_and_shown_but_not_exported(config, monkeypatch, capsys):
    shown = []

    def watching(network, frames, own):
        shown.append(show(network, frames, own))
        return shown[-1]

    loop = LoopConfig(steps=2, batch_size=2, checkpoint_steps=2, picture_steps=1)
    config = replace(config, student=replace(config.student, loop=loop))
    monkeypatch.setattr(cekd, 'load_config', lambda kind, arguments: config)
    monkeypatch.setattr(cekd, 'show', watching)
    cekd.main([])
    record = json.loads(config.record_path.read_text())
    assert list(record['metrics']) == ['student']
    student = record['metrics']['student']
    assert set(student) == {'validation', 'test', 'real_tiles'}
    assert student['test']['miou_nanmean'] is not None and 'miou_hot' in student['test']
    assert record['config']['student']['architecture'] == config.student.architecture
    assert len(shown) == 2 and shown[0]['frame 0'].shape == (64, 3 * 64, 3)
    assert '| tiny student |' in capsys.readouterr().out
    network, step = trained_network(config, 'student')
    frame = shown_frames(config)[0]
    np.testing.assert_array_equal(mask_of(network, frame, config), shown[-1]['frame 0'][:, 128:])
    assert step == 2
    with pytest.raises(ConfigError, match=rf'eknet.*is {config.student.architecture}'):
        export_student(config, config.output / 'bundle')


def test_teacher_and_baseline_at_once(config):
    student = replace(config.student, target='both', soft_weight=1.0)
    config = replace(config, stage='joint', student=student)
    trained = cekd.networks(config, cekd.launch(config.launch))
    assert type(trained['student']) is KINDS[config.student.architecture]
