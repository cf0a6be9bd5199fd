# SPDX-License-Identifier: Apache-2.0
"""What can be rendered: a scene that changes with time, and a camera in it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.rendering.camera import Camera
from kd_perception.world.rendering.thermal import ThermalSensor
from kd_perception.world.scenes.scene import Scene


class Viewpoint(Protocol):
    """A still or a drive; everything is a pure function of time."""

    @property
    def config(self) -> WorldConfig:
        """The world."""
        ...

    @property
    def climate(self) -> Climate:
        """Its weather."""
        ...

    @property
    def sensor(self) -> ThermalSensor:
        """The thermal camera."""
        ...

    def camera(self, time_s: float) -> Camera:
        """Where all cameras but the right one are at a time."""
        ...

    def scene(self, time_s: float) -> Scene:
        """What stands around the camera at a time."""
        ...

    def noise_stream(self, name: str, time_s: float) -> np.random.Generator:
        """The stream of one kind of noise at a time, independent of all others."""
        ...
