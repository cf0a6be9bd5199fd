# SPDX-License-Identifier: Apache-2.0
"""What reading and writing bags share: topics, messages, and stamps inside CDR bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from rosbags.interfaces import Connection, MessageDefinitionFormat, QosDurability
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from kd_perception.encodings import MAX_IMAGE_BYTES
from kd_perception.errors import BagError

IMAGE_TYPE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE_TYPE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO_TYPE = 'sensor_msgs/msg/CameraInfo'
IMAGE_TYPES = (IMAGE_TYPE, COMPRESSED_IMAGE_TYPE)

MAX_MESSAGE_BYTES = MAX_IMAGE_BYTES + 2**20
"""Largest serialized message that is read: the largest image and room for its header."""

# A CDR message starts with four encapsulation bytes; the stamp of a leading header follows.
_ENCAPSULATION_BYTES = 4
_STAMP_END = 12
_NS_PER_S = 1_000_000_000
_STAMP_LIMIT_NS = 2**31 * _NS_PER_S


class TopicInfo(NamedTuple):
    """A topic of a bag.

    Attributes:
        name: Topic name.
        message_type: For example `sensor_msgs/msg/Image`.
        message_count: Messages in the bag.
        transient_local: Whether the recorded publisher kept its last message for late joiners.
    """

    name: str
    message_type: str
    message_count: int
    transient_local: bool = False


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag, deserialized on demand only.

    Attributes:
        topic: Topic name.
        message_type: For example `sensor_msgs/msg/Image`.
        log_time_ns: When it was received by the recorder.
        data: Serialized message (CDR with its four encapsulation bytes).
    """

    topic: str
    message_type: str
    log_time_ns: int
    data: bytes = field(repr=False)
    deserializer: Callable[[bytes, str], Any] = field(repr=False, compare=False)

    def deserialize(self) -> Any:
        """Return the message with its fields.

        Raises:
            BagError: If the bytes are not a message of this type.
        """
        try:
            return self.deserializer(self.data, self.message_type)
        except KeyError:
            raise BagError(
                f'The definition of {self.message_type} on {self.topic} is neither known nor in '
                'the bag. Record to mcap, which stores definitions, or leave the topic out.'
            ) from None
        except Exception as error:  # the parser raises whatever malformed bytes lead it to
            raise BagError(
                f'A message on {self.topic} at {self.log_time_ns} ns is not a valid '
                f'{self.message_type} ({len(self.data)} bytes): {error or type(error).__name__}'
            ) from error


class MessageFailure(NamedTuple):
    """A message that was left out, and why."""

    topic: str
    log_time_ns: int
    reason: str


@cache
def common_types() -> Typestore:
    """Return the definitions of the common ROS 2 interfaces; treat it as read-only."""
    return get_typestore(Stores.LATEST)


def is_transient_local(connection: Connection) -> bool:
    """Tell whether the recorded publisher kept its last message for late joiners."""
    profiles: list[Any] = getattr(connection.ext, 'offered_qos_profiles', [])
    return any(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles)


def types_of(connections: list[Connection]) -> Typestore:
    """Return definitions for all messages: the common ones, and those that the bag brings."""
    unknown = [
        connection
        for connection in connections
        if connection.msgtype not in common_types().types and connection.msgdef.data
    ]
    if not unknown:
        return common_types()
    types = get_typestore(Stores.LATEST)
    for connection in unknown:
        with suppress(Exception):  # such a topic can still be copied and played as bytes
            if connection.msgdef.format == MessageDefinitionFormat.IDL:
                types.register(get_types_from_idl(connection.msgdef.data))
            else:
                types.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
    return types


@cache
def has_header(message_type: str) -> bool:
    """Tell whether a message of this type starts with a `std_msgs/msg/Header`."""
    definition = common_types().fielddefs.get(message_type)
    fields = definition[1] if definition else []
    return any(name == 'header' and 'std_msgs/msg/Header' in kind for name, kind in fields[:1])


def header_stamp_ns(data: bytes) -> int:
    """Read the stamp of a serialized message that starts with a header.

    Raises:
        BagError: If there are fewer bytes than a stamp needs.
    """
    seconds, nanoseconds = struct.unpack_from(_stamp_format(data), data, _ENCAPSULATION_BYTES)
    return int(seconds * _NS_PER_S + nanoseconds)


def with_header_stamp(data: bytes, stamp_ns: int) -> bytes:
    """Return a copy of a serialized message, that starts with a header, with another stamp.

    Args:
        data: CDR bytes; only the eight bytes of the stamp differ in the result.
        stamp_ns: New stamp, from 0 to what 31 bits of seconds hold.

    Raises:
        BagError: If there are fewer bytes than a stamp needs, or the stamp does not fit.
    """
    if not 0 <= stamp_ns < _STAMP_LIMIT_NS:
        raise BagError(f'A stamp must lie in [0, 2^31) seconds, got {stamp_ns} ns.')
    stamp = struct.pack(_stamp_format(data), *divmod(stamp_ns, _NS_PER_S))
    return data[:_ENCAPSULATION_BYTES] + stamp + data[_STAMP_END:]


def _stamp_format(data: bytes) -> str:
    if len(data) < _STAMP_END:
        raise BagError(f'A message with a header needs {_STAMP_END} bytes, got {len(data)}.')
    return '<iI' if data[1] & 1 else '>iI'
