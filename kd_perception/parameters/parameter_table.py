# SPDX-License-Identifier: Apache-2.0
"""All parameters of one node, and the settings of its pipeline that they mean."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Generic, TypedDict, TypeVar

from kd_perception.errors import ConfigError
from kd_perception.parameters.spec import ParameterSpec, ParameterValue
from kd_perception.pipeline import CameraConfig

SomeConfig = TypeVar('SomeConfig', bound=CameraConfig, covariant=True)


class BackendOptions(TypedDict):
    """Keyword arguments of `kd_perception.backends.create_backend`."""

    backend: str
    device: str
    precision: str
    threads: int
    require_gpu: bool
    deterministic: bool


class Typed:
    """Reads checked values with the type that the table promises."""

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """Return the value of a string parameter."""
        return str(self._values[name])

    def number(self, name: str) -> float:
        """Return the value of a number parameter."""
        return float(self._values[name])

    def flag(self, name: str) -> bool:
        """Return the value of a boolean parameter."""
        return bool(self._values[name])


class ParameterTable(Generic[SomeConfig]):
    """The rows of one node.

    One table serves the ROS node (which declares each row as a ROS parameter), the in-process
    replay and the documentation, so a parameter file means the same thing everywhere.

    Args:
        node_name: Default name of the node.
        rows: Its parameters.
        make_config: Makes the pipeline's settings of checked values.
    """

    def __init__(
        self,
        node_name: str,
        rows: tuple[ParameterSpec, ...],
        make_config: Callable[[Typed], SomeConfig],
    ) -> None:
        self.node_name = node_name
        self.rows = rows
        self._make_config = make_config

    @cached_property
    def by_name(self) -> Mapping[str, ParameterSpec]:
        """The rows by the names of the parameters."""
        return {spec.name: spec for spec in self.rows}

    def defaults(self) -> dict[str, ParameterValue]:
        """Return every parameter with its default value."""
        return {spec.name: spec.default for spec in self.rows}

    def check(self, values: Mapping[str, object]) -> dict[str, ParameterValue]:
        """Complete the given values with the defaults, and check each of them.

        Raises:
            ConfigError: For a name that does not exist or a value that is not allowed.
        """
        for name in values:
            if name not in self.by_name:
                close = difflib.get_close_matches(name, self.by_name, n=1)
                hint = f' Did you mean {close[0]}?' if close else ''
                raise ConfigError(f'There is no parameter {name!r}.{hint}')
        checked = {name: self.by_name[name].check(value) for name, value in values.items()}
        return self.defaults() | checked

    def pipeline_config(self, values: Mapping[str, object]) -> SomeConfig:
        """Build the pipeline's configuration from parameters, the same for live node and replay.

        Args:
            values: Parameter values by name; missing ones take their default.

        Raises:
            ConfigError: For an unknown name, a value outside its range, or values that contradict
                one another, such as a low percentile above the high one.
        """
        return self._make_config(Typed(self.check(values)))

    def backend_options(self, values: Mapping[str, object]) -> BackendOptions:
        """Return the keyword arguments of `create_backend` that the parameters ask for.

        Raises:
            ConfigError: As for `pipeline_config`.
        """
        p = Typed(self.check(values))
        return BackendOptions(
            backend=p.text('backend'),
            device=p.text('device'),
            precision=p.text('precision'),
            threads=int(p.number('threads')),
            require_gpu=p.flag('require_gpu'),
            deterministic=p.flag('deterministic'),
        )
