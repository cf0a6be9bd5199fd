# SPDX-License-Identifier: Apache-2.0
"""One row of the picture of a student on real frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from kd_perception.evaluation.report_images import SheetRow, paint_panels
from kd_perception.frames import ByteImage
from kd_perception.pipeline import Result
from training.data.real_frames import RealFrame

_PANEL_PX = 300
_SHARES_SHOWN = 4
_LEAST_SHOWN = 0.001


def sheet_row(
    name: str, real: RealFrame, result: Result, report: Mapping[str, Any], palette: ByteImage
) -> SheetRow:
    """Image in gray, mask and uncertainty; then the label, or color where there is no label.

    Args:
        name: to be written above.
        real: the frame.
        result: with the image after gain control.
        report: of the frame: `scores` where it is labeled, `class_shares`, `mean_confidence`.
        palette: 256x3 uint8 RGB.
    """
    gray = result.agc_image
    assert gray is not None
    painted = paint_panels(
        gray, real.label, result.mask, result.uncertainty, palette=palette, width=_PANEL_PX
    )
    panels = [painted.gray, painted.mask, painted.uncertainty]
    if painted.label is not None:
        panels.append(painted.label)
    elif real.rgb is not None:
        size = (painted.gray.shape[1], painted.gray.shape[0])
        panels.append(np.asarray(cv2.resize(real.rgb, size, interpolation=cv2.INTER_AREA)))
    return SheetRow(f'{name}  {_caption(report)}', tuple(panels))


def _caption(report: Mapping[str, Any]) -> str:
    """Scores of a labeled frame, what was found in another one."""
    if 'scores' in report:
        iou = report['scores']['iou']
        known = [f'{n} {100 * v:.0f}' for n, v in iou.items() if v is not None]
        return f'IoU of {", ".join(known)}; label on the right'
    shares = sorted(report['class_shares'].items(), key=lambda item: -item[1])
    found = [f'{n} {v:.1%}' for n, v in shares if n != 'unlabeled' and v >= _LEAST_SHOWN]
    text = ', '.join(found[:_SHARES_SHOWN]) or 'nothing found'
    return f'{text}; confidence {report["mean_confidence"]:.2f}'
