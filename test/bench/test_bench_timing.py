# SPDX-License-Identifier: Apache-2.0
"""Stacks are timed in turn, what disturbs the first frame of a turn is left out."""

from __future__ import annotations

import numpy as np
import pytest

from kd_perception.bench.stacks import Answer, StageTimes
from kd_perception.bench.timing import busy_machine, round_robin, spread

IMAGES = [np.full((2, 2), value, np.uint16) for value in (1, 2, 3)]


class Recorder:
    """A stack that notes who was called with what, and is slow when others were before."""

    def __init__(self, name, calls):
        self.name, self.what, self.calls = name, name, calls

    def answer(self, image):
        first = not self.calls or self.calls[-1][0] != self.name
        self.calls.append((self.name, int(image[0, 0])))
        return Answer(None, StageTimes(*[99.0 if first else float(len(self.name))] * 5))


def test_turns_are_bursts_whose_first_frame_does_not_count():
    calls = []
    times = round_robin([Recorder('a', calls), Recorder('bb', calls)], IMAGES, rounds=1)
    assert [name for name, _ in calls] == ['a'] * 6 + ['bb'] * 6
    assert times['a'].shape == times['bb'].shape == (5, 5)
    assert (times['a'] == 1.0).all() and (times['bb'] == 2.0).all()


def test_who_begins_changes_and_all_see_the_same_frames():
    calls, rounds = [], []
    stacks = [Recorder('a', calls), Recorder('bb', calls)]
    round_robin(stacks, IMAGES, rounds=2, on_round=lambda: rounds.append(len(calls)))
    assert [name for name, _ in calls[::6]] == ['a', 'bb', 'bb', 'a']
    assert rounds == [12, 24]
    seen = {n: sorted(value for name, value in calls if name == n) for n in ('a', 'bb')}
    assert seen['a'] == seen['bb'] and set(seen['a']) == {1, 2, 3}


def test_spread_of_known_times():
    found = spread(np.arange(101.0))
    assert found == (50.0, 0.0, 90.0, 99.0, 100.0)


@pytest.mark.slow
def test_busy_processes_compute_and_end():
    import multiprocessing
    import time
    from pathlib import Path

    def ticks(pid):
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        return int(fields[11])

    with busy_machine(1):
        (child,) = multiprocessing.active_children()
        deadline = time.monotonic() + 30
        while ticks(child.pid) < 50 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert ticks(child.pid) >= 50
    assert not child.is_alive()
