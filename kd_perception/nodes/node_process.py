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


def run_node(make_node: Callable[[], Any], args: Sequence[str] | None = None) -> int:
    """Make a node and spin it until SIGINT or SIGTERM.

    rclpy's own handlers would pull the middleware away under a frame in work. Here a signal only
    asks to stop; the node then shuts down while everything it needs is still there. The node must
    have a timer that fires a few times per second, so that the request is seen.

    Args:
        make_node: Makes the node; it must have ``close()``.
        args: Command line with ``--ros-args``; None for that of the process.

    Returns:
        Exit code: 0 after a signal, 2 if a start-up parameter is wrong.
    """
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = make_node()
    except ParameterException as error:
        rclpy.logging.get_logger('kd_perception').fatal(f'Wrong parameter at start-up: {error}')
        rclpy.try_shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        _spin(executor, node, stop)
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _spin(executor: Any, node: Any, stop: threading.Event) -> None:
    while not stop.is_set() and rclpy.ok():
        try:
            executor.spin_once()
        except ExternalShutdownException:
            return
        except Exception:  # what a callback raised, which must not end the node
            node.get_logger().error(f'Callback failed unexpectedly:\n{traceback.format_exc()}')
