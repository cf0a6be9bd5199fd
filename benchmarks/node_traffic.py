# SPDX-License-Identifier: Apache-2.0
"""The processes beside the node in `benchmarks.node_latency`: who sends, and who takes."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from kd_perception.middleware import prepare_middleware

NAMESPACE = '/bench'
SIZE = (480, 640)
STAGES = ('queue', 'convert', 'preprocess', 'infer', 'postprocess', 'publish')
START_LIMIT_S = 60.0
RECORDED = ('mask', 'confidence', 'uncertainty')


class Ears:
    """Takes the outputs and the diagnostics, and sums them up."""

    def __init__(self, node: Any, topics: tuple[str, ...]) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from sensor_msgs.msg import Image

        self._node = node
        self.latencies_ms: dict[int, float] = {}
        self.stages_ms: dict[int, dict[str, float]] = {}
        self.receipts_s: list[float] = []
        self.diagnostics: dict[str, Any] = {}
        for topic in topics:
            take = self._take_mask if topic == 'mask' else lambda message: None
            node.create_subscription(Image, f'{NAMESPACE}/thermal_seg/{topic}', take, 10)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._take_diagnostics, 10)
        if topics:
            status = f'{NAMESPACE}/thermal_seg/frame_status'
            node.create_subscription(DiagnosticArray, status, self._take_status, 10)

    def _take_mask(self, message: Any) -> None:
        now_ns = time.time_ns()
        stamp_ns = stamp_of(message)
        self.receipts_s.append(now_ns * 1e-9)
        self.latencies_ms[stamp_ns] = (now_ns - stamp_ns) * 1e-6

    def _take_status(self, message: Any) -> None:
        values = {v.key: v.value for v in message.status[0].values}
        self.stages_ms[stamp_of(message)] = {s: float(values[f'{s}_ms']) for s in STAGES}

    def _take_diagnostics(self, message: Any) -> None:
        for status in message.status:
            entry = status.name.split(': ')[1]
            self.diagnostics[entry] = {v.key: v.value for v in status.values}
            self.diagnostics[entry]['text'] = status.message

    @property
    def ready(self) -> bool:
        listened = self.diagnostics.get('input', {}).get('outputs_listened_to', '')
        return 'mask' in listened and self.diagnostics['input']['publishers'] != 'none'

    def report(self) -> dict[str, Any]:
        """Latency over all answers but the first ten, which meet cold caches.

        Transport is what is left of a frame's latency without the node's own stages. The stage
        `publish` is that of all outputs, also of those sent after the mask was on its way, so
        with several outputs transport comes out too small by their share.
        """
        if len(self.latencies_ms) <= 10 or 'input' not in self.diagnostics:
            sys.exit(f'Too few answers for a report: {len(self.latencies_ms)}, needed are 11.')
        values = list(self.latencies_ms.values())[10:]
        p50, p90, p99 = np.percentile(values, (50, 90, 99))
        frames = [(self.latencies_ms[s], self.stages_ms[s])
                  for s in list(self.latencies_ms)[10:] if s in self.stages_ms]  # fmt: skip
        stages = {s: float(np.median([stage[s] for _, stage in frames])) for s in STAGES}
        transport_ms = np.median([latency - sum(stage.values()) for latency, stage in frames])
        infer_share = np.median([stage['infer'] / latency for latency, stage in frames])
        counts = {n: int(self.diagnostics['input'][n])
                  for n in ('received', 'published', 'dropped', 'failed')}  # fmt: skip
        rate_hz = (len(self.receipts_s) - 1) / (self.receipts_s[-1] - self.receipts_s[0])
        return {
            **counts,
            'answers': len(self.latencies_ms),
            'answers_hz': round(rate_hz, 2),
            'latency_ms': {'p50': p50, 'p90': p90, 'p99': p99, 'max': max(values)},
            'node_stage_p50_ms': stages,
            'transport_p50_ms': round(float(transport_ms), 2),
            'share_not_network': round(1.0 - float(infer_share), 3),
            'model': self.diagnostics['model']['text'],
        }


def stamp_of(message: Any) -> int:
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def make_node(name: str) -> Any:
    """Make a node with room for images, as a camera driver of today would have."""
    import rclpy

    prepare_middleware()
    rclpy.init()
    return rclpy.create_node(name, namespace=NAMESPACE)


def record(arguments: argparse.Namespace) -> None:
    """Take all outputs until SIGINT, then write the report."""
    import rclpy

    node = make_node('recorder')
    ears = Ears(node, RECORDED)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        arguments.out.write_text(json.dumps(ears.report()))


def play(arguments: argparse.Namespace) -> None:
    """Publish frames at a rate, or so that a number of them is always on its way."""
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    node = make_node('player')
    reliability = (
        ReliabilityPolicy.BEST_EFFORT if arguments.best_effort else ReliabilityPolicy.RELIABLE
    )
    quality = QoSProfile(depth=5, reliability=reliability)
    publisher = node.create_publisher(Image, 'image_raw', quality)
    ears = Ears(node, ('mask',) if arguments.in_flight else ())
    start_limit_s = time.monotonic() + START_LIMIT_S
    while not ears.ready or publisher.get_subscription_count() == 0:
        if time.monotonic() > start_limit_s:
            sys.exit(f'No node listened and was heard within {START_LIMIT_S:g} s.')
        rclpy.spin_once(node, timeout_sec=0.1)
    frames = make_frames()
    sent, start_s = 0, time.monotonic()
    while time.monotonic() - start_s < arguments.seconds:
        message = frames[sent % len(frames)]
        now_ns = time.time_ns()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 10**9)
        publisher.publish(message)
        sent += 1
        if arguments.in_flight:
            wait_for_answers(node, ears, sent - arguments.in_flight + 1)
        else:
            time.sleep(max(0.0, start_s + sent / arguments.rate - time.monotonic()))
    settle_s = time.monotonic() + 2.5  # two diagnostics with the last frame in them
    while time.monotonic() < settle_s:
        rclpy.spin_once(node, timeout_sec=0.1)
    report = ears.report() if arguments.in_flight else {}
    arguments.out.write_text(json.dumps({**report, 'sent': sent}))


def wait_for_answers(node: Any, ears: Ears, number: int) -> None:
    """Wait for that many answers, but not longer than a lost frame deserves."""
    import rclpy

    deadline = time.monotonic() + 0.5
    while len(ears.latencies_ms) < number and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)


def make_frames() -> list[Any]:
    """Make 30 thermal frames with structure and noise, 0.01 K per count around 20 deg C."""
    from sensor_msgs.msg import Image

    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    frames = []
    for number in range(30):
        scene = 29300 + 400 * np.sin(columns / 80 + number / 10) + rows
        scene[200:330, 100 + 8 * number : 150 + 8 * number] += 900  # somebody walks by
        pixels = (scene + generator.normal(0, 8, SIZE)).astype('<u2')
        message = Image(height=SIZE[0], width=SIZE[1], encoding='mono16', step=2 * SIZE[1])
        message.data.frombytes(pixels.tobytes())
        message.header.frame_id = 'thermal_optical'
        frames.append(message)
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description='Started by benchmarks.node_latency.')
    parser.add_argument('role', choices=('player', 'recorder'))
    parser.add_argument('--seconds', type=float, required=True)
    parser.add_argument('--rate', type=float, required=True)
    parser.add_argument('--in-flight', type=int, required=True)
    parser.add_argument('--best-effort', action='store_true')
    parser.add_argument('--out', type=Path, required=True)
    arguments = parser.parse_args()
    play(arguments) if arguments.role == 'player' else record(arguments)


if __name__ == '__main__':
    main()
