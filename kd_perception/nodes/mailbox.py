# SPDX-License-Identifier: Apache-2.0
"""Between the executor thread and the worker thread: frames that wait, and what became of each.

Every frame that arrives ends in exactly one of three ways, so at any moment

    received = published + dropped + failed + pending

where ``pending`` frames wait in the mailbox or are being worked on. The account is kept here,
where frames are handed over, and nowhere else.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from kd_perception.errors import ConfigError

QueuePolicy = Literal['latest', 'every']

MAX_QUEUED_BYTES = 256 * 2**20
"""Bytes of images that policy ``every`` lets wait (about 430 frames of 640x480 mono16)."""


class DropReason(Enum):
    """Why a frame was given up although nothing was wrong with it."""

    BUSY = 'busy'  # overtaken by a newer frame while the worker was busy
    OVERFLOW = 'overflow'  # policy `every`: more bytes waiting than the bound
    AGE = 'age'  # older than max_age_ms
    RATE = 'rate'  # above max_rate_hz
    NO_SUBSCRIBER = 'no_subscriber'  # lazy, and nobody listens
    DISABLED = 'disabled'  # switched off by ~/enable
    FROZEN = 'frozen'  # the camera's shutter is closed and ffc.policy is `hold`
    NO_SCALE = 'no_scale'  # depth in meters is wanted, and the camera's focal length not known
    STOPPED = 'stopped'  # deactivated while the frame waited


_LOSSES = (DropReason.BUSY, DropReason.OVERFLOW, DropReason.AGE)


@dataclass(frozen=True)
class FrameCounts:
    """What became of all frames so far; a consistent picture of one moment."""

    received: int = 0
    published: int = 0
    failed: int = 0
    dropped_by_reason: Mapping[DropReason, int] = field(default_factory=dict)

    @property
    def dropped(self) -> int:
        """Frames dropped for any reason."""
        return sum(self.dropped_by_reason.values())

    @property
    def lost(self) -> int:
        """Frames dropped although nobody asked for that: the node could not keep up."""
        return sum(self.dropped_by_reason.get(reason, 0) for reason in _LOSSES)

    @property
    def pending(self) -> int:
        """Frames that wait or are being worked on."""
        return self.received - self.published - self.dropped - self.failed


class FrameAccount:
    """Counts frames from arrival to their end; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = 0
        self._published = 0
        self._failed = 0
        self._dropped: Counter[DropReason] = Counter()

    def receive(self) -> None:
        """Count a frame that arrived; it is pending until one of the other three is called."""
        with self._lock:
            self._received += 1

    def publish(self) -> None:
        """Count a pending frame as answered."""
        with self._lock:
            self._published += 1

    def fail(self) -> None:
        """Count a pending frame as not answerable."""
        with self._lock:
            self._failed += 1

    def drop(self, reason: DropReason) -> None:
        """Count a pending frame as given up."""
        with self._lock:
            self._dropped[reason] += 1

    def counts(self) -> FrameCounts:
        """Return the counts of this moment."""
        with self._lock:
            return FrameCounts(self._received, self._published, self._failed, dict(self._dropped))


@dataclass(frozen=True)
class Arrival:
    """An image message and when it came.

    Attributes:
        message: sensor_msgs/Image or sensor_msgs/CompressedImage.
        receipt_ns: Monotonic clock at receipt.
        size_bytes: Size of the image data.
    """

    message: Any
    receipt_ns: int
    size_bytes: int


class Mailbox:
    """Holds the frames that wait for the worker, and drops those that need not be answered.

    Args:
        account: Where arrivals and drops are counted.
        policy: ``latest`` keeps one frame, the newest; ``every`` keeps all, in order.
        max_bytes: Policy ``every``: a frame that would make more than this wait is dropped.
    """

    def __init__(
        self,
        account: FrameAccount,
        policy: QueuePolicy = 'latest',
        max_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        if policy not in ('latest', 'every'):
            raise ConfigError(f"queue_policy must be 'latest' or 'every', got {policy!r}.")
        self._account = account
        self._policy = policy
        self._max_bytes = max_bytes
        self._waiting: deque[Arrival] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, arrival: Arrival) -> None:
        """Count a frame as received and let it wait; never blocks."""
        with self._changed:
            self._account.receive()
            if self._closed:
                self._account.drop(DropReason.STOPPED)
            elif self._policy == 'every' and self._is_full(arrival):
                self._account.drop(DropReason.OVERFLOW)
            else:
                self._let_wait(arrival)

    def take(self, timeout_s: float | None = None) -> Arrival | None:
        """Wait for a frame; the taker must count how it ends.

        Returns:
            The oldest frame that waits, or None when the mailbox is closed or the time is over.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout_s)
            if not self._waiting:
                return None
            arrival = self._waiting.popleft()
            self._waiting_bytes -= arrival.size_bytes
            return arrival

    def close(self) -> None:
        """Wake the taker for good; frames that still wait are dropped as stopped."""
        with self._changed:
            self._closed = True
            self._drop_waiting(DropReason.STOPPED)
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Number of frames that wait."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether the mailbox was closed."""
        return self._closed

    def _is_full(self, arrival: Arrival) -> bool:
        # One frame always fits, however large, or it could never be answered.
        return bool(self._waiting) and (self._waiting_bytes + arrival.size_bytes > self._max_bytes)

    def _let_wait(self, arrival: Arrival) -> None:
        if self._policy == 'latest':
            self._drop_waiting(DropReason.BUSY)
        self._waiting.append(arrival)
        self._waiting_bytes += arrival.size_bytes
        self._changed.notify()

    def _drop_waiting(self, reason: DropReason) -> None:
        for _ in self._waiting:
            self._account.drop(reason)
        self._waiting.clear()
        self._waiting_bytes = 0
