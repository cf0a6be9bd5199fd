# SPDX-License-Identifier: Apache-2.0
"""The report of a segmentation: figures, charts, pictures on one page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from kd_perception.evaluation.frame_strip import FrameStrip
from kd_perception.evaluation.predictions import Prediction
from kd_perception.evaluation.report_charts import reliability_chart, sparsification_chart
from kd_perception.evaluation.report_page import (
    NO_FILM,
    Card,
    Film,
    common_cards,
    drive_charts,
    percent,
    write_page,
)
from kd_perception.evaluation.result import Evaluation, FrameRecord, Scores
from kd_perception.overlay import display_palette

_COLUMNS = {0: 'camera', 1: 'ground truth', 2: 'mask', 3: 'uncertainty'}
_SUBJECTS = {'thermal': 'Thermal segmentation', 'rgb': 'Color segmentation'}


def write_report(
    evaluation: Evaluation,
    strip: FrameStrip[FrameRecord, Prediction],
    path: Path,
    film: Film = NO_FILM,
) -> None:
    """Write the report.

    Args:
        evaluation: Figures.
        strip: Pictures.
        path: HTML file to write.
        film: A video beside the report.

    Raises:
        BagError: The file cannot be written.
    """
    scores = evaluation.scores
    columns = {k: name for k, name in _COLUMNS.items() if scores is not None or k != 1}
    write_page(
        'report.html.j2',
        evaluation,
        strip,
        path,
        film,
        subject=_SUBJECTS[evaluation.student['modality']],
        cards=_cards(evaluation),
        columns=columns,
        figure_name='mIoU',
        classes=_class_rows(evaluation),
        confusion=_confusion_rows(scores),
        charts=_charts(evaluation),
    )


def _cards(evaluation: Evaluation) -> list[Card]:
    """Return the headline figures: name, figure, explanation."""
    scores = evaluation.scores
    cards: list[Card] = []
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
    return [*cards, *common_cards(evaluation.counts, evaluation.latency)]


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
    mious = [record.miou for record in evaluation.frames]
    return charts | drive_charts(evaluation, mious, 'mIoU of the frame', 1.0)
