# SPDX-License-Identifier: Apache-2.0
"""The service ~/reload_model: load in the background, exchange between frames, keep on failure."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.task import Future

from kd_perception.errors import KdPerceptionError
from kd_perception.nodes.model_slot import Engine, ModelSlot
from kd_perception.nodes.monitor import Monitor
from kd_perception.nodes.parameters import NodeParameters
from kd_perception.parameters.spec import ParameterValue


class ModelReload:
    """Answers ``~/reload_model``; frames are worked on while the new model loads.

    The service needs a mutually exclusive callback group of its own: while its answer waits, other
    callbacks must run, and another reload must not.

    Args:
        node: The rclpy node.
        parameters: model.path, model.sha256 and all that a load needs.
        load: Loads what the parameters name.
        slot: Where the new model goes.
        monitor: Told of a load that failed.
        on_installed: Called when a new model is in use, in the loading thread.
    """

    def __init__(
        self,
        node: Any,
        parameters: NodeParameters,
        load: Callable[[Mapping[str, ParameterValue]], Engine],
        slot: ModelSlot,
        monitor: Monitor,
        on_installed: Callable[[], None],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._load_engine = load
        self._slot = slot
        self._monitor = monitor
        self._on_installed = on_installed
        self._thread: threading.Thread | None = None

    async def answer(self, request: Any, response: Any) -> Any:
        """Load ``model.path`` and say what became of it."""
        before = self._slot.engine
        if before is None:
            response.success, response.message = False, 'There is no model yet: configure first.'
        else:
            done = Future()
            self._thread = threading.Thread(
                target=self._load, args=(before, done), name='model_reload', daemon=True
            )
            self._thread.start()
            response.success, response.message = await done
        return response

    def join(self) -> None:
        """Wait until no load is running."""
        if self._thread is not None:
            self._thread.join()

    def _load(self, before: Engine, done: Any) -> None:
        success, message = self._try_to_load(before)
        done.set_result((success, message))
        if self._node.executor is not None:
            self._node.executor.wake()  # or the answer waits for the next message
        if success:  # rclpy wants one severity per line of code
            self._node.get_logger().info(message)
        else:
            self._node.get_logger().error(message)

    def _try_to_load(self, before: Engine) -> tuple[bool, str]:
        try:
            engine = self._load_engine(self._parameters.values)
            if not self._slot.replace(before, engine):
                return False, 'The node was cleaned up during the reload.'
            self._on_installed()
        except KdPerceptionError as error:
            return False, self._failure(str(error))
        except Exception as error:  # a broken bundle must not leave the caller without an answer
            self._node.get_logger().error(traceback.format_exc())
            return False, self._failure(f'{type(error).__name__}: {error}')
        self._monitor.forgive('load')
        same = engine.student.sha256 == before.student.sha256
        return True, (
            f'{engine.student.spec.name} {engine.student.sha256} in use'
            f'{" (the same bundle as before)" if same else ""}.'
        )

    def _failure(self, reason: str) -> str:
        self._monitor.fault('load', reason)
        return f'Reload failed, the model before is kept: {reason}'
