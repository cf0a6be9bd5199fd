# SPDX-License-Identifier: Apache-2.0
"""How far a backend is from the reference in what it tells of depth, and how far it may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kd_perception.backends import Backend
from kd_perception.bundle import Student
from kd_perception.bundle_depth import MAX_INT8_CHANGE
from kd_perception.depth_postprocessing import relative_log_maps
from kd_perception.frames import Float32Image


class DepthGate(NamedTuple):
    """What a number format may change.

    Attributes:
        abs_rel: Mean of |own - reference| / reference of the depth.
        abs_rel_p99: 99 % of them are below.
        log_sigma: Mean difference of the logarithm of sigma.
    """

    abs_rel: float
    abs_rel_p99: float
    log_sigma: float

    def __str__(self) -> str:
        """Say it as the end of a sentence."""
        return _changes(self)


DEPTH_GATES = {
    'fp32': DepthGate(1e-4, 1e-3, 1e-3),
    'bf16': DepthGate(5e-3, 2.5e-2, 5e-2),
    'fp16': DepthGate(5e-3, 2.5e-2, 5e-2),
    'int8': DepthGate(*MAX_INT8_CHANGE.values()),
}


class DepthAgreement(NamedTuple):
    """Differences over all pixels of the network's maps and all frames.

    Attributes:
        abs_rel: Mean of |own - reference| / reference of the depth.
        abs_rel_median: Half of them are below.
        abs_rel_p99: 99 % of them are below.
        log_sigma: Mean difference of the logarithm of sigma in the unit of the depth.
    """

    abs_rel: float
    abs_rel_median: float
    abs_rel_p99: float
    log_sigma: float

    @property
    def gated(self) -> DepthGate:
        """Those differences that a gate limits."""
        return DepthGate(self.abs_rel, self.abs_rel_p99, self.log_sigma)

    def passes(self, gate: DepthGate) -> bool:
        """Whether the differences are within a gate."""
        return all(own <= limit for own, limit in zip(self.gated, gate, strict=True))

    def __str__(self) -> str:
        """Say it as the end of a sentence."""
        return _changes(self.gated)


def _changes(changes: DepthGate) -> str:
    mean, p99, sigma = changes
    return f'depth by {mean:.3%} in the mean, {p99:.3%} in 99 of 100 pixels, sigma by {sigma:.3%}'


def depth_agreement(
    student: Student, backend: Backend, reference: Backend, inputs: Sequence[Float32Image]
) -> DepthAgreement:
    """Compare two backends.

    Args:
        student: Whose network both run.
        backend: What is judged.
        reference: What it is held against.
        inputs: Network inputs, float32 [1, channels, height, width], at least one.
    """
    changes, sigma_changes = [], []
    for image in inputs:
        own, other = (_maps(student, network, image) for network in (backend, reference))
        changes.append(np.abs(np.expm1(own[0] - other[0])))
        sigma_changes.append(np.abs(own.sum(0) - other.sum(0)))
    median, p99 = np.percentile(np.stack(changes), (50.0, 99.0))
    return DepthAgreement(
        float(np.mean(changes)), float(median), float(p99), float(np.mean(sigma_changes))
    )


def _maps(student: Student, network: Backend, image: Float32Image) -> Float32Image:
    """Logarithms of depth and of sigma as a share of it, float64 [2, h, w]."""
    assert student.spec.depth is not None
    maps: Float32Image = relative_log_maps(network.infer(image), student.spec.depth)[0]
    return maps.astype(np.float64)
