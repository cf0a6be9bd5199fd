# SPDX-License-Identifier: Apache-2.0
"""Command line options that are parameters of a node."""

from __future__ import annotations

import argparse
from typing import Any

from kd_perception.bundle import Student, load_student
from kd_perception.parameters.file import load_parameter_file, model_path_of
from kd_perception.parameters.spec import ParameterValue
from kd_perception.parameters.table import THERMAL_SEG, ParameterTable
from kd_perception.resources import student_folder
from kd_perception.tasks import TASKS, USUAL_NODE_NAMES, usual_node_name


def table_from_arguments(arguments: argparse.Namespace) -> ParameterTable[Any]:
    """Find the parameters of the node that the student is for.

    Args:
        arguments: With the options ``student``, ``params`` and ``node_name``; the student is that
            of the options, else of the parameter file.

    Raises:
        BundleError: There is no such student.
        ConfigError: The parameter file cannot be read.
    """
    student = _student(arguments)
    return THERMAL_SEG if student is None else TASKS[student.spec.task].table


def parameters_from_arguments(
    arguments: argparse.Namespace, table: ParameterTable[Any] = THERMAL_SEG
) -> dict[str, ParameterValue]:
    """Return the node's parameters: the file's, overridden by options.

    Raises:
        BundleError: As `table_from_arguments`.
        ConfigError: If a value is not allowed, or the file has no section for the node.
    """
    values: dict[str, ParameterValue] = {}
    if arguments.params is not None:
        values.update(load_parameter_file(arguments.params, table, _node_name(arguments)))
    options = {
        'model.path': arguments.student,
        'backend': arguments.backend,
        'device': arguments.device,
        'precision': arguments.precision,
    }
    values.update({name: value for name, value in options.items() if value})
    if arguments.threads is not None:
        values['threads'] = arguments.threads
    return table.check(values)


def _node_name(arguments: argparse.Namespace) -> str:
    """Return the name of the live node: as the options say, else usual for the student."""
    if arguments.node_name:
        return str(arguments.node_name)
    student = _student(arguments)
    return THERMAL_SEG.node_name if student is None else usual_node_name(student)


def _student(arguments: argparse.Namespace) -> Student | None:
    """Return the student that is named; None leaves it to the defaults of the node."""
    name = arguments.student
    if not name and arguments.params is not None:
        nodes = (arguments.node_name,) if arguments.node_name else USUAL_NODE_NAMES
        name = next(filter(None, (model_path_of(arguments.params, node) for node in nodes)), '')
    return load_student(student_folder(name)) if name else None
