# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are the thermal and the color camera, and what their images are like."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from kd_perception.bags import IMAGE_TYPES, BagReader
from kd_perception.encodings import COLOR_ENCODINGS, frame_from_message
from kd_perception.errors import BagError, ConfigError, ImageEncodingError
from kd_perception.frames import Frame

RAW_ENCODINGS = ('mono8', '8UC1', 'mono16', '16UC1')
"""Of thermal images: counts, or gray levels after the camera's own gain."""

KINDS = {'thermal': RAW_ENCODINGS, 'rgb': COLOR_ENCODINGS}

_PROBED = 50  # messages in which a topic must have a readable image


class Camera(NamedTuple):
    """A topic with images, as its first readable image is; all others must be like it.

    Attributes:
        topic: Its name.
        encoding: Of the image.
        image_size: (height, width).
        dtype: Name of the type of its pixels.
    """

    topic: str
    encoding: str
    image_size: tuple[int, int]
    dtype: str

    def __str__(self) -> str:
        height, width = self.image_size
        return f'{self.topic} ({self.encoding}, {height}x{width})'


def find_cameras(path: Path, thermal_topic: str, rgb_topic: str) -> tuple[Camera, Camera]:
    """Look at the first images of a bag.

    Args:
        path: of the bag.
        thermal_topic: its name, or '' for the only one with images of one channel of 8 or 16 bits,
            else the only one of these named `image_raw`, compressed or not.
        rgb_topic: the same of color images.

    Raises:
        BagError: the bag cannot be read, or a topic is not in it.
        ConfigError: a topic does not carry such images, or none or several could be meant.
    """
    with BagReader(path) as bag:
        images = [t.name for t in bag.topics.values() if t.message_type in IMAGE_TYPES]
        for name in filter(None, (thermal_topic, rgb_topic)):
            bag.topic(name)
        open_search = not (thermal_topic and rgb_topic)
        looked_at = images if open_search else [n for n in (thermal_topic, rgb_topic) if n]
        seen = {name: _first_image(bag, name) for name in looked_at if name in images}
        topics = bag.describe_topics()
    thermal, rgb = (
        _named(name, kind, seen, topics) if name else _only(kind, seen, topics, path)
        for kind, name in (('thermal', thermal_topic), ('rgb', rgb_topic))
    )
    return thermal, rgb


def _first_image(bag: BagReader, topic: str) -> Frame | str:
    """The first readable image, or why there is none."""
    reason = 'it has no messages'
    for message in islice(bag.messages([topic]), _PROBED):
        try:
            return frame_from_message(message.deserialize())
        except (BagError, ImageEncodingError) as error:
            reason = str(error)
    return reason


def _camera(topic: str, frame: Frame) -> Camera:
    height, width = frame.image.shape[:2]
    return Camera(topic, frame.encoding, (height, width), str(frame.image.dtype))


def _named(name: str, kind: str, seen: dict[str, Frame | str], topics: str) -> Camera:
    wanted = f'{kind}_topic must carry images of encoding {", ".join(KINDS[kind])}'
    if name not in seen:
        raise ConfigError(f'{wanted}; {name} carries no images. The bag has: {topics}')
    frame = seen[name]
    if isinstance(frame, str):
        raise ConfigError(f'{wanted}; of {name} none could be read: {frame}')
    if frame.encoding not in KINDS[kind]:
        raise ConfigError(
            f'{wanted}; {name} has {frame.encoding}. Name another topic; the bag has: {topics}'
        )
    return _camera(name, frame)


def _only(kind: str, seen: dict[str, Frame | str], topics: str, path: Path) -> Camera:
    frames = {name: frame for name, frame in seen.items() if isinstance(frame, Frame)}
    fitting = [_camera(n, f) for n, f in frames.items() if f.encoding in KINDS[kind]]
    if camera := _alone(fitting):
        return camera
    if fitting:
        listed = ', '.join(str(camera) for camera in fitting)
        raise ConfigError(
            f'{kind}_topic must be named where several could be meant; {path} has {listed}'
        )
    unread = ''.join(f' Of {n} no image could be read: {f}.' for n, f in _unread(seen))
    raise ConfigError(
        f'{path} must have a topic with images of encoding {", ".join(KINDS[kind])} for '
        f'{kind}_topic; it has: {topics}.{unread}'
    )


def _unread(seen: dict[str, Frame | str]) -> list[tuple[str, str]]:
    return [(name, reason) for name, reason in seen.items() if isinstance(reason, str)]


def _alone(cameras: Sequence[Camera]) -> Camera | None:
    raw = [c for c in cameras if c.topic.endswith(('image_raw', 'image_raw/compressed'))]
    return next((group[0] for group in (cameras, raw) if len(group) == 1), None)
