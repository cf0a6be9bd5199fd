# SPDX-License-Identifier: Apache-2.0
"""Configuration files to frozen dataclasses; the only module that knows draccus."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import draccus

from kd_perception.errors import ConfigError

Config = TypeVar('Config')


def load_config(kind: type[Config], arguments: list[str] | None = None) -> Config:
    """Read `--config_path FILE` and `--field.subfield VALUE` from the command line.

    Args:
        kind: a dataclass.
        arguments: instead of the command line.
    """
    config: Config = draccus.parse(config_class=kind, args=arguments)
    return config


def config_file(folder: Path, name: str) -> Path:
    """The file of a run by its name.

    Args:
        folder: of the configurations of a recipe.
        name: of the file without its ending.

    Raises:
        ConfigError: there is none of this name; says which there are.
    """
    path = folder / f'{name}.yaml'
    if not path.is_file():
        known = sorted(each.stem for each in folder.glob('*.yaml'))
        raise ConfigError(
            f'runs must be among {", ".join(known)}, got {name!r}: name one of these, or add '
            f'{path}'
        )
    return path


def plain(config: Any) -> dict[str, Any]:
    """A configuration as JSON can hold it: paths as text with forward slashes, tuples as lists."""
    return {key: _plain_value(value) for key, value in asdict(config).items()}


def without_later(values: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as runs that are older than some of them had them.

    Args:
        values: as `plain` gives them, or as a record has them.
        later: settings that came later by dotted name, as `bag.camera_frame`, with the value that
            does what was done before; where they have that value, they are left out.

    Returns:
        A copy; groups whose settings are not changed are the same objects.
    """
    older = dict(values)
    for name, before in later.items():
        first, _, rest = name.partition('.')
        if rest and first in older:
            older[first] = without_later(older[first], {rest: before})
        elif not rest and first in older and older[first] == before:
            del older[first]
    return older


def settings_digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of settings as `plain` gives them, whatever their order: a fingerprint of a run."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _plain_value(value: Any) -> Any:
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, dict):
        return {key: _plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_value(item) for item in value]
    return value
