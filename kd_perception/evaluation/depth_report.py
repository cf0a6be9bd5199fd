# SPDX-License-Identifier: Apache-2.0
"""The report of depth: errors, sigma, confidence, pictures on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kd_perception.evaluation.depth_pictures import WORST_SHARE, DepthPainter
from kd_perception.evaluation.depth_predictions import PredictedDepth
from kd_perception.evaluation.depth_result import DepthEvaluation, DepthFrameRecord
from kd_perception.evaluation.frame_strip import FrameStrip
from kd_perception.evaluation.report_charts import (
    nice_end,
    reliability_chart,
    sigma_chart,
    sparsification_chart,
)
from kd_perception.evaluation.report_page import (
    NO_FILM,
    Card,
    Film,
    common_cards,
    drive_charts,
    percent,
    write_page,
)
from kd_perception.metrics import WITHIN_SIGMA

_COLUMNS = {0: 'camera', 1: 'true depth', 2: 'depth', 3: 'error', 4: 'sigma'}


def write_depth_report(
    evaluation: DepthEvaluation,
    strip: FrameStrip[DepthFrameRecord, PredictedDepth],
    painter: DepthPainter,
    path: Path,
    film: Film = NO_FILM,
) -> None:
    """Write the report.

    Args:
        evaluation: Figures.
        strip: Pictures.
        painter: What drew them, for the meaning of its colors.
        path: HTML file to write.
        film: A video beside the report.

    Raises:
        BagError: The file cannot be written.
    """
    shown = {place for row in strip.rows() for place, url in enumerate(row.pictures) if url}
    write_page(
        'depth_report.html.j2',
        evaluation,
        strip,
        path,
        film,
        subject='Depth',
        cards=_cards(evaluation),
        columns={place: name for place, name in _COLUMNS.items() if place in shown},
        figure_name='relative error',
        ends_m=painter.ends_m,
        worst_share=WORST_SHARE,
        within_sigma=WITHIN_SIGMA,
        charts=_charts(evaluation),
    )


def _cards(evaluation: DepthEvaluation) -> list[Card]:
    """Return the headline figures: name, figure, explanation."""
    scores = evaluation.scores
    cards: list[Card] = []
    if scores is not None:
        errors = scores.errors
        cards = [
            ('relative error', percent(errors.abs_rel), 'abs_rel, mean over frames'),
            ('within 25 %', percent(errors.delta1), 'delta1, of the pixels'),
            ('RMSE', f'{errors.rmse:.2f} m', 'mean over frames'),
        ]
        if scores.calibration is not None:
            inside = percent(scores.calibration.coverage_68)
            cards.append(('68 % interval', inside, 'of the errors are inside'))
    return [*cards, *common_cards(evaluation.counts, evaluation.latency)]


def _charts(evaluation: DepthEvaluation) -> dict[str, Any]:
    charts: dict[str, Any] = {}
    scores = evaluation.scores
    if scores is not None:
        if scores.sparsification is not None:
            curves = scores.sparsification.abs_rel
            charts['sparsification'] = sparsification_chart(curves, 'relative error of the rest')
        if scores.calibration is not None:
            charts['sigma'] = sigma_chart(scores.calibration)
        if any(entry.pixels for entry in scores.reliability):
            charts['reliability'] = reliability_chart(
                scores.reliability, 'share of errors below 10 %'
            )
    errors = [record.abs_rel for record in evaluation.frames]
    end = nice_end(float(np.nanmax([*errors, 0.01])))
    return charts | drive_charts(evaluation, errors, 'relative error', end)
