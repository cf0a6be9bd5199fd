# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page of an evaluation: figures, charts, pictures; readable offline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from kd_perception.evaluation.frame_strip import FrameStrip
from kd_perception.evaluation.report_charts import (
    drive_chart,
    nice_end,
    reliability_chart,
    sparsification_chart,
)
from kd_perception.evaluation.result import Evaluation, Scores, write_atomically
from kd_perception.overlay import display_palette


def write_report(
    evaluation: Evaluation, strip: FrameStrip, path: Path, *, video: str = '', codec: str = ''
) -> None:
    """Write the report.

    Args:
        evaluation: Figures.
        strip: Pictures.
        path: HTML file to write.
        video: Name of a video beside the report; empty for none.
        codec: Its codec.

    Raises:
        BagError: The file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {'percent': percent, 'ms': milliseconds, 'count': count}
    page = environment.get_template('report.html.j2').render(
        e=evaluation,
        cards=_cards(evaluation),
        classes=_class_rows(evaluation),
        confusion=_confusion_rows(evaluation.scores),
        charts=_charts(evaluation),
        latency=[('total', evaluation.latency.total), *evaluation.latency.stages.items()],
        strip=strip.rows(),
        worst=strip.worst_index,
        synthetic=is_synthetic_trained(evaluation.student['provenance']),
        provenance=_provenance_rows(evaluation.student['provenance'], nested=False),
        details=_provenance_rows(evaluation.student['provenance'], nested=True),
        video=video,
        codec=codec,
    )
    write_atomically(path, page)


def is_synthetic_trained(provenance: dict[str, Any]) -> bool:
    """Tell whether the student's record says that it was trained on synthetic images alone."""
    return str(provenance.get('trained_on', '')).lower().startswith('synthetic')


def percent(share: float | None, digits: int = 1) -> str:
    """Format a share; a dash where it is not known."""
    return '–' if share is None or math.isnan(share) else f'{100 * share:.{digits}f} %'


def milliseconds(value: float) -> str:
    """Format a time [ms]; a dash where it is not known."""
    return '–' if math.isnan(value) else f'{value:.1f} ms'


def count(value: float | None) -> str:
    """Format a number of things; a dash where it is not known."""
    return '–' if value is None else f'{value:,}'.replace(',', '\u202f')


def _cards(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Return the headline figures: name, figure, explanation."""
    scores, counts, total = evaluation.scores, evaluation.counts, evaluation.latency.total
    cards = []
    if scores is not None:
        segmentation = scores.segmentation
        present = sum(not math.isnan(iou) for iou in segmentation.iou)
        classes = len(segmentation.iou)
        cards = [
            ('mIoU', percent(segmentation.miou_nanmean), f'over {present} classes that occur'),
            ('pixels correct', percent(segmentation.pixel_accuracy), 'of the labeled ones'),
            ('calibration error', percent(scores.ece), 'ECE of the confidence, 15 bins'),
        ]
        if present < classes:
            absent = f'all {classes} classes, absent as 0'
            cards.insert(1, ('mIoU', percent(segmentation.miou), absent))
    if total.frames:
        tail = f'p99 {milliseconds(total.p99_ms)}'
        cards.append(('latency p50', milliseconds(total.p50_ms), tail))
    share = counts.predicted / counts.frames if counts.frames else math.nan
    answered = f'{counts.predicted} of {counts.frames} frames'
    cards.append(('answered', percent(share), answered))
    return cards


def _class_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return one row per class: color and name, and figures where there is ground truth."""
    rows = []
    scores = evaluation.scores
    for index, info in enumerate(evaluation.student['classes']):
        color = display_palette(np.array(info['color'], np.uint8)).tolist()
        row: dict[str, Any] = {'name': info['name'], 'color': 'rgb({}, {}, {})'.format(*color)}
        if scores is not None:
            column = [line[index] for line in scores.confusion]
            row |= {
                'iou': scores.segmentation.iou[index],
                'accuracy': scores.segmentation.accuracy[index],
                'pixels': sum(scores.confusion[index]),
                'predicted': sum(column),
            }
        rows.append(row)
    return rows


def _confusion_rows(scores: Scores | None) -> list[list[float]]:
    """Return the confusion matrix with each row divided by its sum; NaN for empty rows."""
    if scores is None:
        return []
    matrix = np.array(scores.confusion, np.float64)
    with np.errstate(invalid='ignore'):
        shares: list[list[float]] = (matrix / matrix.sum(axis=1, keepdims=True)).tolist()
    return shares


def _charts(evaluation: Evaluation) -> dict[str, Any]:
    charts: dict[str, Any] = {}
    scores = evaluation.scores
    if scores is not None:
        if any(entry.pixels for entry in scores.reliability):
            charts['reliability'] = reliability_chart(scores.reliability)
        if scores.sparsification is not None:
            charts['sparsification'] = sparsification_chart(scores.sparsification)
    charts |= _drive_charts(evaluation)
    return charts


def _drive_charts(evaluation: Evaluation) -> dict[str, Any]:
    """Draw figures over time, where there are at least two frames in order of time."""
    stamps = np.array([record.stamp_ns for record in evaluation.frames])
    if stamps.size < 2 or (np.diff(stamps) <= 0).any():
        return {}
    seconds = ((stamps - stamps[0]) * 1e-9).tolist()
    charts = {}
    mious = [record.miou for record in evaluation.frames]
    if evaluation.scores is not None:
        charts['miou'] = drive_chart(seconds, mious, 'mIoU of the frame', 1.0)
    times = [record.latency_ms for record in evaluation.frames]
    if evaluation.latency.total.frames:
        end = nice_end(max(evaluation.latency.total.max_ms, 1.1))
        charts['latency'] = drive_chart(seconds, times, 'latency [ms]', end)
    return charts


def _provenance_rows(provenance: dict[str, Any], *, nested: bool) -> list[tuple[str, str]]:
    """Return (name, value) of the plain entries, or of all those inside nested mappings."""
    chosen = {k: v for k, v in provenance.items() if isinstance(v, dict) == nested}
    return [(name.replace('_', ' '), _text(value)) for name, value in _flat(chosen)]


def _flat(mapping: dict[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{key}: ')
        else:
            yield f'{prefix}{key}', value


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ', '.join(_text(item) for item in value)
    return f'{value:.4g}' if isinstance(value, float) else str(value)
