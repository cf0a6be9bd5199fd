# SPDX-License-Identifier: Apache-2.0
"""Images of a recording that are to be tagged, and the tiles that they are cut into."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd_perception.bags import BagReader
from kd_perception.encodings import COLOR_ENCODINGS, frame_from_message
from kd_perception.errors import BagError, ConfigError, ImageEncodingError
from kd_perception.evaluation.labels import Labeled, labeled_by_topic, unlabeled
from kd_perception.frames import Frame
from kd_perception.label_sets import MFNET
from kd_perception.tagging.frame_names import frame_name
from kd_perception.tagging.tag_table import Tags

Array = npt.NDArray[Any]

TAG_SHARE = 0.003
"""A person tags what takes this share of an image; less of it is not seen."""

_RAW_ENCODINGS = ('mono8', '8UC1', 'mono16', '16UC1')
_BGR = ('bgr8', '8UC3', 'bgra8')
_MIN_TILE_PX = 16


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
        label_topic: class ids of MFNet that fill in the tags, and are kept for scoring; none if
            empty.
        neighbors: keep the images before and after each one too, for detectors of motion.

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
    neighbors: bool = False

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
class TagImage:
    """An image of a recording.

    Attributes:
        stamp_ns: Of its header.
        pixels: uint8 or uint16 [height, width], or uint8 [height, width, 3] in RGB order.
        label: Class ids of MFNet, uint8 [height, width]; None where there are none.
        before: Pixels of the image before it in the recording; None where they are not kept.
        after: Of the one after it.
    """

    stamp_ns: int
    pixels: Array
    label: Array | None = None
    before: Array | None = None
    after: Array | None = None


@dataclass(frozen=True)
class Tile:
    """A part of an image that is tagged apart; the whole image where it is not cut.

    Attributes:
        name: See `kd_perception.tagging.frame_names`.
        pixels: As those of the image.
        label: As that of the image.
        tags: That follow from the label; None without one.
    """

    name: str
    pixels: Array
    label: Array | None
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


def images_of_bag(bag: BagReader, topic: str, config: TagSetConfig) -> Iterator[TagImage]:
    """The chosen images; those that cannot be read are left out and counted.

    Args:
        bag: Open recording.
        topic: Of the images.
        config: Which of them.
    """
    source = unlabeled(bag, topic)
    if config.label_topic:
        source = labeled_by_topic(bag, topic, config.label_topic)
    last = config.stride * config.max_frames
    for before, entry, after in islice(_with_neighbors(source), 0, last, config.stride):
        try:
            pixels = _pixels_of(entry)
        except (BagError, ImageEncodingError) as error:
            bag.count_failure(entry.message, str(error))
            continue
        label = entry.label
        if label is not None and label.shape != pixels.shape[:2]:
            label = None
        around = (before, after) if config.neighbors else (None, None)
        yield TagImage(entry.stamp_ns, pixels, label, *map(_known_pixels, around))


def _with_neighbors(
    entries: Iterable[Labeled],
) -> Iterator[tuple[Labeled | None, Labeled, Labeled | None]]:
    """Each entry between the one before and the one after it, None where there is none."""
    before, here = None, None
    for after in chain(entries, [None]):
        if here is not None:
            yield before, here, after
        before, here = here, after


def _pixels_of(entry: Labeled) -> Array:
    return stored_image(frame_from_message(entry.message.deserialize()))


def _known_pixels(entry: Labeled | None) -> Array | None:
    """Pixels of a neighbor; None for none, or where it cannot be read."""
    try:
        return None if entry is None else _pixels_of(entry)
    except (BagError, ImageEncodingError):
        return None


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


def tiles_of(image: TagImage, config: TagSetConfig) -> Iterator[Tile]:
    """The tiles of an image, row by row; rows and columns that are left over are cut off.

    Raises:
        ConfigError: They would have fewer than 16 pixels on a side.
    """
    rows, columns = config.tiles
    height, width = image.pixels.shape[:2]
    high, wide = height // rows, width // columns
    if min(high, wide) < _MIN_TILE_PX:
        raise ConfigError(
            f'tiles must have {_MIN_TILE_PX} pixels on each side at least; {rows}x{columns} of an '
            f'image of {height}x{width} have {high}x{wide}'
        )
    for row in range(rows):
        for column in range(columns):
            part = np.s_[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            label = None if image.label is None else np.ascontiguousarray(image.label[part])
            yield Tile(
                frame_name(image.stamp_ns, (row, column) if rows * columns > 1 else None),
                np.ascontiguousarray(image.pixels[part]),
                label,
                None if label is None else tags_from_label(label, config.classes),
            )


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
