# SPDX-License-Identifier: Apache-2.0
"""Publish a bag on ROS topics, byte for byte, at its recorded pace or one image per answer."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rclpy.duration import Duration
from rosgraph_msgs.msg import Clock
from tqdm import tqdm

from kd_perception.bags import BagReader
from kd_perception.bags.playback import PlaybackError, PlayConfig, PlayReport, Restamper, Schedule
from kd_perception.bags.types import BagMessage, TopicInfo
from kd_perception.errors import BagError, ConfigError
from kd_perception.nodes.answer_gate import AnswerGate
from kd_perception.nodes.session import message_class, node_session, reliable_qos

_DEPTH = 10
_POLL_S = 0.02
_FLUSH_S = 2.0
_DISCOVERY_S = 1.0


def play_bag(path: Path | str, config: PlayConfig | None = None) -> PlayReport:
    """Publish a bag's messages.

    Args:
        path: Recording.
        config: How; the defaults play everything once at its recorded pace.

    Returns:
        Counts by topic, and how well the pace was kept.

    Raises:
        BagError: If the bag cannot be read, or a topic is not in it.
        PlaybackError: If nobody subscribes or answers in time.
        KeyboardInterrupt: On Ctrl-C; the node is gone when it arrives.
    """
    config = config or PlayConfig()
    with BagReader(path) as bag, node_session('bag_player') as (node, executor):
        player = _Player(bag, config, node)
        if not player.publishers:
            raise BagError(f'Nothing of {path} can be played: {bag.describe_topics()}.')
        gate = AnswerGate.open(node, executor, config) if config.step else None
        player.wait_for_subscribers()
        return player.play(gate)


class _Player:
    """Publishers for the topics of one bag, and the loop over its messages."""

    def __init__(self, bag: BagReader, config: PlayConfig, node: Any) -> None:
        self._bag = bag
        self._config = config
        self._schedule = Schedule(config.rate)
        self._restamper = Restamper() if config.stamp == 'now' else None
        self._report = PlayReport()
        self._clock = node.create_publisher(Clock, '/clock', 10) if config.clock_hz else None
        self._clock_due_ns = 0
        self.publishers: dict[str, Any] = {}
        for name in config.topics or bag.topics:
            self._add_publisher(node, bag.topic(name))
        self.answered_topic = self._find_answered_topic() if config.step else ''

    def _find_answered_topic(self) -> str:
        topic = self._config.step_image or self._bag.image_topic()
        if topic not in self.publishers:
            raise ConfigError(
                f'The images that are answered must be played; {topic} is not among '
                f'{", ".join(sorted(self.publishers)) or "the playable topics"}.'
            )
        return topic

    def _add_publisher(self, node: Any, info: TopicInfo) -> None:
        kind = message_class(info.message_type)
        if kind is None:
            self._report.skipped_types.setdefault(info.message_type, []).append(info.name)
            return
        target = self._config.remap.get(info.name, info.name)
        qos = reliable_qos(_DEPTH, transient_local=info.transient_local)
        self.publishers[info.name] = node.create_publisher(kind, target, qos)

    def wait_for_subscribers(self) -> None:
        """Wait until enough subscriptions are there, then for the start delay."""
        wanted = max(self._config.wait_subscribers, 1 if self._config.step else 0)
        deadline_s = time.monotonic() + self._config.wait_timeout_s
        while (count := self._subscription_count()) < wanted:
            if time.monotonic() > deadline_s:
                topics = ', '.join(sorted(self.publishers))
                raise PlaybackError(
                    f'{wanted} subscribers must be there within {self._config.wait_timeout_s:g} '
                    f's, found {count} on {topics}. Start the node first, and check that both '
                    'use the same ROS_DOMAIN_ID.'
                )
            time.sleep(_POLL_S)
        time.sleep(self._config.start_delay_s or (_DISCOVERY_S if self._config.step else 0.0))

    def _subscription_count(self) -> int:
        return sum(publisher.get_subscription_count() for publisher in self.publishers.values())

    def play(self, gate: AnswerGate | None) -> PlayReport:
        """Publish everything; once, or until interrupted."""
        start_s = time.monotonic()
        total = sum(self._bag.topics[name].message_count for name in self.publishers)
        asked: bytes | None = None
        for message in self._messages(total):
            is_image = gate is not None and message.topic == self.answered_topic
            if gate is None:
                self._wait_until_due(message)
            elif is_image:
                self._wait_for_answer(gate, asked)
            data = self._publish(message)
            asked = data if is_image else asked
        if gate is not None:
            self._wait_for_answer(gate, asked)
        self._report.wall_s = time.monotonic() - start_s
        self._flush()
        return self._report

    def _wait_for_answer(self, gate: AnswerGate, asked: bytes | None) -> None:
        """Wait for the answer to the last image, after what the bag has before the next one.

        Its calibration may be there, without which it has no answer.
        """
        if asked is not None:
            self._report.unanswered += not gate.wait_for_answer(asked)

    def _messages(self, total: int) -> Iterator[BagMessage]:
        """Iterate over the messages, again and again when looping, with a progress bar."""
        pause_ns = self._bag.duration_ns / max(total / len(self.publishers) - 1, 1)
        with tqdm(
            total=total, unit='msg', disable=not self._config.progress, file=sys.stderr
        ) as bar:
            for round_index in itertools.count():
                for index, message in enumerate(self._bag.messages(list(self.publishers))):
                    if round_index and not index:
                        self._start_again(message, pause_ns)
                        bar.reset()
                    yield message
                    bar.update()
                if not self._config.loop or not total:
                    return

    def _start_again(self, first: BagMessage, pause_ns: float) -> None:
        self._schedule.restart(first.log_time_ns, pause_ns)
        if self._restamper:
            self._restamper.forget()

    def _wait_until_due(self, message: BagMessage) -> None:
        due_ns = self._schedule.due_ns(message.log_time_ns)
        while (wait_ns := due_ns - time.monotonic_ns()) > 0:
            if self._clock is not None:
                wait_ns = min(wait_ns, self._tick())
            time.sleep(max(wait_ns, 0) * 1e-9)
        late_ms = (time.monotonic_ns() - due_ns) * 1e-6
        self._report.max_lateness_ms = max(self._report.max_lateness_ms, late_ms)

    def _tick(self) -> int:
        """Publish the bag's time if it is due; return the time to the next tick in ns."""
        now_ns = time.monotonic_ns()
        if now_ns >= self._clock_due_ns:
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(
                self._schedule.bag_time_ns(), 1_000_000_000
            )
            assert self._clock is not None
            self._clock.publish(message)
            self._clock_due_ns = now_ns + round(1e9 / self._config.clock_hz)
        return self._clock_due_ns - now_ns

    def _publish(self, message: BagMessage) -> bytes:
        data = self._restamper.restamp(message) if self._restamper else message.data
        publisher = self.publishers[message.topic]
        publisher.publish(data)
        name = self._config.remap.get(message.topic, message.topic)
        self._report.published[name] = self._report.published.get(name, 0) + 1
        return data

    def _flush(self) -> None:
        """Let reliable subscribers have the last messages before the publishers go."""
        deadline_s = time.monotonic() + _FLUSH_S
        for publisher in self.publishers.values():
            left_s = max(deadline_s - time.monotonic(), 0.0)
            publisher.wait_for_all_acked(Duration(seconds=left_s))
