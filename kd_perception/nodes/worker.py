# SPDX-License-Identifier: Apache-2.0
"""The thread that works on frames: takes one, has it handled, and books how it ended."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

from kd_perception.errors import BackendError, KdPerceptionError
from kd_perception.nodes.mailbox import Arrival, DropReason, FrameAccount, Mailbox
from kd_perception.nodes.monitor import FaultKind, Monitor

_THROTTLE_S = 5.0


class FrameWorker:
    """Runs a handler over the frames of a mailbox, one after the other, in its own thread.

    Whatever a frame does, the thread lives on: an error that the package raises on purpose becomes
    one log line, anything else is logged with its traceback.

    Args:
        mailbox: Where frames wait.
        account: Where their ends are counted.
        handle: Answers one frame; returns why it was dropped, or None if it was published.
        monitor: Told of faults.
        logger: Of the node.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        account: FrameAccount,
        handle: Callable[[Arrival], DropReason | None],
        monitor: Monitor,
        logger: Any,
    ) -> None:
        self._mailbox = mailbox
        self._account = account
        self._handle = handle
        self._monitor = monitor
        self._logger = logger
        self._thread = threading.Thread(target=self._run, name='frame_worker', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the frame in work, drop those that wait, and end the thread."""
        self._mailbox.close()
        self._thread.join()

    def _run(self) -> None:
        while (arrival := self._mailbox.take()) is not None:
            self._work_on(arrival)

    def _work_on(self, arrival: Arrival) -> None:
        try:
            reason = self._handle(arrival)
        except KdPerceptionError as error:
            self._account.fail()
            kind: FaultKind = 'model' if isinstance(error, BackendError) else 'input'
            self._monitor.fault(kind, str(error))
            self._logger.error(f'Frame failed: {error}', throttle_duration_sec=_THROTTLE_S)
        except Exception as error:  # a defect of ours must not end the robot's perception
            self._account.fail()
            self._monitor.fault('internal', f'{type(error).__name__}: {error}')
            self._logger.error(
                f'Frame failed unexpectedly:\n{traceback.format_exc()}',
                throttle_duration_sec=_THROTTLE_S,
            )
        else:
            if reason is None:
                self._account.publish()
            else:
                self._account.drop(reason)
