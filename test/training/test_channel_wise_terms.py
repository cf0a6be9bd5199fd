# SPDX-License-Identifier: Apache-2.0
"""Terms of channel-wise distillation: what each compares, what is refused, who learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from channel_wise_runs import TERMS
from loss_properties import normal
from torch.nn import functional

from kd_perception.errors import ConfigError
from training.distributed import LaunchConfig
from training.losses import (
    attention_transfer_loss,
    channel_wise_loss,
    discriminator_loss,
    holistic_loss,
    intra_class_variation_loss,
    pixel_wise_loss,
    soft_cross_entropy_loss,
)
from training.optimization import OptimizerConfig
from training.recipes.channel_wise_learner import Learner, OpponentConfig, new_optimizer
from training.recipes.channel_wise_networks import Maps, NetworkConfig
from training.recipes.channel_wise_terms import LOSSES, Given, TermConfig, loss_of, of_equal_size

TEACHER = NetworkConfig(preset='rep_unet', modality='rgbt')
STUDENT = NetworkConfig(preset='rep_unet_s')
LABELS = torch.randint(0, 9, (2, 64, 64), generator=torch.Generator().manual_seed(0))
SCORES = normal(2, 9, 16, 16, scale=3.0).float()
GIVEN = Given(LABELS, 9, torch.linspace(1.0, 5.0, 9), SCORES)


def learner(*terms, own=STUDENT, weight=GIVEN.weight):
    torch.manual_seed(0)
    opponent = OpponentConfig(base_width=8, levels=2)
    return Learner(own, terms, teacher=TEACHER, opponent=opponent, num_classes=9, weight=weight)


def taught():
    return Maps(SCORES.clone(), normal(2, 64, 16, 16).abs().float())


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 1, 64, 64, generator=generator), LABELS, torch.tensor([0.25, 0.75])


def test_every_loss_is_tried():
    assert {name.rsplit('_', 1)[0] for name in TERMS} == set(LOSSES)


@pytest.mark.parametrize('name', TERMS)
def test_a_term_is_its_loss_of_the_maps_times_its_weight(name):
    term = TERMS[name]
    own = learner(term).eval()
    values = own(*batch(), taught())
    assert next(iter(values)) == 'label' and name in values
    maps = own.segmenter(batch()[0])
    student, teacher = own.compared(term, maps, taught())
    assert teacher is not None and student.shape[2:] == teacher.shape[2:]
    if term.alignment != 'none':
        aligned = own.alignments[name](maps.features)
        torch.testing.assert_close(student, aligned)
    expected = own.imitation(term, student, teacher, GIVEN)
    torch.testing.assert_close(values[name], term.weight * expected)


def maps_of(channels):
    return tuple(normal(2, 2, channels, 16, 16, seed=7)[k].float() for k in (0, 1))


def test_losses_get_what_the_run_gives():
    student, teacher = maps_of(9)
    found = loss_of(TERMS['intra_class_variation_logits'], student, teacher, GIVEN)
    torch.testing.assert_close(
        found, intra_class_variation_loss(student, teacher, LABELS, num_classes=9)
    )
    powers = TermConfig('attention_transfer', options={'power': 3.0})
    torch.testing.assert_close(
        loss_of(powers, student, teacher, GIVEN),
        attention_transfer_loss(student, teacher, power=3.0),
    )


def test_places_weigh_by_the_class_that_the_teacher_says():
    student, teacher = maps_of(9)
    weight, classes = GIVEN.weight, teacher.argmax(dim=1)
    softened = soft_cross_entropy_loss(student, teacher, weight=weight, classes=classes)
    expected = {
        'pixel_wise_logits': pixel_wise_loss(student, teacher, weight=weight),
        'classes_logits': functional.cross_entropy(student, classes, weight),
        'soft_cross_entropy_logits': softened,
    }
    for name, value in expected.items():
        torch.testing.assert_close(loss_of(TERMS[name], student, teacher, GIVEN), value)
        equal = loss_of(TERMS[name], student, teacher, GIVEN._replace(weight=None))
        assert float(equal) != pytest.approx(float(value), rel=1e-4)


@pytest.mark.parametrize('name', ['pixel_wise_logits', 'soft_cross_entropy_logits'])
def test_weights_of_places_do_not_move_what_is_learnt(name):
    _, teacher = maps_of(9)
    student = teacher.clone().requires_grad_()
    loss_of(TERMS[name], student, teacher, GIVEN).backward()
    assert float(student.grad.abs().max()) < 1e-7


def test_features_weigh_by_the_class_that_the_teacher_says_there():
    student, teacher = maps_of(32)
    term, weight = TERMS['pixel_wise_features'], GIVEN.weight
    classes = SCORES.argmax(dim=1)
    expected = pixel_wise_loss(student, teacher, weight=weight, classes=classes)
    torch.testing.assert_close(loss_of(term, student, teacher, GIVEN), expected)
    smaller = GIVEN._replace(scores=SCORES[:, :, ::2, ::2])
    nearest = classes[:, ::2, ::2].repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    expected = pixel_wise_loss(student, teacher, weight=weight, classes=nearest)
    torch.testing.assert_close(loss_of(term, student, teacher, smaller), expected)
    equal = loss_of(term, student, teacher, GIVEN._replace(weight=None))
    torch.testing.assert_close(equal, pixel_wise_loss(student, teacher))


def test_the_holistic_term_comes_with_what_its_discriminator_minimizes():
    own = learner(TERMS['holistic_logits']).eval()
    values = own(*batch(), taught())
    logits = own.segmenter(batch()[0]).logits
    critic = own.discriminators['holistic_logits']
    torch.testing.assert_close(values['holistic_logits'], 0.1 * holistic_loss(critic, logits))
    expected = discriminator_loss(
        critic, logits, taught().logits, penalty_weight=10.0, mix=batch()[2]
    )
    torch.testing.assert_close(values['holistic_logits_discriminator'], 0.1 * expected)


@pytest.mark.parametrize('name', TERMS)
def test_student_alignment_and_discriminator_learn_from_the_term(name):
    own = learner(TERMS[name]).train()
    teacher = Maps(*(part.requires_grad_() for part in taught()[:2]))
    values = own(*batch(), teacher)
    values[name].backward(retain_graph=True)
    assert all(part.grad is None for part in teacher[:2])
    stem = own.segmenter.network.stages[0][0].conv3x3.conv.weight
    assert stem.grad.isfinite().all() and stem.grad.abs().sum() > 0
    for parameter in own.alignments.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
    assert all(p.grad is None for p in own.discriminators.parameters())
    if name.startswith('holistic'):
        own.zero_grad()
        values[f'{name}_discriminator'].backward()
        assert all(p.grad is not None for p in own.discriminators.parameters())
        assert stem.grad is None


def test_the_student_starts_the_same_whatever_its_terms_are():
    alone, taught_by = learner(), learner(*(TERMS[name] for name in list(TERMS)[:4]))
    for name, value in alone.segmenter.state_dict().items():
        assert torch.equal(value, taught_by.segmenter.state_dict()[name])
    assert list(alone.state_dict()) == [f'segmenter.{k}' for k in alone.segmenter.state_dict()]


def test_discriminators_learn_by_an_adam_of_their_own():
    own = learner(TERMS['holistic_features'], TERMS['channel_wise_features'])
    config = OptimizerConfig(kind='sgd', learning_rate=0.01)
    joined = new_optimizer(own, config)
    sgd, adam = joined.parts
    assert isinstance(sgd, torch.optim.SGD) and isinstance(adam, torch.optim.Adam)
    assert adam.defaults['betas'] == (0.9, 0.99)
    assert adam.param_groups[0]['rate_scale'] == pytest.approx(0.04)
    learns = [p for group in joined.param_groups for p in group['params']]
    assert {id(p) for p in learns} == {id(p) for p in own.parameters()}
    assert len(learns) == len(list(own.parameters()))
    plain = new_optimizer(learner(TERMS['channel_wise_features']), config)
    assert isinstance(plain, torch.optim.SGD)


def test_maps_of_another_size_are_resized_to_the_teachers():
    student, teacher = normal(2, 1, 3, 16, 16)[0].float(), torch.zeros(1, 3, 9, 9)
    resized = of_equal_size(student, teacher)
    expected = functional.interpolate(student, (9, 9), mode='bilinear', align_corners=False)
    assert torch.equal(resized, expected)
    assert of_equal_size(student, torch.zeros(1, 3, 16, 16)) is student
    pspnet = NetworkConfig('pspnet', 'tiny', depth=18)
    own = learner(TERMS['channel_wise_logits'], own=pspnet)
    values = own(*batch(), taught())
    assert list(values) == ['label', 'auxiliary', 'channel_wise_logits']
    maps = own.eval().segmenter(batch()[0])
    assert maps.logits.shape == (2, 9, 9, 9)
    resized = functional.interpolate(maps.logits, (16, 16), mode='bilinear', align_corners=False)
    expected = channel_wise_loss(resized, taught().logits, temperature=4.0)
    torch.testing.assert_close(own(*batch(), taught())['channel_wise_logits'], expected)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'loss': 'cwd'}, "loss must be one of .*'channel_wise'.*got 'cwd'"),
        ({'at': 'scores'}, "at must be one of .*got 'scores'"),
        ({'alignment': 'linear'}, "alignment must be one of .*got 'linear'"),
        ({'weight': 0.0}, 'weight must be above 0'),
        ({'weight': float('nan')}, 'weight must be above 0'),
        ({'options': {}}, r"hold \['temperature'\], got \[\]"),
        ({'loss': 'pairwise_affinity', 'options': {'pooling': '2x2'}}, "'pool'.*got .'pooling'"),
        ({'loss': 'pixel_wise', 'options': {'weight': 3.0}}, "got .'weight'"),
        ({'alignment': 'bare', 'options': {'temperature': 4.0}}, 'alignment must be none'),
        ({'loss': 'classes', 'at': 'features'}, 'classes compares class scores'),
        ({'loss': 'soft_cross_entropy', 'at': 'features'}, 'at must be logits'),
        ({'options': {'temperature': 0.0}}, 'temperature must be above 0'),
        ({'options': {'temperature': '1e-3'}}, "of the types that it takes.*'1e-3'"),
        ({'loss': 'pixel_wise', 'options': {'normalization': 'mean'}}, "received 'mean'"),
        ({'loss': 'pairwise_affinity', 'options': {'pool': '4x4'}}, "received '4x4'"),
        ({'loss': 'local_similarity', 'options': {'similarity': 'dot'}}, "received 'dot'"),
        ({'loss': 'attention_transfer', 'options': {'power': 0.5}}, 'power must be at least 1'),
    ],
)
def test_bad_terms_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        TermConfig(**values)


@pytest.mark.parametrize(
    'values', [{'weight': 0.0}, {'learning_rate': 0.0}, {'penalty_weight': -1.0}, {'levels': 1}]
)
def test_bad_opponents_are_refused(values):
    with pytest.raises(ConfigError):
        OpponentConfig(**values)


def test_opponents_are_refused_that_cannot_see_a_map_or_learn_on_several_gpus(monkeypatch):
    alone = LaunchConfig(accelerator='cpu')
    OpponentConfig(levels=2).check((16, 40), alone)
    with pytest.raises(ConfigError, match='of 3 levels sees must be at least 32x32, got 16x40'):
        OpponentConfig(levels=3).check((16, 40), alone)
    opponent = OpponentConfig(levels=2)
    opponent.check((16, 16), replace(alone, devices=2))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    for accelerator in ('cuda', 'auto'):
        opponent.check((16, 16), LaunchConfig(accelerator=accelerator))
        with pytest.raises(ConfigError, match=r'one GPU, .* got 2 processes on GPUs'):
            opponent.check((16, 16), LaunchConfig(accelerator=accelerator, devices=2))
