# SPDX-License-Identifier: Apache-2.0
"""A drive along the street: the camera's motion and the traffic about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_perception.world.camera import Camera, camera_rotation
from kd_perception.world.config import WorldConfig
from kd_perception.world.geometry import Solid
from kd_perception.world.ground import HeatPatch
from kd_perception.world.street import Street
from kd_perception.world.thermal import draw_sensor
from kd_perception.world.vehicles import Car, draw_car

_DRIVE, _MOTION, _SENSOR, _NOISE, _TRAFFIC = 20, 21, 22, 23, 24
_TRAFFIC_INSTANCES = 800_000_000
_APPEAR_M, _VANISH_M = 110.0, -20.0


@dataclass(frozen=True)
class Sway:
    """A slow oscillation about zero."""

    amplitude: float
    period_s: float
    phase: float

    def at(self, time_s: float) -> float:
        """Its value at a time."""
        return self.amplitude * float(np.sin(2 * np.pi * time_s / self.period_s + self.phase))


def _draw_sway(rng: np.random.Generator, amplitude: float, low_s: float, high_s: float) -> Sway:
    phase = float(rng.uniform(0.0, 2.0 * np.pi))
    return Sway(amplitude * rng.uniform(0.5, 1.0), rng.uniform(low_s, high_s), phase)


@dataclass(frozen=True)
class Lane:
    """Cars that come again and again at a steady speed relative to the camera.

    Args:
        car: the vehicle.
        x_m: where it drives.
        yaw: 0 for the camera's own direction.
        approach_m_s: how fast the distance shrinks; 0 for a car that keeps its distance.
        offset_m: distance at time zero.
        sway: change of the distance.
    """

    car: Car
    x_m: float
    yaw: float
    approach_m_s: float
    offset_m: float
    sway: Sway

    def at(self, time_s: float, camera_z_m: float) -> tuple[list[Solid], HeatPatch]:
        """Its solids and its heat on the road."""
        distance = self.offset_m - self.approach_m_s * time_s + self.sway.at(time_s)
        if self.approach_m_s:
            span = _APPEAR_M - _VANISH_M
            distance = (distance - _VANISH_M) % span + _VANISH_M
        position = (self.x_m, 0.0, camera_z_m + distance)
        car = self.car
        patch = HeatPatch(
            position, self.yaw, car.half_width_m, car.half_length_m, 0.4 * car.glow_k
        )
        return car.solids(position, self.yaw), patch


class Drive:
    """One drive, a pure function of the configuration and the seed.

    Args:
        config: the world.
        seed: which drive.
    """

    def __init__(self, config: WorldConfig, seed: int) -> None:
        """Draw the street, the camera, its motion and the traffic."""
        key = (seed, _DRIVE)
        self.config = config
        self._key, self._size = key, (config.height, config.width)
        self.street = Street(config, key)
        rng = np.random.default_rng([*key, _MOTION])
        self._focal_px = rng.uniform(*config.focal_share) * config.width
        self._height_m = rng.uniform(*config.camera_height_m)
        self._x_m = rng.uniform(0.2, 0.5) * self.street.plan.half_width_m
        self._speed_m_s = rng.uniform(2.0, 6.0)
        self._surge = _draw_sway(rng, 2.0, 9.0, 15.0)
        self._drift = _draw_sway(rng, 0.4, 7.0, 14.0)
        self._yaw = _draw_sway(rng, 0.05, 6.0, 12.0)
        self._pitch = _draw_sway(rng, 0.012, 0.8, 2.0)
        self._roll = _draw_sway(rng, 0.008, 1.0, 3.0)
        self._pitch_offset = rng.normal(0.0, 0.03)
        self.sensor = draw_sensor(
            np.random.default_rng([*key, _SENSOR]), config.width, (*key, _SENSOR, 1)
        )
        self._lanes = self._draw_lanes(np.random.default_rng([*key, _TRAFFIC]))

    def _draw_lanes(self, rng: np.random.Generator) -> list[Lane]:
        half, climate = self.street.plan.half_width_m, self.street.climate
        lanes = []
        for k in range(int(rng.integers(1, 4))):
            car = draw_car(rng, climate, _TRAFFIC_INSTANCES + k, moving=True)
            same = k == 0 and rng.uniform() < 0.7
            lanes.append(
                Lane(
                    car=car,
                    x_m=(1.0 if same else -1.0) * rng.uniform(0.4, 0.6) * half,
                    yaw=0.0 if same else float(np.pi),
                    approach_m_s=0.0 if same else self._speed_m_s + rng.uniform(5.0, 11.0),
                    offset_m=rng.uniform(11.0, 25.0) if same else rng.uniform(20.0, _APPEAR_M),
                    sway=_draw_sway(rng, 4.0 if same else 0.0, 10.0, 20.0),
                )
            )
        return lanes

    def _z_m(self, time_s: float) -> float:
        return self._speed_m_s * time_s + self._surge.at(time_s)

    def camera(self, time_s: float) -> Camera:
        """The camera at a time."""
        x = self._x_m + self._drift.at(time_s)
        position = np.array([x, -self._height_m, self._z_m(time_s)])
        rotation = camera_rotation(
            self._yaw.at(time_s),
            self._pitch_offset + self._pitch.at(time_s),
            self._roll.at(time_s),
        )
        return Camera(self._size, self._focal_px, position, rotation)

    def traffic(self, time_s: float) -> list[tuple[list[Solid], HeatPatch]]:
        """The cars that share the road at a time."""
        z = self._z_m(time_s)
        return [lane.at(time_s, z) for lane in self._lanes]

    def noise_stream(self, time_s: float) -> np.random.Generator:
        """The stream of the temporal noise of the frame at a time."""
        return np.random.default_rng([*self._key, _NOISE, round(time_s * 1e6)])
