# SPDX-License-Identifier: Apache-2.0
"""The nine classes of the MFNet street data set, which the world labels its frames with.

Reference:
    Q. Ha et al., "MFNet: Towards Real-Time Semantic Segmentation for Autonomous Vehicles with
    Multi-Spectral Scenes", IROS 2017.
"""

from __future__ import annotations

from typing import Final

CLASS_NAMES: Final = (
    'unlabeled',
    'car',
    'person',
    'bike',
    'curve',
    'car_stop',
    'guardrail',
    'color_cone',
    'bump',
)
"""Names by class id. `curve` is the data set's own word for the curb."""

CLASS_COLORS: Final = (
    (0, 0, 0),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
    (0, 0, 192),
    (128, 128, 0),
    (64, 64, 128),
    (192, 128, 128),
    (192, 64, 0),
)
"""Display color (red, green, blue) by class id, as the data set's users print it."""

UNLABELED, CAR, PERSON, BIKE, CURVE, CAR_STOP, GUARDRAIL, COLOR_CONE, BUMP = range(9)
