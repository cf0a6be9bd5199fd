# SPDX-License-Identifier: Apache-2.0
"""Files of a folder of tagged images: frames with all their bits, pictures, labels, neighbors.

frames/<name>.png             images or tiles, with all their bits
thumbnails/<name>.jpg         pictures of them for the page
labels/<name>.png             class ids of MFNet where the recording has them, for scoring
neighbors/<image>_before.png  whole image before each one, where it is asked for
neighbors/<image>_after.png   whole image after it
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError
from kd_perception.files import write_atomically
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from kd_perception.tagging.extraction import TagImage, Tile
from kd_perception.tagging.frame_names import frame_name

Array = npt.NDArray[Any]

FRAMES, THUMBNAILS, LABELS, NEIGHBORS = 'frames', 'thumbnails', 'labels', 'neighbors'
SIDES = ('before', 'after')

_THUMBNAIL_WIDTH = 480


def neighbor_path(folder: Path, image: str, side: str) -> Path:
    """File of the image before or after one.

    Args:
        folder: Of the tagged images.
        image: Name of the image, not of a tile.
        side: One of `SIDES`.
    """
    return folder / NEIGHBORS / f'{image}_{side}.png'


def write_neighbors(folder: Path, image: TagImage) -> None:
    """Write the images before and after an image, where they are kept.

    Raises:
        OSError: They cannot be written.
    """
    name = frame_name(image.stamp_ns)
    for side, pixels in zip(SIDES, (image.before, image.after), strict=True):
        if pixels is not None:
            _write(neighbor_path(folder, name, side), pixels)


def write_tile(folder: Path, tile: Tile, limits: tuple[float, float] | None) -> None:
    """Write pixels, label, and a small picture for the page, unless they are there.

    Args:
        folder: Of the tagged images.
        tile: Part of an image.
        limits: That the whole image is shown by; None for color.

    Raises:
        ConfigError: Another image has this name, to which tags in the folder may belong.
        OSError: They cannot be written.
    """
    target, small = folder / FRAMES / f'{tile.name}.png', folder / THUMBNAILS / f'{tile.name}.jpg'
    if target.exists() and not np.array_equal(_stored(target), tile.pixels):
        raise ConfigError(
            f'{target} is another image than the one that is to be tagged: of another topic, '
            'recording or tiling, or damaged. Choose another --out, or remove that folder'
        )
    if tile.label is not None:
        _write(folder / LABELS / f'{tile.name}.png', tile.label)
    if not target.exists() or not small.exists():
        _write(target, tile.pixels)
        _write(small, thumbnail(tile.pixels, limits))


def limits_of(pixels: Array) -> tuple[float, float] | None:
    """Levels that the robot's gain control shows black and white; None for color."""
    return agc_limits(pixels, AgcConfig()) if pixels.ndim == 2 else None


def thumbnail(pixels: Array, limits: tuple[float, float] | None) -> Array:
    """A picture for people, uint8; heat is shown between the limits of its whole image."""
    if limits is not None:
        pixels = np.asarray(np.rint(normalize(pixels, *limits) * 255.0), np.uint8)
    scale = min(1.0, _THUMBNAIL_WIDTH / pixels.shape[1])
    size = (round(scale * pixels.shape[1]), max(1, round(scale * pixels.shape[0])))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _stored(path: Path) -> Array:
    """An image as it was written; empty if it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        return np.zeros(0, np.uint8)
    return np.asarray(image if image.ndim == 2 else image[..., ::-1])


def _write(path: Path, image: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = image[..., ::-1] if image.ndim == 3 else image
    _, data = cv2.imencode(path.suffix, np.ascontiguousarray(stored))
    write_atomically(path, lambda file: file.write(data.tobytes()))
