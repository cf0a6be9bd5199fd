# SPDX-License-Identifier: Apache-2.0
"""The balanced edge loss: values known by hand, the authors' variant, and ignored pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import check_batch_is_the_mean_of_its_images, check_half_precision, normal

from kd_perception.errors import ShapeError
from training.losses import balanced_edge_loss

QUARTER = torch.tensor([[[1, 0], [0, 0]]])


def logits(values):
    return torch.tensor(values, dtype=torch.float64)[None, None]


def perfect(target, size=20.0):
    return (size * (2.0 * target.double() - 1.0))[:, None]


@st.composite
def maps(draw):
    shape = (draw(st.integers(1, 3)), 1, draw(st.integers(1, 5)), draw(st.integers(1, 6)))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    share = draw(st.sampled_from([0.0, 0.2, 0.7, 1.0]))
    edge_logits = torch.from_numpy(
        draw(st.sampled_from([0.1, 3.0, 300.0])) * rng.normal(size=shape)
    )
    return edge_logits, torch.from_numpy((rng.random(shape) < share).astype(np.uint8))


def test_no_opinion_costs_what_it_must():
    loss = balanced_edge_loss(logits([[0.0, 0.0], [0.0, 0.0]]), QUARTER)
    assert loss.item() == pytest.approx(0.259930, abs=1e-6)
    eight = torch.tensor([[[1, 1, 0, 0], [0, 0, 0, 0]]], dtype=torch.uint8)
    loss = balanced_edge_loss(torch.zeros(1, 1, 2, 4), eight)
    assert loss.item() == pytest.approx(2 * 0.75 * 0.25 * math.log(2.0), rel=1e-6)


def test_perfect_map_costs_nothing_in_the_form_of_the_paper():
    assert 0.0 <= balanced_edge_loss(perfect(QUARTER), QUARTER).item() < 1e-8
    for size in (1e3, 1e30):
        assert balanced_edge_loss(perfect(QUARTER, size), QUARTER).item() == 0.0
        wrong = balanced_edge_loss(-perfect(QUARTER, size), QUARTER)
        assert wrong.item() == pytest.approx(2 * 0.75 * 0.25 * size)


def test_perfect_map_costs_something_after_a_second_sigmoid():
    loss = balanced_edge_loss(perfect(QUARTER, 800.0), QUARTER, double_sigmoid=True)
    assert loss.item() == pytest.approx(0.188702, abs=1e-6)
    floor = math.log(2.0) - math.log(torch.sigmoid(torch.tensor(1.0, dtype=torch.float64)))
    assert loss.item() == pytest.approx(0.25 * 0.75 * floor, rel=1e-12)


@given(maps(), st.booleans())
def test_loss_is_the_formula(pair, double_sigmoid):
    edge_logits, target = pair
    losses = []
    for image, edge in zip(edge_logits.numpy(), target.numpy().astype(float), strict=True):
        z = torch.sigmoid(torch.from_numpy(image)).numpy() if double_sigmoid else image
        beta = edge.mean()
        rest = beta * (1.0 - edge) * np.logaddexp(0.0, z)
        losses.append(((1.0 - beta) * edge * np.logaddexp(0.0, -z) + rest).mean())
    loss = balanced_edge_loss(edge_logits, target, double_sigmoid=double_sigmoid)
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-9, abs=1e-12)
    assert loss.item() >= 0.0


@given(maps())
def test_over_the_batch_it_is_the_formula_of_one_large_image(pair):
    edge_logits, target = pair
    loss = balanced_edge_loss(edge_logits, target, per_image=False)
    z, edge = edge_logits.numpy(), target.numpy().astype(float)
    beta = edge.mean()
    terms = (1.0 - beta) * edge * np.logaddexp(0.0, -z) + beta * (1.0 - edge) * np.logaddexp(0, z)
    assert loss.item() == pytest.approx(terms.mean(), rel=1e-9, abs=1e-12)


def test_over_the_batch_an_image_without_edges_teaches_too():
    edge_logits = torch.zeros(2, 1, 2, 2, requires_grad=True)
    target = torch.stack([torch.zeros(2, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0]])])
    loss = balanced_edge_loss(edge_logits, target, per_image=False)
    loss.backward()
    assert loss.item() == pytest.approx(0.259930, abs=1e-6)
    assert (edge_logits.grad[0] > 0.0).all()
    target[0] = 255
    alone = balanced_edge_loss(edge_logits[1:], target[1:], per_image=False)
    assert balanced_edge_loss(edge_logits, target, per_image=False).item() == alone.item()


@given(maps())
def test_edges_and_rest_are_interchangeable(pair):
    edge_logits, target = pair
    loss = balanced_edge_loss(edge_logits, target)
    turned = balanced_edge_loss(-edge_logits, 1 - target)
    assert loss.item() == pytest.approx(turned.item(), rel=1e-9, abs=1e-12)


@given(maps(), st.booleans())
def test_batch_is_the_mean_of_its_images(pair, double_sigmoid):
    check_batch_is_the_mean_of_its_images(
        lambda a, b: balanced_edge_loss(a, b, double_sigmoid=double_sigmoid), *pair
    )


@pytest.mark.parametrize('double_sigmoid', [False, True])
def test_gradient_is_right_and_balanced(double_sigmoid):
    edge_logits = normal(2, 1, 3, 4).requires_grad_()
    target = normal(2, 3, 4, seed=1) < -0.5

    def loss(x):
        return balanced_edge_loss(x, target, double_sigmoid=double_sigmoid)

    assert torch.autograd.gradcheck(loss, [edge_logits])
    level = torch.zeros(1, 1, 2, 2, requires_grad=True)
    balanced_edge_loss(level, QUARTER, double_sigmoid=False).backward()
    assert level.grad.sum().item() == pytest.approx(0.0, abs=1e-7)
    assert level.grad[0, 0, 0, 0] < 0.0


@pytest.mark.parametrize('value', [0, 1])
def test_image_of_one_kind_teaches_nothing(value):
    edge_logits = normal(1, 1, 3, 4).requires_grad_()
    loss = balanced_edge_loss(edge_logits, torch.full((1, 3, 4), value))
    loss.backward()
    assert loss.item() == 0.0
    assert (edge_logits.grad == 0.0).all()


def test_ignored_pixels_are_as_if_cut_off():
    edge_logits = normal(2, 1, 4, 6).requires_grad_()
    target = (normal(2, 4, 6, seed=1) < -0.3).to(torch.uint8)
    target[:, :, 4:] = 255
    loss = balanced_edge_loss(edge_logits, target)
    cut = balanced_edge_loss(edge_logits[..., :4], target[..., :4])
    assert loss.item() == pytest.approx(cut.item(), rel=1e-12)
    loss.backward()
    assert (edge_logits.grad[..., 4:] == 0.0).all()
    nothing = balanced_edge_loss(edge_logits, torch.full((2, 4, 6), 255))
    assert nothing.item() == 0.0


@pytest.mark.parametrize('dtype', [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_target_may_be_of_any_type_with_or_without_channel(dtype):
    edge_logits = logits([[0.3, -1.0], [2.0, 0.0]])
    target = QUARTER.to(dtype)
    loss = balanced_edge_loss(edge_logits, target)
    assert torch.equal(loss, balanced_edge_loss(edge_logits, QUARTER))
    assert torch.equal(loss, balanced_edge_loss(edge_logits, target[:, None]))


@pytest.mark.parametrize('double_sigmoid', [False, True])
def test_half_precision_is_computed_in_float32(double_sigmoid):
    check_half_precision(
        lambda a, b: balanced_edge_loss(a, b, double_sigmoid=double_sigmoid),
        normal(2, 1, 8, 8, scale=100.0),
        normal(2, 8, 8, seed=1) < -0.8,
        by_rounding=False,
    )


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match=r'edge_logits must be .* received \[1, 2, 4, 4\]'):
        balanced_edge_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4))
    with pytest.raises(ShapeError, match=r'edge_target must be of shape \[1, 1, 4, 4\]'):
        balanced_edge_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 16, 16))
