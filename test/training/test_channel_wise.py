# SPDX-License-Identifier: Apache-2.0
"""Channel-wise distillation: who answers for what, that runs resume, share and are scored."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from channel_wise_runs import LOOP, TERMS, shareable, tiny_run, with_loop
from run_processes import run_recipe

from kd_perception.errors import ConfigError
from kd_perception.models import RepUNet
from training.recipes import channel_wise
from training.recipes.channel_wise_data import Drawing, split_frames
from training.recipes.channel_wise_networks import Segmenter
from training.recipes.channel_wise_report import evaluate, table_row


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache, 'channel_wise_logits')


def weights_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_the_teacher_answers_for_what_it_sees(config, fabric, monkeypatch):
    drawing = Drawing(config, 'student')
    samples = zip(*(drawing(0, k) for k in range(2)), strict=True)
    batch = tuple(torch.from_numpy(np.stack(part)) for part in samples)
    teacher = channel_wise.trained_teacher(config, fabric)
    seen = []

    def spying(*given):
        seen.append(given)
        return {}

    def mean_count(count):
        return count

    channel_wise.step_losses(spying, batch, config, 'student', teacher, mean_count=mean_count)
    images, labels, mix, maps, counting = seen[0]
    assert counting is mean_count
    assert torch.equal(images, batch[0][:, :1]) and torch.equal(labels, batch[1])
    assert torch.equal(mix, batch[2])
    network = channel_wise.trained_network(config, 'teacher')
    with torch.no_grad():
        expected = network(batch[0])
    assert maps.features.shape == (2, 64, 16, 16)
    for found, own in zip(maps[:2], expected[:2], strict=True):
        assert torch.equal(found, own) and not found.requires_grad
    channel_wise.step_losses(spying, batch, replace(config, terms=()), 'teacher', None)
    assert torch.equal(seen[1][0], batch[0]) and seen[1][3:] == (None, None)


@pytest.mark.parametrize(
    'names',
    [('channel_wise_logits', 'channel_wise_features'), ('holistic_logits',)],
    ids=['alignment', 'discriminator'],
)
def test_six_and_six_steps_equal_twelve(tmp_path, world_cache, fabric, monkeypatch, names):
    run = tiny_run(tmp_path / 'whole', world_cache, *names)
    config = with_loop(run, steps=12, batch_size=2, checkpoint_steps=6)
    (whole,) = channel_wise.networks(config, fabric).values()
    expected = [weights_of(part) for part in (whole.network, whole.average)]
    halves, ends = replace(config, output=tmp_path / 'halves'), []
    fit = channel_wise.fit

    def dying(run, **arguments):
        draw, folder = arguments['draw'], arguments['folder']

        def drawn(step, index):
            if step == 8 and folder not in ends:
                ends.append(folder)
                raise KeyboardInterrupt
            return draw(step, index)

        fit(run, **{**arguments, 'draw': drawn})

    monkeypatch.setattr(channel_wise, 'fit', dying)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            channel_wise.networks(halves, fabric)
    (resumed,) = channel_wise.networks(halves, fabric).values()
    assert ends == [halves.folder_of('teacher'), halves.folder_of('student')]
    assert resumed.step == 12
    for part, weights in zip((resumed.network, resumed.average), expected, strict=True):
        for name, value in part.state_dict().items():
            assert torch.equal(value, weights[name]), name


def weighted_pixels(config, role):
    """What the known pixels of either process weigh in the first step."""
    drawing, weight = Drawing(config, role), channel_wise.new_learner(config, role).weight
    labels = [drawing(0, index)[1] for index in range(config.network(role).loop.batch_size)]
    assert all((label == 255).any() and (label != 255).any() for label in labels)
    sums = [float(weight[label[label != 255]].sum()) for label in labels]
    return sum(sums[:2]), sum(sums[2:])


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_learn_what_one_learns_with_each_loss(tmp_path, world_cache, fabric):
    split_frames(tiny_run(tmp_path, world_cache), 'train')  # renders them
    for role in ('teacher', 'student'):
        halves = weighted_pixels(shareable(tmp_path, world_cache), role)
        assert abs(halves[0] - halves[1]) > 0.05 * sum(halves), 'shares that count alike'
    folder = tmp_path / 'two'
    run_recipe('channel_wise_runs', folder, world_cache, timeout_s=800)
    states = torch.load(folder / 'states.pt')
    assert list(states) == list(TERMS)
    for name, state in states.items():
        config = shareable(tmp_path / 'one', world_cache, name)
        first = weights_of(channel_wise.build(config, 'student').network)
        (run,) = channel_wise.networks(config, fabric).values()
        found = run.network.state_dict()
        assert list(found) == list(state)
        for key, value in found.items():
            if value.is_floating_point():
                moved = (value - first[key]).abs().max()
                difference = (value - state[key]).abs().max()
                # A discriminator magnifies rounding; a process that is not heard is half of it.
                assert difference <= 1e-2 * moved + 1e-6, (name, key, difference, moved)


def test_a_run_is_recorded_and_scored_without_what_learnt_beside_it(
    tmp_path, world_cache, fabric, capsys, monkeypatch
):
    config = tiny_run(tmp_path, world_cache, 'channel_wise_features')
    monkeypatch.setattr(channel_wise, 'load_config', lambda kind, arguments: config)
    channel_wise.main([])
    record = json.loads(config.record_path.read_text())
    assert (record['recipe'], record['trained_on']) == ('channel_wise', 'synthetic')
    assert list(record['metrics']) == list(record['training_seconds']) == ['student']
    student = record['metrics']['student']
    assert list(student) == ['validation', 'test']
    assert {'miou_nanmean', 'miou_frequent', 'miou_rare', 'by_size'} <= set(student['test'])
    assert record['frame_keys'].keys() == {'train', 'validation', 'test'}
    assert '| tiny student |' in capsys.readouterr().out
    network = channel_wise.trained_network(config, 'student')
    assert isinstance(network, Segmenter) and isinstance(network.network, RepUNet)
    assert not any(p.requires_grad for p in network.parameters())
    learner = channel_wise.build(config, 'student').average
    assert len(learner.alignments) == 1
    assert torch.equal(network.network.head.weight, learner.segmenter.network.head.weight)
    assert evaluate(network, config) == student


def test_the_teacher_may_be_trained_alone(config, fabric):
    (role,) = channel_wise.networks(replace(config, stage='teacher'), fabric)
    assert role == 'teacher'
    with pytest.raises(ConfigError, match='must hold a checkpoint of step 6, got none'):
        channel_wise.trained_network(config, 'student')
    longer = replace(config, student=replace(config.student, loop=replace(LOOP, steps=8)))
    assert isinstance(channel_wise.trained_network(longer, 'teacher'), Segmenter)


def test_another_world_is_refused(config, fabric, monkeypatch):
    channel_wise.train(replace(config, terms=()), fabric, 'student')
    monkeypatch.setattr('training.data.world._SOURCES', ('changed',))
    with pytest.raises(ConfigError, match='the code of the world has changed'):
        channel_wise.build(replace(config, terms=()), 'student')


def test_a_row_in_percent():
    metrics = {'miou_nanmean': 0.25, 'miou_frequent': 0.4, 'miou_rare': None}
    metrics |= {'macc_nanmean': 0.301, 'boundary_f_3px': 0.5}
    assert table_row('row', metrics) == '| row | 25.0 | 40.0 | - | 30.1 | 50.0 |'
