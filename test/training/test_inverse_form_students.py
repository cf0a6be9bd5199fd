# SPDX-License-Identifier: Apache-2.0
"""Every student learns with InverseForm, and leaves training without its boundary head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from inverse_form_runs import STUDENT, module_of, tiny_run

from kd_perception.errors import ConfigError
from kd_perception.models import LogitsOnly, RepUNet
from training.distributed import launch
from training.recipes import inverse_form
from training.recipes.inverse_form_report import show, shown_frames
from training.recipes.inverse_form_students import new_student, without_head

STUDENTS = [
    ('rep_unet', 'rep_unet_s', 'thermal'),
    ('rep_unet', 'rep_unet_s', 'rgbt'),
    ('eknet', 'tiny', 'thermal'),
    ('cenet', 'tiny', 'rgb'),
    ('hrnet', 'tiny', 'rgb'),
    ('pspnet', 'tiny', 'thermal'),
]


def config_of(folder, cache, architecture, network, modality):
    loop = replace(STUDENT.loop, steps=2)
    student = replace(STUDENT, architecture=architecture, network=network, loop=loop)
    return tiny_run(folder, cache, modality=modality, student=student)


@pytest.mark.parametrize(('architecture', 'network', 'modality'), STUDENTS)
def test_every_student_learns_and_is_scored(
    tmp_path, world_cache, architecture, network, modality
):
    config = config_of(tmp_path, world_cache, architecture, network, modality)
    fabric = launch(config.launch)
    run = inverse_form.build(config)
    inverse_form.train(run, config, fabric, module_of(config), None)
    assert run.step == 2
    student = inverse_form.tested_student(run)
    deployed = inverse_form.deployable_network(run, config, None)
    names = deployed.state_dict()
    assert not any('head.layers' in name for name in names)
    metrics = inverse_form.evaluate(deployed, student, config)
    assert metrics['weights']['deployed'] < metrics['weights']['training']
    assert 0.0 <= metrics['test']['miou'] <= 1.0
    pictures = show(student, shown_frames(config), config)
    assert pictures['frame 0'].shape == (64, 4 * 64, 3)
    assert pictures['frame 0'].dtype == np.uint8


def test_the_deployed_network_is_the_student(tmp_path, world_cache):
    config = config_of(tmp_path, world_cache, 'eknet', 'tiny', 'thermal')
    student = new_student(config).eval()
    deployed = without_head(student, None, 0.0)
    assert isinstance(deployed, LogitsOnly)
    image = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(deployed(image), student(image).logits)


def test_rep_unet_is_folded_and_corrected(tmp_path, world_cache):
    config = config_of(tmp_path, world_cache, 'rep_unet', 'rep_unet_s', 'thermal')
    student = new_student(config).eval()
    weight = torch.linspace(1.0, 5.0, 9)
    deployed = without_head(student, weight, 0.5)
    assert isinstance(deployed, RepUNet)
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        shift = 0.5 * weight.log()[:, None, None]
        torch.testing.assert_close(
            deployed(image), student(image).logits - shift, atol=1e-4, rtol=0
        )


def test_unfit_students_are_refused_before_anything_is_trained(tmp_path, world_cache):
    config = tiny_run(tmp_path, world_cache)
    fabric = launch(config.launch)
    for changes, message in (
        ({'architecture': 'unet'}, 'architecture must be one of'),
        ({'network': 'rep_unet_xxl'}, 'network must be one of'),
        ({'weights_file': 'resnet.pth'}, 'starts from no weights_file'),
    ):
        bad = replace(config, student=replace(STUDENT, **changes))
        with pytest.raises(ConfigError, match=message):
            inverse_form.run_stages(bad, fabric)
    bad = config_of(tmp_path, world_cache, 'eknet', 'tiny', 'rgb')
    with pytest.raises(ConfigError, match='eknet sees thermal images'):
        inverse_form.run_stages(bad, fabric)
    assert not config.inverse_folder.exists()
