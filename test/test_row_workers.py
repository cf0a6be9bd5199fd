# SPDX-License-Identifier: Apache-2.0
"""Rows are shared without gaps, and failures of any part reach the caller."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.row_workers import RowWorkers


@given(rows=st.integers(0, 50), threads=st.integers(1, 9))
def test_every_row_belongs_to_one_part(rows, threads):
    seen = []
    RowWorkers(threads).run(rows, lambda part: seen.extend(range(rows)[part]))
    assert sorted(seen) == list(range(rows))


def test_parts_run_at_the_same_time():
    meeting = threading.Barrier(3, timeout=10)
    RowWorkers(3).run(30, lambda part: meeting.wait())


@pytest.mark.parametrize('failing', [0, 10, 20])
def test_failures_reach_the_caller_when_all_have_ended(failing):
    ended = []

    def work(part):
        if part.start == failing:
            raise ValueError(failing)
        ended.append(part.start)

    with pytest.raises(ValueError, match=str(failing)):
        RowWorkers(3).run(30, work)
    assert sorted([*ended, failing]) == [0, 10, 20]
