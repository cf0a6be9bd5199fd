# SPDX-License-Identifier: Apache-2.0
"""A spinning lidar above the camera: sparse depth, none on glass and sky."""

from __future__ import annotations

import numpy as np

from kd_perception.world.rendering.camera import Camera
from kd_perception.world.scenes.shapes import Array

TOP_RAD, BOTTOM_RAD = float(np.deg2rad(2.0)), float(np.deg2rad(-24.0))
"""Elevation of the highest and the lowest beam."""

_PIXELS_PER_RETURN = 14.0
_DROPPED = 0.06
_NOISE = 0.003


def lidar_image(
    depth_m: Array, glass: Array, camera: Camera, max_depth_m: float, rng: np.random.Generator
) -> Array:
    """Depth where beams return, 0 elsewhere.

    Beams lie between 2 degrees above and 24 below the horizon, as many as give about 4 % of the
    pixels; 6 % are lost, none returns from glass, sky or from beyond `max_depth_m`.

    Args:
        depth_m: float32 [height, width], infinite on sky.
        glass: bool, same shape.
        camera: whose pixels are hit.
        max_depth_m: reach.
        rng: of loss and noise.

    Returns:
        float32 [height, width].
    """
    rows, columns = _beam_pixels(camera)
    kept = rng.uniform(size=rows.shape) >= _DROPPED
    scatter = 1.0 + _NOISE * rng.standard_normal(rows.shape)
    measured = depth_m[rows, columns] * scatter
    kept &= ~glass[rows, columns] & (measured < max_depth_m)
    image = np.zeros(depth_m.shape, np.float32)
    image[rows[kept], columns[kept]] = measured[kept]
    return image


def _beam_pixels(camera: Camera) -> tuple[Array, Array]:
    """Rows and columns that beams hit, each once."""
    height, width = camera.image_size
    step = np.sqrt(_PIXELS_PER_RETURN) / camera.focal_px
    forward = camera.rotation[:, 2]
    heading = np.arctan2(forward[0], forward[2])
    half = 1.1 * np.arctan(0.5 * width / camera.focal_px)
    elevation = np.arange(TOP_RAD, BOTTOM_RAD, -step)[:, None]
    azimuth = heading + np.arange(-half, half, step)[None]
    directions = np.stack(
        np.broadcast_arrays(
            np.sin(azimuth) * np.cos(elevation),
            -np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ),
        axis=-1,
    ).reshape(-1, 3)
    seen = directions @ camera.rotation
    pixels = np.round(seen[:, :2] / seen[:, 2:] * camera.focal_px + camera.matrix[:2, 2])
    inside = (seen[:, 2] > 0) & (pixels >= 0).all(1) & (pixels < (width, height)).all(1)
    unique = np.unique(pixels[inside].astype(int), axis=0)
    return unique[:, 1], unique[:, 0]
