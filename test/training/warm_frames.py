# SPDX-License-Identifier: Apache-2.0
"""A thermal frame made by hand, for the tests of augmentations."""

from __future__ import annotations

import numpy as np


def frame(seed=0, size=(120, 160)):
    """A scene with a warm person and a car on a noisy background, in centikelvin."""
    rng = np.random.default_rng(seed)
    celsius = 10.0 + rng.normal(0.0, 0.3, size) + np.linspace(-8.0, 0.0, size[0])[:, None]
    label = np.zeros(size, np.uint8)
    label[50:90, 40:52], label[60:85, 90:130] = 2, 1
    celsius[label == 2], celsius[label == 1] = 30.0, 16.0
    return ((celsius + 273.15) * 100).astype(np.uint16), label
