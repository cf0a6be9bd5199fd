# SPDX-License-Identifier: Apache-2.0
"""Frames of the world: one by one for training, in a row for a drive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from kd_perception.errors import ConfigError
from kd_perception.world.config import WorldConfig
from kd_perception.world.frame import VIEWS, WorldFrame
from kd_perception.world.materials import Materials, Textures
from kd_perception.world.rendering.camera import Camera
from kd_perception.world.rendering.casting import cast
from kd_perception.world.rendering.color_camera import color_image, draw_color_sensor
from kd_perception.world.rendering.decal_layer import lay_decals
from kd_perception.world.rendering.lidar import lidar_image
from kd_perception.world.rendering.light import radiance
from kd_perception.world.rendering.saliency import saliency_image
from kd_perception.world.rendering.shading import GBuffer, shade
from kd_perception.world.rendering.shadows import SunMap, sun_map
from kd_perception.world.rendering.tables import Solids, pack
from kd_perception.world.rendering.thermal import apparent_temperature, thermal_image
from kd_perception.world.scenes.scene import Scene
from kd_perception.world.scenes.shapes import Array
from kd_perception.world.streets.drive import Drive
from kd_perception.world.streets.still import Still
from kd_perception.world.viewpoint import Viewpoint

_PRESENT_SHARE = 0.0002
"""A class counts as present from this share of the pixels on."""


def render_frame(
    config: WorldConfig, seed: int, index: int, views: Sequence[str] = VIEWS
) -> WorldFrame:
    """Render frame `index` of the data set `seed`; frames of one data set share nothing.

    The frame depends on the first three arguments only: another process renders the same bits,
    whatever other views are asked for.

    Args:
        config: the world.
        seed: data set, >= 0.
        index: frame, >= 0.
        views: which of `VIEWS` to render.

    Raises:
        ConfigError: a negative seed or index, or an unknown view.
    """
    _check(seed, index, views)
    return _frame(Still(config, seed, index), 0.0, views)


def drive_frames(
    config: WorldConfig, seed: int, count: int, rate_hz: float, views: Sequence[str] = VIEWS
) -> Iterator[WorldFrame]:
    """Render a drive: consecutive frames from a camera that moves along a street with traffic.

    Frame i is at time i / rate_hz and depends on (config, seed, time) only, not on `count`.

    Args:
        config: the world.
        seed: drive, >= 0.
        count: frames, >= 0.
        rate_hz: frames per second of the camera, > 0.
        views: which of `VIEWS` to render.

    Raises:
        ConfigError: a negative seed or count, a rate that is not positive, or an unknown view.
    """
    _check(seed, count, views)
    if not rate_hz > 0.0:
        raise ConfigError(f'rate_hz must be positive, got {rate_hz}')
    drive = Drive(config, seed)
    for index in range(count):
        yield drive_frame(drive, index / rate_hz, views)


def drive_frame(drive: Drive, time_s: float, views: Sequence[str] = VIEWS) -> WorldFrame:
    """The frame of a drive at one time, which depends on the drive and the time alone."""
    _check(0, 0, views)
    return _frame(drive, time_s, views)


def _check(seed: int, index: int, views: Sequence[str]) -> None:
    if seed < 0 or index < 0:
        raise ConfigError(f'seed, index and count must be >= 0, got {seed} and {index}')
    if unknown := sorted(set(views) - set(VIEWS)):
        raise ConfigError(f'views must be among {", ".join(VIEWS)}, got {", ".join(unknown)}')


class _Moment(NamedTuple):
    """The scene of one time as tables, with the sun's view of it."""

    scene: Scene
    solids: Solids
    materials: Materials
    textures: Textures
    sun: SunMap


def _moment(viewpoint: Viewpoint, time_s: float) -> _Moment:
    scene = viewpoint.scene(time_s)
    tables = pack(scene.placed)
    return _Moment(scene, *tables, sun_map(*tables, viewpoint.climate, viewpoint.camera(time_s)))


def _see(moment: _Moment, camera: Camera, viewpoint: Viewpoint) -> GBuffer:
    """What a camera sees, at the size of the camera."""
    tables = (moment.solids, moment.materials, moment.textures)
    angle = 1.0 / camera.focal_px
    hits = cast(*tables, camera, angle)
    buffer = shade(hits, *tables, camera, angle, viewpoint.climate, moment.sun)
    lay_decals(buffer, moment.scene.decals, camera)
    return buffer


def _frame(viewpoint: Viewpoint, time_s: float, views: Sequence[str]) -> WorldFrame:
    config, camera = viewpoint.config, viewpoint.camera(time_s)
    now = _moment(viewpoint, time_s)
    truth = _see(now, camera, viewpoint)
    earlier = viewpoint.camera(time_s - config.interval_s)
    later = viewpoint.camera(time_s + config.interval_s)
    seen = truth
    if config.supersampling > 1 and not {'thermal', 'rgb'}.isdisjoint(views):
        seen = _see(now, camera.scaled(config.supersampling), viewpoint)
    images = {
        name: _image(name, viewpoint, time_s, now, seen) if name in views else None
        for name in VIEWS[:-1]
    }
    sky = ~np.isfinite(truth.depth_m)
    cut_m = np.minimum(truth.depth_m, np.float32(config.max_depth_m))
    lidar_m = None
    if 'lidar' in views:
        rng = viewpoint.noise_stream('lidar', time_s)
        lidar_m = lidar_image(truth.depth_m, truth.glass, camera, config.max_depth_m, rng)
    counts = np.bincount(truth.label.ravel(), minlength=9)[1:9]
    return WorldFrame(
        label=truth.label,
        instance=truth.instance,
        depth_m=np.where(sky, np.float32(0.0), cut_m),
        sky=sky,
        glass=truth.glass,
        saliency=saliency_image(
            truth.salient, truth.instance, viewpoint.noise_stream('saliency', time_s)
        ),
        tags=counts >= max(_PRESENT_SHARE * truth.label.size, 1.0),
        camera_matrix=camera.matrix,
        camera_pose=camera.pose,
        previous_from_camera=np.linalg.inv(earlier.pose) @ camera.pose,
        next_from_camera=np.linalg.inv(later.pose) @ camera.pose,
        baseline_m=config.baseline_m,
        time_s=time_s,
        lidar_m=lidar_m,
        **images,
    )


def _image(name: str, viewpoint: Viewpoint, time_s: float, now: _Moment, seen: GBuffer) -> Array:
    """One of the images; `seen` is what the camera itself sees, as finely as images are made."""
    config, camera = viewpoint.config, viewpoint.camera(time_s)
    if name == 'thermal':
        apparent_c = apparent_temperature(seen, viewpoint.climate, viewpoint.sensor)
        noise = viewpoint.noise_stream(name, time_s)
        return thermal_image(_averaged(apparent_c, config), viewpoint.sensor, noise)
    if name == 'rgb':
        return _color(name, viewpoint, time_s, now, camera, seen)
    if name == 'right':
        return _color(name, viewpoint, time_s, now, camera.moved(config.baseline_m))
    other_s = time_s + (config.interval_s if name == 'next' else -config.interval_s)
    moment = _moment(viewpoint, other_s)
    return _color(name, viewpoint, other_s, moment, viewpoint.camera(other_s))


def _color(
    name: str,
    viewpoint: Viewpoint,
    time_s: float,
    moment: _Moment,
    camera: Camera,
    seen: GBuffer | None = None,
) -> Array:
    """What a color camera delivers at the time of the moment."""
    config, climate = viewpoint.config, viewpoint.climate
    fine = camera.scaled(config.supersampling)
    buffer = _see(moment, fine, viewpoint) if seen is None else seen
    # The headlights belong to the car, which the left camera is on.
    car = viewpoint.camera(time_s)
    light = _averaged(radiance(buffer, climate, fine, moment.scene.lamps, car), config)
    sensor = draw_color_sensor(viewpoint.noise_stream('color camera', 0.0), config.width, climate)
    return color_image(light, climate, sensor, viewpoint.noise_stream(name, time_s))


def _averaged(image: Array, config: WorldConfig) -> Array:
    if config.supersampling == 1:
        return image
    size = (config.width, config.height)
    averaged: Array = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return averaged
