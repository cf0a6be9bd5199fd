# SPDX-License-Identifier: Apache-2.0
"""Pictures of frames for people: masks over gray, uncertainty in colors, contact sheets."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from kd_perception.bundle import Student
from kd_perception.errors import BagError
from kd_perception.evaluation.evaluator import EvaluatedFrame
from kd_perception.evaluation.result import FrameRecord, write_atomically
from kd_perception.frames import ByteImage, Float32Image
from kd_perception.overlay import display_palette, overlay
from kd_perception.preprocessing import Agc, AgcConfig, gray_from_color

_NO_PREDICTION = (190, 190, 190)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHEET_COLUMNS = 2
_SHEET_GAP_PX = 6
_CAPTION_PX = 18
_LEGEND_PX = 130


class Panels(NamedTuple):
    """One frame as people see it, all HxWx3 uint8 RGB of one size.

    Attributes:
        gray: The camera image after gain control.
        label: Ground truth over gray; None where there is none.
        mask: Prediction over gray.
        uncertainty: Dark for sure, bright for unsure; gray without prediction.
    """

    gray: ByteImage
    label: ByteImage | None
    mask: ByteImage
    uncertainty: ByteImage


class Painter:
    """Makes panels of evaluated frames.

    Args:
        student: For its colors.
    """

    largest_is_worst = False

    def __init__(self, student: Student) -> None:
        self._palette = student.palette
        self._agc = Agc(AgcConfig())

    def paint(self, evaluated: EvaluatedFrame, width: int, *, with_label: bool = True) -> Panels:
        """Draw a frame, scaled to a width [px]; the height is even."""
        prediction = evaluated.prediction
        gray = prediction.gray if prediction.gray is not None else self._gray(evaluated)
        return paint_panels(
            gray,
            evaluated.label if with_label else None,
            prediction.mask,
            prediction.uncertainty,
            palette=self._palette,
            width=width,
        )

    def pictures(self, evaluated: EvaluatedFrame, width: int) -> Panels:
        """Draw a frame for the strip of the report."""
        return self.paint(evaluated, width)

    def figure(self, record: FrameRecord) -> float:
        """Return how good the mask is."""
        return record.miou

    def _gray(self, evaluated: EvaluatedFrame) -> ByteImage:
        """Make the gray image that a recording of masks does not bring."""
        frame = evaluated.frame
        image = frame.image if frame.image.ndim == 2 else gray_from_color(frame)
        return (self._agc(image, frame.stamp_ns).gray * 255).astype(np.uint8)


def paint_panels(
    gray: ByteImage,
    label: ByteImage | None,
    mask: ByteImage,
    uncertainty: Float32Image | None,
    *,
    palette: ByteImage,
    width: int,
) -> Panels:
    """Draw one frame.

    Args:
        gray: HxW uint8.
        label: Class ids of the mask's size, or None.
        mask: Class ids; may be of another size than ``gray``.
        uncertainty: 0 to 1 or NaN, of the mask's size, or None.
        palette: 256x3 uint8 RGB.
        width: Of each panel [px].
    """
    size = (width, _even(width * mask.shape[0] / mask.shape[1]))
    shrinks = size[0] < gray.shape[1]
    small = _resized(gray, size, cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return Panels(
        np.repeat(small[:, :, None], 3, axis=2),
        None if label is None else _over(small, label, palette),
        _over(small, mask, palette),
        color_from_uncertainty(uncertainty, size),
    )


def _over(gray: ByteImage, ids: ByteImage, palette: ByteImage) -> ByteImage:
    """Blend classes over darkened gray, with white outlines; 0 and 255 stay gray."""
    ids = _resized(ids, (gray.shape[1], gray.shape[0]), cv2.INTER_NEAREST)
    picture = overlay(gray, ids, palette)
    edges = np.zeros(ids.shape, bool)
    edges[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    edges[1:] |= ids[1:] != ids[:-1]
    picture[edges] = 255
    return picture


def color_from_uncertainty(uncertainty: Float32Image | None, size: tuple[int, int]) -> ByteImage:
    """Color uncertainty, black (0) over purple and orange to yellow (1); NaN is gray.

    Args:
        uncertainty: HxW, or None for nothing known.
        size: (width, height) of the result [px].
    """
    if uncertainty is None:
        return np.full((size[1], size[0], 3), _NO_PREDICTION, np.uint8)
    small = cv2.resize(uncertainty, size, interpolation=cv2.INTER_NEAREST)
    unknown = np.isnan(small)
    levels = (np.where(unknown, 0.0, small) * 255.0 + 0.5).astype(np.uint8)
    colored = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
    picture = _bytes(cv2.cvtColor(colored, cv2.COLOR_BGR2RGB))
    picture[unknown] = _NO_PREDICTION
    return picture


def jpeg_from_rgb(image: ByteImage, quality: int = 85) -> bytes:
    """Encode an RGB picture."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, 'OpenCV is built without JPEG'
    return data.tobytes()


def data_url(image: ByteImage, quality: int = 85) -> str:
    """Encode an RGB picture for use inside an HTML page."""
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg_from_rgb(image, quality)).decode()


@dataclass(frozen=True)
class SheetRow:
    """One frame of a contact sheet.

    Attributes:
        caption: File name and what else fits; plain ASCII.
        panels: Pictures of one size.
    """

    caption: str
    panels: tuple[ByteImage, ...]


def contact_sheet(rows: Sequence[SheetRow], path: Path, student: Student) -> None:
    """Write frames side by side as one JPEG, with the colors of the classes below.

    Args:
        rows: At least one; pictures of one row have one height.
        path: File to write.
        student: For the names and colors of the classes.

    Raises:
        BagError: It cannot be written.
    """
    if not rows:
        raise BagError('A contact sheet needs at least one frame.')
    blocks = [_sheet_block(row) for row in rows]
    width = max(block.shape[1] for block in blocks)
    lines = [
        _side_by_side(blocks[start : start + _SHEET_COLUMNS], width)
        for start in range(0, len(blocks), _SHEET_COLUMNS)
    ]
    lines.append(_legend(student, lines[0].shape[1]))
    write_atomically(path, jpeg_from_rgb(np.concatenate(lines), 88))


def _legend(student: Student, width: int) -> ByteImage:
    """Draw the classes; those that do not fit into the width go to further lines."""
    classes = student.spec.classes[1:]
    across = max(1, width // _LEGEND_PX)
    height = _CAPTION_PX * -(-len(classes) // across)
    picture = np.full((height, width, 3), 255, np.uint8)
    for place, info in enumerate(classes):
        left, top = _LEGEND_PX * (place % across), _CAPTION_PX * (place // across)
        color = display_palette(student.palette)[info.id]
        picture[top + 3 : top + 15, left + 2 : left + 14] = color
        spot = (left + 19, top + 13)
        cv2.putText(picture, info.name, spot, _FONT, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return picture


def _sheet_block(row: SheetRow) -> ByteImage:
    picture = np.concatenate(row.panels, axis=1)
    caption = np.full((_CAPTION_PX, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(caption, row.caption, (2, 13), _FONT, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return np.concatenate([caption, picture])


def _side_by_side(blocks: list[ByteImage], width: int) -> ByteImage:
    height = max(block.shape[0] for block in blocks) + _SHEET_GAP_PX
    line = np.full((height, _SHEET_COLUMNS * (width + _SHEET_GAP_PX), 3), 255, np.uint8)
    for column, block in enumerate(blocks):
        left = column * (width + _SHEET_GAP_PX)
        line[: block.shape[0], left : left + block.shape[1]] = block
    return line


def _resized(image: ByteImage, size: tuple[int, int], method: int) -> ByteImage:
    return _bytes(cv2.resize(image, size, interpolation=method))


def _bytes(image: Any) -> ByteImage:
    return np.ascontiguousarray(image, np.uint8)


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))
