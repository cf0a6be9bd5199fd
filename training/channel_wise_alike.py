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
    expected = [settings_of(record) for record in runs.get(reference, {}).values()]
    for name in [reference, *may_differ] if expected else ():
        for seed, record in runs.get(name, {}).items():
            own = settings_of(record)
            names = {
                key for key in own.keys() | expected[0] if own.get(key) != expected[0].get(key)
            }
            if others := sorted(names - {*may_differ.get(name, ())}):
                raise ConfigError(
                    f'{name}, seed {seed}, must have the settings of {reference}, others are '
                    f'{", ".join(others)}: run it again'
                )


def settings_of(record: Mapping[str, Any]) -> dict[str, Any]:
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
