# SPDX-License-Identifier: Apache-2.0
"""Pace and stamps of a playback, with a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.bags.playback import PlayConfig, Restamper, Schedule
from kd_perception.bags.types import CAMERA_INFO_TYPE, IMAGE_TYPE, BagMessage, header_stamp_ns
from kd_perception.errors import ConfigError


class FakeClock:
    def __init__(self, now_ns: int = 5_000_000_000) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


def message(stamp_ns: int, message_type: str = IMAGE_TYPE) -> BagMessage:
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    stamp = seconds.to_bytes(4, 'little') + nanoseconds.to_bytes(4, 'little')
    return BagMessage('/t', message_type, 0, b'\0\1\0\0' + stamp + b'rest', lambda *_: None)


@given(
    gaps_ns=st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
    delays_ns=st.lists(st.integers(0, 10**8), min_size=30, max_size=30),
    rate=st.floats(0.1, 10),
)
def test_delays_of_single_messages_do_not_add_up(gaps_ns, delays_ns, rate):
    clock = FakeClock()
    schedule = Schedule(rate, clock)
    start_ns, log_time_ns = clock.now_ns, 1_700_000_000_000_000_000
    first_ns = log_time_ns
    for gap_ns, delay_ns in zip(gaps_ns, delays_ns, strict=False):
        due_ns = schedule.due_ns(log_time_ns)
        assert abs(due_ns - start_ns - (log_time_ns - first_ns) / rate) <= 1
        clock.now_ns = max(clock.now_ns, due_ns) + delay_ns
        log_time_ns += gap_ns


def test_bag_time_follows_the_clock_at_the_rate():
    clock = FakeClock()
    schedule = Schedule(2.0, clock)
    assert schedule.bag_time_ns() == 0
    schedule.due_ns(1_000)
    clock.now_ns += 500
    assert schedule.bag_time_ns() == 2_000


def test_the_next_round_starts_after_its_pause():
    clock = FakeClock()
    schedule = Schedule(2.0, clock)
    schedule.due_ns(1_000)
    clock.now_ns += 9_999
    schedule.restart(1_000, 400)
    assert schedule.due_ns(1_000) == clock.now_ns + 200
    assert schedule.due_ns(3_000) == clock.now_ns + 200 + 1_000


def test_equal_stamps_stay_equal_and_different_ones_differ():
    clock = FakeClock(7_000)
    restamper = Restamper(clock)
    image = header_stamp_ns(restamper.restamp(message(100)))
    clock.now_ns += 50
    info = header_stamp_ns(restamper.restamp(message(100, CAMERA_INFO_TYPE)))
    following = header_stamp_ns(restamper.restamp(message(200)))
    at_once = header_stamp_ns(restamper.restamp(message(300)))
    assert image == info == 7_000
    assert following == 7_050
    assert at_once == 7_051, 'another stamp although the clock did not move'
    restamper.forget()
    clock.now_ns += 50
    assert header_stamp_ns(restamper.restamp(message(100))) == 7_100


def test_only_headers_are_restamped():
    restamper = Restamper(FakeClock())
    text = message(100, 'std_msgs/msg/String')
    assert restamper.restamp(text) == text.data
    short = BagMessage('/t', IMAGE_TYPE, 0, b'\0\1\0\0\1', lambda *_: None)
    assert restamper.restamp(short) == short.data


@pytest.mark.parametrize(
    'wrong',
    [
        {'rate': 0.0},
        {'rate': float('nan')},
        {'clock_hz': -1.0},
        {'stamp': 'later'},
        {'stamp': 'now', 'clock_hz': 10.0},
        {'step': '/mask', 'loop': True},
        {'wait_subscribers': -1},
        {'start_delay_s': float('inf')},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ConfigError):
        PlayConfig(**wrong)
