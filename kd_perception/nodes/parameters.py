# SPDX-License-Identifier: Apache-2.0
"""The parameter table as ROS parameters: declared with ranges, and refused when they cannot apply.

A change is either in force when the call returns or it is rejected with the reason; it never
succeeds without effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)

from kd_perception.errors import ConfigError, KdPerceptionError
from kd_perception.parameters.spec import ParameterSpec, ParameterValue
from kd_perception.parameters.table import ParameterTable

_EFFECT = {
    'start': 'Read when the node starts.',
    'configure': 'Read on configure.',
    'active': 'May change while the node is active.',
    'reload': 'Read on configure and by ~/reload_model.',
}


def descriptor_from_spec(spec: ParameterSpec) -> ParameterDescriptor:
    """Describe a row of the table to ROS tools: meaning, range, allowed strings."""
    descriptor = ParameterDescriptor(
        description=f'{spec.description} {_EFFECT[spec.applied]}',
        additional_constraints=_constraints(spec),
    )
    if type(spec.default) is int:
        low, high = int(spec.minimum or 0), int(spec.maximum or 0)
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
    elif type(spec.default) is float:
        low_f, high_f = float(spec.minimum or 0.0), float(spec.maximum or 0.0)
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=low_f, to_value=high_f, step=0.0)
        ]
    return descriptor


def _constraints(spec: ParameterSpec) -> str:
    if spec.choices:
        return 'One of: ' + ', '.join(spec.choices)
    return f'Must match {spec.pattern}' if spec.pattern else ''


class NodeParameters:
    """The node's own parameters: declared, checked on every change, readable from any thread.

    Args:
        node: The rclpy node that declares them.
        table: What there is.
        is_configured: Whether the node is past ``unconfigured``, so that parameters that are only
            read on configure can no longer change.
        apply: Puts changed values in force; called with all values and the names that changed
            after all checks passed. May raise KdPerceptionError to refuse.

    Raises:
        rclpy.exceptions.ParameterException: A start-up value has the wrong type or range.
    """

    def __init__(
        self,
        node: Any,
        table: ParameterTable[Any],
        *,
        is_configured: Callable[[], bool],
        apply: Callable[[Mapping[str, ParameterValue], frozenset[str]], None],
    ) -> None:
        self._table = table
        self._is_configured = is_configured
        self._apply = apply
        self._values: Mapping[str, ParameterValue] = {
            spec.name: node.declare_parameter(
                spec.name, spec.default, descriptor_from_spec(spec)
            ).value
            for spec in table.rows
        }
        node.add_on_set_parameters_callback(self._on_set)

    @property
    def values(self) -> Mapping[str, ParameterValue]:
        """All values by name; a later change makes a new mapping and leaves this one alone."""
        return self._values

    def number(self, name: str) -> float:
        """Return the value of a number parameter."""
        return float(self._values[name])

    def text(self, name: str) -> str:
        """Return the value of a string parameter."""
        return str(self._values[name])

    def flag(self, name: str) -> bool:
        """Return the value of a boolean parameter."""
        return bool(self._values[name])

    def _on_set(self, parameters: Sequence[Any]) -> SetParametersResult:
        wanted = {p.name: p.value for p in parameters if p.name in self._table.by_name}
        changed = {name: value for name, value in wanted.items() if value != self._values[name]}
        candidate = {**self._values, **wanted}
        try:
            self._check(wanted, candidate, changed)
            if changed:
                self._apply(candidate, frozenset(changed))
        except KdPerceptionError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._values = candidate
        return SetParametersResult(successful=True)

    def _check(
        self,
        wanted: Mapping[str, object],
        candidate: Mapping[str, ParameterValue],
        changed: Mapping[str, object],
    ) -> None:
        for name, value in wanted.items():
            self._table.by_name[name].check(value)
        over = [name for name in changed if self._table.by_name[name].applied == 'start']
        if over:
            raise ConfigError(
                f'{", ".join(over)} is only read when the node starts: set it in the parameter '
                'file or on the command line.'
            )
        fixed = [name for name in changed if not self._table.by_name[name].dynamic]
        if fixed and self._is_configured():
            raise ConfigError(
                f'{", ".join(fixed)} can change only while the node is unconfigured: '
                'deactivate and clean up first.'
            )
        try:
            self._table.pipeline_config(candidate)
        except ConfigError:
            # Start-up values may contradict one another; they must be mendable one at a time.
            if self._is_consistent():
                raise

    def _is_consistent(self) -> bool:
        try:
            self._table.pipeline_config(self._values)
        except ConfigError:
            return False
        return True
