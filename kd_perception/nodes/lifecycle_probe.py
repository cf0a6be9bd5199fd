# SPDX-License-Identifier: Apache-2.0
"""Asks a lifecycle node of another process for its state."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState

from kd_perception.nodes.session import node_session

_CALL_S = 2.0
_POLL_S = 0.1


def wait_until_active(
    node_name: str, *, timeout_s: float, keep_waiting: Callable[[], bool] = lambda: True
) -> bool:
    """Wait until a lifecycle node is active.

    Args:
        node_name: Fully qualified name.
        timeout_s: Longest wait.
        keep_waiting: Asked between the attempts; False ends the wait, as when the process died.

    Returns:
        Whether the node is active.
    """
    deadline_s = time.monotonic() + timeout_s
    with node_session('lifecycle_probe') as (node, executor):
        client = node.create_client(GetState, f'{node_name}/get_state')
        while time.monotonic() < deadline_s and keep_waiting():
            if _state(client, executor) == State.PRIMARY_STATE_ACTIVE:
                return True
            time.sleep(_POLL_S)
    return False


def _state(client: Any, executor: Any) -> int | None:
    if not client.service_is_ready():
        return None
    future = client.call_async(GetState.Request())
    executor.spin_until_future_complete(future, timeout_sec=_CALL_S)
    if not future.done():
        client.remove_pending_request(future)
        return None
    return int(future.result().current_state.id)
