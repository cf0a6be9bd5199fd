# SPDX-License-Identifier: Apache-2.0
"""How far a backend is from the reference on the same frames, and how far it may be."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf
from typing import NamedTuple

import numpy as np

from kd_perception.backends import Backend
from kd_perception.bundle import Student
from kd_perception.frames import Float32Image
from kd_perception.postprocessing import Prediction, prediction_from_logits
from kd_perception.preprocessing import letterbox


class Gate(NamedTuple):
    """What a number format may change.

    Attributes:
        logits: largest difference of a logit.
        labels: share of pixels with another class.
        uncertainty: mean difference of the uncertainty.
    """

    logits: float
    labels: float
    uncertainty: float

    def __str__(self) -> str:
        """Say it as the end of a sentence."""
        return _changes(self.labels, self.uncertainty)


GATES = {
    'fp32': Gate(1e-3, 1e-4, 1e-3),
    'bf16': Gate(float('inf'), 5e-3, 5e-3),
    'fp16': Gate(float('inf'), 5e-3, 5e-3),
    'int8': Gate(float('inf'), 1e-2, float('inf')),
}


class Agreement(NamedTuple):
    """Differences over all frames.

    Attributes:
        logits: largest difference of a logit.
        labels: share of pixels with another class.
        uncertainty: mean difference of the uncertainty.
        uncertainty_max: largest difference of the uncertainty.
    """

    logits: float
    labels: float
    uncertainty: float
    uncertainty_max: float

    def passes(self, gate: Gate) -> bool:
        """Whether the differences are within a gate."""
        return all(own <= limit for own, limit in zip(self, gate, strict=False))

    def __str__(self) -> str:
        """Say it as the end of a sentence."""
        return _changes(self.labels, self.uncertainty)


def _changes(labels: float, uncertainty: float) -> str:
    classes = f'the class of {labels:.3%} of the pixels'
    return classes if isinf(uncertainty) else f'{classes} and the uncertainty by {uncertainty:.4f}'


def agreement(
    student: Student, backend: Backend, reference: Backend, inputs: Sequence[Float32Image]
) -> Agreement:
    """Compare two backends.

    Args:
        student: Whose network both run.
        backend: What is judged.
        reference: What it is held against.
        inputs: Network inputs, float32 [1, channels, height, width].
    """
    pairs = [(backend.infer(image).copy(), np.array(reference.infer(image))) for image in inputs]
    logits = max(float(np.abs(own - other).max()) for own, other in pairs)
    labels, uncertainties = [], []
    for own, other in pairs:
        a, b = _predicted(student, own), _predicted(student, other)
        labels.append((a.mask != b.mask).mean())
        uncertainties.append(np.abs(a.uncertainty - b.uncertainty))
    return Agreement(
        logits,
        float(np.mean(labels)),
        float(np.mean(uncertainties)),
        float(np.max(uncertainties)),
    )


def _predicted(student: Student, logits: Float32Image) -> Prediction:
    size = student.spec.image_size
    temperature = student.spec.calibration.temperature
    return prediction_from_logits(
        logits, letterbox(size, size), temperature=temperature, size=size
    )
