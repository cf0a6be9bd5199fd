# SPDX-License-Identifier: Apache-2.0
"""Publishes /diagnostics once per second from what the node's parts know."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile

from kd_perception.nodes.camera_info import CalibrationState
from kd_perception.nodes.diagnostics import NodeView, Rates, rates_between, statuses
from kd_perception.nodes.mailbox import FrameCounts
from kd_perception.nodes.model_slot import Engine


class DiagnosticsReporter:
    """Collects a `NodeView` and publishes its entries.

    Args:
        node: A PerceptionNode.
    """

    period_s = 1.0

    def __init__(self, node: Any) -> None:
        self._node = node
        self._publisher = node.create_publisher(
            DiagnosticArray, '/diagnostics', QoSProfile(depth=10)
        )
        self._counts = FrameCounts()
        self._time_s = monotonic()

    def publish(self) -> None:
        """Publish all entries, if ``diagnostics.enable``."""
        view = self._view()
        if not self._node.parameters.flag('diagnostics.enable'):
            return
        message = DiagnosticArray(status=statuses(view))
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _view(self) -> NodeView:
        node = self._node
        counts = node.account.counts()
        stream, pairing = node.stream, node.pairing
        return NodeView(
            name=node.get_fully_qualified_name(),
            state=node.state,
            enabled=node.admission.enabled,
            parameters=node.parameters.values,
            counts=counts,
            rates=self._rates(counts),
            monitor=node.monitor.view(),
            topic='' if stream is None else stream.input.topic,
            publishers='' if stream is None else stream.input.publishers_seen(),
            listeners=frozenset() if node.outputs is None else node.outputs.subscribed(),
            incompatible='' if stream is None else stream.input.incompatible,
            silence_s=None if stream is None else stream.silence_s,
            model=model_facts(node.slot.engine),
            calibration=CalibrationState(0, '') if pairing is None else pairing.state,
            scene=node.scene,
        )

    def _rates(self, counts: FrameCounts) -> Rates:
        now_s = monotonic()
        elapsed_s = max(now_s - self._time_s, 1e-3)
        before, self._counts, self._time_s = self._counts, counts, now_s
        return rates_between(before, counts, elapsed_s)


def model_facts(engine: Engine | None) -> Mapping[str, object]:
    """Return what runs, and on what; empty without a model."""
    if engine is None:
        return {}
    student, backend = engine.student, engine.backend
    height, width = student.spec.image_size
    second = {} if student.second is None else {'second_model': student.second.spec.name}
    return {
        'model': student.spec.name,
        **second,
        'sha256': student.sha256,
        'backend': backend.name,
        'precision': backend.precision,
        'device': backend.device,
        'threads': backend.threads,
        'input_size': f'{width}x{height}',
        'task': student.spec.task,
        'classes': len(student.spec.classes),
        'folder': student.folder,
    }
