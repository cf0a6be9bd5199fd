# SPDX-License-Identifier: Apache-2.0
"""How the values of ``student.yaml`` are checked and get their types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from kd_perception.errors import BundleError

_TYPES: dict[str, tuple[type, ...]] = {
    'int': (int,),
    'bool': (bool,),
    'float': (int, float),
    'float | None': (int, float, type(None)),
    'str': (str,),
    'dict[str, Any]': (dict,),
}


def require(condition: bool, rule: str, received: object) -> None:
    """Check a rule.

    Raises:
        BundleError: The condition does not hold.
    """
    if not condition:
        raise BundleError(f'student.yaml: {rule}; received {received!r}')


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def build(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """Build a dataclass after checking each value against the annotated plain type.

    Raises:
        BundleError: A value is of another type.
        TypeError: A field is missing or unknown.
    """
    for item in fields(kind):
        allowed = _TYPES.get(str(item.type))
        if item.name in values and allowed:
            value = values[item.name]
            right = isinstance(value, allowed) and (bool in allowed) == isinstance(value, bool)
            require(right, f'{kind.__name__}.{item.name} must be {item.type}', value)
    return kind(**values)
