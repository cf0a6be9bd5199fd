# SPDX-License-Identifier: Apache-2.0
"""Waits for the answer to an image, so that a player never outruns the node under test."""

from __future__ import annotations

import time
from typing import Any

from kd_perception.bags.playback import PlaybackError, PlayConfig
from kd_perception.bags.types import has_header, header_stamp_ns
from kd_perception.errors import BagError
from kd_perception.nodes.session import message_class, offered_qos, topic_type

_DEPTH = 10
_POLL_S = 0.1


class AnswerGate:
    """A subscription to the topic that answers each image with the image's stamp."""

    def __init__(self, node: Any, executor: Any, topic: str, kind: Any, timeout_s: float) -> None:
        """Subscribe.

        Args:
            node: Node of the player.
            executor: Executor of that node.
            topic: Answering topic.
            kind: Its message class, which starts with a header.
            timeout_s: Longest wait for one answer.
        """
        self._executor = executor
        self._timeout_s = timeout_s
        self._answered_ns: set[int] = set()
        qos = offered_qos(node, topic, _DEPTH)
        self._subscription = node.create_subscription(kind, topic, self._receive, qos, raw=True)

    @classmethod
    def open(cls, node: Any, executor: Any, config: PlayConfig) -> AnswerGate:
        """Wait until the answering topic has a publisher, and subscribe.

        Raises:
            PlaybackError: If nobody publishes it in time, or its messages have no stamp.
        """
        deadline_s = time.monotonic() + config.wait_timeout_s
        while not (name := topic_type(node, config.step)):
            if time.monotonic() > deadline_s:
                raise PlaybackError(
                    f'Somebody must publish {config.step} within {config.wait_timeout_s:g} s. '
                    'Start and activate the node first.'
                )
            time.sleep(_POLL_S)
        kind = message_class(name)
        if kind is None or not has_header(name):
            raise PlaybackError(
                f'The answers must be messages with a header, {config.step} carries {name}. '
                'Step with the mask, for example.'
            )
        return cls(node, executor, config.step, kind, config.step_timeout_s)

    def _receive(self, data: bytes) -> None:
        self._answered_ns.add(header_stamp_ns(data))

    def wait_for_answer(self, image: bytes) -> bool:
        """Wait for the answer to a serialized image; return whether it came in time."""
        try:
            stamp_ns = header_stamp_ns(image)
        except BagError:  # an image without a stamp cannot be answered
            return False
        deadline_s = time.monotonic() + self._timeout_s
        while stamp_ns not in self._answered_ns:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            self._executor.spin_once(timeout_sec=min(left_s, _POLL_S))
        self._answered_ns.clear()
        return True
