# SPDX-License-Identifier: Apache-2.0
"""Runs one node in a process: spin until a signal, shut down in order, exit with a clean code."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from kd_perception.middleware import prepare_middleware

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Turns SIGINT and SIGTERM into a request that the spinning thread can see.

    Both are blocked and awaited by a thread of their own. No handler runs in the middle of a
    frame, and none on the signal stack that an inference runtime installed and freed again
    (OpenVINO does, and a handler there would be a segmentation fault).
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._wake: Callable[[], None] = lambda: None
        for signum in _SIGNALS:  # threads that libraries started on import do not block them
            signal.signal(signum, self._ask)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        threading.Thread(target=self._wait, name='signals', daemon=True).start()

    @property
    def asked(self) -> bool:
        """Whether the process was asked to end."""
        return self._event.is_set()

    def wakes(self, wake: Callable[[], None]) -> None:
        """Have a function called, from another thread, when the request comes."""
        self._wake = wake

    def _wait(self) -> None:
        while True:
            self._ask(signal.sigwait(_SIGNALS))

    def _ask(self, *_: object) -> None:
        self._event.set()
        self._wake()


def run_node(make_node: Callable[[], Any], args: Sequence[str] | None = None) -> int:
    """Make a node and spin it until SIGINT or SIGTERM.

    rclpy's own handlers would pull the middleware away under a frame in work. Here a signal only
    asks to stop; the node then shuts down while everything it needs is still there.

    Args:
        make_node: Makes the node; it must have ``close()``.
        args: Command line with ``--ros-args``; None for that of the process.

    Returns:
        Exit code: 0 after a signal, 2 if a start-up parameter is wrong.
    """
    stop = StopRequest()
    try:
        prepare_middleware()
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
    except ParameterException as error:
        rclpy.logging.get_logger('kd_perception').fatal(f'Wrong parameter at start-up: {error}')
        rclpy.try_shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop.wakes(executor.wake)
    try:
        _spin(executor, node, stop)
    finally:
        stop.wakes(lambda: None)
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _spin(executor: Any, node: Any, stop: StopRequest) -> None:
    while not stop.asked and rclpy.ok():
        try:
            executor.spin_once()
        except ExternalShutdownException:
            return
        except Exception:  # what a callback raised, which must not end the node
            node.get_logger().error(f'Callback failed unexpectedly:\n{traceback.format_exc()}')
