# SPDX-License-Identifier: Apache-2.0
"""Bundles made from the tiny student: another good one, and every kind of broken one."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kd_perception.bundle import load_student, save_student


def reversed_student(source: Path, folder: Path) -> Path:
    """Save a student whose class k is the tiny student's class 8 - k."""
    onnx = _onnx()
    student = load_student(source)
    model = onnx.load_from_string(student.onnx)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)[::-1]
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    spec = dataclasses.replace(student.spec, name='reversed')
    graph = model.SerializeToString()
    save_student(folder, spec, onnx=graph, weights=student.weights, model_card='# reversed\n')
    return folder


def _missing(source: Path, folder: Path) -> None:
    pass


def _without_graph(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder)
    (folder / 'student.onnx').unlink()


def _truncated(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder)
    graph = folder / 'student.onnx'
    graph.write_bytes(graph.read_bytes()[:-10])


def _not_readable(source: Path, folder: Path) -> None:
    """A directory in the file's place: not even the superuser can read it as a file."""
    shutil.copytree(source, folder)
    (folder / 'student.onnx').unlink()
    (folder / 'student.onnx').mkdir()


def _not_yaml(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder)
    (folder / 'student.yaml').write_bytes(b'\x00\xff: [')


def _wrong_class_count(source: Path, folder: Path) -> None:
    student = load_student(source)
    spec = dataclasses.replace(student.spec, classes=student.spec.classes[:8])
    save_student(folder, spec, onnx=student.onnx, weights=student.weights, model_card='#\n')


def _not_a_graph(source: Path, folder: Path) -> None:
    student = load_student(source)
    save_student(folder, student.spec, onnx=b'no graph', weights=b'', model_card='#\n')


BROKEN: dict[str, Callable[[Path, Path], None]] = {
    'missing': _missing,
    'without graph': _without_graph,
    'truncated': _truncated,
    'not readable': _not_readable,
    'not YAML': _not_yaml,
    'wrong class count': _wrong_class_count,
    'not a graph': _not_a_graph,
}


def _onnx():  # type: ignore[no-untyped-def]
    import onnx
    import onnx.numpy_helper

    return onnx
