# SPDX-License-Identifier: Apache-2.0
"""When and how the messages of a bag are published again; all that needs no ROS."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kd_perception.bags.types import BagMessage, has_header, header_stamp_ns, with_header_stamp
from kd_perception.errors import BagError, ConfigError, KdPerceptionError

STAMPS = ('bag', 'now')

NO_ROS = (
    'Playing needs rclpy, and {name} is not installed here. With a ROS installation: '
    '`source /opt/ros/<distribution>/setup.bash`. Without: `pip install ".[ros]"` in the source '
    'folder. The command `replay` works without ROS.'
)

_STAMPS_KEPT = 256


class PlaybackError(KdPerceptionError):
    """Nobody listens, publishes or answers in time, or ROS is not there."""


@dataclass(frozen=True)
class PlayConfig:
    """How a bag is played.

    Attributes:
        rate: Speed; 2.0 is twice as fast as recorded.
        loop: Start again at the end.
        clock_hz: Rate of `/clock`; 0 publishes none.
        topics: Topics to play; empty plays all.
        remap: New topic name by recorded topic name.
        wait_subscribers: Start only when the played topics have that many subscriptions together.
        wait_timeout_s: Give up waiting for subscribers, or for the answering topic, after that.
        start_delay_s: Pause before the first message.
        step: Topic with one answer per image: the next image follows the answer with its stamp.
            Empty plays in time.
        step_image: Image topic that is answered; empty finds the only one.
        step_timeout_s: Go on without an answer after that.
        stamp: `bag` keeps header stamps, `now` replaces them by the time of publication; messages
            with equal stamps keep equal stamps.
        progress: Show a progress bar on standard error.
    """

    rate: float = 1.0
    loop: bool = False
    clock_hz: float = 0.0
    topics: tuple[str, ...] = ()
    remap: Mapping[str, str] = field(default_factory=dict)
    wait_subscribers: int = 0
    wait_timeout_s: float = 60.0
    start_delay_s: float = 0.0
    step: str = ''
    step_image: str = ''
    step_timeout_s: float = 10.0
    stamp: str = 'bag'
    progress: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if not (math.isfinite(self.rate) and 0.001 <= self.rate <= 1000.0):
            raise ConfigError(f'The rate must lie in [0.001, 1000], got {self.rate}.')
        if not 0.0 <= self.clock_hz <= 10_000.0:
            raise ConfigError(f'The clock rate must lie in [0, 10000] Hz, got {self.clock_hz}.')
        if self.stamp not in STAMPS:
            raise ConfigError(f'The stamp must be one of {", ".join(STAMPS)}, got {self.stamp!r}.')
        if self.stamp == 'now' and self.clock_hz:
            raise ConfigError('Either publish /clock in bag time or stamp with now, not both.')
        if self.step and (self.loop or self.clock_hz):
            raise ConfigError('Stepping follows the answers: it goes neither with loop nor clock.')
        waits = (self.wait_timeout_s, self.start_delay_s, self.step_timeout_s)
        if self.wait_subscribers < 0 or not all(0.0 <= wait < math.inf for wait in waits):
            raise ConfigError('Waiting times and counts must be finite and not negative.')


class Schedule:
    """Turns recording times into moments of the monotonic clock.

    Every moment is counted from the start, so delays of single messages do not add up.
    """

    def __init__(self, rate: float, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Start when the first message asks for its moment.

        Args:
            rate: Speed; 2.0 is twice as fast as recorded.
            monotonic_ns: The clock.
        """
        self._rate = rate
        self._monotonic_ns = monotonic_ns
        self._first_ns: int | None = None
        self._start_ns = 0

    def due_ns(self, log_time_ns: int) -> int:
        """Return the moment at which a message is to be published."""
        if self._first_ns is None:
            self._first_ns, self._start_ns = log_time_ns, self._monotonic_ns()
        return self._start_ns + round((log_time_ns - self._first_ns) / self._rate)

    def bag_time_ns(self) -> int:
        """Return the recording time that is now; 0 before the first message."""
        if self._first_ns is None:
            return 0
        elapsed_ns = self._monotonic_ns() - self._start_ns
        return self._first_ns + round(elapsed_ns * self._rate)

    def restart(self, first_ns: int, pause_ns: float) -> None:
        """Continue from the first recording time again, a pause in bag time after now."""
        self._first_ns = first_ns
        self._start_ns = self._monotonic_ns() + round(pause_ns / self._rate)


class Restamper:
    """Replaces header stamps by the time of publication.

    An image and its camera_info or label have the same stamp in the bag; they keep one common
    stamp, that of the first of them to be published.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Begin without memory.

        Args:
            now_ns: The clock of the new stamps.
        """
        self._now_ns = now_ns
        self._stamps: OrderedDict[int, int] = OrderedDict()
        self._last_ns = 0

    def restamp(self, message: BagMessage) -> bytes:
        """Return the message's bytes with the new stamp; unchanged if it has no header."""
        if not has_header(message.message_type):
            return message.data
        try:
            return with_header_stamp(message.data, self._new_stamp(header_stamp_ns(message.data)))
        except BagError:  # too short to hold a stamp: the receiver has to cope, as with the bag
            return message.data

    def _new_stamp(self, stamp_ns: int) -> int:
        if stamp_ns not in self._stamps:
            # Two stamps that differ in the bag must not become one on a coarse clock.
            self._last_ns = max(self._now_ns(), self._last_ns + 1)
            self._stamps[stamp_ns] = self._last_ns
            if len(self._stamps) > _STAMPS_KEPT:
                self._stamps.popitem(last=False)
        return self._stamps[stamp_ns]

    def forget(self) -> None:
        """Give new stamps to stamps that come again, as in the next loop."""
        self._stamps.clear()


@dataclass
class PlayReport:
    """What was played.

    Attributes:
        published: Messages by topic, under their new names.
        skipped_types: Message types that are not installed, with their topics.
        unanswered: Images without an answer in time, when stepping.
        max_lateness_ms: How much later than due a message was published at most.
        wall_s: Time from the first message to the last.
    """

    published: dict[str, int] = field(default_factory=dict)
    skipped_types: dict[str, list[str]] = field(default_factory=dict)
    unanswered: int = 0
    max_lateness_ms: float = 0.0
    wall_s: float = 0.0

    @property
    def total(self) -> int:
        """Messages on all topics."""
        return sum(self.published.values())
