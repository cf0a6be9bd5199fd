# SPDX-License-Identifier: Apache-2.0
"""`kd-perception bench`: arguments, rows to a file as they come, tables at the end."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def declare_bench(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add = parser.add_argument
    add('--students', nargs='+', default=['thermal_seg_s'], metavar='STUDENT',
        help='student names or bundle folders (thermal_seg_s)')  # fmt: skip
    add('--rounds', type=int, default=20, help='turns of each stack (%(default)s)')
    add('--threads', type=int, default=0, help='CPU threads of the networks; 0 takes all cores')
    add('--device', default='cpu', help='cpu or cuda:N (%(default)s)')
    add('--busy', type=int, default=2, metavar='N',
        help='measure again beside N busy processes; 0 does not (%(default)s)')  # fmt: skip
    add('--json', type=Path, metavar='FILE', help='write one JSON line per row')


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; the file, if any, appears when all is measured."""
    from kd_perception.bench.latency import BenchConfig, run_benchmark
    from kd_perception.bench.table import tables
    from kd_perception.files import write_atomically

    config = BenchConfig(
        tuple(arguments.students),
        arguments.rounds,
        arguments.threads,
        arguments.device,
        arguments.busy,
    )
    rows = list(run_benchmark(config))
    lines = ''.join(json.dumps(row) + '\n' for row in rows)
    if arguments.json:
        write_atomically(arguments.json, lambda file: file.write(lines.encode()))
    print(lines)
    print(tables(rows), end='')
    return 0
