# SPDX-License-Identifier: Apache-2.0
"""Arrays to image files, with the conventions of the data sets for depth and disparity."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError
from kd_perception.frames import ByteImage

Array = npt.NDArray[Any]

_TO_FILE_ORDER = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
_UINT16_MAX = 65535


def write_picture(path: Path, image: Array) -> None:
    """Write an image file; its folder is made if it is not there.

    Args:
        path: Ends in `.png`, or `.jpg` for 8 bits with loss (quality 95).
        image: HxW uint8 or uint16, or HxWx3 (RGB) or HxWx4 (RGBA) uint8.

    Raises:
        ShapeError: No such file holds such an array.
        OSError: The file cannot be written.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype.name not in ('uint8', 'uint16') or channels not in (1, 3, 4):
        raise ShapeError(
            f'a picture must be uint8 or uint16 with 1, 3 or 4 channels; received {image.dtype} '
            f'of shape {image.shape}'
        )
    if channels > 1:
        image = cv2.cvtColor(image, _TO_FILE_ORDER[channels])
    # Encoded here and written by Python, so that a full disk is an error and not a short file.
    _, data = cv2.imencode(path.suffix, image)
    _write(path, data.tobytes())


def write_palette_png(path: Path, label: ByteImage, palette: ByteImage) -> None:
    """Write a label as a PNG with a palette: programs read ids, viewers show colors.

    Args:
        path: Of the file; its folder is made if it is not there.
        label: HxW uint8.
        palette: Color of each id, uint8 [256, 3], RGB.

    Raises:
        ShapeError: Label or palette have another shape or type.
        OSError: The file cannot be written.
    """
    _write(path, palette_png(label, palette))


def palette_png(label: ByteImage, palette: ByteImage) -> bytes:
    """The file of a label as a PNG with a palette, a kind that OpenCV cannot write.

    Args:
        label: HxW uint8.
        palette: Color of each id, uint8 [256, 3], RGB.

    Raises:
        ShapeError: Label or palette have another shape or type.

    Reference:
        Portable Network Graphics (PNG) Specification, W3C, 2003, sections 5 and 11.
    """
    wrong = label.ndim != 2 or label.dtype != np.uint8
    if wrong or palette.shape != (256, 3) or palette.dtype != np.uint8:
        raise ShapeError(
            'a palette picture must be uint8 [h, w] with a palette uint8 [256, 3]; received '
            f'{label.dtype} {label.shape} and {palette.dtype} {palette.shape}'
        )
    height, width = label.shape
    rows = np.zeros((height, width + 1), np.uint8)  # the first byte of a row: no filter
    rows[:, 1:] = label
    chunks = (
        (b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 3, 0, 0, 0)),
        (b'PLTE', palette.tobytes()),
        (b'IDAT', zlib.compress(rows.tobytes(), 6)),
        (b'IEND', b''),
    )
    return b'\x89PNG\r\n\x1a\n' + b''.join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def scaled_uint16(values: Array, scale: float) -> npt.NDArray[np.uint16]:
    """Store lengths as whole numbers, as depth images of KITTI (256) and NYU (1000) do.

    Args:
        values: Any shape; what is not positive and finite means no measurement.
        scale: Counts per unit.

    Returns:
        uint16, 0 where there is no measurement or where it does not fit. What is measured is
        never rounded down to 0.
    """
    scaled = np.where(np.isfinite(values) & (values > 0), np.asarray(values, np.float64), 0.0)
    counts = np.where(scaled > 0, np.maximum(np.rint(scaled * scale), 1.0), 0.0)
    return np.where(counts <= _UINT16_MAX, counts, 0.0).astype(np.uint16)


def cityscapes_disparity(disparity_px: Array) -> npt.NDArray[np.uint16]:
    """Store disparities as Cityscapes does: 256 d + 1, and 0 where there is none.

    Args:
        disparity_px: Any shape, [px]; NaN or negative where there is none.

    Returns:
        uint16; what does not fit (256 px and more) counts as none.
    """
    known = np.isfinite(disparity_px) & (disparity_px >= 0)
    counts = np.rint(np.where(known, disparity_px, 0.0).astype(np.float64) * 256.0) + 1.0
    return np.where(known & (counts <= _UINT16_MAX), counts, 0.0).astype(np.uint16)
