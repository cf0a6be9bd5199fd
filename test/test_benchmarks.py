# SPDX-License-Identifier: Apache-2.0
"""The latency measurement ends with a line, and with all its processes, when something fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.node_latency import MeasurementError, end_all, watch_usage

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def started():
    processes = []

    def start(code):
        processes.append(subprocess.Popen([sys.executable, '-c', code]))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_player_that_ends_at_once_is_told(started):
    processes = {'node': started('import time; time.sleep(60)'), 'player': started('exit(3)')}
    with pytest.raises(MeasurementError, match='at once, with exit code 3'):
        watch_usage(processes)


def test_a_node_that_ends_is_told_while_the_player_waits(started):
    processes = {'node': started('exit(4)'), 'player': started('import time; time.sleep(60)')}
    with pytest.raises(MeasurementError, match='node ended with exit code 4'):
        watch_usage(processes)


def test_shares_of_a_core_and_memory(started):
    busy = 'import time\nend = time.monotonic() + 7\nwhile time.monotonic() < end: pass'
    player = 'import time; time.sleep(6)'
    share, memory = watch_usage({'node': started(busy), 'player': started(player)})
    assert 3.0 * share['player'] < share['node'] < 1.3  # of a core, however busy the machine
    assert all(2.0 < value < 200.0 for values in memory.values() for value in values)


def test_all_are_ended_the_stubborn_too(started, monkeypatch):
    monkeypatch.setattr('benchmarks.node_latency.END_LIMIT_S', 0.5)
    stubborn = started('import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(60)')
    time.sleep(0.5)
    processes = [stubborn, started('import time; time.sleep(60)'), started('exit(0)')]
    end_all(processes)
    assert all(process.returncode is not None for process in processes)


@pytest.mark.ros
@pytest.mark.slow
def test_without_student_nothing_is_started(tmp_path):
    missing = tmp_path / 'no_student'
    ran = subprocess.run(
        [sys.executable, '-m', 'benchmarks.node_latency', '--student', missing, '--seconds', '1'],
        cwd=ROOT,
        env={**os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert 'error: a student must be' in ran.stderr and str(missing) in ran.stderr
    assert 'Traceback' not in ran.stderr
