# SPDX-License-Identifier: Apache-2.0
"""Terms of CEKD: which count, what they weigh, and who learns from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cekd_runs import batch_of, tiny_run
from torch.nn import functional

from kd_perception.errors import ConfigError
from kd_perception.models import CENet, EKNet
from training.recipes import cekd
from training.recipes.cekd_losses import joint_losses, seen_by, student_losses, teacher_losses


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def test_a_network_sees_the_channels_of_its_modality():
    images = torch.arange(4.0).view(1, 4, 1, 1)
    for modality, channels in (('thermal', [0]), ('rgb', [1, 2, 3]), ('rgbt', [0, 1, 2, 3])):
        assert seen_by(images, modality).flatten().tolist() == channels


def test_teacher_terms(config):
    network = CENet(config.teacher_network())
    terms = teacher_losses(network, batch_of(config), config, None)
    assert list(terms) == ['segmentation', 'edge']
    doubled = replace(config, teacher=replace(config.teacher, edge_weight=2.0))
    again = teacher_losses(network.eval(), batch_of(config), doubled, None)
    once = teacher_losses(network, batch_of(config), config, None)
    torch.testing.assert_close(again['edge'], 2.0 * once['edge'])
    plain = replace(config, teacher=replace(config.teacher, edges='none'))
    terms = teacher_losses(CENet(plain.teacher_network()), batch_of(config), plain, None)
    assert list(terms) == ['segmentation']


IMITATION = ['similarity', 'edge_hint', 'soft_cross_entropy']


@pytest.mark.parametrize(
    ('changes', 'names'),
    [
        ({}, ['segmentation', *IMITATION]),
        ({'target': 'both'}, ['label', 'segmentation', *IMITATION]),
        ({'target': 'label'}, ['label', *IMITATION]),
        ({'target': 'none', 'edge_hint_weight': 0.0}, ['similarity', 'soft_cross_entropy']),
        ({'similarity_weight': 0.0}, ['segmentation', 'edge_hint', 'soft_cross_entropy']),
    ],
)
def test_student_terms(config, changes, names):
    config = replace(config, student=replace(config.student, **changes))
    teacher = CENet(config.teacher_network()).eval()
    terms = student_losses(
        EKNet(config.student_network()), teacher, batch_of(config), config, None
    )
    assert list(terms) == names
    assert all(torch.isfinite(value) and value >= 0 for value in terms.values())


def test_student_learns_from_no_label_unless_told(config):
    """Terms of the label-free student are the same whatever the labels say."""
    images, labels = batch_of(config)
    teacher, student = CENet(config.teacher_network()), EKNet(config.student_network())
    both = [
        student_losses(student.eval(), teacher.eval(), (images, seen), config, None)
        for seen in (labels, torch.zeros_like(labels))
    ]
    assert both[0].keys() == both[1].keys()
    for name, value in both[0].items():
        assert torch.equal(value, both[1][name]), name


def test_nothing_flows_back_to_the_teacher(config):
    teacher = CENet(config.teacher_network())
    student = EKNet(config.student_network())
    terms = student_losses(student, teacher, batch_of(config), config, None)
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_joint_step_gives_the_teacher_its_own_terms_only(config):
    both = cekd.Both(CENet(config.teacher_network()), EKNet(config.student_network()))
    terms = joint_losses(both, batch_of(config), config, None)
    own = [name for name in terms if not name.startswith('student_')]
    assert own == ['segmentation', 'edge'] and len(terms) == 6
    student_only = sum(value for name, value in terms.items() if name.startswith('student_'))
    student_only.backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in both.teacher.parameters())


def test_a_frame_without_any_label_costs_nothing(config):
    config = replace(config, student=replace(config.student, target='both'))
    images, labels = batch_of(config)
    hidden = torch.full_like(labels, 255)
    teacher, student = CENet(config.teacher_network()), EKNet(config.student_network())
    terms = student_losses(student, teacher.eval(), (images, hidden), config, None)
    assert terms['label'] == 0.0


def test_classes_weigh_against_labels_alone(config):
    """The teacher has learnt with the weights: they are in its answers already."""
    network = EKNet(config.student_network()).eval()
    teacher = CENet(config.teacher_network()).eval()
    config = replace(config, student=replace(config.student, target='both'))
    weight = torch.tensor([1.0, *[9.0] * 8])
    batch = batch_of(config)
    plain, weighted = (student_losses(network, teacher, batch, config, w) for w in (None, weight))
    torch.testing.assert_close(plain['segmentation'], weighted['segmentation'])
    assert not torch.isclose(plain['label'], weighted['label'], rtol=1e-3)


def test_reweighed_answers_count_as_labels_do(config):
    network = EKNet(config.student_network()).eval()
    teacher = CENet(config.teacher_network()).eval()
    config = replace(config, student=replace(config.student, reweigh=True))
    weight = torch.tensor([1.0, *[9.0] * 8])
    images, labels = batch_of(config)
    terms = student_losses(network, teacher, (images, labels), config, weight)
    with torch.no_grad():
        said, own = teacher(images).logits, network(images[:, :1]).logits
    said[:, 1:] -= float(np.log(9.0))
    expected = functional.cross_entropy(own, said.argmax(dim=1), weight)
    torch.testing.assert_close(terms['segmentation'], expected)
    soft = (said / 6.0).softmax(dim=1) * weight[:, None, None]
    expected = -(soft * (own / 6.0).log_softmax(dim=1)).sum() / soft.sum()
    torch.testing.assert_close(terms['soft_cross_entropy'], expected)
    with pytest.raises(ConfigError, match='class_weighted'):
        replace(config, class_weighted=False)
