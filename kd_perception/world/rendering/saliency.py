# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the output of a saliency network: soft, and wrong now and then."""

from __future__ import annotations

import cv2
import numpy as np

from kd_perception.world.scenes.shapes import Array

_MISSED = 0.1
_BLUR_SHARE = 0.008


def saliency_image(salient: Array, instance: Array, rng: np.random.Generator) -> Array:
    """Blurred mask of salient things, a tenth of them missed.

    Args:
        salient: where a thing draws the eye, bool [height, width].
        instance: object ids, int32, same shape; a salient thing without one is one with all such.
        rng: decides which things are missed.

    Returns:
        uint8 [height, width], 0 to 255.
    """
    ids = np.unique(instance[salient])
    missed = ids[rng.uniform(size=ids.shape) < _MISSED]
    kept = salient & ~np.isin(instance, missed)
    image: Array = cv2.GaussianBlur(
        kept.astype(np.uint8) * np.uint8(255), (0, 0), max(_BLUR_SHARE * salient.shape[1], 0.5)
    )
    return image
