# SPDX-License-Identifier: Apache-2.0
"""Record ROS topics to a bag without a ROS installation, byte for byte, with times of receipt."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.subscription import Subscription

from kd_perception.bags.playback import PlaybackError
from kd_perception.bags.types import common_types
from kd_perception.bags.writer import BagWriter
from kd_perception.errors import KdPerceptionError
from kd_perception.nodes.session import message_class, node_session, offered_qos, topic_type

READY_LINE = 'recording'

_DEPTH = 200
_POLL_S = 0.05
_DRAIN_S = 1.0


def record_bag(
    path: Path | str,
    topics: Sequence[str],
    *,
    last_topics: Sequence[str] = (),
    time_limit_s: float,
    discovery_limit_s: float = 60.0,
    overwrite: bool = False,
    stop: threading.Event | None = None,
) -> dict[str, int]:
    """Record until told to stop or the time limit.

    Args:
        path: Bag to make; it appears when recording ends.
        topics: Topics; each is recorded as soon as somebody publishes it.
        last_topics: More topics, subscribed when all others are. A player that waits for
            subscribers of these starts when everything is recorded.
        time_limit_s: Longest recording.
        discovery_limit_s: Give up when a topic has no publisher by then.
        overwrite: Replace an existing bag.
        stop: Ends the recording when set, also while topics are awaited; what has arrived by
            then is still written.

    Returns:
        Messages by topic.

    Raises:
        BagError: If the bag cannot be written.
        PlaybackError: If a topic does not appear, or its type cannot be recorded.
    """
    with BagWriter(path, overwrite=overwrite) as bag, node_session('bag_recorder') as session:
        recorder = _Recorder(bag, *session, stop or threading.Event())
        recorder.subscribe(topics, discovery_limit_s)
        recorder.subscribe(last_topics, discovery_limit_s)
        print(f'{READY_LINE} {len(recorder.counts)} topics to {path}', flush=True)
        recorder.spin(time_limit_s)
        recorder.drain()
        return recorder.counts


class _Recorder:
    """Subscriptions that write what they receive."""

    def __init__(self, bag: BagWriter, node: Any, executor: Any, stop: threading.Event) -> None:
        self._bag = bag
        self._node = node
        self._executor = executor
        self._stop = stop
        self._subscriptions: list[Subscription] = []
        self.counts: dict[str, int] = {}

    def subscribe(self, topics: Sequence[str], limit_s: float) -> None:
        """Subscribe to each topic when it appears, unless told to stop before."""
        missing = set(topics)
        deadline_s = time.monotonic() + limit_s
        while missing and not self._stop.is_set():
            for topic in sorted(missing):
                if name := topic_type(self._node, topic):
                    self._subscribe(topic, name)
                    missing.remove(topic)
            if time.monotonic() > deadline_s:
                raise PlaybackError(
                    f'Each topic must have a publisher within {limit_s:g} s; nobody publishes '
                    f'{", ".join(sorted(missing))}.'
                )
            self._executor.spin_once(timeout_sec=_POLL_S)

    def _subscribe(self, topic: str, message_type: str) -> None:
        kind = message_class(message_type)
        if kind is None or message_type not in common_types().types:
            raise PlaybackError(f'{topic} carries {message_type}, whose definition is not known.')
        self.counts[topic] = 0

        def write(data: bytes, info: dict[str, int]) -> None:
            log_time_ns = info.get('received_timestamp') or time.time_ns()
            self._bag.write_raw(topic, message_type, data, log_time_ns=log_time_ns)
            self.counts[topic] += 1

        qos = offered_qos(self._node, topic, _DEPTH)
        self._subscriptions.append(
            self._node.create_subscription(kind, topic, write, qos, raw=True)
        )

    def spin(self, limit_s: float) -> None:
        """Write what arrives until told to stop or the time limit."""
        deadline_s = time.monotonic() + limit_s
        while not self._stop.is_set() and time.monotonic() < deadline_s:
            self._executor.spin_once(timeout_sec=_POLL_S)

    def drain(self) -> None:
        """Write what has already arrived; a topic that goes on is left after a second."""
        deadline_s = time.monotonic() + _DRAIN_S
        before = -1
        while before != (before := sum(self.counts.values())) and time.monotonic() < deadline_s:
            for _ in self._subscriptions:
                self._executor.spin_once(timeout_sec=_POLL_S)


def main(argv: Sequence[str] | None = None) -> int:
    """Record topics from the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m kd_perception.nodes.bag_recorder', description=__doc__
    )
    parser.add_argument('out', type=Path, help='bag to make')
    parser.add_argument('topics', nargs='+', help='topics to record')
    parser.add_argument('--last', nargs='+', default=[], help='topics to subscribe after those')
    parser.add_argument('--time-limit-s', type=float, default=3600.0)
    parser.add_argument('--discovery-limit-s', type=float, default=60.0)
    parser.add_argument('--overwrite', action='store_true')
    arguments = parser.parse_args(argv)
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:  # any number of them: the bag is always closed
        signal.signal(number, lambda *_: stop.set())
    try:
        counts = record_bag(
            arguments.out,
            arguments.topics,
            last_topics=arguments.last,
            time_limit_s=arguments.time_limit_s,
            discovery_limit_s=arguments.discovery_limit_s,
            overwrite=arguments.overwrite,
            stop=stop,
        )
    except KdPerceptionError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    finally:  # the interpreter, when it ends, takes handlers away but leaves this
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
    for topic, count in counts.items():
        print(f'{count:6d} {topic}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
