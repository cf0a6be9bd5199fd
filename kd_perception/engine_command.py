# SPDX-License-Identifier: Apache-2.0
"""`kd-perception build-engine`: build a TensorRT engine, and judge it before a node may use it."""

from __future__ import annotations

import argparse
import shutil
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from kd_perception.backends import BackendChoice, choose_backend, create_backend
from kd_perception.bench.frames import network_input_of, street_frames
from kd_perception.bench.judging import Verdict
from kd_perception.bench.judging import judge as judge_backend
from kd_perception.bundle import Student, load_student
from kd_perception.errors import BackendError
from kd_perception.resources import student_folder

_FRAMES = 4


def run(arguments: argparse.Namespace) -> int:
    """Build, compare with ONNX Runtime in fp32, and tell."""
    student = load_student(student_folder(arguments.student))
    choice = choose_backend('tensorrt', arguments.device, arguments.precision, 0, False)
    folder = _build(student, choice)
    found = judge(student, choice, folder)
    print(
        f'{folder}: against fp32 it changes {found.difference}; run nodes with backend:=tensorrt '
        f'device:={choice.device} precision:={choice.precision}'
    )
    return 0


def _build(student: Student, choice: BackendChoice) -> Path:
    from kd_perception.backends.tensorrt_backend import build_engine

    layout = '{desc}: {elapsed}, usually 1 to 10 minutes {bar}'
    with closing(tqdm(desc=f'engine of {student.spec.name}', bar_format=layout)) as bar:
        return build_engine(student, choice, bar.refresh)


def judge(student: Student, choice: BackendChoice, folder: Path) -> Verdict:
    """Hold an engine against ONNX Runtime in fp32; one that differs too much is removed.

    Args:
        student: Whose engine.
        choice: Backend, device and precision of the engine.
        folder: Of the engine.

    Raises:
        BackendError: It changes more than the gate of its precision allows.
    """
    prepare = network_input_of(student)
    inputs = [prepare(image) for image in street_frames(student, _FRAMES)]
    backend = create_backend(
        student, backend=choice.name, device=choice.device, precision=choice.precision
    )
    reference = create_backend(student, backend='onnxruntime', device='cpu', precision='fp32')
    with closing(backend), closing(reference):
        found = judge_backend(student, backend, reference, inputs)
        precision = backend.precision
    if not found.passes:
        shutil.rmtree(folder)
        raise BackendError(
            f'an engine in {precision} may change {found.allowed} at most; this one '
            f'changes {found.difference} and was removed: build it with --precision fp32'
        )
    return found
