# SPDX-License-Identifier: Apache-2.0
"""Distances of transforms: known values, groups in which they are exact, finite gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import normal

from kd_perception.errors import ShapeError
from training.losses import euclidean_distance, geodesic_distance, parameter_distance


def eye(dtype=torch.float64):
    return torch.eye(3, dtype=dtype)[None]


def rotation(angle):
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]], dtype=torch.float64)


def random_rotation(rng):
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return torch.from_numpy(q * np.linalg.det(q))[None]


def by_definition(estimated, true):
    """The formula as the paper has it, in numpy."""
    difference = np.linalg.inv(true) @ estimated
    u, _, vt = np.linalg.svd(difference)
    p = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    r = difference - p
    cosine = np.clip((np.trace(p) - 1.0) / 2.0, -1.0, 1.0)
    return np.arccos(cosine) + 0.1 * np.trace(r.T @ r)


def test_identity_is_no_distance():
    for dtype in (torch.float32, torch.float64):
        assert geodesic_distance(eye(dtype)).item() == 0.0
        assert euclidean_distance(eye(dtype)).item() == 0.0
    assert parameter_distance(torch.zeros(2, 4)).tolist() == [0.0, 0.0]


def test_a_quarter_turn_is_its_angle():
    found = geodesic_distance(rotation(math.pi / 2)).item()
    assert found == pytest.approx(math.pi / 2, abs=1e-12)


def test_a_stretch_is_residual_alone():
    stretch = torch.diag(torch.tensor([1.2, 1.0, 1.0], dtype=torch.float64))[None]
    assert geodesic_distance(stretch).item() == pytest.approx(0.004, abs=1e-12)
    assert geodesic_distance(stretch, residual_weight=0.0).item() == pytest.approx(0.0, abs=1e-9)
    assert euclidean_distance(stretch).item() == pytest.approx(0.2, abs=1e-12)


def test_parameters_have_their_norm():
    assert parameter_distance(torch.tensor([[3.0, 0.0, 4.0, 0.0]])).tolist() == [5.0]


@given(st.integers(0, 2**20), st.sampled_from([0.05, 0.3, 1.0]))
def test_geodesic_is_the_formula(seed, size):
    rng = np.random.default_rng(seed)
    estimated, true = (np.eye(3) + size * rng.normal(size=(3, 3)) for _ in range(2))
    if min(abs(np.linalg.det(m)) for m in (estimated, true)) < 1e-2:
        return
    found = geodesic_distance(torch.from_numpy(estimated)[None], torch.from_numpy(true)[None])
    assert found.item() == pytest.approx(by_definition(estimated, true), rel=1e-6, abs=1e-6)


@given(st.integers(0, 2**20), st.floats(0.0, math.pi))
def test_of_rotations_it_is_their_angle_whatever_both_have_in_common(seed, angle):
    common = random_rotation(np.random.default_rng(seed))
    turned = common @ rotation(angle)
    assert geodesic_distance(turned, common).item() == pytest.approx(angle, abs=1e-6)
    assert geodesic_distance(common, turned).item() == pytest.approx(angle, abs=1e-6)


@given(st.integers(0, 2**20))
def test_euclidean_is_a_metric(seed):
    a, b, c = (normal(4, 3, 3, seed=seed + k) for k in range(3))
    assert torch.equal(euclidean_distance(a, b), euclidean_distance(b, a))
    assert (euclidean_distance(a, a) == 0.0).all()
    sums = euclidean_distance(a, b) + euclidean_distance(b, c)
    assert (euclidean_distance(a, c) <= sums + 1e-12).all()


@pytest.mark.parametrize('seed', range(4))
def test_gradient_of_the_geodesic_is_right(seed):
    matrices = (torch.eye(3) + normal(5, 3, 3, seed=seed, scale=0.3)).requires_grad_()
    assert torch.autograd.gradcheck(geodesic_distance, [matrices])
    flipped = torch.diag(torch.tensor([1.0, 1.0, -1.5])) + normal(2, 3, 3, seed=seed, scale=0.1)
    assert torch.autograd.gradcheck(geodesic_distance, [flipped.requires_grad_()])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_gradient_is_finite_at_the_identity_and_next_to_it(dtype):
    """Where singular values meet; those of the singular vectors would be infinite."""
    for size in (0.0, 1e-7, 1e-3):
        matrices = (eye(dtype) + size * normal(1, 3, 3).to(dtype)).requires_grad_()
        geodesic_distance(matrices).sum().backward()
        assert torch.isfinite(matrices.grad).all() and matrices.grad.abs().max() < 2.0
    turned = rotation(1e-3).to(dtype).requires_grad_()
    geodesic_distance(turned).sum().backward()
    torch.testing.assert_close(
        turned.grad[0, :2, :2], torch.tensor([[0.0, -0.5], [0.5, 0.0]], dtype=dtype),
        atol=2e-3, rtol=0,
    )  # fmt: skip


def test_half_precision_is_computed_in_float32():
    matrices = (torch.eye(3) + normal(2, 3, 3, scale=0.1)).to(torch.bfloat16)
    for distance in (geodesic_distance, euclidean_distance):
        found = distance(matrices)
        assert found.dtype == torch.float32 and torch.equal(found, distance(matrices.float()))


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match=r'estimated must be of shape \[any, 3, 3\]'):
        geodesic_distance(torch.zeros(2, 6))
    with pytest.raises(ShapeError, match=r'true must be of shape \[2, 3, 3\]'):
        euclidean_distance(torch.zeros(2, 3, 3), torch.zeros(1, 3, 3))
    with pytest.raises(ShapeError, match='parameters must be of shape'):
        parameter_distance(torch.zeros(2, 3, 3))
