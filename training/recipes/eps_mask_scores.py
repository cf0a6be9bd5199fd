# SPDX-License-Identifier: Apache-2.0
"""How far masks and labels agree, what is taken for a class, and what comes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.metrics import PseudoLabelMatrix
from kd_perception.world.classes import CLASS_NAMES
from training.data.tagged_frames import TaggedFrame, TaggedFrames
from training.pseudo_masks import mask_from_shares, salient_tags
from training.recipes.eps_config import EpsConfig
from training.recipes.eps_mask_files import read_mask, read_shares
from training.tag_metrics import by_class, rounded

Array = npt.NDArray[Any]

SEEN_SHARE = 0.005
"""A thing is seen in an image from this share of its pixels on."""

_THINGS = len(CLASS_NAMES)


def score_masks(frames: TaggedFrames, config: EpsConfig) -> dict[str, Any]:
    """How far masks and labels agree, over the frames that have labels.

    Args:
        frames: that masks were made for.
        config: of the run.

    Returns:
        `images`, how many; `miou`, `iou` and `accuracy` by class; `thresholds`: the mean IoU with
        other thresholds on the class maps alone, where the background follows from one;
        `salient_tags`: the same figures of the control without learning; and of things of the
        world `confusions`, see `confusions`, and `seen_with`: in which share of the images with a
        class each thing is seen. Empty without labels.
    """
    tally = MaskTally(config)
    for k in tqdm(range(len(frames)), desc='score masks', unit='image'):
        frame = frames[k]
        if frame.label is not None:
            mask = read_mask(config, frame.name)
            tally.update(frame, mask, read_shares(config, frame.name))
    return tally.report() if tally.images else {}


class MaskTally:
    """Counts over frames.

    Args:
        config: of the run: its classes, and the thresholds that are tried.
    """

    def __init__(self, config: EpsConfig) -> None:
        self._names, self._classes = config.label_set.names, config.classes
        tried = config.masks.thresholds if config.masks.background != 'saliency' else ()
        self._own, self._control = (PseudoLabelMatrix(len(self._names)) for _ in range(2))
        self._others = {t: PseudoLabelMatrix(len(self._names)) for t in tried}
        self._taken = np.zeros((len(self._names), _THINGS))
        self._seen = np.zeros((len(self._classes), _THINGS))
        self._tagged = np.zeros(len(self._classes))
        self._salient = False
        self.images = 0

    def update(self, frame: TaggedFrame, mask: Array, shares: Array) -> None:
        """Add a frame with a label."""
        label: Any = frame.label
        self.images += 1
        self._own.update(mask, label)
        for threshold, other in self._others.items():
            other.update(mask_from_shares(shares, threshold), label)
        if frame.saliency is not None:
            self._salient = True
            self._control.update(salient_tags(frame.saliency, frame.tags), label)
        if frame.things is not None:
            self._count(frame.things, mask, frame.tags)

    def _count(self, things: Array, mask: Array, tags: Array) -> None:
        known = things < _THINGS
        pairs = mask[known].astype(np.intp) * _THINGS + things[known]
        self._taken += np.bincount(pairs, minlength=self._taken.size).reshape(self._taken.shape)
        pixels = np.bincount(things[known], minlength=_THINGS)
        self._seen += np.outer(tags, pixels >= SEEN_SHARE * things.size)
        self._tagged += tags

    def report(self) -> dict[str, Any]:
        """The figures, see `score_masks`."""
        report = {'images': self.images, **mask_metrics(self._own, self._names)}
        found = {t: rounded(m.compute().miou_nanmean) for t, m in self._others.items()}
        report['thresholds'] = {str(t): value for t, value in found.items()}
        known = {t: value for t, value in found.items() if value is not None}
        if known:
            report['best_threshold'] = float(max(known, key=lambda t: known[t]))
            report['miou_best_threshold'] = max(known.values())
        if self._salient:
            report['salient_tags'] = mask_metrics(self._control, self._names)
        if self._taken.any():
            report['confusions'] = confusions(self._taken, self._classes)
            report['seen_with'] = self._seen_with()
        return report

    def _seen_with(self) -> dict[str, dict[str, float | None]]:
        with np.errstate(invalid='ignore', divide='ignore'):
            shares = self._seen / self._tagged[:, None]
        rows = zip(self._classes, shares, strict=True)
        return {name: by_class(row, CLASS_NAMES) for name, row in rows}


def mask_metrics(matrix: PseudoLabelMatrix, names: Sequence[str]) -> dict[str, Any]:
    """Means and values by class of a matrix of masks and labels."""
    found = matrix.compute()
    return {
        'miou': rounded(found.miou_nanmean),
        'macc': rounded(found.macc_nanmean),
        'pixel_accuracy': rounded(found.pixel_accuracy),
        'iou': by_class(found.iou, names),
        'accuracy': by_class(found.accuracy, names),
    }


def confusions(taken: Array, classes: tuple[str, ...]) -> Mapping[str, Any]:
    """What was taken for each class, over what it was rightly taken for.

    Args:
        taken: pixels by class of the mask (0 is background) and thing of the world,
            [classes + 1, things].
        classes: of the tags, names of the world.

    Returns:
        By class, the ratio of each other thing; None where the class was never right.

    Reference:
        The co-occurrence measure of EPS, m = FP of a thing / TP of a class.
    """
    report: dict[str, Any] = {}
    for k, name in enumerate(classes, start=1):
        right = taken[k, CLASS_NAMES.index(name)]
        report[name] = {
            thing: rounded(taken[k, j] / right) if right else None
            for j, thing in enumerate(CLASS_NAMES)
            if thing != name
        }
    return report
