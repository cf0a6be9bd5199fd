# SPDX-License-Identifier: Apache-2.0
"""What makes the depth of a network meters."""

from __future__ import annotations

import math
from typing import NamedTuple


class Scale(NamedTuple):
    """How exp(log_depth) becomes meters.

    Attributes:
        factor: What it is multiplied by; NaN where that is not known.
        focal_px: Focal length of the camera at the network's size; NaN where it is not known.
        is_assumed: The focal length is taken to be that of the training's cameras.
    """

    factor: float
    focal_px: float
    is_assumed: bool = False

    @property
    def is_metric(self) -> bool:
        """Whether the factor is known."""
        return not math.isnan(self.factor)
