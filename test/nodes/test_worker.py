# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from typing import Any

import pytest

pytest.importorskip('rclpy')

from kd_perception.errors import BackendError, ImageEncodingError
from kd_perception.nodes.mailbox import Arrival, DropReason, FrameAccount, Mailbox
from kd_perception.nodes.monitor import Monitor
from kd_perception.nodes.worker import FrameWorker


class Log:
    """Keeps what a node's logger would have been told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, text: str, **_: Any) -> None:
        self.lines.append(text)


ENDS: list[Any] = [
    None,
    DropReason.AGE,
    ImageEncodingError('no such encoding'),
    BackendError('out of memory'),
    ZeroDivisionError('a defect'),
    None,
]


@pytest.fixture
def worked() -> tuple[FrameAccount, Monitor, Log]:
    """Run one frame of each end through a worker."""
    account, monitor, log, done = FrameAccount(), Monitor(), Log(), threading.Event()
    mailbox = Mailbox(account, 'every')

    def handle(arrival: Arrival) -> DropReason | None:
        end = ENDS[arrival.message]
        if arrival.message == len(ENDS) - 1:
            done.set()
        if isinstance(end, Exception):
            raise end
        return end

    worker = FrameWorker(mailbox, account, handle, monitor, log)
    for number in range(len(ENDS)):
        mailbox.put(Arrival(number, 0, 1))
    assert done.wait(5)
    worker.stop()
    return account, monitor, log


def test_each_end_is_booked_once_and_the_thread_goes_on(worked: Any) -> None:
    counts = worked[0].counts()
    assert (counts.received, counts.published, counts.failed) == (6, 2, 3)
    assert counts.dropped_by_reason == {DropReason.AGE: 1}
    assert counts.pending == 0


def test_faults_are_told_by_their_kind(worked: Any) -> None:
    faults = worked[1].view().faults
    assert faults['input'].text == 'no such encoding'
    assert faults['model'].text == 'out of memory'
    assert faults['internal'].text == 'ZeroDivisionError: a defect'


def test_only_a_defect_has_a_traceback(worked: Any) -> None:
    lines = worked[2].lines
    assert ['Traceback' in line for line in lines] == [False, False, True]
    assert lines[0] == 'Frame failed: no such encoding'


def test_stop_drops_what_waits_behind_the_frame_in_work() -> None:
    account, started, release = FrameAccount(), threading.Event(), threading.Event()
    mailbox = Mailbox(account, 'every')

    def handle(arrival: Arrival) -> None:
        started.set()
        release.wait(5)

    worker = FrameWorker(mailbox, account, handle, Monitor(), Log())
    for number in range(4):
        mailbox.put(Arrival(number, 0, 1))
    assert started.wait(5)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    while not mailbox.closed:
        pass
    release.set()
    stopper.join(5)
    counts = account.counts()
    assert counts.published == 1
    assert counts.dropped_by_reason == {DropReason.STOPPED: 3}
