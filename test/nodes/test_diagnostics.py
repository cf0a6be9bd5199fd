# SPDX-License-Identifier: Apache-2.0
"""What each entry of /diagnostics says, by the facts it is given."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

pytest.importorskip('diagnostic_msgs')

from kd_perception.nodes.camera_info import CalibrationState
from kd_perception.nodes.diagnostics import (
    ERROR,
    OK,
    WARN,
    NodeView,
    Rates,
    rates_between,
    statuses,
)
from kd_perception.nodes.mailbox import DropReason, FrameCounts
from kd_perception.nodes.monitor import (
    DepthState,
    Fault,
    FrameTimes,
    Monitor,
    MonitorView,
    Note,
    ThermalState,
)
from kd_perception.parameters.table import default_parameters

MODEL = {'model': 'tiny', 'backend': 'openvino', 'precision': 'bf16', 'device': 'cpu'}


def view(**changes: Any) -> NodeView:
    base = NodeView(
        name='/a/thermal_seg',
        state='active',
        enabled=True,
        parameters=default_parameters(),
        counts=FrameCounts(10, 7, 1, {DropReason.BUSY: 2}),
        rates=Rates(30.0, 30.0, 0.0),
        monitor=MonitorView(now_s=1000.0),
        topic='/a/image_raw',
        publishers='/cam (reliable)',
        silence_s=0.0,
        model=MODEL,
        calibration=CalibrationState(0, 'paired'),
    )
    return dataclasses.replace(base, **changes)


def monitored(**changes: Any) -> NodeView:
    return view(monitor=MonitorView(now_s=1000.0, **changes))


def entry(of: NodeView, name: str) -> Any:
    return next(s for s in statuses(of) if s.name == f'/a/thermal_seg: {name}')


def test_a_healthy_node_is_ok_everywhere() -> None:
    found = statuses(view())
    assert [s.name.split(': ')[1] for s in found] == [
        'input', 'latency', 'model', 'thermal', 'calibration', 'resources',
    ]  # fmt: skip
    assert {s.level for s in found} == {OK}


def test_the_account_is_in_the_values() -> None:
    values = {v.key: v.value for v in entry(view(), 'input').values}
    assert (values['received'], values['dropped'], values['dropped_busy']) == ('10', '2', '2')
    assert values['pending'] == '0'


@pytest.mark.parametrize(
    ('dropped', 'share'),
    [
        ({DropReason.NO_SUBSCRIBER: 30}, 0.0),
        ({DropReason.RATE: 25, DropReason.BUSY: 3}, 0.1),
        ({DropReason.DISABLED: 10, DropReason.FROZEN: 10, DropReason.STOPPED: 10}, 0.0),
        ({DropReason.BUSY: 6, DropReason.OVERFLOW: 6, DropReason.AGE: 6}, 0.6),
        ({DropReason.OVERFLOW: 90}, 1.0),
    ],
    ids=['lazy', 'rate', 'asked for', 'lost', 'backlog'],
)
def test_only_frames_that_were_wanted_count_as_lost(
    dropped: dict[DropReason, int], share: float
) -> None:
    before = FrameCounts(10, 9, 0, {DropReason.BUSY: 1})
    after = {**dropped, DropReason.BUSY: 1 + dropped.get(DropReason.BUSY, 0)}
    rates = rates_between(before, FrameCounts(40, 19, 0, after), 2.0)
    assert rates == Rates(15.0, 5.0, pytest.approx(share))
    level = WARN if share > 0.5 else OK
    assert entry(view(rates=rates), 'input').level == level


CASES = {
    'silent': ('input', ERROR, 'no image on /a/image_raw for 2.5 s', {'silence_s': 2.5}),
    'incompatible': ('input', ERROR, 'durability', {'incompatible': 'durability'}),
    'disabled': ('input', WARN, 'switched off', {'enabled': False}),
    'dropping': ('input', WARN, '60% of the frames', {'rates': Rates(30.0, 12.0, 0.6)}),
    'inactive': ('input', OK, 'inactive', {'state': 'inactive', 'silence_s': None}),
    'no model': ('model', OK, 'no model', {'model': {}, 'state': 'unconfigured'}),
    'calibration': ('calibration', ERROR, 'K', {'calibration': CalibrationState(2, 'K')}),
}


@pytest.mark.parametrize('name', CASES)
def test_facts_of_the_node_become_levels(name: str) -> None:
    which, level, text, changes = CASES[name]
    status = entry(view(**changes), which)
    assert (status.level, text in status.message) == (level, True), status.message


MONITORED = {
    'bad image': ('input', ERROR, 'short', {'faults': {'input': Fault('short', 1, 1, 998.0)}}),
    'bad image long ago': ('input', OK, '', {'faults': {'input': Fault('short', 1, 0, 900.0)}}),
    'zero stamp': ('input', WARN, 'no stamp', {'notes': {'zero_stamp': Note(3, 999.0)}}),
    'both': (
        'input', WARN, 'no stamp; stamps lie ahead',
        {'notes': {'zero_stamp': Note(1, 999.0), 'future_stamp': Note(1, 999.0)}},
    ),
    'slow': ('latency', WARN, 'p99 60.0', {'latencies_ms': (60.0,) * 10}),
    'one slow of many': ('latency', OK, 'p99', {'latencies_ms': (10.0,) * 299 + (60.0,)}),
    'slow for long': (
        'latency', ERROR, 'above the budget',
        {'latencies_ms': (60.0,) * 10, 'over_budget_s': 1.5},
    ),
    'load failed': ('model', ERROR, 'is kept: x', {'faults': {'load': Fault('x', 1, 1, 0.0)}}),
    'network fails': ('model', ERROR, 'nan', {'faults': {'model': Fault('nan', 9, 9, 0.0)}}),
    'one defect': ('model', WARN, 'Key', {'faults': {'internal': Fault('Key', 1, 1, 999.0)}}),
    'defects': ('model', ERROR, '3 unex', {'faults': {'internal': Fault('Key', 3, 3, 999.0)}}),
    'defect long ago': ('model', OK, 'tiny', {'faults': {'internal': Fault('Key', 3, 0, 0.0)}}),
    'frozen': ('thermal', WARN, '2.0 s', {'thermal': ThermalState(frozen=True, frozen_s=2.0)}),
    'frozen long': ('thermal', ERROR, '6', {'thermal': ThermalState(frozen=True, frozen_s=6.0)}),
    'saturated': ('thermal', WARN, '6%', {'thermal': ThermalState(saturated_share=0.06)}),
    'celsius': ('thermal', OK, '-5.0 to 31.5 deg C',
                {'thermal': ThermalState(low_c=-5.0, high_c=31.5)}),
}  # fmt: skip


@pytest.mark.parametrize('name', MONITORED)
def test_what_the_monitor_saw_becomes_levels(name: str) -> None:
    which, level, text, changes = MONITORED[name]
    status = entry(monitored(**changes), which)
    assert (status.level, text in status.message) == (level, True), status.message


COLOR = {
    'white sky': (OK, 'bgr8', ThermalState('bgr8', saturated_share=0.4)),
    'frozen': (WARN, '2.0 s', ThermalState('bgr8', frozen=True, frozen_s=2.0)),
    'frozen long': (ERROR, '6.0 s', ThermalState('bgr8', frozen=True, frozen_s=6.0)),
    'nothing': (OK, 'no frame lately', None),
}
DEPTH = {
    'whole': (OK, '93% of the pixels', DepthState(valid_ratio=0.93)),
    'holes': (WARN, 'only 4% of the pixels', DepthState(valid_ratio=0.04)),
    'not asked': (OK, '0% of the pixels', DepthState(is_answered=False)),
    'other sigma': (
        WARN,
        'not calibrated for tta_flip',
        DepthState(valid_ratio=1.0, uncertainty_method='tta_flip', is_calibrated=False),
    ),
    'frozen': (WARN, '2.0 s', DepthState(frozen=True, frozen_s=2.0)),
    'frozen long': (ERROR, '6.0 s', DepthState(frozen=True, frozen_s=6.0)),
    'nothing': (OK, 'no frame lately', None),
}


@pytest.mark.parametrize(
    ('scene', 'key', 'case'),
    [('color', 'thermal', case) for case in COLOR.values()]
    + [('depth', 'depth', case) for case in DEPTH.values()],
)
def test_a_color_or_depth_node_has_an_entry_of_its_own(scene: str, key: str, case: Any) -> None:
    level, text, seen = case
    node = dataclasses.replace(monitored(**{key: seen}), scene=scene)
    assert not any(s.name.endswith(': thermal') for s in statuses(node))
    status = entry(node, scene)
    assert (status.level, text in status.message) == (level, True), status.message
    idle = dataclasses.replace(node, state='inactive')
    assert entry(idle, scene).message == 'the node is inactive'


def times(latency_ms: float | None) -> FrameTimes:
    return FrameTimes(latency_ms, latency_ms, 1.0, 1.0, 1.0, 5.0, 2.0, 1.0)


class Watch:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_monitor_measures_the_time_above_the_budget_without_a_break() -> None:
    watch = Watch()
    monitor = Monitor(watch)
    monitor.published(times(80.0), 50.0)
    watch.now_s += 1.5
    monitor.published(times(80.0), 50.0)
    assert monitor.view().over_budget_s == 1.5
    monitor.published(times(20.0), 50.0)
    assert monitor.view().over_budget_s == 0.0
    monitor.published(times(None), 50.0)
    assert monitor.view().latencies_ms == (80.0, 80.0, 20.0)


def test_silence_after_a_late_frame_is_not_lateness() -> None:
    watch = Watch()
    monitor = Monitor(watch)
    monitor.published(times(80.0), 50.0)
    watch.now_s += 8.0
    assert monitor.view().over_budget_s == 0.0
    assert entry(view(monitor=monitor.view()), 'latency').level == WARN
    watch.now_s += 8.0
    status = entry(view(monitor=monitor.view()), 'latency')
    assert (status.level, status.message) == (OK, 'no frame lately')
    monitor.published(times(80.0), 50.0)
    assert monitor.view().over_budget_s == 0.0, 'two late frames with silence between'


def test_what_a_frame_looked_like_is_forgotten_after_a_while() -> None:
    watch = Watch()
    monitor = Monitor(watch)
    monitor.look(ThermalState(frozen=True, frozen_s=6.0))
    assert entry(view(monitor=monitor.view()), 'thermal').level == ERROR
    watch.now_s += 11.0
    assert entry(view(monitor=monitor.view()), 'thermal').message == 'no frame lately'


def test_activation_starts_with_no_frames() -> None:
    monitor = Monitor()
    monitor.look(ThermalState(frozen=True))
    monitor.published(times(80.0), 50.0)
    monitor.start_waiting()
    assert (monitor.view().latencies_ms, monitor.view().thermal) == ((), None)


@pytest.mark.parametrize('name', ['latency', 'thermal', 'calibration'])
def test_a_node_that_is_not_active_has_no_trouble_with_frames(name: str) -> None:
    seen = MonitorView(
        1000.0, (900.0,), over_budget_s=9.0, thermal=ThermalState(frozen=True, frozen_s=9.0)
    )
    before = {'monitor': seen, 'calibration': CalibrationState(2, 'K')}
    assert entry(view(**before), name).level == ERROR
    status = entry(view(**before, state='inactive'), name)
    assert (status.level, status.message) == (OK, 'the node is inactive')


def test_monitor_ends_a_row_of_faults_with_the_next_answer() -> None:
    monitor = Monitor()
    for _ in range(3):
        monitor.fault('internal', 'boom')
    assert monitor.view().faults['internal'].in_a_row == 3
    monitor.published(times(1.0), 50.0)
    assert monitor.view().faults['internal'].in_a_row == 0
    assert monitor.view().faults['internal'].count == 3
