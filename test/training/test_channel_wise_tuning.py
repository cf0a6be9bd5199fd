# SPDX-License-Identifier: Apache-2.0
"""Tuning of distillation weights: one unit for all losses, the validation split alone chooses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import yaml
from channel_wise_runs import TERMS, tiny_run, with_loop

from kd_perception.errors import ConfigError
from training import channel_wise_tuning as tuning
from training.engine import NotFiniteError
from training.recipes import channel_wise
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_data import Drawing
from training.recipes.channel_wise_terms import TermConfig
from training.records import read_record
from training.settings import load_config, plain


@pytest.fixture
def config(tmp_path, world_cache):
    return with_loop(tiny_run(tmp_path, world_cache, 'channel_wise_logits'), steps=2, batch_size=2)


@pytest.fixture
def teacher(config, fabric):
    return channel_wise.trained_teacher(config, fabric)


def test_the_factor_makes_both_gradients_equally_long(config, fabric, teacher):
    factor = tuning.equal_factor(config, fabric, teacher, warm_steps=0, count=1)
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


def test_the_factor_does_not_depend_on_the_unit_of_the_weight(config, fabric, teacher):
    heavier = replace(config, terms=(replace(config.terms[0], weight=50.0),))
    found = [
        each.terms[0].weight * tuning.equal_factor(each, fabric, teacher, warm_steps=1, count=2)
        for each in (config, heavier)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_before_it_is_measured_labels_and_the_discriminator_teach(config, fabric, teacher):
    config = replace(config, terms=(TERMS['holistic_logits'],))
    seen, losses = [], tuning.step_losses

    def watching(learner, batch, *rest):
        critic = learner.discriminators['holistic_logits'].head.weight
        head = learner.segmenter.network.head.weight
        seen.append((head.detach().clone(), critic.detach().clone()))
        return losses(learner, batch, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, 'step_losses', watching)
        tuning.equal_factor(config, fabric, teacher, warm_steps=2, count=2)
    assert len(seen) == 4
    for before, after in ((0, 1), (1, 2)):
        assert all(not torch.equal(a, b) for a, b in zip(seen[before], seen[after], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(seen[2], seen[3], strict=True))


def test_all_weights_are_multiplied_and_rounded(config):
    terms = (TermConfig(weight=2.0, options={'temperature': 4.0}), TermConfig('hint', weight=0.5))
    scaled = tuning.with_weights(replace(config, terms=terms), 1.2345, 0.1)
    assert [term.weight for term in scaled.terms] == [0.247, 0.0617]
    assert scaled.name == 'tiny_0.247_0.0617'


def test_shorter_runs_have_a_seed_of_their_own_and_the_teacher_of_the_run(config):
    short = tuning.trial_config(config, 5)
    assert (short.seed, short.student.loop.steps) == (tuning.SEED, 5)
    assert short.fingerprint('teacher') == config.fingerprint('teacher')
    assert short.folder_of('student').parents[1] == config.output / 'tuning'
    with pytest.raises(ConfigError, match='must have terms to tune'):
        tuning.trial_config(replace(config, terms=()), 5)


def scripted(monkeypatch, scores):
    """Runs that score by ratio: the trial is not trained."""
    left = iter(scores)

    def trial(config, fabric, teacher):
        weights = {term.name: term.weight for term in config.terms}
        return {'weights': weights, **dict.fromkeys(tuning.KEPT, next(left))}

    monkeypatch.setattr(tuning, 'trial', trial)
    monkeypatch.setattr(tuning, 'equal_factor', lambda *a, **k: 2.0)


def test_the_best_of_validation_is_chosen(config, fabric, monkeypatch):
    scripted(monkeypatch, [0.2, 0.3, None])
    record = tuning.tune(config, fabric, ratios=(0.1, 1.0, 10.0), steps=1)
    assert record['chosen'] == '1' and record['weights'] == {'channel_wise_logits': 2.0}
    assert list(record['tried']) == ['0.1', '1', '10'] and record['seed'] == tuning.SEED
    scripted(monkeypatch, [None])
    with pytest.raises(ConfigError, match='some run of tiny must end, all 1 diverged'):
        tuning.tune(config, fabric, ratios=(1.0,), steps=1)


def test_a_run_that_diverges_scores_nothing(config, fabric, teacher, monkeypatch):
    def diverging(*arguments):
        raise NotFiniteError('diverged')

    monkeypatch.setattr(tuning, 'train', diverging)
    found = tuning.trial(config, fabric, teacher)
    assert found == {'weights': {'channel_wise_logits': 1.0}, **dict.fromkeys(tuning.KEPT)}


def test_configuration_and_record_are_written(config, tmp_path, monkeypatch, capsys):
    path = tmp_path / 'tiny.yaml'
    values = plain(config)
    del values['terms']
    line = '  - {loss: channel_wise, at: logits, weight: 3.0, options: {temperature: 4.0}}'
    path.write_text(f'# What it is.\n{yaml.safe_dump(values)}terms:\n{line}\n')
    scored = []
    score = tuning.score_split
    monkeypatch.setattr(
        tuning,
        'score_split',
        lambda network, config, name: scored.append(name) or score(network, config, name),
    )
    options = ['--ratios', '0.5', '2', '--steps', '2', '--warm-steps', '1', '--write']
    tuning.main(['--config_path', str(path), *options])
    record = read_record(config.results / 'tuning' / 'tiny.json')
    assert scored == ['validation', 'validation']
    weights = [tried['weights']['channel_wise_logits'] for tried in record['tried'].values()]
    assert weights[1] == pytest.approx(4.0 * weights[0], rel=0.01)
    changed = load_config(ChannelWiseConfig, ['--config_path', str(path)])
    assert changed.terms[0].weight == record['weights']['channel_wise_logits']
    assert replace(changed, terms=config.terms) == config
    assert path.read_text().startswith('# What it is.\n')
    assert '*' in capsys.readouterr().out


def test_only_weights_of_terms_are_replaced(tmp_path):
    path = tmp_path / 'run.yaml'
    head = 'opponent: {weight: 0.1}\nterms:\n'
    lines = [
        '{loss: hint, at: features, weight: 1.0}',
        '{loss: classes, weight: 1e-3, at: logits}',
    ]
    path.write_text(head + ''.join(f'  - {line}\n' for line in lines))
    tuning.write_weights(path, [0.25, 300.0])
    assert path.read_text() == head + (
        '  - {loss: hint, at: features, weight: 0.25}\n'
        '  - {loss: classes, weight: 300.0, at: logits}\n'
    )
    with pytest.raises(ConfigError, match=r'must have 1 lines .* got 2'):
        tuning.write_weights(path, [1.0])
