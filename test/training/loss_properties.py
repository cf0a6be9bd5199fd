# SPDX-License-Identifier: Apache-2.0
"""What every loss between a student and a teacher must hold, for the tests of each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode


def normal(*shape, seed=0, scale=1.0):
    """Gaussian noise in float64, the same every time."""
    return torch.from_numpy(scale * np.random.default_rng(seed).normal(size=shape))


@st.composite
def feature_pairs(draw, *, teacher_channels=None, scale=4.0):
    """Student and teacher maps, float64 [batch, channels, height, width]."""
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    size = (draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    seed = draw(st.integers(0, 2**20))
    others = channels if teacher_channels is None else draw(teacher_channels)
    return (
        normal(batch, channels, *size, seed=seed, scale=scale),
        normal(batch, others, *size, seed=seed + 1, scale=scale),
    )


def check_only_the_student_learns(loss, student, teacher):
    """Gradient of the student's tensor that is finite and not all 0; none of the teacher's."""
    student, teacher = (x.detach().clone().requires_grad_() for x in (student, teacher))
    loss(student, teacher).backward()
    assert teacher.grad is None
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().sum() > 0.0


def check_batch_is_the_mean_of_its_images(loss, student, teacher):
    """The value of a batch is the mean of those of its images, and is a scalar."""
    whole = loss(student, teacher)
    assert whole.shape == ()
    pairs = zip(student.split(1), teacher.split(1), strict=True)
    single = [loss(*pair).item() for pair in pairs]
    assert whole.item() == pytest.approx(np.mean(single), rel=1e-9, abs=1e-12)


def check_half_precision(loss, student, teacher, *, by_rounding=True):
    """Half-precision inputs, and autocast, give what the rounded inputs give in float32.

    The types in which autocast hands out tensors are covered, and the matrix products that it
    would compute in half precision.
    """
    for dtype in (torch.float16, torch.bfloat16):
        rounded = student.to(dtype), teacher.to(dtype) if by_rounding else teacher
        expected = loss(*(x.float() if x.is_floating_point() else x for x in rounded))
        inputs = rounded[0].requires_grad_(), rounded[1]
        with torch.autocast('cpu', dtype):
            value = loss(*inputs)
        assert torch.equal(loss(*inputs), expected)
        value.backward()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert torch.equal(value, expected)
        assert torch.isfinite(inputs[0].grad).all()


class LargestTensor(TorchDispatchMode):
    """Sees the output of every operation of the thread, of the backward pass too."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **(kwargs or {}))
        several = outputs if isinstance(outputs, tuple | list) else (outputs,)
        sizes = [x.numel() for x in several if isinstance(x, torch.Tensor)]
        self.elements = max([self.elements, *sizes])
        return outputs


def largest_tensor(loss, student, teacher):
    """Elements of the largest tensor that a loss makes on its way, forward and backward."""
    student = student.clone().requires_grad_()
    with LargestTensor() as mode:
        loss(student, teacher).backward()
    return mode.elements
