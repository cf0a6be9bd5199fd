# SPDX-License-Identifier: Apache-2.0
"""Image files of data sets as they are: nothing is converted, and what is damaged is named.

Everything raised is a `DatasetError`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from kd_perception.errors import DatasetError
from kd_perception.label_sets import LabelSet

Array = npt.NDArray[Any]

MAX_IMAGE_PIXELS = 2**26
"""Larger images are refused by their header; Cityscapes, the largest set, has 2**21."""

KITTI_STEPS_PER_M = 256.0
NYU_STEPS_PER_M = 1000.0

# All that Pillow raises for damaged files, by format and version.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip


def read_rgb(path: Path) -> Array:
    """Color image as uint8 [h, w, 3] in RGB order.

    Raises:
        DatasetError: the file is missing, damaged, too large, or not of 3 channels of 8 bits.
    """
    return read_pixels(path, ('RGB',), 'a color image of 3 channels of 8 bits')


def read_gray(path: Path) -> Array:
    """Image of one channel as uint8 [h, w]; three equal channels are taken as one.

    Raises:
        DatasetError: the file is missing, damaged, too large, or in color.
    """
    pixels = read_pixels(path, ('L', 'RGB'), 'a gray image of 8 bits')
    if pixels.ndim == 3 and (pixels != pixels[:, :, :1]).any():
        raise DatasetError(f'{path} must be gray; its three channels differ: it was colored')
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, 0])


def read_label(path: Path, labels: LabelSet) -> Array:
    """Label image as train ids, uint8 [h, w], 255 = ignore.

    A palette image is read by its indices: its colors are for people.

    Raises:
        DatasetError: the file is missing, damaged, too large, in color, or holds ids that the set
            does not have.
    """
    ids = read_pixels(path, ('P', 'L'), 'a label of one channel: a palette or an 8-bit image')
    try:
        return labels.train_ids_from_file_ids(ids)
    except DatasetError as error:
        raise DatasetError(f'{path}: {error}') from None


def read_u16(path: Path) -> Array:
    """Image of one channel of 16 bits as uint16 [h, w], all bits unchanged.

    Raises:
        DatasetError: the file is missing, damaged, too large, or has another type.
    """
    modes = ('I;16', 'I;16B', 'I;16L', 'I')  # older versions of Pillow open 16-bit PNG as I
    pixels = read_pixels(path, modes, 'an image of one channel of 16 bits')
    if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
        raise DatasetError(f'{path} must hold values of 16 bits; it holds larger ones')
    return pixels.astype(np.uint16)


def read_depth_m(path: Path, steps_per_m: float) -> Array:
    """Depth image of one channel of 16 bits as float32 [h, w] in meters, 0 = none.

    Args:
        path: of the file.
        steps_per_m: KITTI_STEPS_PER_M or NYU_STEPS_PER_M.

    Raises:
        DatasetError: as `read_u16`.
    """
    return meters_from_steps(read_u16(path), steps_per_m)


def meters_from_steps(steps: Array, steps_per_m: float) -> Array:
    """Depths of whole numbers as float32; `world_export.pictures.scaled_uint16` is the inverse."""
    return np.asarray(steps / np.float32(steps_per_m), np.float32)


def read_pixels(path: Path, modes: tuple[str, ...], wanted: str) -> Array:
    """Decode an image file without converting anything.

    Args:
        path: of the file.
        modes: of Pillow that are accepted.
        wanted: these modes in words, for the message.

    Raises:
        DatasetError: the file is missing, damaged, too large, or of another mode.
    """
    try:
        with Image.open(path) as image:
            _require_form(image, path, modes, wanted)
            return np.array(image)
    except FileNotFoundError:
        raise DatasetError(f'{path} must exist; it is gone since the set was checked') from None
    except _DAMAGE as error:
        raise DatasetError(f'{path} is damaged: {error}. Download or unpack it again.') from error


def check_sizes(path: Path, parts: Mapping[str, Array | None]) -> None:
    """Refuse a sample whose parts are not pixel on pixel.

    Args:
        path: of the sample's first part, for the message.
        parts: arrays [h, w, ...] by name; None is left out.

    Raises:
        DatasetError: heights or widths differ.
    """
    sizes = {name: part.shape[:2] for name, part in parts.items() if part is not None}
    if len(set(sizes.values())) > 1:
        text = ', '.join(f'{name} {height}x{width}' for name, (height, width) in sizes.items())
        raise DatasetError(f'all parts of a sample must have one size; {path.name} has {text}')


def _require_form(image: Image.Image, path: Path, modes: tuple[str, ...], wanted: str) -> None:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise DatasetError(
            f'an image may have {MAX_IMAGE_PIXELS} pixels at most; {path} has '
            f'{image.width}x{image.height}'
        )
    # Pillow stretches gray images of 2 and 4 bits to 0-255: ids would come out multiplied.
    tiles = getattr(image, 'tile', ())
    stretched = image.mode == 'L' and tiles and str(tiles[0][3]).startswith('L;')
    if image.mode not in modes or stretched:
        bits = ' with fewer than 8 bits' if stretched else ''
        raise DatasetError(f'{path} must be {wanted}; it is of mode {image.mode}{bits}')
