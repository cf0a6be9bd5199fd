# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip('rclpy')

from kd_perception.nodes.admission import RateLimit

SECOND_NS = 10**9


def admitted(stamps_ns: list[int], rate_hz: float) -> list[int]:
    limit = RateLimit()
    return [stamp for stamp in stamps_ns if limit.admits(stamp, rate_hz)]


def test_zero_is_no_limit() -> None:
    stamps = [5, 5, 4, 3, 10**12]
    assert admitted(stamps, 0.0) == stamps


RATES = [(30, 10, 10), (30, 15, 15), (30, 30, 30), (30, 60, 30), (30, 20, 20), (9, 5, 5)]


@pytest.mark.parametrize(('camera_hz', 'limit_hz', 'expected'), RATES)
def test_long_streams_keep_the_wanted_rate(camera_hz: int, limit_hz: int, expected: int) -> None:
    stamps = [SECOND_NS + i * SECOND_NS // camera_hz for i in range(camera_hz * 20)]
    assert len(admitted(stamps, limit_hz)) == pytest.approx(expected * 20, rel=0.05)


def test_jitter_of_a_twentieth_does_not_halve_the_rate() -> None:
    period = SECOND_NS // 30
    stamps = [SECOND_NS + i * period + (-1) ** i * period // 20 for i in range(300)]
    assert len(admitted(stamps, 30.0)) > 290


def test_a_jump_back_starts_anew() -> None:
    limit = RateLimit()
    assert limit.admits(100 * SECOND_NS, 1.0)
    assert not limit.admits(100 * SECOND_NS + 1, 1.0)
    assert limit.admits(3 * SECOND_NS, 1.0)
    assert limit.admits(4 * SECOND_NS, 1.0)


@given(
    st.lists(st.integers(1, SECOND_NS), min_size=20, max_size=300),
    st.floats(0.5, 100.0),
)
def test_never_more_than_the_rate_over_any_longer_time(steps: list[int], rate_hz: float) -> None:
    stamps = [sum(steps[: i + 1]) for i in range(len(steps))]
    passed = admitted(stamps, rate_hz)
    elapsed_s = (passed[-1] - passed[0]) / SECOND_NS
    assert len(passed) - 1 <= (elapsed_s * rate_hz + 0.2) * 1.0001 + 1
