# SPDX-License-Identifier: Apache-2.0
"""Run a student on a folder of image files and lay the results out on a contact sheet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from kd_perception.encodings import MAX_IMAGE_BYTES
from kd_perception.errors import BagError, ImageEncodingError, KdPerceptionError
from kd_perception.evaluation.report_images import SheetRow, contact_sheet, paint_panels
from kd_perception.evaluation.result import array_sha256, write_atomically
from kd_perception.frames import Frame, Image
from kd_perception.pipeline import Output, Pipeline, Result
from kd_perception.uncertainty import IGNORE_INDEX

SHEET_FILE, RESULT_FILE = 'contact_sheet.jpg', 'images.json'

_SUFFIXES = ('.png', '.tif', '.tiff', '.jpg', '.jpeg', '.bmp', '.pgm')
_ENCODINGS = {'uint8': 'mono8', 'uint16': 'mono16', 'float32': '32FC1'}
_COLOR_ENCODINGS = {1: 'mono8', 3: 'bgr8', 4: 'bgra8'}
_PANEL_PX = 300
_SHARES_SHOWN = 4  # as many as fit above the panels
_SHEET_FRAMES = 120  # a JPEG has at most 65535 rows


def evaluate_images(folder: Path, out: Path, pipeline: Pipeline, *, progress: bool = False) -> int:
    """Write a contact sheet (image, mask, uncertainty) and class shares of each file.

    Every file stands alone: the pipeline is reset before each. Subfolders are searched. More than
    120 files are laid out on several sheets.

    Args:
        folder: PNG, TIFF, JPEG, BMP or PGM files of 8, 16 or 32 bits and one channel; three equal
            channels are taken as one. For students of color images, files of 8 bits.
        out: Folder of the results; made if needed.
        pipeline: Runs on each image.
        progress: Show a progress bar on standard error.

    Returns:
        How many files were used; the others are named in ``images.json`` with the reason.

    Raises:
        BagError: There is no such folder or no image file in it, or the result cannot be written.
    """
    files = _image_files(folder)
    read = read_color_frame if pipeline.student.spec.input.modality == 'rgb' else read_frame
    for stale in out.glob(SHEET_FILE.replace('.', '*.')):
        stale.unlink()
    sheets, rows = 0, list[SheetRow]()
    entries: list[dict[str, Any]] = []
    for path in tqdm(files, unit='image', disable=not progress, leave=False):
        name = path.relative_to(folder).as_posix()
        try:
            frame = read(path)
            pipeline.reset()
            result = pipeline.step(frame, Output.PREDICTION | Output.AGC_IMAGE)
        except KdPerceptionError as error:
            entries.append({'file': name, 'error': str(error)})
            continue
        entries.append(_entry(name, frame, result, pipeline))
        rows.append(_row(entries[-1], result, pipeline))
        if len(rows) == _SHEET_FRAMES:  # written at once, so that memory does not grow
            sheets += 1
            _write_sheet(rows, out, sheets, pipeline)
            rows.clear()
    if rows:
        _write_sheet(rows, out, sheets + 1, pipeline)
    document = {'student': pipeline.student.spec.name, 'images': entries}
    write_atomically(out / RESULT_FILE, json.dumps(document, indent=1) + '\n')
    return sum('error' not in entry for entry in entries)


def _write_sheet(rows: list[SheetRow], out: Path, number: int, pipeline: Pipeline) -> None:
    name = SHEET_FILE if number == 1 else SHEET_FILE.replace('.', f'_{number}.')
    contact_sheet(rows, out / name, pipeline.student)


def read_frame(path: Path) -> Frame:
    """Read a thermal image file with all its bits.

    Raises:
        ImageEncodingError: It is damaged, too large, in color, or of a type that cameras lack.
    """
    image = _read(path)
    if image.ndim == 3 and image.shape[2] >= 3 and _is_gray(image):
        image = image[:, :, 0]
    encoding = _ENCODINGS.get(image.dtype.name, '')
    if image.ndim != 2 or not encoding:
        raise ImageEncodingError(
            f'A thermal image has one channel of 8, 16 or 32 bits; {path.name} has shape '
            f'{image.shape} and type {image.dtype}.'
        )
    return Frame(np.ascontiguousarray(image), encoding, 0)


def read_color_frame(path: Path) -> Frame:
    """Read an image file for a student of color images.

    Raises:
        ImageEncodingError: It is damaged, too large, or not of 8 bits.
    """
    image = _read(path)
    encoding = _COLOR_ENCODINGS.get(image.shape[2] if image.ndim == 3 else 1, '')
    if image.dtype != np.uint8 or not encoding:
        raise ImageEncodingError(
            f'A color image has 8 bits and 1, 3 or 4 channels; {path.name} has shape '
            f'{image.shape} and type {image.dtype}.'
        )
    return Frame(np.ascontiguousarray(image), encoding, 0)


def _read(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.nbytes > MAX_IMAGE_BYTES:
        raise ImageEncodingError(f'An image file of at most {MAX_IMAGE_BYTES} bytes: {path.name}.')
    return image


def _is_gray(image: np.ndarray[Any, Any]) -> bool:
    return bool((image[:, :, :1] == image[:, :, 1:3]).all())


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BagError(f'The folder of images must exist; {folder} does not.')
    files = sorted(p for p in folder.rglob('*') if p.suffix.lower() in _SUFFIXES and p.is_file())
    if not files:
        raise BagError(f'The folder must hold image files ({", ".join(_SUFFIXES)}): {folder}.')
    return files


def _entry(name: str, frame: Frame, result: Result, pipeline: Pipeline) -> dict[str, Any]:
    """Describe what the student said about a file."""
    pixels = np.bincount(result.mask.reshape(-1), minlength=256) / result.mask.size
    shares = {info.name: float(pixels[info.id]) for info in pipeline.student.spec.classes}
    return {
        'file': name,
        'size': list(frame.image.shape[:2]),
        'type': frame.image.dtype.name,
        'lowest': float(frame.image.min()),
        'highest': float(frame.image.max()),
        'agc_low': result.agc_low,
        'agc_high': result.agc_high,
        'class_shares': {key: round(value, 6) for key, value in shares.items()},
        'unpredicted_share': float(pixels[IGNORE_INDEX]),
        'mean_confidence': float(result.prediction.confidence.mean() / 255.0),
        'mean_uncertainty': float(np.nan_to_num(result.prediction.uncertainty).mean()),
        'mask_sha256': array_sha256(result.mask),
    }


def _row(entry: dict[str, Any], result: Result, pipeline: Pipeline) -> SheetRow:
    assert result.agc_image is not None
    panels = paint_panels(
        result.agc_image,
        None,
        result.mask,
        result.uncertainty,
        palette=pipeline.student.palette,
        width=_PANEL_PX,
    )
    shares = sorted(list(entry['class_shares'].items())[1:], key=lambda item: -item[1])
    found = [f'{name} {share:.1%}' for name, share in shares[:_SHARES_SHOWN] if share >= 0.001]
    span = f'{entry["lowest"]:.0f}-{entry["highest"]:.0f}'
    caption = f'{entry["file"]}  {span}  {", ".join(found) or "nothing found"}'
    return SheetRow(caption, (panels.gray, panels.mask, panels.uncertainty))
