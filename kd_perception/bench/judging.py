# SPDX-License-Identifier: Apache-2.0
"""Whether a backend may stand in for the reference, whatever the student tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kd_perception.backends import Backend
from kd_perception.bench.agreement import GATES, Agreement, agreement
from kd_perception.bench.depth_agreement import DEPTH_GATES, DepthAgreement, depth_agreement
from kd_perception.bundle import Student
from kd_perception.frames import Float32Image


class Verdict(NamedTuple):
    """What was found.

    Attributes:
        difference: From the reference.
        passes: Whether it is within the gate of the precision.
        allowed: What the gate allows, as the end of a sentence; `str(difference)` is what it is.
    """

    difference: Agreement | DepthAgreement
    passes: bool
    allowed: str


def judge(
    student: Student, backend: Backend, reference: Backend, inputs: Sequence[Float32Image]
) -> Verdict:
    """Hold a backend against another by the gate of its precision.

    Args:
        student: Whose network both run.
        backend: What is judged.
        reference: What it is held against.
        inputs: Network inputs, float32 [1, channels, height, width], at least one.
    """
    if student.spec.task == 'depth':
        depth = depth_agreement(student, backend, reference, inputs)
        depth_gate = DEPTH_GATES[backend.precision]
        return Verdict(depth, depth.passes(depth_gate), str(depth_gate))
    found = agreement(student, backend, reference, inputs)
    gate = GATES[backend.precision]
    return Verdict(found, found.passes(gate), str(gate))
