# SPDX-License-Identifier: Apache-2.0
"""A trained run is exported as a student, with the record of its own frames."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load
from supervised_runs import trained

from kd_perception.bundle import load_student
from kd_perception.bundle_schema import InputSpec
from kd_perception.errors import ConfigError
from kd_perception.models import RepUNet, RepUNetConfig, build_network
from kd_perception.world.classes import CLASS_NAMES
from training import export
from training.checkpointing import LATEST
from training.data import world as world_data
from training.export import export_student, recorded_metrics
from training.recipes import supervised
from training.recipes.supervised import SupervisedConfig
from training.records import read_record, write_record
from training.settings import load_config
from training.student_files import logit_difference, onnx_from_network


def test_finished_run_is_exported_with_the_record_of_its_frames_only(config, tmp_path):
    training = trained(config)
    metrics = {'data_digest': {'train': training.frames['digest'], 'test': 'def'}}
    write_record(config.record_path, {'metrics': metrics})
    assert recorded_metrics(config, training) == metrics
    assert recorded_metrics(dataclasses.replace(config, steps=9), training) is None
    metrics['data_digest']['train'] = 'of another world'
    write_record(config.record_path, {'metrics': metrics})
    with pytest.raises(ConfigError, match=r'must be of the checkpoint.*of another world'):
        export_student(config, tmp_path / 'student')
    assert not (tmp_path / 'student').exists()


def test_run_without_a_record_is_not_exported_in_a_changed_world(config, tmp_path, monkeypatch):
    trained(config)
    monkeypatch.setattr(world_data, '_SOURCES', ('edited',))
    with pytest.raises(ConfigError, match='world has changed'):
        export_student(config, tmp_path / 'student')


@pytest.mark.slow
def test_run_writes_its_record_and_exports_what_it_trained(config, tmp_path):
    arguments = [
        *('--name', 'tiny', '--steps', '4', '--batch_size', '2', '--bfloat16', 'false'),
        *('--cache', str(config.cache), '--output', str(config.output)),
        *('--results', str(config.results), '--augmentation.view.height', '64'),
        *('--augmentation.view.width', '64'),
    ]
    arguments += ['--presets', '[fog, shifted]', '--preset_count', '2']
    for split, count in (('train', 6), ('validation', 2), ('test', 2)):
        arguments += [f'--{split}.world', '{height: 64, width: 96}']
        arguments += [f'--{split}.count', str(count)]
    supervised.main(arguments)
    record = read_record(config.results / 'tiny_seed0.json')
    assert record['trained_on'] == 'synthetic'
    assert set(record['metrics']['synthetic_test']['iou']) >= {'car', 'person', 'bump'}
    assert list(record['metrics']['presets']) == ['fog', 'shifted']
    assert 0.0 <= record['metrics']['presets']['fog']['boundary_f_3px'] <= 1.0
    assert len(record['metrics']['data_digest']['train']) == 64
    settings = load_config(SupervisedConfig, arguments)
    assert set(record['frame_keys']) == {'train', 'validation', 'test', 'fog', 'shifted'}
    assert record['frame_keys']['fog'] == settings.preset_splits()['fog'].key()
    assert record['metrics']['data_digest'].keys() == record['frame_keys'].keys()
    folder = tmp_path / 'students' / 'tiny'
    sha256 = export_student(settings, folder)
    student = load_student(folder, sha256=sha256)
    assert student.spec.output_shape == (1, 9, 120, 160)
    assert student.spec.provenance['seed'] == 0
    assert student.spec.calibration.temperature == pytest.approx(
        record['metrics']['calibration']['temperature']
    )
    network = build_network(student.spec.architecture)
    network.load_state_dict(load(student.weights))
    image = np.random.default_rng(1).random((1, 1, 480, 640), dtype=np.float32)
    assert logit_difference(network, student.onnx, image) < 1e-3
    assert 'synthetic' in (folder / 'MODEL_CARD.md').read_text()


@pytest.fixture
def scored(monkeypatch):
    """Prior corrections that students were scored with; the scores are made up."""
    seen = []

    def evaluate(training, config):
        seen.append(config.prior_correction)
        iou = dict.fromkeys(('car', 'person', 'bike', *CLASS_NAMES), 0.25)
        return {
            'data_digest': {'train': training.frames['digest']},
            'synthetic_test': {'iou': iou, 'miou_nanmean': 0.25},
            'calibration': {
                'temperature': 0.5 + config.prior_correction,
                'fitted_on': 'nothing',
                'test_before': {'ece': 0.02},
                'test_after': {'ece': 0.01},
            },
        }

    monkeypatch.setattr(supervised, 'evaluate', evaluate)
    return seen


def test_another_prior_correction_shifts_the_bias_and_is_scored_anew(config, tmp_path, scored):
    training = trained(config)
    metrics = {'data_digest': {'train': training.frames['digest']}}
    write_record(config.record_path, {'metrics': metrics})
    biases = {}
    for share in (0.0, 0.25):
        folder = tmp_path / f'{share}'
        export_student(config, folder, prior_correction=share)
        student = load_student(folder)
        biases[share] = load(student.weights)['head.bias'].numpy()
        assert student.spec.provenance['prior_correction'] == share
        assert student.spec.provenance['config']['prior_correction'] == 0.5, 'as it was trained'
        assert student.spec.calibration.temperature == 0.5 + share
        assert f'{share:.0%} of the logarithm' in (folder / 'MODEL_CARD.md').read_text()
    assert scored == [0.0, 0.25], 'the record is of 0.5'
    weight = -np.log(np.log(1.1 + np.array(training.frames['class_shares'])))
    expected = 0.25 * (weight - weight.min())
    np.testing.assert_allclose(biases[0.0] - biases[0.25], expected, atol=1e-5)


def test_without_the_option_the_student_is_that_of_the_run(config, tmp_path, scored):
    trained(config)
    for name, options in {'a': {}, 'b': {'prior_correction': config.prior_correction}}.items():
        export_student(config, tmp_path / name, **options)
    assert scored == [0.5, 0.5]
    first, second = (load_student(tmp_path / name) for name in ('a', 'b'))
    assert first.sha256 == second.sha256


def test_prior_correction_out_of_range_is_refused(config, tmp_path):
    with pytest.raises(ConfigError, match=r'0 to 1, got 1\.5'):
        export_student(config, tmp_path / 'student', prior_correction=1.5)


def test_command_passes_the_prior_correction_on(config, tmp_path, monkeypatch):
    passed = []
    monkeypatch.setattr(export, 'load_config', lambda kind, rest: config)
    monkeypatch.setattr(export, 'export_student', lambda *a, **k: passed.append(k) or 'hash')
    export.main(['--folder', str(tmp_path)])
    export.main(['--folder', str(tmp_path), '--prior-correction', '0.75'])
    assert [k['prior_correction'] for k in passed] == [None, 0.75]


def test_export_needs_a_checkpoint(config, tmp_path):
    with pytest.raises(ConfigError, match='train this run first'):
        export_student(config, tmp_path / 'student')
    assert not (config.folder / LATEST).exists()


def test_networks_that_see_heat_and_color_are_not_exported(config, tmp_path):
    with pytest.raises(ConfigError, match=r"one of \['thermal', 'rgb'\], got rgbt"):
        export_student(dataclasses.replace(config, modality='rgbt'), tmp_path / 'student')


def test_a_student_of_color_is_exported_as_one(config, tmp_path, scored):
    config = dataclasses.replace(config, modality='rgb')
    network = trained(config).average
    export_student(config, tmp_path / 'student', prior_correction=0.0)
    student = load_student(tmp_path / 'student')
    assert student.spec.input == InputSpec(480, 640, 3, 'rgb')
    assert 'synthetic rgb' in student.spec.provenance['trained_on']
    card = (tmp_path / 'student' / 'MODEL_CARD.md').read_text()
    assert (
        'one color frame' in card and '1x3x480x640' in card and 'no heat of their own' not in card
    )
    image = np.random.default_rng(1).random((1, 3, 480, 640), dtype=np.float32)
    assert logit_difference(network.eval().folded(), student.onnx, image) < 1e-3


def test_exported_graph_has_a_static_shape_and_the_agreed_opset():
    onnx = pytest.importorskip('onnx')
    network = RepUNet(RepUNetConfig(1, 9, (4, 4, 4, 4, 4), (1, 1, 1, 1, 1), 4)).folded()
    data = onnx_from_network(network, (64, 96))
    assert b'.py' not in data, 'no stack trace of the exporting machine'
    model = onnx.load_from_string(data)
    shapes = [
        [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (model.graph.input[0], model.graph.output[0])
    ]
    assert shapes == [[1, 1, 64, 96], [1, 9, 16, 24]]
    assert {i.domain: i.version for i in model.opset_import}[''] == 20
    assert {node.op_type for node in model.graph.node} <= {'Conv', 'Relu', 'Add', 'Resize'}


@pytest.mark.parametrize('size', [(192, 640), (480, 640)])
def test_graph_of_a_depth_student_computes_what_the_trained_form_does(size):
    onnx = pytest.importorskip('onnx')
    torch.manual_seed(0)
    trained = RepUNet(RepUNetConfig.preset('rep_unet_depth_s')).train()
    with torch.no_grad():
        trained(torch.rand(2, 3, 64, 64))
        trained.head.weight.mul_(10.0)
    trained.eval()
    data = onnx_from_network(trained.folded(), size, channels=3, output_name='log_depth_and_sigma')
    (output,) = onnx.load_from_string(data).graph.output
    assert output.name == 'log_depth_and_sigma'
    image = np.random.default_rng(0).random((1, 3, *size), dtype=np.float32)
    with torch.no_grad():
        maps = trained(torch.from_numpy(image))
    assert maps.shape == (1, 2, size[0] // 4, size[1] // 4) and maps.std() > 0.1
    assert logit_difference(trained, data, image) < 1e-4
