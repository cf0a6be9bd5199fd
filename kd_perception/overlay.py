# SPDX-License-Identifier: Apache-2.0
"""Class colors over a gray image: the ``~/overlay`` topic, the report and the video."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kd_perception.frames import ByteImage

_BRIGHTEN, _DARKEN, _OPACITY = 1.6, 0.8, 0.7


def overlay(gray: ByteImage, mask: ByteImage, palette: ByteImage) -> ByteImage:
    """Blend class colors over a darkened gray image.

    Args:
        gray: HxW uint8.
        mask: HxW uint8 class ids; 0 and 255 stay gray.
        palette: 256x3 uint8 RGB.

    Returns:
        HxWx3 uint8 RGB.
    """
    return np.asarray(_blend_table(palette.tobytes())[mask, gray >> 2])


def display_palette(palette: ByteImage) -> ByteImage:
    """Brighten class colors, which data sets choose dark, so that they are seen over gray.

    Args:
        palette: (..., 3) uint8 RGB.
    """
    return np.asarray(np.minimum(palette * np.float32(_BRIGHTEN), 255.0), np.uint8)


@lru_cache(maxsize=4)
def _blend_table(palette: bytes) -> ByteImage:
    """Tabulate the blend over (class, gray level / 4)."""
    colors = display_palette(np.frombuffer(palette, np.uint8).reshape(256, 1, 3))
    grays = _DARKEN * (np.arange(64.0)[None, :, None] * 4 + 2)
    blend = (1.0 - _OPACITY) * grays + _OPACITY * colors
    blend[[0, 255]] = grays
    return blend.astype(np.uint8)
