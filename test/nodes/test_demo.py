# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end with the live node, and what is left when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from kd_perception.bags import writer
from kd_perception.demo import private_ros
from kd_perception.demo.drive import DrivePlan
from kd_perception.demo.private_ros import DomainError, reserved_domain
from kd_perception.demo.processes import Process, ProcessError, Processes
from kd_perception.world import WorldConfig

pytest.importorskip('rclpy')

pytestmark = [pytest.mark.ros, pytest.mark.slow]

FEW_DOMAINS = range(100, 102)  # that no other run takes

SMALL = """
import signal
import sys
from pathlib import Path
from kd_perception.demo import DemoConfig, show
from kd_perception.world import WorldConfig
if __name__ == '__main__':
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background shell
    world = WorldConfig(height=96, width=128)
    config = DemoConfig(Path(sys.argv[1]), float(sys.argv[2]), student=sys.argv[3], legs=(world,))
    sys.exit(show(config))
"""


def start_demo(folder: Path, seconds: float, student: Path) -> subprocess.Popen:
    script = folder / 'small_demo.py'
    script.write_text(SMALL)
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen(
        [sys.executable, str(script), str(folder / 'demo'), str(seconds), str(student)],
        env={**os.environ, 'PYTHONPATH': root, 'PYTHONUNBUFFERED': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_about(folder: Path) -> list[str]:
    """Command lines of all processes that name a folder."""
    found = []
    for entry in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            line = entry.read_bytes().replace(b'\0', b' ').decode(errors='replace')
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_every_frame_is_answered_recorded_and_evaluated(tmp_path, tiny_student_folder):
    demo = start_demo(tmp_path, 3, tiny_student_folder)
    out, _ = demo.communicate(timeout=180)
    assert demo.returncode == 0, out
    counts = json.loads((tmp_path / 'demo' / 'metrics.json').read_text())['counts']
    for name in ('frames', 'received', 'published', 'predicted', 'scored'):
        assert counts[name] == 30, out
    assert counts['dropped'] == counts['failed'] == 0
    for name in ('report.html', 'overlay.mp4'):
        assert (tmp_path / 'demo' / name).stat().st_size > 10_000
        assert name in out
    assert processes_about(tmp_path) == []


def test_interrupt_leaves_no_process(tmp_path, tiny_student_folder):
    student = tmp_path / 'student'
    student.symlink_to(tiny_student_folder)  # so that the node's command line names this folder
    demo = start_demo(tmp_path, 6, student)
    assert demo.stdout is not None
    for line in demo.stdout:
        if 'is active' in line:
            break
    time.sleep(0.5)
    assert len(processes_about(tmp_path)) >= 3, 'demo, recorder and player at least'
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=60)
    assert demo.returncode != 0
    assert processes_about(tmp_path) == []
    assert not (tmp_path / 'demo' / 'report.html').exists()


def test_a_node_that_does_not_start_is_shown_with_its_log(tmp_path):
    with Processes() as processes:
        process = processes.start(
            'node', ['-c', 'print("no camera here"); raise SystemExit(3)'], tmp_path / 'node.log'
        )
        with pytest.raises(ProcessError, match='failed with exit code 3') as caught:
            process.wait(30)
    assert '  | no camera here' in str(caught.value)


def test_a_stubborn_process_and_its_children_are_ended(tmp_path):
    code = (
        'import signal, subprocess, sys, time\n'
        'signal.signal(signal.SIGINT, signal.SIG_IGN)\n'
        'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])\n'
        'print(child.pid, flush=True)\n'
        'time.sleep(600)\n'
    )
    log = tmp_path / 'stubborn.log'
    with Processes() as processes:
        process: Process = processes.start('node', ['-c', code], log)
        while not log.read_text().strip():
            time.sleep(0.02)
    child = int(log.read_text())
    assert not process.is_running
    deadline_s = time.monotonic() + 5
    while Path(f'/proc/{child}/stat').exists() and time.monotonic() < deadline_s:
        if Path(f'/proc/{child}/stat').read_text().split()[2] == 'Z':
            break
        time.sleep(0.02)
    else:
        assert not Path(f'/proc/{child}').exists()


def test_domains_in_use_are_not_taken(monkeypatch):
    """Others hold the discovery port of all domains but one, which is found; then of all."""
    monkeypatch.setattr(private_ros, '_DOMAINS', FEW_DOMAINS)
    with ExitStack() as others:
        for domain in FEW_DOMAINS:
            with reserved_domain() as free:
                pass
            assert free in FEW_DOMAINS
            assert free >= domain
            holder = others.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            holder.bind(('', 7400 + 250 * domain + 10))
        first, last = FEW_DOMAINS[0], FEW_DOMAINS[-1]
        with pytest.raises(DomainError, match=f'No ROS domain from {first} to {last} is free'):
            others.enter_context(reserved_domain())


def test_two_runs_never_share_a_domain(monkeypatch):
    """Held from the reservation to its end, although no node has opened a port yet."""
    monkeypatch.setattr(private_ros, '_DOMAINS', FEW_DOMAINS)
    with ExitStack() as others:
        held = [others.enter_context(reserved_domain()) for _ in FEW_DOMAINS]
        assert sorted(held) == list(FEW_DOMAINS)
        with pytest.raises(DomainError):
            others.enter_context(reserved_domain())
    with reserved_domain() as domain:
        assert domain in FEW_DOMAINS


def test_the_environment_is_as_before_when_private_ros_ends(monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', '7')
    monkeypatch.delenv('ROS_LOCALHOST_ONLY', raising=False)
    before = dict(os.environ)
    with pytest.raises(ValueError, match='within'), private_ros.private_ros():
        assert os.environ['ROS_DOMAIN_ID'] != '7'
        assert os.environ['ROS_LOCALHOST_ONLY'] == '1'
        raise ValueError('within')
    assert dict(os.environ) == before


@pytest.mark.parametrize('changed', ['writer', 'numpy', 'cv2'])
def test_what_writes_the_drive_belongs_to_its_key(tmp_path, monkeypatch, changed):
    plan = DrivePlan(seed=3, frame_count=5, rate_hz=10.0, legs=(WorldConfig(),))
    before = plan.key()
    assert plan.key() == before
    if changed == 'writer':
        altered = tmp_path / 'writer.py'
        altered.write_text(Path(writer.__file__).read_text() + '# altered')
        monkeypatch.setattr(writer, '__file__', str(altered))
    else:
        monkeypatch.setattr(f'{changed}.__version__', '0.0')
    assert plan.key() != before
