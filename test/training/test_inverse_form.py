# SPDX-License-Identifier: Apache-2.0
"""InverseForm: which terms count and what they are, refusal, resuming, records, settings."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from config_files import write_config
from inverse_form_runs import INVERSE, STUDENT, batch_of, module_of, tiny_run
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.boundary_student import BoundaryOutput
from training.inverse_networks import InverseNetworkConfig
from training.losses import (
    balanced_edge_loss,
    batch_class_weights,
    boundary_target,
    edge_attention_loss,
    inverse_form_loss,
)
from training.plane_transforms import matrices_from_parameters
from training.recipes import inverse_form
from training.recipes.inverse_form_config import InverseFormConfig
from training.recipes.inverse_form_data import Drawing, class_shares
from training.recipes.inverse_form_losses import distance_of, student_terms
from training.recipes.inverse_form_settings import (
    BoundaryStudentConfig,
    HostConfig,
    InverseConfig,
    TransformerConfig,
)
from training.settings import load_config

CONFIGS = sorted((Path(inverse_form.__file__).parents[1] / 'configs/inverse_form').glob('*.yaml'))


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


class Said:
    """A network that says the same whatever it sees."""

    def __init__(self, stride=4, auxiliary=False):
        generator = torch.Generator().manual_seed(0)
        size = (64 // stride, 64 // stride)
        self.logits = torch.randn(2, 9, *size, generator=generator).requires_grad_()
        self.edges = 3.0 * torch.randn(2, 1, *size, generator=generator)
        self.edges.requires_grad_()
        self.auxiliary_logits = torch.randn(2, 9, 8, 8, generator=generator) if auxiliary else None

    def __call__(self, images):
        return BoundaryOutput(self.logits, self.edges, self)


def full_size(logits):
    return functional.interpolate(logits, (64, 64), mode='bilinear', align_corners=False)


def test_terms_are_the_losses_at_the_size_of_the_labels(config):
    said, batch, module = Said(), batch_of(config), module_of(config)
    weight = torch.linspace(1.0, 5.0, 9)
    terms = student_terms(said, batch, config, inverse=module, weight=weight)
    assert list(terms) == ['segmentation', 'boundary', 'edge_attention', 'inverse_form']
    labels, own = batch[1], config.student
    logits, edges = full_size(said.logits), full_size(said.edges)
    target = boundary_target(labels)
    expected = {
        'segmentation': functional.cross_entropy(logits, labels, weight, ignore_index=255),
        'boundary': 0.3 * balanced_edge_loss(edges, target, per_image=False),
        'edge_attention': 0.1
        * edge_attention_loss(logits, labels, edges, threshold=0.8, weight=weight),
        'inverse_form': 0.3
        * inverse_form_loss(
            edges, target, module.network, tile=32,
            min_edge_pixels=config.inverse.min_edge_pixels,
        ),
    }  # fmt: skip
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    sum(terms.values()).backward()
    assert (said.logits.grad != 0.0).any() and (said.edges.grad != 0.0).any()
    doubled = replace(own, boundary_weight=0.6)
    again = student_terms(said, batch, replace(config, student=doubled), inverse=module)
    torch.testing.assert_close(again['boundary'], 2.0 * expected['boundary'])


@pytest.mark.parametrize(
    ('changes', 'names'),
    [
        ({'inverse_form_weight': 0.0}, ['segmentation', 'boundary', 'edge_attention']),
        ({'boundary_weight': 0.0, 'attention_weight': 0.0}, ['segmentation', 'inverse_form']),
        (
            {'boundary_weight': 0.0, 'attention_weight': 0.0, 'inverse_form_weight': 0.0},
            ['segmentation'],
        ),
    ],
)
def test_terms_of_weight_0_are_left_out(config, changes, names):
    config = replace(config, student=replace(STUDENT, **changes))
    assert (
        list(student_terms(Said(), batch_of(config), config, inverse=module_of(config))) == names
    )


def test_an_auxiliary_head_learns_too(config):
    said, batch = Said(stride=8, auxiliary=True), batch_of(config)
    terms = student_terms(said, batch, config, inverse=module_of(config))
    logits = full_size(said.auxiliary_logits)
    expected = 0.4 * functional.cross_entropy(logits, batch[1], ignore_index=255)
    torch.testing.assert_close(terms['auxiliary'], expected)


def test_classes_weigh_by_the_batch_where_that_is_wanted(config):
    config = replace(config, class_weights='batch')
    said, batch = Said(), batch_of(config)
    terms = student_terms(said, batch, config, inverse=module_of(config))
    weight = batch_class_weights(batch[1], 9)
    expected = functional.cross_entropy(full_size(said.logits), batch[1], weight, ignore_index=255)
    torch.testing.assert_close(terms['segmentation'], expected)


def test_the_sum_over_tiles_is_as_many_times_the_mean(config):
    config = replace(config, inverse=replace(config.inverse, min_edge_pixels=0))
    said, batch, module = Said(), batch_of(config), module_of(config)
    summed = replace(config, student=replace(STUDENT, sum_over_tiles=True))
    one, other = (student_terms(said, batch, each, inverse=module) for each in (config, summed))
    torch.testing.assert_close(other['inverse_form'], 4.0 * one['inverse_form'])


def test_distances_are_those_of_the_matrices():
    parameters = torch.tensor([[0.5, -0.2, 0.3, 0.1, 0.4, -0.6]])
    ranges = INVERSE.ranges
    matrix = matrices_from_parameters(parameters, ranges)
    assert distance_of('parameters', ranges)(parameters) == pytest.approx(parameters.norm().item())
    expected = (matrix - torch.eye(3)).norm()
    assert distance_of('euclidean', ranges)(parameters) == pytest.approx(expected.item())
    assert distance_of('geodesic', ranges)(parameters).shape == (1,)


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
    random = replace(config, student=replace(STUDENT, inverse='random'))
    strict = replace(random, inverse=replace(config.inverse, min_explained=0.99))
    assert inverse_form.inverse_module(strict, fabric, None).report['explained_share'] < 0.5
    with pytest.raises(ConfigError, match=r'at least 0\.99'):
        inverse_form.inverse_module(replace(strict, student=STUDENT), fabric, None)
    alone = replace(strict, stage='inverse', student=STUDENT)
    metrics = inverse_form.run_stages(alone, fabric)
    assert list(metrics) == ['inverse']


def test_a_run_writes_its_record_and_its_row(config, tmp_path, capsys):
    config = replace(config, presets=('night',), preset_count=2)
    inverse_form.main(['--config_path', str(write_config(config, tmp_path))])
    record = json.loads(config.record_path.read_text())
    metrics = record['metrics']
    assert {'inverse', 'weights', 'validation', 'test', 'night'} <= set(metrics)
    assert {f'boundary_f_{k}px' for k in (1, 2, 3, 5)} <= set(metrics['test'])
    assert metrics['weights']['deployed'] < metrics['weights']['training']
    assert record['frame_keys'].keys() == {'train', 'validation', 'test', 'night'}
    shown = capsys.readouterr().out
    assert '| tiny |' in shown and 'explained share' in shown


def test_settings_survive_yaml(config, tmp_path):
    changed = replace(
        config,
        labeled=5,
        inverse=replace(config.inverse, tiling_size=(64, 96), sampler='stn'),
        host=HostConfig('none', '', 3),
    )
    path = write_config(changed, tmp_path)
    assert load_config(InverseFormConfig, ['--config_path', str(path)]) == changed


def test_only_what_teaches_changes_fingerprints(config):
    same = replace(
        config, presets=('night',), results=Path('x'), prior_correction=0.5,
        inverse=replace(config.inverse, min_explained=0.3),
    )  # fmt: skip
    assert same.fingerprint() == config.fingerprint()
    assert same.inverse_fingerprint() == config.inverse_fingerprint()
    student = replace(config, student=replace(STUDENT, distance='geodesic'))
    assert student.fingerprint() != config.fingerprint()
    assert student.inverse_fingerprint() == config.inverse_fingerprint()
    random = replace(config, student=replace(STUDENT, inverse='random'))
    longer = replace(INVERSE, loop=replace(INVERSE.loop, steps=9))
    assert replace(random, inverse=longer).fingerprint() == random.fingerprint()
    for changes in (
        {'seed': 1},
        {'inverse': longer},
        {'inverse': replace(INVERSE, network=InverseNetworkConfig(tile=48, hidden=8))},
        {'labeled': 4},
        {'boundary_radius_px': 3.0},
    ):
        other = replace(config, **changes)
        assert other.inverse_fingerprint() != config.inverse_fingerprint()
        assert other.fingerprint() != config.fingerprint()


def test_hidden_labels_are_not_seen(config):
    few = replace(config, labeled=4)
    drawn = [Drawing(few)(0, k)[1] for k in range(30)]
    hidden = sum(bool((label == 255).all()) for label in drawn)
    assert 10 < hidden < 28
    seen = pickle.loads(pickle.dumps(Drawing(few, labeled_only=True)))
    assert not any((seen(0, k)[1] == 255).all() for k in range(30))
    assert class_shares(config).sum() == pytest.approx(1.0)
    assert not np.array_equal(class_shares(config), class_shares(few))


def test_samples_are_drawn_alike_in_another_process(config):
    drawing = Drawing(config)
    drawn = drawing(3, 1)
    sent = pickle.dumps(drawing)
    assert len(sent) < 20_000
    for ours, theirs in zip(drawn, pickle.loads(sent)(3, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(drawn[0], drawing(3, 2)[0])


@pytest.mark.parametrize('modality', ['thermal', 'rgb', 'rgbt'])
def test_images_lie_in_memory_channel_by_channel(config, modality):
    image, label = Drawing(replace(config, modality=modality))(0, 0)
    assert image.shape == ({'thermal': 1, 'rgb': 3, 'rgbt': 4}[modality], 64, 64)
    assert image.flags.c_contiguous and image.dtype == np.float32 and label.dtype == np.int64


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'stage': 'both'}, 'stage must be one of'),
        ({'class_weights': 'all'}, 'class_weights must be one of'),
        ({'labeled': 0}, 'labeled must be >= 1'),
        ({'modality': 'heat'}, 'modality must be one of'),
        ({'mfnet': 'a', 'nyu': 'b'}, 'one data set'),
        ({'nyu': 'a'}, 'modality must be rgb with nyu'),
        ({'prior_correction': 1.5}, 'prior_correction must be'),
        ({'prior_correction': 0.5, 'class_weights': 'batch'}, 'prior_correction must be'),
        ({'student': replace(STUDENT, outlines='teacher')}, 'need a host'),
    ],
)
def test_contradictions_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        InverseFormConfig(**values)


@pytest.mark.parametrize(
    ('kind', 'values'),
    [
        (InverseConfig, {'sampler': 'even'}),
        (InverseConfig, {'tiling_size': (224, 300)}),
        (InverseConfig, {'tiles_per_frame': 0}),
        (InverseConfig, {'held_out': 1.0}),
        (InverseConfig, {'dropout': 1.0}),
        (InverseConfig, {'min_explained': 1.5}),
        (TransformerConfig, {'frames': 1}),
        (BoundaryStudentConfig, {'distance': 'taxicab'}),
        (BoundaryStudentConfig, {'inverse': 'none'}),
        (BoundaryStudentConfig, {'outlines': 'image'}),
        (BoundaryStudentConfig, {'inverse_form_weight': -1.0}),
        (BoundaryStudentConfig, {'attention_threshold': 1.0}),
        (HostConfig, {'recipe': 'supervised', 'config': 'x'}),
        (HostConfig, {'recipe': 'cekd'}),
        (HostConfig, {'config': 'x'}),
    ],
)
def test_bad_settings_are_refused(kind, values):
    with pytest.raises(ConfigError, match='must'):
        kind(**values)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_committed_configurations_are_complete(path):
    config = load_config(InverseFormConfig, ['--config_path', str(path)])
    assert config.name == path.stem
    assert config.folder == config.output / path.stem / 'seed0'
