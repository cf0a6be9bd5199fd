# SPDX-License-Identifier: Apache-2.0
"""Write rosbag2 recordings without a ROS installation, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from kd_perception.bags.types import CAMERA_INFO_TYPE, IMAGE_TYPE, common_types
from kd_perception.encodings import buffer_from_image
from kd_perception.errors import BagError
from kd_perception.files import replace_folder
from kd_perception.frames import Image

# Version 8 is what both Humble and the current distributions read.
_BAG_VERSION: Literal[8] = 8
_STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
_NS_PER_S = 1_000_000_000


class BagWriter:
    """Write a bag; it appears at its path only when it is complete.

    Use it as a context manager: the messages go to a hidden sibling folder, which is renamed on a
    clean exit and deleted after an exception. What a killed process leaves has no index, is hidden
    and ends in `.partial`.
    """

    def __init__(
        self, path: Path | str, *, storage: str = 'mcap', overwrite: bool = False
    ) -> None:
        """Remember the target; writing starts on entering the context.

        Args:
            path: Bag folder to make; must not exist unless `overwrite`.
            storage: `mcap` or `sqlite3`.
            overwrite: Replace an existing bag folder.

        Raises:
            BagError: If the storage is unknown.
        """
        if storage not in _STORAGES:
            raise BagError(f'The storage must be one of {", ".join(_STORAGES)}; got {storage!r}.')
        self.path = Path(path).absolute()
        self.message_count = 0
        self._storage = storage
        self._overwrite = overwrite
        self._writer: Writer | None = None
        self._partial: Path | None = None
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        """Start writing.

        Raises:
            BagError: If the path is taken or cannot be written.
        """
        self._check_target()
        try:
            self._open()
        except BaseException as error:  # an interrupt, too, leaves nothing behind
            self._discard()
            if isinstance(error, OSError):
                raise BagError(f'Cannot write a bag at {self.path}: {error}') from error
            raise
        return self

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = Path(tempfile.mkdtemp('.partial', f'.{self.path.name}.', self.path.parent))
        plugin = _STORAGES[self._storage]
        self._writer = Writer(
            self._partial / self.path.name, version=_BAG_VERSION, storage_plugin=plugin
        )
        self._writer.open()

    def _discard(self) -> None:
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)

    def _check_target(self) -> None:
        if not self.path.exists():
            return
        if not self._overwrite:
            raise BagError(f'{self.path} exists already. Give another path, or delete it first.')
        if not (self.path / 'metadata.yaml').exists():
            raise BagError(
                f'{self.path} is not a bag and will not be replaced. Give another path.'
            )

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Complete the bag, or delete what was written if the block failed."""
        writer, self._writer = self._writer, None
        assert writer is not None
        try:
            writer.__exit__(exc_type, exc_value, traceback)
            if exc_type is None:
                self._publish()
        except OSError as error:
            raise BagError(f'Cannot complete the bag {self.path}: {error}') from error
        finally:
            self._discard()

    def _publish(self) -> None:
        assert self._partial is not None
        replace_folder(self._partial / self.path.name, self.path)

    def write_raw(self, topic: str, message_type: str, data: bytes, *, log_time_ns: int) -> None:
        """Write a serialized message (CDR with its four encapsulation bytes).

        Raises:
            BagError: If the type is not one of the common ROS 2 interfaces, or the disk is full.
        """
        if self._writer is None:
            raise BagError(f'Open the bag {self.path} with `with BagWriter(path) as bag:` first.')
        if topic not in self._connections:
            self._connections[topic] = self._connect(self._writer, topic, message_type)
        connection = self._connections[topic]
        if connection.msgtype != message_type:
            raise BagError(f'{topic} carries {connection.msgtype}; received {message_type}.')
        try:
            self._writer.write(connection, log_time_ns, data)
        except OSError as error:
            raise BagError(f'Cannot write to {self.path}: {error}') from error
        self.message_count += 1

    @staticmethod
    def _connect(writer: Writer, topic: str, message_type: str) -> Connection:
        if message_type not in common_types().types:
            raise BagError(
                f'The definition of {message_type} on {topic} is not known, so it cannot be '
                'written. Leave the topic out.'
            )
        return writer.add_connection(topic, message_type, typestore=common_types())

    def write_message(
        self, topic: str, message: Any, *, log_time_ns: int, message_type: str = ''
    ) -> None:
        """Serialize and write a message made from `rosbags` types."""
        message_type = message_type or message.__msgtype__
        data = bytes(common_types().serialize_cdr(message, message_type))
        self.write_raw(topic, message_type, data, log_time_ns=log_time_ns)

    def write_image(
        self,
        topic: str,
        image: Image,
        *,
        stamp_ns: int,
        frame_id: str = '',
        encoding: str = '',
        log_time_ns: int | None = None,
    ) -> None:
        """Write an array as `sensor_msgs/msg/Image`.

        Args:
            topic: Topic name.
            image: HxW uint8, uint16 or float32, or HxWx3 uint8.
            stamp_ns: Header stamp.
            frame_id: Header frame.
            encoding: Overrides the encoding that follows from the array, as `16UC1` for `mono16`.
            log_time_ns: Recording time; the stamp if left out.

        Raises:
            ImageEncodingError: If the array has no encoding.
        """
        types = common_types().types
        data, natural_encoding, step = buffer_from_image(image)
        message = types[IMAGE_TYPE](
            header=_header(stamp_ns, frame_id),
            height=image.shape[0],
            width=image.shape[1],
            encoding=encoding or natural_encoding,
            is_bigendian=0,
            step=step,
            data=np.frombuffer(data, np.uint8),
        )
        log_time_ns = max(stamp_ns, 0) if log_time_ns is None else log_time_ns
        self.write_message(topic, message, log_time_ns=log_time_ns)

    def write_camera_info(
        self,
        topic: str,
        *,
        stamp_ns: int,
        image_size: tuple[int, int],
        camera_matrix: Sequence[float],
        frame_id: str = '',
        right_shift: float = 0.0,
        log_time_ns: int | None = None,
    ) -> None:
        """Write a `sensor_msgs/msg/CameraInfo` of a pinhole camera without distortion.

        Args:
            topic: Topic name.
            stamp_ns: Header stamp.
            image_size: (height, width).
            camera_matrix: The nine entries of K row by row, in px; all 0 means uncalibrated.
            frame_id: Header frame.
            right_shift: P[3] of the right camera of a pair: minus focal length times baseline, in
                px m.
            log_time_ns: Recording time; the stamp if left out.
        """
        types = common_types().types
        k = np.asarray(camera_matrix, np.float64)
        message = types[CAMERA_INFO_TYPE](
            header=_header(stamp_ns, frame_id),
            height=image_size[0],
            width=image_size[1],
            distortion_model='plumb_bob',
            d=np.zeros(5),
            k=k,
            r=np.eye(3).ravel(),
            p=np.hstack([k.reshape(3, 3), [[right_shift], [0.0], [0.0]]]).ravel(),
            binning_x=0,
            binning_y=0,
            roi=types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False),
        )
        log_time_ns = stamp_ns if log_time_ns is None else log_time_ns
        self.write_message(topic, message, log_time_ns=log_time_ns)


def _header(stamp_ns: int, frame_id: str) -> Any:
    types = common_types().types
    stamp = types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, _NS_PER_S))
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)
