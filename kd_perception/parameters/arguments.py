# SPDX-License-Identifier: Apache-2.0
"""Command line options that are parameters of the node."""

from __future__ import annotations

import argparse

from kd_perception.parameters.file import load_parameter_file
from kd_perception.parameters.spec import ParameterValue
from kd_perception.parameters.table import check_parameters


def parameters_from_arguments(arguments: argparse.Namespace) -> dict[str, ParameterValue]:
    """Return the node's parameters: the file's, overridden by options.

    Raises:
        ConfigError: If a value is not allowed.
    """
    values: dict[str, ParameterValue] = {}
    if arguments.params is not None:
        values.update(load_parameter_file(arguments.params))
    options = {
        'model.path': arguments.student,
        'backend': arguments.backend,
        'device': arguments.device,
        'precision': arguments.precision,
    }
    values.update({name: value for name, value in options.items() if value})
    if arguments.threads is not None:
        values['threads'] = arguments.threads
    return check_parameters(values)
