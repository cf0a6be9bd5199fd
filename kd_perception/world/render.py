# SPDX-License-Identifier: Apache-2.0
"""Frames of the world: one by one for training, in a row for a drive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.world.camera import Camera, camera_rotation
from kd_perception.world.climate import Climate
from kd_perception.world.config import WorldConfig
from kd_perception.world.drive import Drive
from kd_perception.world.geometry import GBuffer
from kd_perception.world.street import Street
from kd_perception.world.thermal import ThermalSensor, draw_sensor, thermal_image

Array = npt.NDArray[Any]

_STILL, _CAMERA, _SENSOR, _NOISE = 10, 11, 12, 13


@dataclass(frozen=True)
class WorldFrame:
    """One rendered frame with its ground truth; arrays [height, width].

    Args:
        thermal: raw image in centikelvin (degrees Celsius = 0.01 * raw - 273.15), uint16.
        label: class id, uint8.
        depth_m: distance along the optical axis, 0 on sky, cut at `max_depth_m`, float32.
        instance: object id, 0 where there is no object, int32.
        sky: where the sky is seen, bool.
        camera_matrix: intrinsic matrix, float64 [3, 3].
        camera_pose: camera (right, down, forward) to world, float64 [4, 4].
        time_s: time since the start of the drive; 0 for a single frame.
    """

    thermal: Array
    label: Array
    depth_m: Array
    instance: Array
    sky: Array
    camera_matrix: Array
    camera_pose: Array
    time_s: float


def render_frame(config: WorldConfig, seed: int, index: int) -> WorldFrame:
    """Render frame `index` of the data set `seed`; frames of one data set share nothing.

    The frame depends on the arguments only: another process renders the same bits.

    Args:
        config: the world.
        seed: data set, >= 0.
        index: frame, >= 0.
    """
    _check_key(seed, index)
    key = (seed, index, _STILL)
    rng = np.random.default_rng([*key, _CAMERA])
    focal_share = rng.uniform(*config.focal_share)
    x = float(rng.uniform(-1.5, 1.5))
    position = np.array([x, -rng.uniform(*config.camera_height_m), 0.0])
    yaw = rng.normal(0.0, 0.25) if rng.uniform() < 0.3 else rng.normal(0.0, 0.04)
    rotation = camera_rotation(yaw, rng.normal(0.0, 0.05), rng.normal(0.0, 0.015))
    size = (config.height, config.width)
    camera = Camera(size, focal_share * config.width, position, rotation)
    street = Street(config, key, (x, 0.53 / focal_share))
    sensor = draw_sensor(np.random.default_rng([*key, _SENSOR]), config.width, (*key, _SENSOR, 1))
    noise = np.random.default_rng([*key, _NOISE])
    return _frame(street.render(camera, 0.0), camera, street.climate, sensor, noise, config, 0.0)


def drive_frames(
    config: WorldConfig, seed: int, count: int, rate_hz: float
) -> Iterator[WorldFrame]:
    """Render a drive: consecutive frames from a camera that moves along a street with traffic.

    Frame i is at time i / rate_hz and depends on (config, seed, time) only, not on `count`.

    Args:
        config: the world.
        seed: drive, >= 0.
        count: frames, >= 0.
        rate_hz: frames per second of the camera, > 0.

    Raises:
        ConfigError: a negative seed or count, or a rate that is not positive.
    """
    _check_key(seed, count)
    if not rate_hz > 0.0:
        raise ConfigError(f'rate_hz must be positive, got {rate_hz}')
    drive = Drive(config, seed)
    for index in range(count):
        yield drive_frame(drive, index / rate_hz)


def drive_frame(drive: Drive, time_s: float) -> WorldFrame:
    """The frame of a drive at one time, which depends on the drive and the time alone."""
    camera = drive.camera(time_s)
    buffer = drive.street.render(camera, time_s, drive.traffic(time_s))
    noise = drive.noise_stream(time_s)
    street = drive.street
    return _frame(buffer, camera, street.climate, drive.sensor, noise, drive.config, time_s)


def _check_key(seed: int, index: int) -> None:
    if seed < 0 or index < 0:
        raise ConfigError(f'seed, index and count must be >= 0, got {seed} and {index}')


def _frame(
    buffer: GBuffer,
    camera: Camera,
    climate: Climate,
    sensor: ThermalSensor,
    noise: np.random.Generator,
    config: WorldConfig,
    time_s: float,
) -> WorldFrame:
    sky = ~np.isfinite(buffer.depth_m)
    depth_m = np.where(sky, np.float32(0.0), np.minimum(buffer.depth_m, config.max_depth_m))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = camera.rotation, camera.position
    return WorldFrame(
        thermal=thermal_image(buffer, climate, sensor, noise),
        label=buffer.label,
        depth_m=depth_m.astype(np.float32),
        instance=buffer.instance,
        sky=sky,
        camera_matrix=camera.matrix,
        camera_pose=pose,
        time_s=time_s,
    )
