# SPDX-License-Identifier: Apache-2.0
"""Read rosbag2 recordings (mcap and sqlite3) without a ROS installation; write them, too.

Messages are streamed, so a bag may be much larger than the memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.typesys.store import Typestore

from kd_perception.bags.types import (
    IMAGE_TYPES,
    MAX_MESSAGE_BYTES,
    BagMessage,
    MessageFailure,
    TopicInfo,
    common_types,
    is_transient_local,
    types_of,
)
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, ImageEncodingError
from kd_perception.frames import Frame

_FAILURES_KEPT = 100


class BagReader:
    """Read a bag: a rosbag2 folder, or a bare `.mcap` or `.db3` file.

    Use it as a context manager. What cannot be read of single messages is left out and counted in
    `failure_count`, with the first ones in `failures`.
    """

    def __init__(self, path: Path | str, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Remember the bag; it is opened on entering the context.

        Args:
            path: Folder with `metadata.yaml`, or a storage file.
            max_message_bytes: Larger messages are left out.
        """
        self.path = Path(path)
        self.failures: list[MessageFailure] = []
        self.failure_count = 0
        self._max_message_bytes = max_message_bytes
        self._reader: Reader | None = None
        self._connections: list[Connection] = []
        self._types: Typestore = common_types()

    def __enter__(self) -> BagReader:
        """Open the bag.

        Raises:
            BagError: If it is missing, not a rosbag2 recording, or cut off.
        """
        _refuse_what_is_no_bag(self.path)
        try:
            self._reader = Reader(self.path)
            self._reader.open()
            self._connections = _stored_connections(self._reader)
            self._types = types_of(self._connections)
        except Exception as error:  # the container parser raises whatever damage leads it to
            self._close()
            raise BagError(_explain(self.path, error)) from error
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the bag."""
        self._close()

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader and reader.is_open:
            with suppress(Exception):
                reader.close()

    def _opened(self) -> Reader:
        if self._reader is None:
            raise BagError(f'Open the bag {self.path} with `with BagReader(path) as bag:` first.')
        return self._reader

    @property
    def topics(self) -> dict[str, TopicInfo]:
        """The topics by name; where one name carries two types, the first type counts."""
        found: dict[str, TopicInfo] = {}
        self._opened()
        for connection in self._connections:
            known = found.get(connection.topic)
            count = connection.msgcount + (known.message_count if known else 0)
            message_type = known.message_type if known else connection.msgtype
            found[connection.topic] = TopicInfo(
                connection.topic, message_type, count, is_transient_local(connection)
            )
        return dict(sorted(found.items()))

    @property
    def message_count(self) -> int:
        """Messages on all topics."""
        self._opened()
        return sum(connection.msgcount for connection in self._connections)

    @property
    def duration_ns(self) -> int:
        """Time from the first message to the last in nanoseconds; 0 for an empty bag."""
        return max(self._opened().duration - 1, 0)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Iterate over the messages in the order in which they were recorded.

        Args:
            topics: Topics to read; None reads all.

        Raises:
            BagError: If a topic is not in the bag; while iterating, if the container is damaged.
        """
        self._opened()
        for topic in topics or ():
            self.topic(topic)
        connections = [
            connection
            for connection in self._connections
            if topics is None or connection.topic in topics
        ]
        return self._iterate(connections)

    def _iterate(self, connections: list[Connection]) -> Iterator[BagMessage]:
        if not connections:  # the parser would take an empty selection as everything
            return
        reader = self._opened()
        try:
            for connection, log_time_ns, data in reader.messages(connections):
                message = BagMessage(
                    connection.topic,
                    connection.msgtype,
                    log_time_ns,
                    data,
                    self._types.deserialize_cdr,
                )
                if len(data) <= self._max_message_bytes:
                    yield message
                else:
                    limit = f'{len(data)} bytes, allowed are {self._max_message_bytes}'
                    self.count_failure(message, limit)
        except Exception as error:
            raise BagError(_explain(self.path, error)) from error

    def frames(self, topic: str) -> Iterator[Frame]:
        """Iterate over the images of a topic; unreadable ones are left out and counted.

        Raises:
            BagError: If the topic is not in the bag or does not carry images.
        """
        info = self.topic(topic)
        if info.message_type not in IMAGE_TYPES:
            raise BagError(
                f'Topic {topic} carries {info.message_type}, images are '
                f'{" or ".join(IMAGE_TYPES)}. The bag has: {self.describe_topics()}.'
            )
        return self._frames(topic)

    def _frames(self, topic: str) -> Iterator[Frame]:
        for message in self.messages([topic]):
            try:
                frame = frame_from_message(message.deserialize())
            except (BagError, ImageEncodingError) as error:
                self.count_failure(message, str(error))
            else:
                yield frame

    def count_failure(self, message: BagMessage, reason: str) -> None:
        """Count a message that could not be used."""
        self.failure_count += 1
        if len(self.failures) < _FAILURES_KEPT:
            self.failures.append(MessageFailure(message.topic, message.log_time_ns, reason))

    def topic(self, name: str) -> TopicInfo:
        """Return what is known of a topic.

        Raises:
            BagError: If it is not in the bag; lists those that are.
        """
        topics = self.topics
        if name not in topics:
            raise BagError(
                f'Topic {name} is not in {self.path}. It has: {self.describe_topics()}.'
            )
        return topics[name]

    def image_topic(self) -> str:
        """Return the topic of the camera: the only image topic, or the only `image_raw`.

        Raises:
            BagError: If there is no image topic, or no way to choose between several.
        """
        names = [info.name for info in self.topics.values() if info.message_type in IMAGE_TYPES]
        raw = [name for name in names if name.endswith(('image_raw', 'image_raw/compressed'))]
        for candidates in (names, raw):
            if len(candidates) == 1:
                return candidates[0]
        raise BagError(
            f'Name the image topic: {self.path} has {len(names)} topics with images. '
            f'It has: {self.describe_topics()}.'
        )

    def describe_topics(self) -> str:
        """Return the topics with type and count in one line."""
        described = [
            f'{info.name} ({info.message_type}, {info.message_count} messages)'
            for info in self.topics.values()
        ]
        return ', '.join(described) or 'no topics'


def _stored_connections(reader: Reader) -> list[Connection]:
    """Return the connections as the storage files have them.

    A folder's `metadata.yaml` may describe the quality of service otherwise than its files do
    (converted and older recordings); selecting by such a description finds no message at all.
    """
    storages = getattr(reader.storage, 'storages', [reader.storage])
    return [connection for storage in storages for connection in storage.connections]


def _refuse_what_is_no_bag(path: Path) -> None:
    if not path.exists():
        raise BagError(f'There is no bag at {path}. Give a rosbag2 folder, .mcap or .db3 file.')
    if path.suffix == '.bag':
        raise BagError(
            f'{path} is a ROS 1 bag. Convert it first: '
            f'rosbags-convert --src {path} --dst {path.with_suffix("")}'
        )
    if path.is_dir() and not (path / 'metadata.yaml').exists():
        files = [file.name for file in sorted(path.iterdir()) if file.suffix in ('.mcap', '.db3')]
        hint = f'Give the file itself: {path / files[0]}.' if files else 'It is not a bag.'
        raise BagError(f'The folder {path} has no metadata.yaml. {hint}')


def _explain(path: Path, error: Exception) -> str:
    return (
        f'The bag {path} cannot be read: {error or type(error).__name__} A bag that was cut off '
        'while recording may be saved with `mcap recover` or `ros2 bag reindex`.'
    )
