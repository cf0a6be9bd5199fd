# SPDX-License-Identifier: Apache-2.0
"""Tuning of distillation weights: what is tried, the validation split alone chooses."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from channel_wise_runs import tiny_run, with_loop

from kd_perception.errors import ConfigError
from training import channel_wise_tuning as tuning
from training.engine import NotFiniteError
from training.recipes import channel_wise
from training.recipes.channel_wise_config import ChannelWiseConfig
from training.recipes.channel_wise_terms import TermConfig
from training.records import read_record
from training.settings import load_config, plain


@pytest.fixture
def config(tmp_path, world_cache):
    return with_loop(tiny_run(tmp_path, world_cache, 'channel_wise_logits'), steps=2, batch_size=2)


@pytest.fixture
def teacher(config, fabric):
    return channel_wise.trained_teacher(config, fabric)


def test_all_weights_are_multiplied_and_rounded(config):
    terms = (TermConfig(weight=2.0, options={'temperature': 4.0}), TermConfig('hint', weight=0.5))
    scaled = tuning.with_weights(replace(config, terms=terms), 1.2345, 0.1)
    assert [term.weight for term in scaled.terms] == [0.247, 0.0617]
    assert scaled.name == 'tiny_0.247_0.0617'


def test_shorter_runs_have_a_seed_of_their_own_and_the_teacher_of_the_run(config):
    short = tuning.trial_config(config, 5, 103)
    assert (short.seed, short.student.loop.steps) == (103, 5)
    assert short.fingerprint('teacher') == config.fingerprint('teacher')
    assert short.folder_of('student').parents[1] == config.output / 'tuning' / '5_steps'
    with pytest.raises(ConfigError, match=r'must be at least 100, .* got 2'):
        tuning.trial_config(config, 5, 2)


def scripted(monkeypatch, scores):
    """Runs that score by weight and seed: none is trained."""

    def trial(config, fabric, teacher):
        found = scores[config.terms[0].weight][config.seed]
        return dict.fromkeys(tuning.KEPT, found)

    monkeypatch.setattr(tuning, 'trial', trial)
    monkeypatch.setattr(tuning, 'trained_teacher', lambda *a: None)
    monkeypatch.setattr(tuning, 'equal_factor', lambda *a, **k: 2.0)


def test_the_best_mean_of_validation_is_chosen(config, fabric, monkeypatch):
    """The best single run is that of the smallest weight, the largest one diverges once."""
    scores = {
        0.2: {100: 0.5, 101: 0.1},
        2.0: {100: 0.3, 101: 0.4},
        20.0: {100: 0.9, 101: None},
    }
    scripted(monkeypatch, scores)
    record = tuning.tune(config, fabric, ratios=(0.1, 1.0, 10.0), steps=1)
    assert record['chosen'] == '1' and record['weights'] == {'channel_wise_logits': 2.0}
    assert record['seeds'] == [100, 101] == list(tuning.SEEDS)
    means = {ratio: tried['miou_nanmean'] for ratio, tried in record['tried'].items()}
    assert means == {'0.1': 0.3, '1': 0.35, '10': None}
    by_seed = record['tried']['10']['by_seed']
    assert [by_seed[seed]['miou_rare'] for seed in ('100', '101')] == [0.9, None]
    assert record['frame_keys'].keys() == {'train', 'validation'}


def test_the_seeds_are_a_choice_and_some_ratio_must_end(config, fabric, monkeypatch):
    scripted(monkeypatch, {2.0: {107: 0.3, 108: None}})
    record = tuning.tune(config, fabric, ratios=(1.0,), seeds=(107,), steps=1)
    assert record['tried']['1']['miou_nanmean'] == 0.3
    with pytest.raises(ConfigError, match=r'all runs of a ratio of tiny must end, none of'):
        tuning.tune(config, fabric, ratios=(1.0,), seeds=(107, 108), steps=1)


def test_without_terms_the_shorter_runs_are_those_of_the_student_alone(config, fabric):
    alone = replace(config, terms=())
    record = tuning.tune(alone, fabric, steps=1)
    (found,) = record['tried'].values()
    assert (record['chosen'], record['weights'], found['weights']) == ('0', {}, {})
    assert 0.0 <= found['miou_nanmean'] <= 1.0 and found['by_seed'].keys() == {'100', '101'}
    assert not (config.output / 'teachers').exists()


def test_several_processes_are_refused_before_a_teacher_learns(config, monkeypatch):
    monkeypatch.setattr(tuning, 'trained_teacher', lambda *a: pytest.fail('a teacher learns'))
    with pytest.raises(ConfigError, match='tuned by one process, got 2'):
        tuning.tune(config, SimpleNamespace(world_size=2))


def test_a_file_that_cannot_be_changed_is_refused_before_anything_learns(config, tmp_path):
    (tmp_path / 'own.yaml').write_text(yaml.safe_dump(plain(config)))
    path = tmp_path / 'run.yaml'
    path.write_text('<<: !include own.yaml\n')
    with pytest.raises(ConfigError, match=r'run.yaml must have 1 lines .* got 0'):
        tuning.main(['--config_path', str(path), '--write'])
    assert not config.output.exists()


def test_a_run_that_diverges_scores_nothing(config, fabric, teacher, monkeypatch):
    def diverging(*arguments):
        raise NotFiniteError('diverged')

    monkeypatch.setattr(tuning, 'train', diverging)
    assert tuning.trial(config, fabric, teacher) == dict.fromkeys(tuning.KEPT)


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
    assert scored == ['validation'] * 4, 'two ratios and two seeds'
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
