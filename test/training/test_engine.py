# SPDX-License-Identifier: Apache-2.0
"""The training loop: it resumes bit for bit, refuses what diverges, and keeps what it promises."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from engine_runs import CPU, LOOP, OPTIMIZER, build, draw, fitted, losses, state_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from kd_perception.errors import ConfigError, ShapeError
from training.averaging import update_average
from training.batches import stacked
from training.checkpointing import LATEST, load_checkpoint
from training.distributed import launch
from training.engine import LoopConfig, NotFiniteError, restore
from training.optimization import OptimizerConfig, learning_rate


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def interrupted_at(step):
    def dying(now, index):
        if now == step:
            raise KeyboardInterrupt
        return draw(now, index)

    return dying


@pytest.mark.parametrize('kind', ['adamw', 'sgd'])
@pytest.mark.parametrize('bfloat16', [False, True])
def test_resumed_run_gives_the_same_bits(tmp_path, bfloat16, kind):
    fabric = launch(dataclasses.replace(CPU, bfloat16=bfloat16))
    optimizer = OptimizerConfig(kind=kind)
    setting = {'optimizer': optimizer, 'seed': 4}

    def tiny():
        return build(optimizer=optimizer, dropout=0.3)

    whole = fitted(tmp_path / 'whole', fabric, run=tiny(), **setting)
    folder = tmp_path / 'halves'
    with pytest.raises(KeyboardInterrupt):
        fitted(folder, fabric, run=tiny(), **setting, draw=interrupted_at(6))
    resumed = fitted(folder, fabric, run=tiny(), **setting)
    assert resumed.step == whole.step == 12
    assert_same_bits(state_of(whole), state_of(resumed))
    other = fitted(tmp_path / 'other', fabric, run=tiny(), optimizer=optimizer, seed=5)
    assert not torch.equal(whole.network.head.weight, other.network.head.weight), 'dropout'


def test_interrupt_loses_only_the_steps_since_the_checkpoint(tmp_path, fabric):
    whole = fitted(tmp_path / 'whole', fabric)
    folder = tmp_path / 'run'
    with pytest.raises(KeyboardInterrupt):
        fitted(folder, fabric, draw=interrupted_at(8))
    again, seen = build(), []
    assert restore(again, folder, 'tiny')
    assert again.step == 6
    assert again.seconds > 0.0

    def watched(step, index):
        seen.append((step, index))
        return draw(step, index)

    resumed = fitted(folder, fabric, draw=watched)
    assert seen == [(step, index) for step in range(6, 12) for index in range(4)]
    assert_same_bits(state_of(whole), state_of(resumed))


def test_notes_and_finished_run_come_back(tmp_path, fabric):
    run = build()
    run.notes = {'digest': 'abc', 'shares': [0.25, 0.75]}
    fitted(tmp_path, fabric, run=run)
    again = build()
    assert restore(again, tmp_path, 'tiny')
    assert (again.notes, again.step) == (run.notes, 12)
    finished = fitted(tmp_path, fabric, draw=interrupted_at(12))
    assert_same_bits(state_of(run), state_of(finished))


def test_no_checkpoint_is_no_restart_and_another_one_is_refused(tmp_path, fabric):
    assert not restore(build(), tmp_path, 'tiny')
    fitted(tmp_path, fabric)
    with pytest.raises(ConfigError, match='same configuration'):
        restore(build(), tmp_path, 'other')


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_loss_that_is_not_finite_stops_the_run(tmp_path, fabric, value):
    calls = []

    def diverging(network, batch):
        calls.append(1)
        factor = value if len(calls) == 8 else 1.0
        terms = losses(network, batch)
        return {**terms, 'size': terms['size'] * factor}

    run = build()
    with pytest.raises(NotFiniteError, match=r'size was .* in step 7'):
        fitted(tmp_path, fabric, run=run, losses=diverging)
    assert run.step == 7
    assert load_checkpoint(tmp_path, fingerprint='tiny')['step'] == 6
    assert all(torch.isfinite(value).all() for value in state_of(run).values())


def test_weights_that_are_not_finite_are_never_kept(tmp_path, fabric):
    calls = []

    def exploding(network, batch):
        calls.append(1)
        terms = losses(network, batch)
        if len(calls) < 6:
            return terms
        zero = 0.0 * terms['size']  # finite, but the gradient of the root is not
        return {**terms, 'root': torch.sqrt(zero)}

    with pytest.raises(NotFiniteError, match='is not after step 5'):
        fitted(tmp_path, fabric, losses=exploding)
    assert load_checkpoint(tmp_path, fingerprint='tiny')['step'] == 3


def test_scalars_of_the_recipe_are_written_beside_the_losses(tmp_path, fabric):
    asked = []

    def scalars():
        asked.append(1)
        return {'watched/ratio': float(len(asked))}

    fitted(tmp_path, fabric, scalars=scalars)
    events = EventAccumulator(str(tmp_path / 'tensorboard')).Reload()
    found = [(event.step, event.value) for event in events.Scalars('watched/ratio')]
    expected = range(LOOP.log_steps, LOOP.steps + 1, LOOP.log_steps)
    assert found == [(step, float(k)) for k, step in enumerate(expected, 1)]


def test_steps_are_those_of_plain_torch(tmp_path, fabric):
    """The loop by hand, without Fabric: the same weights, average and learning rates."""
    run = fitted(tmp_path, fabric)
    plain = build()
    for step in range(LOOP.steps):
        for group in plain.optimizer.param_groups:
            group['lr'] = learning_rate(OPTIMIZER, step, LOOP.steps)
        batch = stacked([draw(step, index) for index in range(4)])
        plain.optimizer.zero_grad()
        sum(losses(plain.network, batch).values()).backward()
        plain.optimizer.step()
        update_average(plain.average, plain.network, step=step, decay=LOOP.average_decay)
    assert_same_bits(state_of(plain), state_of(run))
    assert not torch.equal(run.average.head.weight, run.network.head.weight)


def test_what_parts_share_is_averaged_once():
    network = nn.ModuleList([nn.Linear(2, 3), nn.Linear(2, 3)])
    network[1].weight = network[0].weight
    average = copy.deepcopy(network)
    assert average[1].weight is average[0].weight
    before = average[0].weight.detach().clone()
    with torch.no_grad():
        network[0].weight += 1.0
    update_average(average, network, step=0, decay=0.9)
    torch.testing.assert_close(average[1].weight - before, torch.full((3, 2), 0.95))


def test_run_without_average(tmp_path, fabric):
    loop = dataclasses.replace(LOOP, average_decay=0.0)
    run = fitted(tmp_path, fabric, loop=loop)
    assert run.average is None
    assert_same_bits(
        run.network.state_dict(), fitted(tmp_path / 'other', fabric).network.state_dict()
    )
    for wrong in (build(), build(average=False)):
        other = LOOP if wrong.average is None else loop
        with pytest.raises(ConfigError, match='average_decay'):
            fitted(tmp_path / 'wrong', fabric, run=wrong, loop=other)


@pytest.mark.parametrize('average', [True, False])
def test_scalars_and_pictures_are_written(tmp_path, fabric, average):
    loop = dataclasses.replace(LOOP, average_decay=0.9 if average else 0.0)
    run, seen = build(average=average), []
    run.network.dropout.eval()

    def pictures(network):
        assert not network.norm.training
        assert not torch.is_grad_enabled()
        seen.append(network)
        return {'view': np.full((6, 5, 3), 40, np.uint8)}

    fitted(tmp_path, fabric, run=run, loop=loop, pictures=pictures)
    assert seen == [run.average if average else run.network] * 3
    assert run.network.norm.training and not run.network.dropout.training, 'modes are as before'
    events = EventAccumulator(str(tmp_path / 'tensorboard'))
    events.Reload()
    assert {'loss/cross_entropy', 'loss/size', 'learning_rate'} == set(events.Tags()['scalars'])
    rates = events.Scalars('learning_rate')
    assert [event.step for event in rates] == [2, 4, 6, 8, 10, 12]
    expected = [learning_rate(OPTIMIZER, step - 1, 12) for step in range(2, 13, 2)]
    assert [event.value for event in rates] == pytest.approx(expected)
    assert [event.step for event in events.Images('view')] == [4, 8, 12]


def test_loss_terms_must_be_scalars(tmp_path, fabric):
    def wrong(network, batch):
        return {'all': losses(network, batch)['size'].expand(2)}

    with pytest.raises(ShapeError, match='loss term all'):
        fitted(tmp_path, fabric, losses=wrong)
    assert not (tmp_path / LATEST).exists()


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        *((name, 0) for name in ('steps', 'batch_size', 'checkpoint_steps')),
        *((name, 0) for name in ('log_steps', 'picture_steps')),
        *(('average_decay', value) for value in (1.0, -0.1)),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        LoopConfig(**{name: value})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_run_moves_from_cuda_to_cpu_and_back(tmp_path, fabric):
    cuda = launch(dataclasses.replace(CPU, accelerator='cuda'))
    optimizer = OptimizerConfig()
    for step, place in ((4, cuda), (8, fabric), (12, cuda)):
        loop = dataclasses.replace(LOOP, checkpoint_steps=1)
        if step < 12:
            with pytest.raises(KeyboardInterrupt):
                fitted(tmp_path, place, loop=loop, optimizer=optimizer, draw=interrupted_at(step))
        else:
            run = fitted(tmp_path, place, loop=loop, optimizer=optimizer)
    assert run.step == 12
    assert run.network.head.weight.device.type == run.average.head.weight.device.type == 'cuda'


def test_workers_draw_the_same_run(tmp_path, fabric):
    runs = [fitted(tmp_path / str(n), fabric, workers=n) for n in (0, 2)]
    assert_same_bits(*(state_of(run) for run in runs))
