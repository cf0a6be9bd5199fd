# SPDX-License-Identifier: Apache-2.0
"""What the handler does with one frame: what is computed, published and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic_ns
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('image_messages', reason='needs rclpy')
from image_messages import image, ramp

from kd_perception.nodes.admission import Admission
from kd_perception.nodes.camera_info import CameraInfoPairing
from kd_perception.nodes.mailbox import Arrival, DropReason, FrameAccount
from kd_perception.nodes.mask_handler import MaskHandler
from kd_perception.nodes.model_slot import ModelSlot, load_engine
from kd_perception.nodes.monitor import Monitor
from kd_perception.parameters.table import default_parameters

SECOND_NS = 10**9


class Topics:
    """Stands in for the outputs; keeps what was published."""

    def __init__(self, *listeners: str) -> None:
        self.listeners = frozenset(listeners)
        self.published: list[str] = []

    def subscribed(self) -> frozenset[str]:
        return self.listeners

    def publish_images(self, names: frozenset[str], *_: Any) -> None:
        self.published += sorted(names)

    def publish(self, name: str, message: Any) -> None:
        self.published.append(name)


class Bench:
    """A handler with a real model, without a node."""

    def __init__(self, folder: Path, listeners: tuple[str, ...], **changes: Any) -> None:
        values = {**default_parameters(), 'model.path': str(folder), 'warmup_iterations': 1}
        values |= {name.replace('__', '.'): value for name, value in changes.items()}
        parameters: Any = SimpleNamespace(values=values, number=values.get, flag=values.get)
        self.monitor, self.topics, self.slot = Monitor(), Topics(*listeners), ModelSlot()
        self.slot.install(load_engine(values))
        admission = Admission(parameters, self.monitor, lambda: 20 * SECOND_NS, None)
        topics: Any = self.topics
        pairing, account = CameraInfoPairing('off'), FrameAccount()
        self._handler = MaskHandler(
            'node', parameters, self.slot, topics, pairing, admission, account, self.monitor
        )

    def handle(self, pixels: np.ndarray, stamp_s: float) -> DropReason | None:
        message = image(pixels, round(stamp_s * SECOND_NS))
        return self._handler.handle(Arrival(message, monotonic_ns(), len(message.data)))


@pytest.fixture
def bench(tiny_student_folder: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*listeners: str, **changes: Any) -> Bench:
        made.append(Bench(tiny_student_folder, listeners, **changes))
        return made[-1]

    yield make
    for one in made:
        one.slot.clear()


def test_a_frozen_camera_is_told_although_its_frames_are_held(bench: Callable[..., Bench]) -> None:
    camera, still = bench('mask', ffc__policy='hold'), ramp()
    ends = [camera.handle(still, stamp_s) for stamp_s in (1.0, 1.1, 1.2, 7.5)]
    assert ends == [None, None, DropReason.FROZEN, DropReason.FROZEN]
    thermal = camera.monitor.view().thermal
    assert thermal is not None
    assert thermal.frozen
    assert thermal.frozen_s == pytest.approx(6.3)


@pytest.mark.parametrize('listener', ['', 'image_agc', 'mask'])
def test_without_lazy_every_frame_is_inferred(bench: Callable[..., Bench], listener: str) -> None:
    listeners = {listener} - {''}
    node = bench(*listeners, lazy=False)
    assert node.handle(ramp(), 1.0) is None
    assert set(node.topics.published) == listeners | {'mask'}
    assert node.monitor.view().stage_median_ms['infer_ms'] > 0


def test_lazy_infers_only_for_those_who_need_it(bench: Callable[..., Bench]) -> None:
    node = bench('image_agc')
    assert node.handle(ramp(), 1.0) is None
    assert node.topics.published == ['image_agc']
    assert node.monitor.view().stage_median_ms['infer_ms'] == 0
    assert bench().handle(ramp(), 1.0) == DropReason.NO_SUBSCRIBER
