# SPDX-License-Identifier: Apache-2.0
"""A drive along the street: the camera's motion and the traffic about it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from kd_perception.world.climate import Climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.rendering.camera import Camera, camera_rotation
from kd_perception.world.rendering.thermal import draw_sensor
from kd_perception.world.scenes.scene import Scene
from kd_perception.world.streets.streams import noise_stream
from kd_perception.world.streets.street import Street
from kd_perception.world.streets.traffic import APPEAR_M, VANISH_M, Lane, draw_sway
from kd_perception.world.things.vehicles import draw_car

_DRIVE, _MOTION, _SENSOR, _NOISE, _TRAFFIC = 20, 21, 22, 23, 24
_TRAFFIC_INSTANCES = 800_000_000


class Drive:
    """One drive, a pure function of the configuration and the seed.

    Args:
        config: the world.
        seed: which drive.
    """

    def __init__(self, config: WorldConfig, seed: int) -> None:
        """Draw the street, the camera, its motion and the traffic."""
        self.config: Final = config
        self._key = (seed, _DRIVE)
        self.street: Final = Street(config, self._key)
        rng = np.random.default_rng([*self._key, _MOTION])
        self._focal_px = float(rng.uniform(*config.focal_share)) * config.width
        self._height_m = float(rng.uniform(*config.camera_height_m))
        self._u_m = float(rng.uniform(0.2, 0.5)) * self.street.plan.ground.half_width_m
        self._speed_m_s = float(rng.uniform(2.0, 6.0))
        self._surge = draw_sway(rng, 2.0, 9.0, 15.0)
        self._drift = draw_sway(rng, 0.4, 7.0, 14.0)
        self._yaw = draw_sway(rng, 0.05, 6.0, 12.0)
        self._pitch = draw_sway(rng, 0.012, 0.8, 2.0)
        self._roll = draw_sway(rng, 0.008, 1.0, 3.0)
        self._pitch_offset = float(rng.normal(0.0, 0.03))
        stream = np.random.default_rng([*self._key, _SENSOR])
        self.sensor: Final = draw_sensor(
            stream, config.width, config.sensor, (*self._key, _SENSOR, 1)
        )
        self._lanes = self._draw_lanes(np.random.default_rng([*self._key, _TRAFFIC]))

    @property
    def climate(self) -> Climate:
        """The weather."""
        return self.street.climate

    def _draw_lanes(self, rng: np.random.Generator) -> list[Lane]:
        lanes, span = [], APPEAR_M - VANISH_M
        count = min(int(rng.poisson(2.0 * self.config.density)), 4)
        # Cars that come along one lane have one speed, and never meet.
        approach_m_s = self._speed_m_s + float(rng.uniform(5.0, 11.0))
        for k in range(count):
            cold = bool(rng.uniform() < self.config.cold_share)
            car = draw_car(rng, self.climate, _TRAFFIC_INSTANCES + k, moving=True, cold=cold)
            ahead = k == 0 and rng.uniform() < 0.6
            a, b, c = rng.uniform(size=3).tolist()
            lanes.append(
                Lane(
                    car=car,
                    terrain=self.street.terrain,
                    u_m=(1.0 if ahead else -1.0)
                    * (0.4 + 0.2 * a)
                    * self.street.plan.ground.half_width_m,
                    yaw=0.0 if ahead else math.pi,
                    approach_m_s=0.0 if ahead else approach_m_s,
                    offset_m=12.0 + 22.0 * c if ahead else span * (k + 0.6 * b) / count,
                    sway=draw_sway(rng, 4.0 if ahead else 0.0, 10.0, 20.0),
                )
            )
        return lanes

    def _z_m(self, time_s: float) -> float:
        return self._speed_m_s * time_s + self._surge.at(time_s)

    def camera(self, time_s: float) -> Camera:
        """The camera at a time; it follows the street's curve and slope."""
        u, z = self._u_m + self._drift.at(time_s), self._z_m(time_s)
        place = self.street.terrain.place(u, z, height_m=self._height_m)
        slope = self.street.terrain.smooth_slope(z)
        rotation = camera_rotation(
            self._yaw.at(time_s) - place.yaw,
            self._pitch_offset + self._pitch.at(time_s) + math.atan(slope),
            self._roll.at(time_s),
        )
        size = (self.config.height, self.config.width)
        return Camera(size, self._focal_px, np.array(place.position), rotation)

    def scene(self, time_s: float) -> Scene:
        """What stands and moves around the camera at a time."""
        z = self._z_m(time_s)
        return self.street.scene(z, time_s, [lane.at(time_s, z) for lane in self._lanes])

    def noise_stream(self, name: str, time_s: float) -> np.random.Generator:
        """The stream of one kind of noise at a time, independent of all others."""
        return noise_stream((*self._key, _NOISE), name, time_s)
