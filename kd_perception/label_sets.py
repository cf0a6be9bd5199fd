# SPDX-License-Identifier: Apache-2.0
"""Class names, display colors and id maps of the public label sets, as data.

A set has two kinds of ids: file ids, as the label images on disk hold them, and train ids 0 to
``num_classes - 1``, as networks and metrics see them. 255 means "does not count" on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ConfigError, DatasetError, ShapeError
from kd_perception.frames import ByteImage
from kd_perception.uncertainty import IGNORE_INDEX
from kd_perception.world.classes import CLASS_COLORS, CLASS_NAMES

Color = tuple[int, int, int]

_LEVELS = 256
_BACKGROUND_NAMES: Final = ('unlabeled', 'background')


@dataclass(frozen=True)
class LabelSet:
    """What the numbers of a label image mean.

    Args:
        title: Of the set, for messages.
        names: By train id, spelled as the set's own tools spell them.
        colors: (red, green, blue) on screen, by train id.
        id_map: File id -> train id, or 255 for a file id that does not count. Empty: file ids are
            train ids.
        ignore_color: On screen, of pixels that do not count.

    Raises:
        ConfigError: Names, colors and the map do not belong together.
    """

    title: str
    names: tuple[str, ...]
    colors: tuple[Color, ...]
    id_map: Mapping[int, int] = field(default_factory=dict)
    ignore_color: Color = (0, 0, 0)

    def __post_init__(self) -> None:
        """Refuse what no label image can mean."""
        if not 0 < len(self.names) == len(self.colors) <= IGNORE_INDEX:
            raise ConfigError(
                f'{self.title} must have one color per name, 1 to {IGNORE_INDEX}; received '
                f'{len(self.names)} names and {len(self.colors)} colors'
            )
        allowed = {*range(len(self.names)), IGNORE_INDEX}
        if self.id_map and not allowed - {IGNORE_INDEX} <= {*self.id_map.values()} <= allowed:
            raise ConfigError(f'the id map of {self.title} must reach each of its train ids')

    @property
    def num_classes(self) -> int:
        """Number of train ids."""
        return len(self.names)

    @property
    def background(self) -> int | None:
        """Train id of what belongs to no class; None where every pixel has one."""
        found = [index for index, name in enumerate(self.names) if name in _BACKGROUND_NAMES]
        return found[0] if found else None

    @property
    def palette(self) -> ByteImage:
        """Color of each value of a label image of train ids, uint8 [256, 3], RGB."""
        palette = np.zeros((_LEVELS, 3), np.uint8)
        palette[: self.num_classes] = self.colors
        palette[IGNORE_INDEX] = self.ignore_color
        return palette

    def train_ids_from_file_ids(self, label: npt.NDArray[Any]) -> ByteImage:
        """Translate a label image as it is on disk.

        Args:
            label: uint8 file ids of any shape.

        Returns:
            uint8 train ids of that shape, 255 where a pixel does not count.

        Raises:
            ShapeError: The type is not uint8.
            DatasetError: A value is no file id of this set. Colors, instance ids or the labels of
                another set were read.
        """
        if label.dtype != np.uint8:
            raise ShapeError(f'a label image must be uint8; received {label.dtype}')
        ids = self.id_map or {i: i for i in range(self.num_classes)}
        known = {i: t for i, t in ids.items() if 0 <= i < _LEVELS} | {IGNORE_INDEX: IGNORE_INDEX}
        present = np.flatnonzero(np.bincount(label.reshape(-1), minlength=_LEVELS))
        stray = [int(i) for i in present if int(i) not in known]
        if stray:
            raise DatasetError(
                f'{self.title} labels must hold the ids {_spans(known)}; received {stray[:8]}: '
                'check that these are the class ids of this set'
            )
        table = np.full(_LEVELS, IGNORE_INDEX, np.uint8)
        table[list(known)] = list(known.values())
        return np.asarray(table[label])

    def train_ids_from_colors(self, picture: npt.NDArray[Any]) -> ByteImage:
        """Read a label that was painted with this set's colors.

        Args:
            picture: uint8 [h, w, 3] in RGB order. Pictures from OpenCV are BGR: turn them first,
                or red and blue classes change places without an error.

        Returns:
            uint8 [h, w] train ids. Where the ignore color is also a class's color, the class wins.

        Raises:
            ShapeError: The picture is not uint8 [h, w, 3].
            ConfigError: Two classes share a color, so colors cannot be read back.
            DatasetError: A pixel has another color than the classes.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ShapeError(f'must be uint8 [h, w, 3]; received {picture.dtype} {picture.shape}')
        if len(set(self.colors)) < self.num_classes:
            raise ConfigError(f'classes of {self.title} share colors: read its ids instead')
        ids = {self.ignore_color: IGNORE_INDEX} | {c: i for i, c in enumerate(self.colors)}
        label = np.full(picture.shape[:2], IGNORE_INDEX, np.uint8)
        left = np.ones(picture.shape[:2], bool)
        for color, train_id in ids.items():
            here = (picture == np.array(color, np.uint8)).all(axis=2)
            label[here], left[here] = train_id, False
        if left.any():
            raise DatasetError(
                f'a picture of {self.title} labels must hold its colors only; received '
                f'{picture[left][0].tolist()} at {int(left.sum())} pixels or like it: check that '
                'it is not resized, compressed with loss, or in BGR order'
            )
        return label


def bit_rule_color(index: int) -> Color:
    """Color of the PASCAL VOC color map: the bits of the index dealt out to red, green and blue.

    Args:
        index: 0 to 255.
    """
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (index & 1) << bit
        green |= (index >> 1 & 1) << bit
        blue |= (index >> 2 & 1) << bit
        index >>= 3
    return red, green, blue


def _spans(ids: Mapping[int, int]) -> str:
    """Ids in order, neighbors joined: 0-3, 7, 255."""
    ordered = sorted(ids)
    starts = [i for i in ordered if i - 1 not in ids]
    ends = [i for i in ordered if i + 1 not in ids]
    return ', '.join(str(a) if a == b else f'{a}-{b}' for a, b in zip(starts, ends, strict=True))


MFNET: Final = LabelSet('MFNet', CLASS_NAMES, CLASS_COLORS)
"""Class 0, unlabeled, counts as a class in the papers' means."""

PST900: Final = LabelSet(
    'PST900',
    ('background', 'fire extinguisher', 'backpack', 'hand drill', 'survivor'),
    ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)),
)
"""Colors as on screen: the set's own toolkit lists them in BGR order, and copies of that table
which are used as RGB swap the fire extinguisher and the hand drill."""

_CITYSCAPES: Final[tuple[tuple[int, str, Color], ...]] = (
    (7, 'road', (128, 64, 128)),
    (8, 'sidewalk', (244, 35, 232)),
    (11, 'building', (70, 70, 70)),
    (12, 'wall', (102, 102, 156)),
    (13, 'fence', (190, 153, 153)),
    (17, 'pole', (153, 153, 153)),
    (19, 'traffic light', (250, 170, 30)),
    (20, 'traffic sign', (220, 220, 0)),
    (21, 'vegetation', (107, 142, 35)),
    (22, 'terrain', (152, 251, 152)),
    (23, 'sky', (70, 130, 180)),
    (24, 'person', (220, 20, 60)),
    (25, 'rider', (255, 0, 0)),
    (26, 'car', (0, 0, 142)),
    (27, 'truck', (0, 0, 70)),
    (28, 'bus', (0, 60, 100)),
    (31, 'train', (0, 80, 100)),
    (32, 'motorcycle', (0, 0, 230)),
    (33, 'bicycle', (119, 11, 32)),
)
_CITYSCAPES_IDS: Final = 34

CITYSCAPES: Final = LabelSet(
    'Cityscapes',
    tuple(name for _, name, _ in _CITYSCAPES),
    tuple(color for _, _, color in _CITYSCAPES),
    dict.fromkeys(range(-1, _CITYSCAPES_IDS), IGNORE_INDEX)
    | {entry[0]: train_id for train_id, entry in enumerate(_CITYSCAPES)},
)
"""File ids are those of ``labelIds`` images. -1, the license plate, is never painted in them."""

NYU40: Final = LabelSet(
    'NYU-Depth-v2',
    (
        'wall', 'floor', 'cabinet', 'bed', 'chair', 'sofa', 'table', 'door', 'window', 'bookshelf',
        'picture', 'counter', 'blinds', 'desk', 'shelves', 'curtain', 'dresser', 'pillow',
        'mirror', 'floor mat', 'clothes', 'ceiling', 'books', 'refridgerator', 'television',
        'paper', 'towel', 'shower curtain', 'box', 'whiteboard', 'person', 'night stand', 'toilet',
        'sink', 'lamp', 'bathtub', 'bag', 'otherstructure', 'otherfurniture', 'otherprop',
    ),
    tuple(bit_rule_color(file_id) for file_id in range(1, 41)),
    {0: IGNORE_INDEX} | {file_id: file_id - 1 for file_id in range(1, 41)},
)  # fmt: skip
"""File id 0 is void, 1 to 40 are the classes. The misspelled name is the set's own."""

VOC21: Final = LabelSet(
    'PASCAL VOC 2012',
    (
        'background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat',
        'chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant',
        'sheep', 'sofa', 'train', 'tvmonitor',
    ),
    tuple(bit_rule_color(file_id) for file_id in range(21)),
    ignore_color=(224, 224, 192),
)  # fmt: skip
