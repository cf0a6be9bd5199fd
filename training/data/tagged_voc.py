# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC as tagged images."""

from __future__ import annotations

import numpy as np

from training.data.folders import Frames
from training.data.tagged_frames import TaggedFrame
from training.data.voc import VOC


class TaggedVOC(Frames[TaggedFrame]):
    """A split of VOC as tagged images.

    Args:
        voc: with the views that it has; saliency is needed for EPS, labels for scoring.
    """

    def __init__(self, voc: VOC) -> None:
        self._voc = voc

    def __len__(self) -> int:
        return len(self._voc)

    def _read(self, index: int) -> TaggedFrame:
        sample = self._voc[index]
        assert sample.tags is not None
        saliency = sample.saliency
        if saliency is not None:
            saliency = np.asarray(np.rint(saliency * 255.0), np.uint8)
        return TaggedFrame(sample.name, sample.tags, sample.rgb, None, saliency, sample.label)
