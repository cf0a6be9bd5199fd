# SPDX-License-Identifier: Apache-2.0
"""Ground truth of a recording: from a topic of the bag, or from a folder of images."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.bags import BagReader
from kd_perception.bags.types import BagMessage, header_stamp_ns
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, ImageEncodingError
from kd_perception.frames import ByteImage

_WINDOW = 64  # messages that image and label of one stamp may be apart
_STAMP_DIGITS = 12  # a file name with fewer digits is a counter, not nanoseconds since 1970
_SUFFIXES = ('.png', '.tif', '.tiff', '.bmp')


Label = npt.NDArray[Any]
"""Ground truth of an image: class ids, or depth."""


class Labeled(NamedTuple):
    """A message with an image, and the ground truth of the same stamp, if there is one."""

    message: BagMessage
    stamp_ns: int
    label: Label | None


class LabelKind(NamedTuple):
    """How ground truth of a kind is read.

    Attributes:
        from_message: Reads a message of a topic.
        from_file: Reads a file of a folder.
        suffixes: Of such files.
        default_topic: Finds the topic for an image topic; empty if there is none.
    """

    from_message: Callable[[BagMessage], Label]
    from_file: Callable[[Path], Label]
    suffixes: tuple[str, ...]
    default_topic: Callable[[BagReader, str], str]


def default_label_topic(bag: BagReader, image_topic: str) -> str:
    """Return the topic ``label`` beside the image topic, or an empty string if there is none."""
    topic = image_topic.removesuffix('/compressed').rpartition('/')[0] + '/label'
    return topic if topic in bag.topics else ''


def stamps_of(bag: BagReader, topic: str) -> list[int]:
    """Return the header stamps of a topic in order [ns], without deserializing.

    Messages too short for a stamp are left out. The bag is read apart from what else is read of
    it, so its failures are not counted twice.
    """
    with BagReader(bag.path) as again:
        return [stamp_ns for _, stamp_ns in stamped(again, [topic])]


def stamped(bag: BagReader, topics: list[str]) -> Iterator[tuple[BagMessage, int]]:
    """Iterate over messages with their header stamps [ns]; the bag counts those without."""
    for message in bag.messages(topics):
        try:
            stamp_ns = header_stamp_ns(message.data)
        except BagError as error:
            bag.count_failure(message, f'{message.topic}: {error}')
        else:
            yield message, stamp_ns


def labeled(
    bag: BagReader,
    image_topic: str,
    label_topic: str,
    folder: Path | None,
    kind: LabelKind | None = None,
) -> tuple[Iterator[Labeled], str]:
    """Choose where labels come from; gives the images with them, and the origin in words."""
    kind = kind or CLASS_IDS
    if folder is not None:
        return labeled_by_folder(bag, image_topic, folder, kind), f'folder {folder.name}'
    label_topic = label_topic or kind.default_topic(bag, image_topic)
    if label_topic:
        bag.topic(label_topic)
        return labeled_by_topic(bag, image_topic, label_topic, kind), label_topic
    return unlabeled(bag, image_topic), ''


def unlabeled(bag: BagReader, image_topic: str) -> Iterator[Labeled]:
    """Iterate over the images of a bag that has no ground truth."""
    for message, stamp_ns in stamped(bag, [image_topic]):
        yield Labeled(message, stamp_ns, None)


def labeled_by_topic(
    bag: BagReader, image_topic: str, label_topic: str, kind: LabelKind | None = None
) -> Iterator[Labeled]:
    """Join images and labels of equal header stamp; images keep their order.

    Labels may come before or after their image, and may be missing. The bag counts images and
    labels that are damaged.

    Raises:
        BagError: A topic is not in the bag.
        ImageEncodingError: A label is not an image of class ids.
    """
    kind = kind or CLASS_IDS
    expected = set(stamps_of(bag, label_topic))
    waiting: deque[tuple[BagMessage, int]] = deque()
    labels: OrderedDict[int, Label] = OrderedDict()
    for message, stamp_ns in stamped(bag, [image_topic, label_topic]):
        if message.topic == label_topic:
            try:
                labels[stamp_ns] = kind.from_message(message)
            except BagError as error:
                bag.count_failure(message, str(error))
                expected.discard(stamp_ns)
            if len(labels) > _WINDOW:
                labels.popitem(last=False)
        else:
            waiting.append((message, stamp_ns))
        while waiting and (
            waiting[0][1] in labels or waiting[0][1] not in expected or len(waiting) > _WINDOW
        ):
            first, stamp_ns = waiting.popleft()
            yield Labeled(first, stamp_ns, labels.pop(stamp_ns, None))
    for first, stamp_ns in waiting:
        yield Labeled(first, stamp_ns, labels.pop(stamp_ns, None))


def labeled_by_folder(
    bag: BagReader, image_topic: str, folder: Path, kind: LabelKind | None = None
) -> Iterator[Labeled]:
    """Join images with the files of a folder.

    Files named by the header stamp in nanoseconds (``1700000000033333333.png``) belong to that
    image; images without a file are unlabeled. Files with any other names belong to the images in
    sorted order, and must be as many.

    Raises:
        BagError: The folder has no images, or not as many as the bag.
        ImageEncodingError: A file is not an image of class ids.
    """
    kind = kind or CLASS_IDS
    files = _label_files(folder, kind.suffixes)
    by_stamp = {int(path.stem): path for path in files if _is_stamp(path.stem)}
    count = bag.topic(image_topic).message_count
    if len(by_stamp) not in (0, len(files)):
        raise BagError(f'All labels in {folder} must be named by stamp, or none; some are.')
    if not by_stamp and len(files) != count:
        raise BagError(
            f'Labels not named by stamp must be as many as images; {folder} has {len(files)}, '
            f'{image_topic} has {count}. Name them <stamp in ns>.png.'
        )
    for index, (message, stamp_ns) in enumerate(stamped(bag, [image_topic])):
        if bag.failure_count and not by_stamp:
            raise BagError(
                f'{bag.failure_count} images could not be read, so labels in order do not fit: '
                'name them <stamp in ns>.png.'
            )
        path = by_stamp.get(stamp_ns) if by_stamp else files[index]
        yield Labeled(message, stamp_ns, None if path is None else kind.from_file(path))


def label_from_message(message: BagMessage) -> ByteImage:
    """Return the class ids of a label message.

    Raises:
        BagError: The message is damaged.
        ImageEncodingError: It is not an image of class ids.
    """
    try:
        return _class_ids(frame_from_message(message.deserialize()).image, message.topic)
    except ImageEncodingError as error:
        raise ImageEncodingError(f'{message.topic}: {error}') from error


def read_label(path: Path) -> ByteImage:
    """Read class ids from an image file.

    Raises:
        ImageEncodingError: It is not an image of class ids.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageEncodingError(f'A label must be an image file; {path} is not.')
    return _class_ids(image, str(path))


def _class_ids(image: npt.NDArray[Any], origin: str) -> ByteImage:
    if image.ndim != 2 or image.dtype.kind not in 'iu' or (image.size and image.max() > 255):
        raise ImageEncodingError(
            f'A label must have one channel of class ids from 0 to 255; {origin} has shape '
            f'{image.shape} and type {image.dtype}: convert colors to ids first.'
        )
    return image.astype(np.uint8)


def _label_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        raise BagError(f'The label folder must exist; {folder} does not.')
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not files:
        raise BagError(f'The label folder must hold {", ".join(suffixes)}: {folder}.')
    return files


def _is_stamp(stem: str) -> bool:
    return stem.isascii() and stem.isdigit() and len(stem) >= _STAMP_DIGITS


CLASS_IDS = LabelKind(label_from_message, read_label, _SUFFIXES, default_label_topic)
