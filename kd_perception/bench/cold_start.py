# SPDX-License-Identifier: Apache-2.0
"""What a robot waits for, and the memory it needs: one backend in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from kd_perception.errors import BackendError

if TYPE_CHECKING:
    from kd_perception.backends import Backend

_LIMIT_S = 300.0


class ColdStart(NamedTuple):
    """From an interpreter that has just started.

    Attributes:
        build_s: imports, loading of the student, building of the network.
        first_frame_ms: the first frame, compilation of the reduction included.
        peak_mib: largest resident memory.
    """

    build_s: float
    first_frame_ms: float
    peak_mib: float


def cold_start(student: Path, backend: Backend, threads: int) -> ColdStart:
    """Start a process that answers one frame on a backend of the same kind.

    Raises:
        BackendError: The process failed; the message says why.
    """
    arguments = [str(student), backend.name, backend.device, backend.precision, str(threads)]
    done = subprocess.run(
        [sys.executable, '-m', 'kd_perception.bench.cold_start', *arguments],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BackendError(f'{backend.name} in a process of its own failed: {done.stderr[-2000:]}')
    return ColdStart(**json.loads(done.stdout.splitlines()[-1]))


def _main(folder: str, name: str, device: str, precision: str, threads: str) -> None:
    start = perf_counter()
    from kd_perception.backends import create_backend
    from kd_perception.bench.frames import ramp_frame
    from kd_perception.bench.stacks import PipelineStack
    from kd_perception.bundle import load_student

    student = load_student(Path(folder))
    backend = create_backend(
        student, backend=name, device=device, precision=precision, threads=int(threads)
    )
    stack = PipelineStack(student, backend)
    built = perf_counter()
    stack.answer(ramp_frame(student))
    first_ms = 1e3 * (perf_counter() - built)
    print(json.dumps(ColdStart(built - start, first_ms, _peak_mib())._asdict()))


def _peak_mib() -> float:
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) / 1024
    return float('nan')


if __name__ == '__main__':
    _main(*sys.argv[1:])
