# SPDX-License-Identifier: Apache-2.0
"""What confidence and uncertainty mean here, and how they are calibrated.

Confidence is the largest class probability, uncertainty the predictive entropy divided by the
logarithm of the number of classes (0: one class is certain, 1: all are equally likely). Both are
computed from logits divided by a temperature that is fitted on a validation split.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kd_perception.errors import ShapeError

Array = npt.NDArray[Any]

IGNORE_INDEX = 255
"""Label of pixels without ground truth, and mask value of pixels without prediction."""


class Confidence(NamedTuple):
    """Per-pixel class, confidence and uncertainty.

    Attributes:
        mask: Class ids, uint8.
        confidence: Largest probability, 1/classes to 1.
        uncertainty: Normalized entropy, 0 to 1.
    """

    mask: Array
    confidence: Array
    uncertainty: Array


def confidence_from_logits(logits: Array, temperature: float = 1.0) -> Confidence:
    """Reference implementation of the definitions, in double precision.

    Args:
        logits: Classes first, (C, ...).
        temperature: Positive; above 1 makes the student less sure.

    Returns:
        Arrays of the shape of one class.
    """
    scaled = logits.astype(np.float64) / temperature
    shifted = scaled - scaled.max(axis=0)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=0)
    entropy = np.log(total) - (shifted * exponentials).sum(axis=0) / total
    mask = scaled.argmax(axis=0).astype(np.uint8)
    return Confidence(mask, 1.0 / total, entropy / np.log(logits.shape[0]))


def negative_log_likelihood(logits: Array, labels: Array, temperature: float = 1.0) -> float:
    """Mean negative log likelihood over the labeled pixels [nat]; `fit_temperature` minimizes it.

    From logits, so that no probability is too small for its logarithm; where probabilities are
    all there is, `kd_perception.metrics.NegativeLogLikelihood` floors them.

    Args:
        logits: (N, C).
        labels: (N,) class ids; 255 is ignored.
        temperature: Positive.

    Raises:
        ShapeError: No pixel is labeled, or the shapes differ.
    """
    picked, target = _labeled(logits, labels)
    return _mean_nll(picked, target, 1.0 / temperature)


def fit_temperature(logits: Array, labels: Array) -> float:
    """Find the temperature that minimizes the negative log likelihood.

    Args:
        logits: (N, C) of a validation split.
        labels: (N,) class ids; 255 is ignored.

    Returns:
        Temperature between 0.05 and 20.

    Raises:
        ShapeError: No pixel is labeled, or the shapes differ.

    Reference:
        C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On Calibration of Modern Neural Networks,
        ICML 2017.
    """
    picked, target = _labeled(logits, labels)
    # The likelihood is convex in the inverse temperature: golden-section search finds its minimum.
    low, high = np.log(1 / 20.0), np.log(1 / 0.05)
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    for _ in range(40):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _mean_nll(picked, target, np.exp(left)) < _mean_nll(picked, target, np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp(-0.5 * (low + high)))


def _labeled(logits: Array, labels: Array) -> tuple[Array, Array]:
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ShapeError(
            f'logits must be (N, C) and labels (N,); received {logits.shape} and {labels.shape}'
        )
    valid = labels != IGNORE_INDEX
    if not valid.any():
        raise ShapeError('at least one pixel must be labeled; received labels of 255 only')
    return logits[valid].astype(np.float64), labels[valid].astype(np.intp)


def _mean_nll(logits: Array, target: Array, inverse_temperature: float) -> float:
    scaled = logits * inverse_temperature
    shifted = scaled - scaled.max(axis=1, keepdims=True)
    picked = np.take_along_axis(shifted, target[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - picked))
