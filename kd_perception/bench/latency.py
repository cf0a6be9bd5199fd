# SPDX-License-Identifier: Apache-2.0
"""The benchmark: students on every backend of this machine, beside two usual ways, in one run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.backends import Backend, create_backend
from kd_perception.bench.cold_start import cold_start
from kd_perception.bench.cost import Cost, student_cost
from kd_perception.bench.frames import network_input_of, street_frames
from kd_perception.bench.judging import judge
from kd_perception.bench.peaks import Peaks, drift, measure_peaks
from kd_perception.bench.stacks import (
    PipelineStack,
    Stack,
    StageTimes,
    onnx_numpy_stack,
)
from kd_perception.bench.timing import busy_machine, round_robin, spread
from kd_perception.bundle import Student, load_student
from kd_perception.errors import BackendError, ConfigError
from kd_perception.frames import Image
from kd_perception.machine import cpu_flags, usable_cores
from kd_perception.resources import student_folder

Row = dict[str, Any]

BACKENDS = (
    ('openvino', 'fp32'),
    ('openvino', 'bf16'),
    ('openvino', 'int8'),
    ('onnxruntime', 'fp32'),
    ('torch', 'fp32'),
)
CUDA_BACKENDS = (('torch', 'fp16'), ('tensorrt', 'fp16'), ('torch', 'fp32'))
_LIBRARIES = ('numpy', 'numba', 'opencv-python-headless', 'onnxruntime', 'openvino', 'torch')
_FRAMES = 4


@dataclass(frozen=True)
class BenchConfig:
    """What is measured.

    Attributes:
        students: Names of shipped students, or bundle folders.
        rounds: Turns of each stack, of five counted frames each.
        threads: Of the networks; 0 for all cores of this process.
        device: ``cpu``, or ``cuda:N`` to measure that device beside the usual ways.
        busy: Processes that compute beside it in a second measurement; 0 leaves it out.
    """

    students: tuple[str, ...] = ('thermal_seg_s',)
    rounds: int = 20
    threads: int = 0
    device: str = 'cpu'
    busy: int = 2

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, least in (('rounds', 1), ('threads', 0), ('busy', 0)):
            if getattr(self, name) < least:
                raise ConfigError(f'{name} must be >= {least}, got {getattr(self, name)}')


def run_benchmark(config: BenchConfig) -> Iterator[Row]:
    """Measure, row by row.

    Yields:
        Plain mappings whose `row` says what they are: `machine`, `peaks` (before and after),
        `student`, `backend`, `stack` and, where limits changed meanwhile, `drift`.

    Raises:
        KdPerceptionError: A student or its default backend cannot be used, or a student is one of
            a pair.
    """
    students = [_student_alone(name) for name in config.students]
    threads = config.threads or usable_cores()
    yield {'row': 'machine', **_machine(threads)}
    before = measure_peaks(threads)
    yield _peaks_row('before', before)
    for student in students:
        yield from _student_rows(student, config, threads, before)
    after = measure_peaks(threads)
    yield _peaks_row('after', after)
    changed = drift(before, after)
    if changed:
        yield {'row': 'drift', 'changed': changed}


def _student_alone(name: str) -> Student:
    student = load_student(student_folder(name))
    if student.second is not None:
        raise ConfigError(
            f'the benchmark must have students that stand alone; {student.spec.name} has a second '
            'one in its folder second_student: measure each of them'
        )
    return student


def _machine(threads: int) -> Row:
    return {
        'flags': list(cpu_flags()),
        'cores': usable_cores(),
        'threads': threads,
        'load_average': round(os.getloadavg()[0], 2),
        'governor': _governor(),
        'versions': {name: found for name in _LIBRARIES if (found := _version(name))},
    }


def _governor() -> str | None:
    try:
        return Path('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor').read_text().strip()
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _peaks_row(when: str, peaks: Peaks) -> Row:
    gops = {name: round(value, 1) for name, value in peaks.gops.items()}
    return {
        'row': 'peaks',
        'when': when,
        'gops': gops,
        'dram_gb_s': round(peaks.dram_gb_s, 1),
        'cache_gb_s': round(peaks.cache_gb_s, 1),
    }


def _student_rows(
    student: Student, config: BenchConfig, threads: int, peaks: Peaks
) -> Iterator[Row]:
    cost = student_cost(student, peaks)
    yield {'row': 'student', 'student': student.spec.name, **_cost_row(cost)}
    images = street_frames(student, _FRAMES)
    backends = list(_backends(student, config.device, threads))
    try:
        yield from _backend_rows(student, backends, images, threads)
        stacks = [PipelineStack(student, backend) for backend in backends]
        compared: list[Stack] = [*_baselines(student, backends, threads), *stacks]
        for load in (0, config.busy) if config.busy else (0,):
            yield from _stack_rows(student, compared, images, config.rounds, load, cost)
    finally:
        for backend in backends:
            backend.close()


def _cost_row(cost: Cost) -> Row:
    return {
        'parameters': cost.parameters,
        'gmac': round(cost.gmac, 3),
        'convolution_values': cost.values,
        'roofline_ms': {name: round(value, 2) for name, value in cost.roofline_ms.items()},
    }


def _backends(student: Student, device: str, threads: int) -> Iterator[Backend]:
    """Every backend and precision that this machine has for a device."""
    kinds = BACKENDS if device == 'cpu' else CUDA_BACKENDS
    for name, precision in kinds:
        try:
            yield create_backend(
                student, backend=name, device=device, precision=precision, threads=threads
            )
        except BackendError:
            if (name, precision) == kinds[0]:
                raise


def _baselines(student: Student, backends: list[Backend], threads: int) -> list[Stack]:
    """The usual ways; those in torch only where torch can run the student."""
    usual: list[Stack] = [onnx_numpy_stack(student, threads)]
    if any(backend.name == 'torch' for backend in backends):
        from kd_perception.bench.torch_parts import device_stacks, naive_stack

        usual.insert(0, naive_stack(student, threads))
        devices = {backend.device for backend in backends} - {'cpu'}
        usual += [stack for device in sorted(devices) for stack in device_stacks(student, device)]
    return usual


def _backend_rows(
    student: Student, backends: list[Backend], images: list[Image], threads: int
) -> Iterator[Row]:
    reference = next(b for b in reversed(backends) if b.precision == 'fp32')  # torch, if there
    inputs = [network_input_of(student)(image) for image in images]
    for backend in tqdm(backends, desc='cold starts', unit='backend', leave=False):
        start = cold_start(student.folder, backend, threads)
        row: Row = {
            'row': 'backend',
            'student': student.spec.name,
            'backend': backend.name,
            'precision': backend.precision,
            'threads': backend.threads,
            'build_s': round(start.build_s, 2),
            'first_frame_ms': round(start.first_frame_ms, 1),
            'peak_mib': round(start.peak_mib),
        }
        if backend is not reference:
            found = judge(student, backend, reference, inputs)
            row |= {
                'reference': reference.name,
                'difference': found.difference._asdict(),
                'passes': found.passes,
            }
        yield row


def _stack_rows(
    student: Student,
    stacks: list[Stack],
    images: list[Image],
    rounds: int,
    load: int,
    cost: Cost,
) -> Iterator[Row]:
    title = f'{student.spec.name}, {f"{load} busy processes" if load else "idle"}'
    with (
        busy_machine(load) if load else nullcontext(),
        closing(tqdm(total=rounds, desc=title, unit='round', leave=False)) as bar,
    ):
        times = round_robin(stacks, images, rounds, bar.update)
    medians = {name: float(np.median(rows[:, -1])) for name, rows in times.items()}
    for stack in stacks:
        precision = stack.name.rpartition('_')[2]
        yield {
            'row': 'stack',
            'student': student.spec.name,
            'stack': stack.name,
            'what': stack.what,
            'busy_processes': load,
            'frames': len(times[stack.name]),
            'stages_ms': _stages(times[stack.name]),
            'times_faster_than': {
                name: round(medians[name] / medians[stack.name], 2)
                for name in ('A', 'C')
                if name in medians
            },
            **_against_roofline(times[stack.name], precision, cost),
        }


def _stages(times: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
    return {
        name: {key: round(value, 3) for key, value in spread(times[:, i])._asdict().items()}
        for i, name in enumerate(StageTimes._fields)
    }


def _against_roofline(times: npt.NDArray[np.float64], precision: str, cost: Cost) -> Row:
    """How many times the least possible time the network takes; of our own stacks."""
    if precision not in cost.roofline_ms:
        return {}
    network = float(np.median(times[:, StageTimes._fields.index('network')]))
    return {
        'network_over_roofline': round(network / cost.roofline_ms[precision], 2),
        'network_gops': round(2.0 * cost.gmac / network * 1e3, 1),
    }
