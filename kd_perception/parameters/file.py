# SPDX-License-Identifier: Apache-2.0
"""Read the node's ROS parameter file without ROS, so that a replay uses the robot's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from kd_perception.errors import ConfigError
from kd_perception.parameters.spec import ParameterValue
from kd_perception.parameters.table import THERMAL_SEG, ParameterTable

_MAX_FILE_BYTES = 2**20
_SECTION = 'ros__parameters'
# What rclpy itself declares; without meaning for a replay.
_ROS_OWN = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


def load_parameter_file(
    path: Path | str, table: ParameterTable[Any] = THERMAL_SEG, node_name: str = ''
) -> dict[str, ParameterValue]:
    """Return all parameters: those of the file, and the defaults for the rest.

    Args:
        path: YAML with `<node>: ros__parameters: ...`; `/**` applies to every node, and a node
            may be named with or without its namespace. Later sections win.
        table: Parameters of the node.
        node_name: The node whose sections count; empty takes the usual name of the table.

    Raises:
        ConfigError: If the file cannot be read, has no section for the node, or holds a parameter
            that does not exist or is not allowed.
    """
    node_name = node_name or table.node_name
    own, names = _own_values(Path(path), node_name)
    if own is None:
        raise ConfigError(
            f'{path} must have a section "{node_name}:" or "/**:" with "{_SECTION}:" below it; it '
            f'has {", ".join(names) or "none"} (--node-name names another node).'
        )
    try:
        return table.check(own)
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error


def model_path_of(path: Path | str, node_name: str) -> str:
    """Return the student that a node's sections of a parameter file name; empty if none.

    Raises:
        ConfigError: If the file cannot be read.
    """
    own, _ = _own_values(Path(path), node_name)
    return str((own or {}).get('model.path', ''))


def _own_values(path: Path, node_name: str) -> tuple[dict[str, object] | None, list[str]]:
    """Return what applies to a node, None without a section for it, and all sections' names."""
    found: dict[str, object] = {}
    names = []
    for name, section in _sections(_load(path)):
        names.append(name)
        if name.rsplit('/', 1)[-1] in (node_name, '*', '**'):
            found.update(_flatten(section))
    if not any(name.rsplit('/', 1)[-1] in (node_name, '*', '**') for name in names):
        return None, names
    return {k: v for k, v in found.items() if not k.startswith(_ROS_OWN)}, names


def _load(path: Path) -> Mapping[Any, Any]:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ConfigError(f'A parameter file has at most {_MAX_FILE_BYTES} bytes: {path}.')
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'The parameter file {path} cannot be read: {error}') from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f'The parameter file {path} is not YAML: {error}') from error
    if not isinstance(content, dict):
        raise ConfigError(f'The parameter file {path} must hold sections by node name.')
    return content


def _sections(content: Mapping[Any, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield (node name, parameters); namespaces may be nested or written into the name."""
    for key, value in content.items():
        name = f'{prefix}/{str(key).strip("/")}'
        if isinstance(value, dict) and _SECTION in value:
            yield name, value[_SECTION]
        elif isinstance(value, dict):
            yield from _sections(value, name)


def _flatten(section: Any, prefix: str = '') -> Iterator[tuple[str, object]]:
    if section is None:  # "ros__parameters:" with nothing below
        return
    if not isinstance(section, dict):
        raise ConfigError(f'"{_SECTION}:" must hold names with values, got {section!r}.')
    for key, value in section.items():
        name = f'{prefix}{key}'
        if isinstance(value, dict):
            yield from _flatten(value, f'{name}.')
        else:
            yield name, value
