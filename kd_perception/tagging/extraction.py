# SPDX-License-Identifier: Apache-2.0
"""Frames of a recording as image files, with all their bits, and small pictures of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.bags import BagReader
from kd_perception.encodings import COLOR_ENCODINGS, frame_from_message
from kd_perception.errors import BagError, ConfigError, ImageEncodingError
from kd_perception.evaluation.labels import Labeled, labeled_by_topic, unlabeled
from kd_perception.files import write_atomically
from kd_perception.frames import Frame
from kd_perception.label_sets import MFNET
from kd_perception.preprocessing import AgcConfig, agc_limits, normalize
from kd_perception.tagging.tag_table import Tags

Array = npt.NDArray[Any]

FRAMES, THUMBNAILS = 'frames', 'thumbnails'

_RAW_ENCODINGS = ('mono8', '8UC1', 'mono16', '16UC1')
_THUMBNAIL_WIDTH = 480
TAG_SHARE = 0.003
"""A person tags what takes this share of an image; less of it is not seen."""
_BGR = ('bgr8', '8UC3', 'bgra8')


@dataclass(frozen=True)
class TagSetConfig:
    """Which images are to be tagged.

    Args:
        bag: recording.
        classes: that are tagged.
        image_topic: empty for the only one.
        stride: every how many-th image is taken, >= 1.
        max_frames: images at most, the first of the recording, >= 1.
        tiles: rows and columns that each image is cut into, >= 1.
        label_topic: class ids of MFNet that fill in the tags; none if empty.

    Raises:
        ConfigError: a number is out of range, or labels know none of the classes.
    """

    bag: Path
    classes: tuple[str, ...]
    image_topic: str = ''
    stride: int = 10
    max_frames: int = 400
    tiles: tuple[int, int] = (1, 1)
    label_topic: str = ''

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.stride < 1 or self.max_frames < 1:
            raise ConfigError(
                f'stride and max_frames must be >= 1; received {self.stride}, {self.max_frames}'
            )
        if not all(1 <= number <= 16 for number in self.tiles):
            raise ConfigError(f'tiles must be 1x1 to 16x16; received {self.tiles}')
        if self.label_topic and not set(self.classes) <= set(MFNET.names[1:]):
            raise ConfigError(
                f'labels know the classes {", ".join(MFNET.names[1:])}; received '
                f'{", ".join(self.classes)}: leave --label-topic out'
            )


@dataclass(frozen=True)
class Tile:
    """A part of an image that is tagged apart.

    Attributes:
        name: Stamp in nanoseconds; with row and column where there are several.
        image: uint8 or uint16 [height, width], or uint8 [height, width, 3] in RGB order.
        tags: Of labels, None without them.
    """

    name: str
    image: Array
    tags: Tags | None


def tiles_from_text(text: str) -> tuple[int, int]:
    """Read rows and columns such as `2x3`.

    Raises:
        ConfigError: It has another form.
    """
    found = re.fullmatch(r'([0-9]{1,2})x([0-9]{1,2})', text)
    if found is None:
        raise ConfigError(f'--tiles takes ROWSxCOLUMNS such as 2x3; received {text!r}')
    return int(found[1]), int(found[2])


def tiles_of_bag(bag: BagReader, topic: str, config: TagSetConfig) -> Iterator[Tile]:
    """Tiles of the chosen images; images that cannot be read are left out and counted.

    Args:
        bag: Open recording.
        topic: Of the images.
        config: Which of them.
    """
    source = unlabeled(bag, topic)
    if config.label_topic:
        source = labeled_by_topic(bag, topic, config.label_topic)
    for number, entry in enumerate(source):
        if number >= config.stride * config.max_frames:
            return
        if number % config.stride:
            continue
        try:
            image = stored_image(frame_from_message(entry.message.deserialize()))
        except (BagError, ImageEncodingError) as error:
            bag.count_failure(entry.message, str(error))
            continue
        yield from _tiles(entry, image, config)


def stored_image(frame: Frame) -> Array:
    """An image as a file holds it: counts and gray levels as they are, color as RGB.

    Raises:
        ImageEncodingError: It is neither color nor of one channel of 8 or 16 bits.
    """
    if frame.encoding in _RAW_ENCODINGS:
        return frame.image
    if frame.encoding in COLOR_ENCODINGS:
        channels = frame.image[..., :3]
        return np.ascontiguousarray(channels[..., ::-1] if frame.encoding in _BGR else channels)
    raise ImageEncodingError(
        f'images to be tagged must be of {", ".join((*_RAW_ENCODINGS, *COLOR_ENCODINGS))}; '
        f'received {frame.encoding}'
    )


def _tiles(entry: Labeled, image: Array, config: TagSetConfig) -> Iterator[Tile]:
    rows, columns = config.tiles
    high, wide = image.shape[0] // rows, image.shape[1] // columns
    if min(high, wide) < 16:
        raise ConfigError(
            f'tiles must have 16 pixels on each side at least; {rows}x{columns} of an image of '
            f'{image.shape[0]}x{image.shape[1]} have {high}x{wide}'
        )
    for row in range(rows):
        for column in range(columns):
            part = np.s_[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            name = f'{entry.stamp_ns}' + (f'_{row}_{column}' if rows * columns > 1 else '')
            tags = None
            if entry.label is not None and entry.label.shape == image.shape[:2]:
                tags = tags_from_label(entry.label[part], config.classes)
            yield Tile(name, np.ascontiguousarray(image[part]), tags)


def tags_from_label(label: Array, classes: Sequence[str]) -> Tags:
    """Classes that are large enough for a person to tag them.

    Args:
        label: ids of MFNet, uint8 [height, width].
        classes: names of MFNet.
    """
    counts, least = np.bincount(label.reshape(-1), minlength=256), least_pixels(label.size)
    return tuple(bool(counts[MFNET.names.index(name)] >= least) for name in classes)


def least_pixels(pixels: int) -> int:
    """How many pixels a class must have in an image of so many to be tagged, at least 1."""
    return max(1, math.ceil(TAG_SHARE * pixels))


def write_tile(folder: Path, tile: Tile) -> None:
    """Write the image, and a small picture of it for the page, unless both are there.

    Raises:
        ConfigError: Another image has this name, to which tags in the folder may belong.
        OSError: They cannot be written.
    """
    target, small = folder / FRAMES / f'{tile.name}.png', folder / THUMBNAILS / f'{tile.name}.jpg'
    if target.exists() and not np.array_equal(_stored(target), tile.image):
        raise ConfigError(
            f'{target} is another image than the one that is to be tagged: of another topic, '
            'recording or tiling, or damaged. Choose another --out, or remove that folder'
        )
    if target.exists() and small.exists():
        return
    _write(target, tile.image)
    _write(small, thumbnail(tile.image))


def _stored(path: Path) -> Array:
    """An image as it was written; empty if it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        return np.zeros(0, np.uint8)
    return np.asarray(image if image.ndim == 2 else image[..., ::-1])


def thumbnail(image: Array) -> Array:
    """A picture for people, uint8; heat goes through the robot's gain control."""
    if image.ndim == 2:
        gray = normalize(image, *agc_limits(image, AgcConfig()))
        image = np.asarray(np.rint(gray * 255.0), np.uint8)
    scale = min(1.0, _THUMBNAIL_WIDTH / image.shape[1])
    size = (round(scale * image.shape[1]), max(1, round(scale * image.shape[0])))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _write(path: Path, image: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = image[..., ::-1] if image.ndim == 3 else image
    _, data = cv2.imencode(path.suffix, np.ascontiguousarray(stored))
    write_atomically(path, lambda file: file.write(data.tobytes()))
