# SPDX-License-Identifier: Apache-2.0
"""Whether the runs of a table differ in what the table is about, and in nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kd_perception.errors import ConfigError
from training.cekd_tables import Runs

_FREE = ('name', 'seed', 'stage', 'terms', 'launch', 'cache', 'output', 'results')
"""Settings that no table asks to be equal; terms are what they are about."""


def check_alike(runs: Runs, reference: str, may_differ: Mapping[str, Collection[str]]) -> None:
    """Refuse runs with other frames, networks, schedules or views than those of a reference.

    Args:
        runs: records by name and seed.
        reference: name of the run that the others are compared with; without it nothing is.
        may_differ: settings by the name of a run in which it may differ, as `student.modality`;
            runs that are not in it are not looked at.

    Raises:
        ConfigError: a run differs in a setting that it may not, or seeds of the reference do.
    """
    expected = next(iter(runs.get(reference, {}).values()), None)
    for name in [reference, *may_differ] if expected else ():
        for seed, record in runs.get(name, {}).items():
            names = differing(record, expected) - {*may_differ.get(name, ())}
            if names:
                raise ConfigError(
                    f'{name}, seed {seed}, must have the settings of {reference}, others are '
                    f'{", ".join(sorted(names))}: run it again'
                )


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> set[str]:
    """Dotted names of the settings and keys of frames in which two records differ."""
    own, other = _settings(first), _settings(second)
    return {key for key in own.keys() | other if own.get(key) != other.get(key)}


def _settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their dotted names, and the keys of the frames."""
    config = {name: value for name, value in record['config'].items() if name not in _FREE}
    return _dotted({**config, 'frame_keys': record['frame_keys']})


def _dotted(values: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _dotted(value, f'{prefix}{name}.')
        else:
            found[f'{prefix}{name}'] = value
    return found
