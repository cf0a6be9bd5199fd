# SPDX-License-Identifier: Apache-2.0
"""InverseForm: that the student learns alone, refusal of stage 1, resuming, records."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from config_files import write_config
from inverse_form_runs import STUDENT, module_of, tiny_run

from kd_perception.errors import ConfigError
from training.plane_transforms import NAMES
from training.recipes import inverse_form
from training.records import read_record


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def test_a_step_teaches_the_student_and_not_the_inverse_network(config, fabric):
    run, module = inverse_form.build(config), module_of(config)
    before = {k: v.clone() for k, v in module.network.state_dict().items()}
    inverse_form.train(run, config, fabric, module, None)
    assert run.step == 6
    for key, value in module.network.state_dict().items():
        assert torch.equal(value, before[key])
    first = inverse_form.build(replace(config, output=config.output / 'fresh'))
    changed = [
        key
        for key, value in first.network.state_dict().items()
        if not torch.equal(value, run.network.state_dict()[key])
    ]
    assert any(key.startswith('head.') for key in changed)
    assert any(key.startswith('student.') for key in changed)


def test_all_arms_begin_with_the_same_student(config):
    plain_arm = replace(config, student=replace(STUDENT, inverse_form_weight=0.0))
    one, other = (inverse_form.build(each).network.state_dict() for each in (config, plain_arm))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert config.fingerprint() != plain_arm.fingerprint()


def test_six_steps_resumed_after_three_are_six(config, fabric, monkeypatch):
    module = module_of(config)
    whole = inverse_form.build(replace(config, output=config.output / 'whole'))
    inverse_form.train(
        whole, replace(config, output=config.output / 'whole'), fabric, module, None
    )
    terms = inverse_form.student_terms

    def dying(*arguments, **named):
        dying.calls += 1
        if dying.calls == 5:
            raise KeyboardInterrupt
        return terms(*arguments, **named)

    dying.calls = 0
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(inverse_form, 'student_terms', dying)
        inverse_form.train(inverse_form.build(config), config, fabric, module, None)
    resumed = inverse_form.build(config)
    assert resumed.step == 3
    inverse_form.train(resumed, config, fabric, module, None)
    for part in ('network', 'average'):
        expected = getattr(whole, part).state_dict()
        for key, value in getattr(resumed, part).state_dict().items():
            assert torch.equal(value, expected[key]), key


def test_stages_are_refused_trained_and_left_out(config, fabric, monkeypatch):
    without = replace(config, student=replace(STUDENT, inverse_form_weight=0.0))
    assert inverse_form.inverse_module(without, fabric, None) is None
    strict = replace(config, inverse=replace(config.inverse, min_explained=0.99))
    record = config.results / 'tiny_inverse_seed0.json'
    with pytest.raises(ConfigError, match=rf'at least 0\.99 .*; {record} has the report'):
        inverse_form.inverse_module(strict, fabric, None)
    report = read_record(record)['metrics']['inverse']
    assert set(report['rmse']) == set(report['explained']) == set(NAMES[:4])
    alone = replace(strict, stage='inverse')
    assert inverse_form.run_stages(alone, fabric) == {'inverse': report}
    control = replace(strict, student=replace(STUDENT, inverse='random'))
    with pytest.raises(ConfigError, match=r'at least 0\.99'):
        inverse_form.inverse_module(control, fabric, None)


def test_the_control_is_scaled_by_the_trained_network(config, fabric):
    trained = inverse_form.inverse_module(config, fabric, None)
    student = replace(STUDENT, inverse='random')
    control = inverse_form.inverse_module(replace(config, student=student), fabric, None)
    assert trained.scale == 1.0
    assert control.report['gradient_norm_of_trained'] == trained.report['gradient_norm']
    assert control.report['training_seconds'] == trained.report['training_seconds'] > 0.0


def test_a_run_writes_its_record_and_its_row(config, tmp_path, capsys):
    config = replace(config, presets=('night',), preset_count=2)
    inverse_form.main(['--config_path', str(write_config(config, tmp_path))])
    record = json.loads(config.record_path.read_text())
    metrics = record['metrics']
    assert {'inverse', 'weights', 'validation', 'test', 'night'} <= set(metrics)
    assert {f'boundary_f_{k}px' for k in (1, 2, 3, 5)} <= set(metrics['test'])
    assert metrics['weights']['deployed'] < metrics['weights']['training']
    assert metrics['inverse']['training_seconds'] > 0.0
    assert record['frame_keys'].keys() == {'train', 'validation', 'test', 'night'}
    shown = capsys.readouterr().out
    assert '| tiny |' in shown and 'explained share' in shown
