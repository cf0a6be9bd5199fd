# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from kd_perception.overlay import display_palette, overlay


def test_overlay_colors_classes_only() -> None:
    palette = np.zeros((256, 3), np.uint8)
    palette[1] = (200, 0, 0)
    gray = np.full((1, 3), 100, np.uint8)
    picture = overlay(gray, np.array([[0, 1, 255]], np.uint8), palette)
    assert np.ptp(picture[0, 0]) == 0
    assert abs(int(picture[0, 0, 0]) - 80) <= 2
    assert picture[0, 1, 0] > picture[0, 1, 1] + 90
    assert picture[0, 2].tolist() == picture[0, 0].tolist()


def test_display_colors_are_brighter_and_never_wrap() -> None:
    palette = np.array([[64, 0, 200]], np.uint8)
    assert display_palette(palette).tolist() == [[102, 0, 255]]
