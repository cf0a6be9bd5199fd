# SPDX-License-Identifier: Apache-2.0
"""Latency of the live node over real topics: header stamp to receipt, and where the time goes.

    python -m benchmarks.node_latency --seconds 20

Three processes share the machine as on a robot: the node, a player that publishes 640x480 mono16
frames, and a recorder that takes every output. First at a fixed rate; then as fast as the node
answers, with the mask alone and two frames on their way. Prints a table and one JSON line per row.

Transport in the table is stamp to receipt of the mask less all stages in the node. One of these
is the publishing of all outputs, of which the mask is only the first, so with several outputs the
transport of the mask is somewhat longer than the table says.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.node_traffic import NAMESPACE
from kd_perception.bundle import load_student
from kd_perception.errors import KdPerceptionError
from kd_perception.machine import describe
from kd_perception.resources import student_folder

ROOT = Path(__file__).resolve().parent.parent
END_LIMIT_S = 20.0
AT_MOST = 'as fast as it answers, mask only'


class MeasurementError(KdPerceptionError):
    """A process ended that was needed, or failed."""


def main() -> int:
    arguments = parse_arguments()
    every_output = f'{arguments.rate:g} Hz, mask, confidence and uncertainty'
    try:
        load_student(student_folder(arguments.student))  # the node would wait for a better one
        with tempfile.TemporaryDirectory() as folder:
            rows = [
                measure(arguments, title, precision, in_flight, Path(folder) / f'{precision}{n}')
                for precision in arguments.precisions
                for n, (title, in_flight) in enumerate(((every_output, 0), (AT_MOST, 2)))
            ]
    except KdPerceptionError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(describe())
    print_table(rows)
    for row in rows:
        print(json.dumps(row))
    if arguments.json:
        arguments.json.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seconds', type=float, default=20.0, help='length of each measurement')
    parser.add_argument('--rate', type=float, default=30.0, help='frames per second')
    parser.add_argument('--student', default='thermal_seg_s', help='bundle folder or shipped name')
    parser.add_argument(
        '--precisions', nargs='+', default=['auto'], help='of the network, one after the other'
    )
    parser.add_argument('--json', type=Path, help='file for one JSON line per row')
    parser.add_argument('--best-effort', action='store_true', help='publish as best effort')
    return parser.parse_args()


def measure(
    arguments: argparse.Namespace, title: str, precision: str, in_flight: int, out: Path
) -> dict[str, Any]:
    """Start the three processes, let the player play, and put their reports together."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        processes['node'] = start(
            ['-m', 'kd_perception.nodes.thermal_seg_node',
             '--ros-args', '-r', f'__ns:={NAMESPACE}', '-p', f'model.path:={arguments.student}',
             '-p', f'precision:={precision}', '-p', 'ffc.source:=none',
             '--log-level', 'warn']
        )  # fmt: skip
        if not in_flight:
            processes['recorder'] = start_role(arguments, 'recorder', in_flight, out)
        player_out = out.with_suffix('.player')
        processes['player'] = start_role(arguments, 'player', in_flight, player_out)
        shares, memory = watch_usage(processes)
        for name in ('recorder', 'node'):
            end_all([processes[name]] if name in processes else [])
    finally:
        end_all(processes.values())
    if processes['player'].returncode or (not in_flight and processes['recorder'].returncode):
        raise MeasurementError('The player or the recorder failed; it says why above.')
    exit_code = processes['node'].returncode
    report = json.loads(out.with_suffix('.player').read_text())
    if not in_flight:
        report |= json.loads(out.read_text())
    report |= {'cpu_share': shares, 'memory_mib': memory}
    report |= {'node_exit_code': exit_code, 'machine': describe()}
    return {'row': title, **report}


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    environment = {
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(60 + os.getpid() % 30),
        'AMENT_PREFIX_PATH': sys.prefix,
        'PYTHONPATH': str(ROOT),
        **os.environ,
    }
    return subprocess.Popen([sys.executable, *arguments], env=environment, cwd=ROOT)


def start_role(
    arguments: argparse.Namespace, role: str, in_flight: int, out: Path
) -> subprocess.Popen[bytes]:
    values = ['--seconds', arguments.seconds, '--rate', arguments.rate, '--in-flight', in_flight]
    command = ['-m', 'benchmarks.node_traffic', role, '--out', out, *values]
    flags = ['--best-effort'] if arguments.best_effort else []
    return start([str(part) for part in command] + flags)


def end_all(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """End what still runs, in any case."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGINT)
    for process in running:
        try:
            process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def watch_usage(
    processes: dict[str, subprocess.Popen[bytes]],
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Watch the processes until the player ends.

    Returns:
        Share of one core that each used in the last stretch of the play, and its resident memory
        [MiB] at the beginning and at the end of that stretch.

    Raises:
        MeasurementError: A process ended before the player, or the player at once.
    """
    samples: list[tuple[float, dict[str, tuple[float, float]]]] = []
    while processes['player'].poll() is None:
        for name, process in processes.items():
            if name != 'player' and process.poll() is not None:
                raise MeasurementError(f'The {name} ended with exit code {process.returncode}.')
        samples.append((time.monotonic(), {n: used(p.pid) for n, p in processes.items()}))
        time.sleep(1.0)
    if len(samples) < 4:
        code = processes['player'].returncode
        raise MeasurementError(f'The player ended at once, with exit code {code}.')
    # The first seconds are imports and discovery, the very last may be the player's exit.
    first, last = samples[(len(samples) - 1) // 2], samples[-2]
    elapsed_s = last[0] - first[0]
    shares = {n: round((last[1][n][0] - first[1][n][0]) / elapsed_s, 3) for n in processes}
    return shares, {n: (first[1][n][1], last[1][n][1]) for n in processes}


def used(pid: int) -> tuple[float, float]:
    """Processor time [s] and resident memory [MiB] of a process; zeros when it has ended."""
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return 0.0, 0.0
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
    return cpu_s, round(int(fields[21]) * os.sysconf('SC_PAGE_SIZE') / 2**20, 1)


def print_table(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        latency = ' '.join(f'{k} {v:.1f}' for k, v in row['latency_ms'].items())
        stages = ' '.join(f'{k} {v:.2f}' for k, v in row['node_stage_p50_ms'].items())
        cpu = ' '.join(f'{k} {v:.0%}' for k, v in row['cpu_share'].items())
        print(f'\n{row["row"]}')
        counts = ', '.join(f'{n} {row[n]}' for n in ('received', 'published', 'dropped', 'failed'))
        print(f'  sent {row["sent"]}; node: {counts}')
        print(f'  answers: {row["answers"]}, {row["answers_hz"]:.1f} per second')
        print(f'  stamp to receipt [ms]: {latency}')
        print(f'  in the node, median [ms]: {stages}')
        print(f'  transport both ways, median [ms]: {row["transport_p50_ms"]:.1f}')
        print(f'  not the network: {row["share_not_network"]:.0%} of stamp to receipt')
        print(f'  processor [of one core]: {cpu}; model: {row["model"]}')
        grown = ' '.join(f'{k} {a:.0f} to {b:.0f}' for k, (a, b) in row['memory_mib'].items())
        print(f'  memory, middle to end [MiB]: {grown}')


if __name__ == '__main__':
    sys.exit(main())
