# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kd_perception.errors import ConfigError
from kd_perception.nodes.mailbox import Arrival, DropReason, FrameAccount, Mailbox


def arrival(number: int, size_bytes: int = 1) -> Arrival:
    return Arrival(number, number, size_bytes)


def test_latest_keeps_only_the_newest_and_counts_the_others_as_busy() -> None:
    account = FrameAccount()
    mailbox = Mailbox(account, 'latest')
    for number in range(5):
        mailbox.put(arrival(number))
    taken = mailbox.take(0)
    assert taken is not None
    assert taken.message == 4
    assert mailbox.take(0) is None
    counts = account.counts()
    assert counts.dropped_by_reason == {DropReason.BUSY: 4}
    assert (counts.received, counts.dropped, counts.pending) == (5, 4, 1)


def test_every_gives_all_frames_in_order() -> None:
    mailbox = Mailbox(FrameAccount(), 'every')
    for number in range(50):
        mailbox.put(arrival(number))
    assert [mailbox.take(0).message for _ in range(50)] == list(range(50))  # type: ignore[union-attr]


def test_every_drops_the_newcomer_when_the_bytes_are_used_up() -> None:
    account = FrameAccount()
    mailbox = Mailbox(account, 'every', max_bytes=10)
    for number in range(4):
        mailbox.put(arrival(number, size_bytes=4))
    assert [mailbox.take(0).message for _ in range(2)] == [0, 1]  # type: ignore[union-attr]
    assert account.counts().dropped_by_reason == {DropReason.OVERFLOW: 2}
    mailbox.put(arrival(9, size_bytes=4))
    assert mailbox.take(0).message == 9  # type: ignore[union-attr]


def test_a_frame_larger_than_the_bound_is_still_taken() -> None:
    mailbox = Mailbox(FrameAccount(), 'every', max_bytes=10)
    mailbox.put(arrival(1, size_bytes=100))
    assert mailbox.take(0) is not None


def test_close_wakes_the_taker_and_drops_what_waits() -> None:
    account = FrameAccount()
    mailbox = Mailbox(account, 'every')
    taken: list[Arrival | None] = []
    taker = threading.Thread(target=lambda: taken.append(mailbox.take()))
    taker.start()
    mailbox.close()
    taker.join(5)
    assert taken == [None]
    mailbox.put(arrival(1))
    assert account.counts().dropped_by_reason == {DropReason.STOPPED: 1}
    assert account.counts().pending == 0


def test_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match='queue_policy'):
        Mailbox(FrameAccount(), 'newest')  # type: ignore[arg-type]


@given(st.sampled_from(['latest', 'every']), st.integers(1, 400))
@settings(max_examples=20, deadline=None)
def test_no_frame_is_lost_or_counted_twice_between_threads(policy: str, frames: int) -> None:
    account = FrameAccount()
    mailbox = Mailbox(account, policy, max_bytes=100)  # type: ignore[arg-type]
    ends = (account.publish, account.fail, lambda: account.drop(DropReason.AGE))

    def work() -> None:
        while (taken := mailbox.take()) is not None:
            ends[taken.message % 3]()
            time.sleep(0)

    worker = threading.Thread(target=work)
    worker.start()
    for number in range(frames):
        mailbox.put(arrival(number))
    mailbox.close()
    worker.join(10)
    counts = account.counts()
    assert counts.received == frames
    assert counts.published + counts.dropped + counts.failed == frames


class MailboxMachine(RuleBasedStateMachine):
    """Any order of arrivals and ends against a list as the model."""

    def __init__(self) -> None:
        super().__init__()
        self.account = FrameAccount()
        self.mailbox = Mailbox(self.account, 'every', max_bytes=20)
        self.waiting: list[Arrival] = []
        self.in_work = 0
        self.number = 0

    @rule(size=st.integers(0, 12))
    def put(self, size: int) -> None:
        self.number += 1
        frame = arrival(self.number, size)
        self.mailbox.put(frame)
        fits = sum(a.size_bytes for a in self.waiting) + size <= 20
        if not self.mailbox.closed and (fits or not self.waiting):
            self.waiting.append(frame)

    @rule()
    def take(self) -> None:
        taken = self.mailbox.take(0)
        assert taken == (self.waiting.pop(0) if self.waiting else None)
        self.in_work += taken is not None

    @precondition(lambda self: self.in_work > 0)
    @rule(end=st.sampled_from(['publish', 'fail', 'drop']))
    def end(self, end: str) -> None:
        self.in_work -= 1
        if end == 'drop':
            self.account.drop(DropReason.RATE)
        else:
            getattr(self.account, end)()

    @rule()
    def close(self) -> None:
        self.mailbox.close()
        self.waiting.clear()

    @invariant()
    def balances(self) -> None:
        counts = self.account.counts()
        assert counts.received == self.number
        assert counts.pending == len(self.waiting) + self.in_work
        assert self.mailbox.waiting == len(self.waiting)


TestMailboxMachine = MailboxMachine.TestCase
TestMailboxMachine.settings = settings(max_examples=60, deadline=None)
