# SPDX-License-Identifier: Apache-2.0
"""What metrics of depth share: a protocol, and means over the images that it leaves pixels of."""

from __future__ import annotations

from typing import Final

import numpy as np

from kd_perception.metrics.accumulator import Accumulator
from kd_perception.metrics.depth_protocol import DepthProtocol


class DepthAccumulator(Accumulator):
    """Sums over images of what is measured per image.

    Args:
        protocol: Which pixels count and how predictions are scaled and clamped.
        count: How many sums the metric needs.

    Attributes:
        sums: float64: images, images skipped, then the sums of the metric.
    """

    def __init__(self, protocol: DepthProtocol | None, count: int) -> None:
        super().__init__(np.zeros(2 + count))
        self.protocol: Final = protocol or DepthProtocol()

    @property
    def settings(self) -> tuple[object, ...]:
        """The protocol."""
        return (self.protocol,)

    @property
    def images(self) -> int:
        """How many images were scored."""
        return int(self.sums[0])

    @property
    def skipped_images(self) -> int:
        """How many images had no valid pixel."""
        return int(self.sums[1])
