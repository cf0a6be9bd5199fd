# SPDX-License-Identifier: Apache-2.0
"""The unit of distillation weights: labels and terms pull equally, on layers that have learnt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from channel_wise_runs import TERMS, tiny_run, with_loop

from kd_perception.errors import ConfigError
from training import channel_wise_unit as unit
from training.recipes import channel_wise
from training.recipes.channel_wise_data import Drawing


@pytest.fixture
def config(tmp_path, world_cache):
    return with_loop(tiny_run(tmp_path, world_cache, 'channel_wise_logits'), steps=2, batch_size=2)


@pytest.fixture
def teacher(config, fabric):
    return channel_wise.trained_teacher(config, fabric)


def test_the_factor_makes_both_gradients_equally_long(config, fabric, teacher):
    factor = unit.equal_factor(config, fabric, teacher, warm_steps=0, count=1)
    (term,) = config.terms
    equal = replace(config, terms=(replace(term, weight=term.weight * factor),))
    learner = channel_wise.new_learner(equal, 'student').train()
    drawn = [Drawing(config, 'student')(0, k) for k in range(2)]
    parts = zip(*drawn, strict=True)
    batch = tuple(torch.stack([torch.as_tensor(x) for x in part]) for part in parts)
    values = channel_wise.step_losses(learner, batch, equal, 'student', teacher)
    own = list(learner.segmenter.parameters())
    lengths = []
    for name in ('label', 'channel_wise_logits'):
        found = torch.autograd.grad(values[name], own, retain_graph=True, allow_unused=True)
        lengths.append(torch.cat([g.flatten() for g in found if g is not None]).norm().item())
    assert lengths[1] == pytest.approx(lengths[0], rel=1e-4)


@pytest.mark.parametrize('name', ['channel_wise_logits', 'channel_wise_features'])
def test_the_factor_does_not_depend_on_the_unit_of_the_weight(config, fabric, teacher, name):
    config = replace(config, terms=(TERMS[name],))
    heavier = replace(config, terms=(replace(config.terms[0], weight=50.0),))
    found = [
        each.terms[0].weight * unit.equal_factor(each, fabric, teacher, warm_steps=1, count=2)
        for each in (config, heavier)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_before_it_is_measured_labels_and_the_discriminator_teach(config, fabric, teacher):
    config = replace(config, terms=(TERMS['holistic_logits'],))
    seen, losses = [], unit.step_losses

    def watching(learner, batch, *rest):
        critic = learner.discriminators['holistic_logits'].head.weight
        head = learner.segmenter.network.head.weight
        seen.append((head.detach().clone(), critic.detach().clone()))
        return losses(learner, batch, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unit, 'step_losses', watching)
        unit.equal_factor(config, fabric, teacher, warm_steps=2, count=2)
    assert len(seen) == 4
    for before, after in ((0, 1), (1, 2)):
        assert all(not torch.equal(a, b) for a, b in zip(seen[before], seen[after], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(seen[2], seen[3], strict=True))


def learners_of(config, fabric, teacher, monkeypatch):
    """The learner before and after three steps and a measurement."""
    found, new_learner = [], channel_wise.new_learner

    def remembered(*given):
        found.append(new_learner(*given))
        return found[-1]

    with monkeypatch.context() as patch:
        patch.setattr(unit, 'new_learner', remembered)
        unit.equal_factor(config, fabric, teacher, warm_steps=3, count=1)
    return new_learner(config, 'student'), found[0]


def test_before_it_is_measured_alignment_learns_and_the_student_knows_nothing_of_it(
    config, fabric, teacher, monkeypatch
):
    _, plain = learners_of(config, fabric, teacher, monkeypatch)
    aligned = replace(config, terms=(TERMS['channel_wise_features'], TERMS['hint_features']))
    first, learnt = learners_of(aligned, fabric, teacher, monkeypatch)
    for name, value in plain.segmenter.state_dict().items():
        assert torch.equal(value, learnt.segmenter.state_dict()[name]), name
    for before, after in zip(
        first.alignments.parameters(), learnt.alignments.parameters(), strict=True
    ):
        assert not torch.equal(before, after)


def test_what_alignment_learns_makes_the_term_smaller(config, fabric, teacher):
    config = replace(config, terms=(TERMS['hint_features'],))
    learner = channel_wise.new_learner(config, 'student').train()
    parts = zip(*(Drawing(config, 'student')(0, k) for k in range(2)), strict=True)
    batch = tuple(torch.stack([torch.as_tensor(x) for x in part]) for part in parts)
    optimizer = torch.optim.SGD(learner.alignments.parameters(), lr=0.05)
    seen = []
    for _ in range(20):
        values = channel_wise.step_losses(learner, batch, config, 'student', teacher)
        seen.append(values['hint_features'].item())
        learner.zero_grad()
        unit._warm_up(learner, values, {'hint_features'})
        (slope,) = (p.grad for p in learner.alignments.parameters())
        assert slope.norm().item() == pytest.approx(1.0, rel=1e-5)
        optimizer.step()
    assert seen[-1] < 0.7 * seen[0]


def test_several_processes_are_refused(config):
    class Two:
        world_size = 2

    with pytest.raises(ConfigError, match='by one process, got 2'):
        unit.equal_factor(config, Two(), None)
