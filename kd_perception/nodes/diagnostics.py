# SPDX-License-Identifier: Apache-2.0
"""The node's entries on /diagnostics: what is known, judged as OK, WARN or ERROR.

Each entry is a function from a `NodeView`, a picture of one moment, to a status; the node only
collects the view and publishes.
"""

from __future__ import annotations

import os
import threading

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from kd_perception.nodes.depth_diagnostics import judge_depth
from kd_perception.nodes.messages import diagnostic_status
from kd_perception.nodes.monitor import NoteKind
from kd_perception.nodes.node_view import (
    ERROR,
    HOLD_S,
    OK,
    WARN,
    Judgment,
    NodeView,
    Rates,
    frozen_judgment,
    nothing_lately,
    rates_between,
)

__all__ = [
    'ERROR',
    'OK',
    'WARN',
    'NodeView',
    'Rates',
    'rates_between',
    'resources',
    'silence_text',
    'statuses',
]

_SATURATED_SHARE = 0.05
_DEFECTS = 3  # unexpected errors in a row that are no accident


def statuses(view: NodeView) -> list[DiagnosticStatus]:
    """Return all entries of the node."""
    entries = {
        'input': _judge_input(view),
        'latency': _judge_latency(view),
        'model': _judge_model(view),
        view.scene: _SCENES[view.scene](view),
        'calibration': _judge_calibration(view),
        'resources': (OK, '', resources()),
    }
    return [
        diagnostic_status(f'{view.name}: {entry}', level, text, values)
        for entry, (level, text, values) in entries.items()
    ]


def _judge_input(view: NodeView) -> Judgment:
    values: dict[str, object] = {
        'topic': view.topic,
        'publishers': view.publishers,
        'outputs_listened_to': ' '.join(sorted(view.listeners)),
        'received_hz': view.rates.received_hz,
        'published_hz': view.rates.published_hz,
        'received': view.counts.received,
        'published': view.counts.published,
        'dropped': view.counts.dropped,
        'failed': view.counts.failed,
        'pending': view.counts.pending,
    }
    values |= {
        f'dropped_{reason.value}': count for reason, count in view.counts.dropped_by_reason.items()
    }
    values |= {f'{kind}s': note.count for kind, note in view.monitor.notes.items()}
    fault = view.monitor.faults.get('input')
    values['last_fault'] = fault.text if fault else ''
    level, text = _input_level(view)
    return level, text, values


def _input_level(view: NodeView) -> tuple[bytes, str]:
    if view.state != 'active':
        return OK, f'the node is {view.state}'
    if view.incompatible:
        return ERROR, view.incompatible
    if view.silence_s is not None and view.silence_s > float(view.parameters['input_timeout_s']):
        return ERROR, silence_text(view.topic, view.silence_s, view.publishers)
    fault = view.monitor.faults.get('input')
    if fault is not None and view.monitor.now_s - fault.seen_s < HOLD_S:
        return ERROR, f'unusable image: {fault.text}'
    warnings = [text for kind, text in _INPUT_WARNINGS.items() if view.recent(kind)]
    if not view.enabled:
        warnings.insert(0, 'switched off by ~/enable')
    if view.rates.lost_share > 0.5:
        warnings.append(f'{view.rates.lost_share:.0%} of the frames are dropped')
    if warnings:
        return WARN, '; '.join(warnings)
    return OK, f'{view.rates.received_hz:.1f} images per second'


_INPUT_WARNINGS: dict[NoteKind, str] = {
    'zero_stamp': 'images have no stamp',
    'future_stamp': 'stamps lie ahead of the ROS clock',
    'too_old': 'images are older than max_age_ms',
    'color_input': 'color images, not thermal ones',
}


def silence_text(topic: str, silence_s: float, publishers: str) -> str:
    """Say that nothing comes in, and who could send."""
    return f'no image on {topic} for {silence_s:.1f} s; publishers seen: {publishers}'


def _judge_latency(view: NodeView) -> Judgment:
    latencies_ms = view.monitor.latencies_ms
    budget_ms = float(view.parameters['latency_budget_ms'])
    values: dict[str, object] = {'budget_ms': budget_ms}
    values |= {f'{stage}_p50': value for stage, value in view.monitor.stage_median_ms.items()}
    if view.state != 'active' or not latencies_ms:
        return OK, nothing_lately(view), values
    p50, p90, p99 = (float(v) for v in np.percentile(latencies_ms, (50, 90, 99)))
    values |= {'p50_ms': p50, 'p90_ms': p90, 'p99_ms': p99, 'max_ms': max(latencies_ms)}
    text = f'p50 {p50:.1f} ms, p99 {p99:.1f} ms'
    if view.monitor.over_budget_s * 1e3 > float(view.parameters['latency_error_after_ms']):
        over_s = view.monitor.over_budget_s
        return ERROR, f'above the budget of {budget_ms:g} ms for {over_s:.1f} s', values
    return (WARN if p99 > budget_ms else OK), text, values


def _judge_model(view: NodeView) -> Judgment:
    faults = view.monitor.faults
    defect, fault, load = faults.get('internal'), faults.get('model'), faults.get('load')
    values = {**view.model, 'unexpected_errors': defect.count if defect else 0}
    if load is not None:
        kept = 'the model before is kept' if view.model else 'there is no model'
        return ERROR, f'load failed, {kept}: {load.text}', values
    if fault is not None and (fault.in_a_row or view.monitor.now_s - fault.seen_s < HOLD_S):
        return ERROR, fault.text, values
    if defect is not None and defect.in_a_row >= _DEFECTS:
        return ERROR, f'{defect.in_a_row} unexpected errors in a row: {defect.text}', values
    if defect is not None and view.monitor.now_s - defect.seen_s < HOLD_S:
        return WARN, f'unexpected error: {defect.text}', values
    if not view.model:
        return OK, f'no model, the node is {view.state}', values
    return OK, '{model} on {backend} {precision}, {device}'.format(**view.model), values


def _judge_thermal(view: NodeView) -> Judgment:
    thermal = view.monitor.thermal
    if view.state != 'active' or thermal is None:
        return OK, nothing_lately(view), {}
    values: dict[str, object] = {
        'encoding': thermal.encoding,
        'agc_low': thermal.low,
        'agc_high': thermal.high,
        'frozen': thermal.frozen,
        'saturated_share': thermal.saturated_share,
    }
    text = f'{thermal.low:.0f} to {thermal.high:.0f} raw'
    if thermal.low_c is not None and thermal.high_c is not None:
        values |= {'low_c': thermal.low_c, 'high_c': thermal.high_c}
        text = f'{thermal.low_c:.1f} to {thermal.high_c:.1f} deg C'
    if thermal.frozen:
        return frozen_judgment(thermal.frozen_s, values)
    if thermal.saturated_share > _SATURATED_SHARE:
        return WARN, f'{thermal.saturated_share:.0%} of the pixels are saturated', values
    return OK, text, values


def _judge_color(view: NodeView) -> Judgment:
    """Judge what a color camera shows; a white sky is no fault of it."""
    seen = view.monitor.thermal
    if view.state != 'active' or seen is None:
        return OK, nothing_lately(view), {}
    values: dict[str, object] = {
        'encoding': seen.encoding,
        'frozen': seen.frozen,
        'saturated_share': seen.saturated_share,
    }
    return frozen_judgment(seen.frozen_s, values) if seen.frozen else (OK, seen.encoding, values)


_SCENES = {'thermal': _judge_thermal, 'color': _judge_color, 'depth': judge_depth}


def _judge_calibration(view: NodeView) -> Judgment:
    if view.state != 'active':
        return OK, nothing_lately(view), {}
    return bytes([view.calibration.severity]), view.calibration.text, {}


def resources() -> dict[str, object]:
    """Return memory, threads and open files of this process."""
    with open('/proc/self/statm', encoding='ascii') as statm:
        resident_pages = int(statm.read().split()[1])
    return {
        'rss_mib': resident_pages * os.sysconf('SC_PAGE_SIZE') / 2**20,
        'python_threads': threading.active_count(),
        'open_files': len(os.listdir('/proc/self/fd')),
        'cpu_s': sum(os.times()[:2]),
    }
