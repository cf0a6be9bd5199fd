# SPDX-License-Identifier: Apache-2.0
"""Command line options that are parameters of a node."""

from __future__ import annotations

import argparse
from typing import Any

from kd_perception.bundle import load_student
from kd_perception.parameters.depth_table import MONO_DEPTH
from kd_perception.parameters.file import load_parameter_file, model_path_of
from kd_perception.parameters.spec import ParameterValue
from kd_perception.parameters.table import THERMAL_SEG, ParameterTable
from kd_perception.resources import student_folder


def table_from_arguments(arguments: argparse.Namespace) -> ParameterTable[Any]:
    """Find the node that the student of the options, or of the parameter file, is for.

    Raises:
        BundleError: There is no such student.
        ConfigError: The parameter file cannot be read.
    """
    name = arguments.student
    if not name and arguments.params is not None:
        nodes = (THERMAL_SEG.node_name, MONO_DEPTH.node_name)
        name = next(filter(None, (model_path_of(arguments.params, node) for node in nodes)), '')
    if not name:
        return THERMAL_SEG
    task = load_student(student_folder(name)).spec.task
    return MONO_DEPTH if task == 'depth' else THERMAL_SEG


def parameters_from_arguments(
    arguments: argparse.Namespace, table: ParameterTable[Any] = THERMAL_SEG
) -> dict[str, ParameterValue]:
    """Return the node's parameters: the file's, overridden by options.

    Raises:
        ConfigError: If a value is not allowed.
    """
    values: dict[str, ParameterValue] = {}
    if arguments.params is not None:
        values.update(load_parameter_file(arguments.params, table))
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
