# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from kd_perception.errors import ConfigError
from kd_perception.frames import Frame
from kd_perception.freeze import FreezeConfig, FreezeDetector


def frame(value: float, stamp_s: float, dtype: type = np.uint16) -> Frame:
    return Frame(np.full((4, 6), value, dtype), 'mono16', round(stamp_s * 1e9))


def run(values: list[float], config: FreezeConfig, dtype: type = np.uint16) -> list[bool]:
    detector = FreezeDetector()
    return [detector.is_frozen(frame(v, 0.1 * i, dtype), config) for i, v in enumerate(values)]


def test_the_third_repeat_is_frozen_and_settles() -> None:
    found = run([1, 2, 2, 2, 2, 3, 4, 5, 6, 7], FreezeConfig(settle_s=0.25))
    assert found == [False, False, False, True, True, True, True, True, False, False]


def test_no_settling_time() -> None:
    assert run([2, 2, 2, 3], FreezeConfig(settle_s=0.0)) == [False, False, True, False]


def test_frames_without_stamps_settle_at_once() -> None:
    detector, config = FreezeDetector(), FreezeConfig()
    found = [detector.is_frozen(frame(v, 0.0), config) for v in (1, 2, 2, 2, 3, 4, 5)]
    assert found == [False, False, False, True, True, False, False]


def test_two_equal_frames_are_enough_when_asked_for() -> None:
    assert run([1, 1, 2], FreezeConfig(freeze_frames=2, settle_s=0.0)) == [False, True, False]


def test_frozen_float_frames_may_hold_nan() -> None:
    assert run([np.nan] * 3, FreezeConfig(), np.float32) == [False, False, True]


def test_switched_off() -> None:
    assert run([1] * 5, FreezeConfig(source='none')) == [False] * 5


def test_a_change_of_size_is_no_freeze() -> None:
    detector = FreezeDetector()
    for side in (4, 5, 6, 7):
        image = np.zeros((side, side), np.uint8)
        assert not detector.is_frozen(Frame(image, 'mono8', 0), FreezeConfig())


def test_the_detector_keeps_its_own_copy() -> None:
    detector = FreezeDetector()
    image = np.zeros((4, 4), np.uint16)
    found = []
    for value in range(5):
        image[:] = value  # the buffer of a driver that reuses its memory
        found.append(detector.is_frozen(Frame(image, 'mono16', value), FreezeConfig()))
    assert not any(found)


def test_thawed_is_told_once_and_a_jump_back_ends_settling() -> None:
    detector, config = FreezeDetector(), FreezeConfig(settle_s=5.0)
    thawed = []
    for index, value in enumerate([1, 1, 1, 2, 3]):
        detector.is_frozen(frame(value, 10 + index), config)
        thawed.append(detector.thawed)
    assert thawed == [False, False, False, True, False]
    assert not detector.is_frozen(frame(9, 1.0), config)


@pytest.mark.parametrize(
    'values',
    [{'source': 'topic'}, {'policy': 'drop'}, {'freeze_frames': 1}, {'settle_s': 11.0}],
)
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        FreezeConfig(**values)  # type: ignore[arg-type]
