# SPDX-License-Identifier: Apache-2.0
"""Work in several processes: the order of results, errors, interrupts, and no process left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from kd_perception.errors import ConfigError
from kd_perception.world_export.render_pool import RenderError, default_workers, in_order


def square_slowly(number):
    time.sleep(0.05 if number % 2 == 0 else 0.0)
    return number**2


def refuse_three(number):
    if number == 3:
        raise ConfigError('not three')
    return number


def die_at_two(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def ignores_interrupt(_):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


class Counting(list):
    """Tasks that tell how many were asked for."""

    asked = 0

    def __iter__(self):
        for item in super().__iter__():
            self.asked += 1
            yield item


@pytest.mark.parametrize('workers', [1, 3])
def test_results_come_in_the_order_of_the_tasks(workers):
    with in_order(square_slowly, range(12), workers=workers) as results:
        assert list(results) == [number**2 for number in range(12)]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize('workers', [1, 2])
def test_errors_of_the_work_reach_the_caller(workers):
    with (
        pytest.raises(ConfigError, match='not three'),
        in_order(refuse_three, range(9), workers=workers) as results,
    ):
        list(results)
    assert multiprocessing.active_children() == []


def test_a_killed_process_is_told_and_does_not_hang():
    with (
        pytest.raises(RenderError, match='fewer --workers'),
        in_order(die_at_two, range(9), workers=2) as results,
    ):
        list(results)
    assert multiprocessing.active_children() == []


def test_few_tasks_are_done_ahead_of_a_slow_reader():
    tasks = Counting(range(100))
    with in_order(square_slowly, tasks, workers=2) as results:
        assert next(results) == 0
        assert tasks.asked <= 4
    assert multiprocessing.active_children() == []


def test_only_the_parent_sees_interrupts():
    with in_order(ignores_interrupt, range(3), workers=2) as results:
        assert list(results) == [True] * 3
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.fixture
def heard_interrupts():
    """Ctrl-C raises, also where a shell started the tests in the background, deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_the_processes(heard_interrupts):
    with (
        pytest.raises(KeyboardInterrupt),
        in_order(square_slowly, range(100), workers=2) as results,
    ):
        next(results)
        os.kill(os.getpid(), signal.SIGINT)
        list(results)
    assert multiprocessing.active_children() == []


def test_there_is_always_a_worker():
    assert default_workers(0) == 1
    assert 1 <= default_workers(1000) <= 8
