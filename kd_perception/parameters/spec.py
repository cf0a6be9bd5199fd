# SPDX-License-Identifier: Apache-2.0
"""One parameter of a node: its name, default, range and meaning, checked without ROS."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from kd_perception.errors import ConfigError

ParameterValue = bool | int | float | str
Applied = Literal['start', 'configure', 'active', 'reload']

_TYPE_NAMES = {bool: 'boolean', int: 'integer', float: 'double', str: 'string'}


@dataclass(frozen=True)
class ParameterSpec:
    """One row of the parameter table.

    Attributes:
        name: ROS parameter name, with dots.
        default: Default value; its Python type is the parameter's type.
        description: One sentence, with the unit where there is one.
        minimum: Smallest allowed number, inclusive; None for strings and booleans.
        maximum: Largest allowed number, inclusive; None for strings and booleans.
        choices: Allowed strings; empty if any string is allowed.
        pattern: Regular expression that a string must match wholly; empty for none.
        applied: When a change takes effect: 'start' (only read when the node starts), 'configure'
            (only read on configure), 'active' (at the next frame) or 'reload' (stored at once,
            used by the next configure or reload).
    """

    name: str
    default: ParameterValue
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ''
    applied: Applied = 'configure'

    @property
    def dynamic(self) -> bool:
        """Whether the parameter may be changed while the node is active."""
        return self.applied in ('active', 'reload')

    def check(self, value: object) -> ParameterValue:
        """Return the value if it is allowed.

        Raises:
            ConfigError: If the type is not exactly that of the default (as in ROS, a double is
                written `1.0`), or the value is outside the range or the choices.
        """
        if type(value) is not type(self.default):
            raise ConfigError(
                f'Parameter {self.name} must be a {_TYPE_NAMES[type(self.default)]} like '
                f'{self.default!r}, got {value!r} ({type(value).__name__}).'
            )
        assert isinstance(value, bool | int | float | str)
        if isinstance(value, str):
            self._check_string(value)
        else:
            self._check_number(value)
        return value

    def _check_string(self, value: str) -> None:
        if self.choices and value not in self.choices:
            allowed = ', '.join(self.choices)
            raise ConfigError(f'Parameter {self.name} must be one of {allowed}; got {value!r}.')
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ConfigError(
                f'Parameter {self.name} must match {self.pattern}; got {value!r}. '
                f'{self.description}'
            )

    def _check_number(self, value: float) -> None:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not low <= value <= high:  # written so that NaN is refused as well
            raise ConfigError(
                f'Parameter {self.name} must lie in [{low:g}, {high:g}], got {value!r}.'
            )
