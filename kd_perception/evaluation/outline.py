# SPDX-License-Identifier: Apache-2.0
"""What must be known of a recording before its first frame is evaluated."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from kd_perception.bags import BagReader
from kd_perception.evaluation.labels import stamps_of


def outline(bag: Path | str, image_topic: str) -> tuple[str, int, float]:
    """Return image topic, number of images and their median rate [Hz], NaN if not known.

    Args:
        bag: Recording.
        image_topic: Empty finds the only one.

    Raises:
        BagError: The recording cannot be read or lacks the topic.
    """
    with BagReader(bag) as source:
        image_topic = image_topic or source.image_topic()
        stamps = stamps_of(source, image_topic)
    median_ns = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0
    return image_topic, len(stamps), 1e9 / median_ns if median_ns > 0 else math.nan
