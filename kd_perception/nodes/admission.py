# SPDX-License-Identifier: Apache-2.0
"""Decides whether a frame is worth working on: enabled, wanted, young enough, not too often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kd_perception.nodes.mailbox import Arrival, DropReason
from kd_perception.nodes.messages import nanoseconds_from_stamp
from kd_perception.nodes.monitor import Monitor
from kd_perception.nodes.parameters import NodeParameters

_ANCIENT_NS = 3600 * 10**9  # older stamps are a replay on the wall clock, not latency
_AHEAD_NS = 100 * 10**6  # a stamp slightly ahead is two clocks, not a fault
_RATE_SLACK = 0.1  # of a period: a camera's jitter must not halve its rate


class RateLimit:
    """Lets at most so many frames per second pass, by their header stamps.

    Stamps and not the wall clock decide, so a replay at any speed keeps the same frames.
    """

    def __init__(self) -> None:
        self._due_ns: float | None = None

    def admits(self, time_ns: int, max_rate_hz: float) -> bool:
        """Tell whether the frame of this time may pass; 0 Hz is no limit."""
        if max_rate_hz <= 0:
            self._due_ns = None
            return True
        period_ns = 1e9 / max_rate_hz
        due_ns = self._due_ns
        jumped_back = due_ns is not None and time_ns < due_ns - 2 * period_ns
        if due_ns is not None and not jumped_back and time_ns < due_ns - _RATE_SLACK * period_ns:
            return False
        late = due_ns is None or jumped_back or time_ns > due_ns + period_ns
        self._due_ns = (time_ns if late or due_ns is None else due_ns) + period_ns
        return True


@dataclass(frozen=True)
class Age:
    """How old a frame is.

    Attributes:
        stamp_ns: Header stamp; 0 if the driver left it empty.
        age_ns: ROS time minus stamp; None where that says nothing: no stamp, a stamp ahead of the
            clock (as with a paused clock), or more than an hour old (replay on the wall clock).
    """

    stamp_ns: int
    age_ns: int | None


class Admission:
    """Judges frames in the order of their arrival.

    Args:
        parameters: max_age_ms, max_rate_hz, lazy.
        monitor: Told of odd stamps.
        now_ns: The ROS clock.
        logger: Of the node.
    """

    def __init__(
        self,
        parameters: NodeParameters,
        monitor: Monitor,
        now_ns: Callable[[], int],
        logger: Any,
    ) -> None:
        self._parameters = parameters
        self._monitor = monitor
        self._now_ns = now_ns
        self._logger = logger
        self._rate = RateLimit()
        self.enabled = True

    def age_of(self, arrival: Arrival) -> Age:
        """Compare a frame's stamp with the clock, and note it if it is odd."""
        stamp_ns = nanoseconds_from_stamp(arrival.message.header.stamp)
        if stamp_ns == 0:
            if self._monitor.note('zero_stamp'):
                self._logger.warning(
                    'An image has no stamp: its latency is not known and nothing can be '
                    'synchronized with it. The camera driver must fill header.stamp.'
                )
            return Age(0, None)
        if stamp_ns - self._now_ns() > _AHEAD_NS:
            self._monitor.note('future_stamp')
        return Age(stamp_ns, self.elapsed_ns(stamp_ns))

    def elapsed_ns(self, stamp_ns: int) -> int | None:
        """Return ROS time minus stamp where that says something, as in `Age.age_ns`."""
        elapsed_ns = self._now_ns() - stamp_ns
        return elapsed_ns if stamp_ns and 0 <= elapsed_ns <= _ANCIENT_NS else None

    def reason_to_drop(
        self, arrival: Arrival, age: Age, subscribed: frozenset[str]
    ) -> DropReason | None:
        """Return why a frame is not worth working on, or None if it is."""
        if not self.enabled:
            return DropReason.DISABLED
        if not subscribed and self._parameters.flag('lazy'):
            return DropReason.NO_SUBSCRIBER
        if self._is_too_old(age):
            self._monitor.note('too_old')
            return DropReason.AGE
        time_ns = age.stamp_ns or arrival.receipt_ns
        if not self._rate.admits(time_ns, self._parameters.number('max_rate_hz')):
            return DropReason.RATE
        return None

    def _is_too_old(self, age: Age) -> bool:
        max_age_ms = self._parameters.number('max_age_ms')
        if max_age_ms <= 0 or age.stamp_ns == 0:
            return False
        if age.age_ns is not None:
            return age.age_ns > max_age_ms * 1e6
        if self._now_ns() - age.stamp_ns > _ANCIENT_NS and self._monitor.note('ancient_stamp'):
            self._logger.warning(
                'max_age_ms is ignored: an image is more than an hour old, as in a replay '
                'without use_sim_time.'
            )
        return False
