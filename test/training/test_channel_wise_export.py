# SPDX-License-Identifier: Apache-2.0
"""The student of a run of channel-wise distillation runs on the robot, without what taught it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from channel_wise_runs import tiny_run, with_loop

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import ConfigError
from training.channel_wise_export import export_student, main, model_card
from training.recipes import channel_wise

pytest.importorskip('onnxscript')

REPORT = {'synthetic_test': {'miou_nanmean': 0.25}, 'calibration': {'temperature': 1.5}}


@pytest.mark.parametrize(('modality', 'channels'), [('thermal', 1), ('rgb', 3)])
def test_the_bundle_is_the_student(tmp_path, world_cache, fabric, modality, channels):
    config = with_loop(tiny_run(tmp_path, world_cache, 'channel_wise_features'), steps=2)
    config = replace(config, student=replace(config.student, modality=modality))
    with pytest.raises(ConfigError, match='must hold a checkpoint of step 2, got none'):
        export_student(config, tmp_path / 'student')
    network = channel_wise.network_of(channel_wise.networks(config, fabric)['student'])
    digest = export_student(config, tmp_path / 'student')
    student = load_student(tmp_path / 'student', sha256=digest)
    assert (student.spec.input.channels, student.spec.input.modality) == (channels, modality)
    assert student.spec.output_shape == (1, 9, 16, 24)
    assert student.spec.provenance['recipe'] == 'channel_wise'
    image = np.random.default_rng(0).random((1, channels, 64, 96), dtype=np.float32)
    backend = create_backend(student, backend='openvino', device='cpu', precision='fp32')
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).logits.numpy()
    np.testing.assert_allclose(backend.infer(image), expected, atol=1e-3)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'architecture': 'pspnet', 'preset': 'tiny'}, r'must be of rep_unet, .* got pspnet'),
        ({'modality': 'rgbt'}, 'see heat or color, got rep_unet that sees rgbt'),
    ],
)
def test_networks_that_the_robot_does_not_run_are_refused(tmp_path, changes, message):
    config = tiny_run(tmp_path, tmp_path)
    config = replace(config, student=replace(config.student, **changes))
    with pytest.raises(ConfigError, match=message):
        export_student(config, tmp_path / 'student')
    assert not (tmp_path / 'student').exists()


def test_sets_without_its_classes_or_a_validation_split_are_refused(tmp_path):
    for changes in ({'pst900': 'folder'}, {'pst900': 'folder', 'held_out_share': 0.2}):
        with pytest.raises(ConfigError, match=r'must know the classes of MFNet, .* got PST900'):
            export_student(tiny_run(tmp_path, tmp_path, **changes), tmp_path / 'student')


def test_the_card_says_who_taught_what(tmp_path):
    config = tiny_run(tmp_path, tmp_path, 'channel_wise_features')
    card = model_card(config, REPORT)
    assert 'which saw rgbt: channel_wise on features with weight 1' in card
    assert 'labels of 12 synthetic frames' in card and 'mIoU of the test split 25.0 %' in card
    assert 'nobody: labels alone' in model_card(replace(config, terms=()), REPORT)


def test_the_command_wants_a_folder(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert '--folder' in capsys.readouterr().err
