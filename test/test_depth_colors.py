# SPDX-License-Identifier: Apache-2.0
"""Colors of depth: in order, over a fixed range, and never those of what is not known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kd_perception.depth_colors import FAR_COLOR, NEAR_COLOR, UNKNOWN_COLOR, colored_depth

STYLE = Path(__file__).parents[1] / 'kd_perception/evaluation/templates/style.css'


def test_what_is_no_depth_has_colors_of_its_own() -> None:
    special = np.array([[np.inf, -np.inf, np.nan, 0.0, -3.0]], np.float32)
    found = colored_depth(special, 1.0, 80.0)[0].tolist()
    near, far, unknown = list(NEAR_COLOR), list(FAR_COLOR), list(UNKNOWN_COLOR)
    assert found == [far, near, unknown, near, near]
    ramp = colored_depth(np.geomspace(1.0, 80.0, 500, dtype=np.float32)[None], 1.0, 80.0)[0]
    for color in (near, far, unknown):
        assert np.abs(ramp.astype(int) - color).max(axis=1).min() > 40


def test_colors_go_with_the_logarithm_and_stop_at_the_ends() -> None:
    depth = np.array([[1.0, 10.0, 100.0, 0.5, 300.0]], np.float32)
    first, middle, last, before, beyond = colored_depth(depth, 1.0, 100.0)[0].astype(int)
    assert (before == first).all() and (beyond == last).all()
    brightness = [int(color.sum()) for color in (first, middle, last)]
    assert brightness == sorted(set(brightness), reverse=True)  # near is bright


def test_the_legend_of_the_report_shows_these_colors() -> None:
    rule = re.search(
        r'\.ramp\.near \{ background: linear-gradient\(90deg, ([^)]*)\)', STYLE.read_text()
    )
    assert rule is not None
    legend = [[int(part[i : i + 2], 16) for i in (1, 3, 5)] for part in rule[1].split(', ')]
    depth = np.geomspace(1.0, 10.0, len(legend), dtype=np.float32)[None]
    assert np.abs(colored_depth(depth, 1.0, 10.0)[0].astype(int) - legend).max() <= 3
