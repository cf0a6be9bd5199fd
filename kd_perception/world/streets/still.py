# SPDX-License-Identifier: Apache-2.0
"""Single frames: a camera of its own in a street of its own, for a moment in motion."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.rendering.camera import Camera, camera_rotation
from kd_perception.world.rendering.thermal import draw_sensor
from kd_perception.world.scenes.scene import Scene
from kd_perception.world.streets.site import Gaze
from kd_perception.world.streets.streams import noise_stream
from kd_perception.world.streets.street import Street

_STILL, _CAMERA, _SENSOR, _NOISE = 10, 11, 12, 13
_STANDING_SHARE = 0.25
_TOP_SPEED_M_S = 12.0
_HALF_IMAGE = 0.53


class Still:
    """A moment with drawn camera, weather and street; frames of a data set share nothing.

    Args:
        config: the world.
        seed: data set.
        index: frame.
    """

    def __init__(self, config: WorldConfig, seed: int, index: int) -> None:
        """Draw the camera, then the street before it."""
        self.config: Final = config
        self._key = (seed, index, _STILL)
        rng = np.random.default_rng([*self._key, _CAMERA])
        focal_share = float(rng.uniform(*config.focal_share))
        self._focal_px = focal_share * config.width
        self._height_m = float(rng.uniform(*config.camera_height_m))
        self._u_m = float(rng.uniform(-3.0, 3.0))
        wide = rng.uniform() < 0.3
        self._yaw = float(rng.normal(0.0, 0.22 if wide else 0.06))
        self._pitch = float(rng.normal(0.01, 0.05))
        self._roll = float(rng.normal(0.0, 0.012))
        standing = rng.uniform() < _STANDING_SHARE
        self._speed_m_s = 0.0 if standing else float(rng.uniform(0.5, _TOP_SPEED_M_S))
        self._turn_rad_s = 0.0 if standing else float(rng.normal(0.0, 0.06))
        gaze = Gaze(self._u_m, self._yaw, _HALF_IMAGE / focal_share)
        self.street: Final = Street(config, self._key, gaze)
        stream = np.random.default_rng([*self._key, _SENSOR])
        self.sensor: Final = draw_sensor(
            stream, config.width, config.sensor, (*self._key, _SENSOR, 1)
        )

    @property
    def climate(self) -> Climate:
        """The weather."""
        return self.street.climate

    def camera(self, time_s: float) -> Camera:
        """The camera at a time; the frame itself is at 0."""
        terrain, z = self.street.terrain, self._speed_m_s * time_s
        place = terrain.place(self._u_m, z, height_m=self._height_m)
        rotation = camera_rotation(
            self._yaw + self._turn_rad_s * time_s - place.yaw,
            self._pitch + math.atan(terrain.smooth_slope(z)),
            self._roll,
        )
        size = (self.config.height, self.config.width)
        return Camera(size, self._focal_px, np.array(place.position), rotation)

    def scene(self, time_s: float) -> Scene:
        """What stands and moves before the camera at a time."""
        return self.street.scene(0.0, time_s)

    def noise_stream(self, name: str, time_s: float) -> np.random.Generator:
        """The stream of one kind of noise at a time, independent of all others."""
        return noise_stream((*self._key, _NOISE), name, time_s)
