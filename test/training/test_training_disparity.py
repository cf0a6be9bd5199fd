# SPDX-License-Identifier: Apache-2.0
"""Depth, disparity and network output: signs, inverses and what stands for unknown."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError
from training.disparity import (
    depth_from_disparity,
    depth_from_sigmoid,
    disparity_from_depth,
    sigmoid_from_depth,
)


@given(depth_m=st.floats(0.1, 100.0), focal=st.floats(-900.0, 1500.0).filter(lambda f: abs(f) > 1))
def test_disparity_and_depth_undo_each_other(depth_m, focal):
    focal_px, baseline_m = torch.tensor([focal], dtype=torch.float64), torch.tensor([0.5]).double()
    depth = torch.tensor([[depth_m]], dtype=torch.float64)
    disparity_px = disparity_from_depth(depth, focal_px, baseline_m)
    assert disparity_px.item() == pytest.approx(focal * 0.5 / depth_m, rel=1e-6)
    back = depth_from_disparity(disparity_px - 3.0, focal_px, baseline_m, offset_px=3.0)
    assert back.item() == pytest.approx(depth_m, rel=1e-6)


def test_unknown_depth_has_no_disparity_and_finite_gradient():
    depth_m = torch.tensor([[0.0, -1.0, 2.0]], requires_grad=True)
    disparity_px = disparity_from_depth(depth_m, torch.tensor([100.0]), torch.tensor([0.5]))
    assert disparity_px.tolist() == [[0.0, 0.0, 25.0]]
    disparity_px.sum().backward()
    assert depth_m.grad.tolist() == [[0.0, 0.0, -12.5]]


@pytest.mark.parametrize('sign', [1.0, -1.0])
def test_disparity_of_the_wrong_sign_zero_or_nan_is_no_depth(sign):
    disparity_px = torch.tensor([[5.0, 2.0, 1.0, -1.0, float('nan'), float('inf')]])
    disparity_px = (sign * disparity_px).requires_grad_()
    focal_px, baseline_m = torch.tensor([sign * 100.0]), torch.tensor([0.5])
    depth_m = depth_from_disparity(disparity_px, focal_px, baseline_m, offset_px=sign * -1.0)
    assert depth_m.tolist() == [[12.5, 50.0, 0.0, 0.0, 0.0, 0.0]]
    depth_m[:, :4].sum().backward()
    assert disparity_px.grad[0, 2:4].tolist() == [0.0, 0.0]
    assert torch.isfinite(disparity_px.grad[:, :4]).all()


def test_depth_that_is_no_number_has_no_disparity():
    depth_m = torch.tensor([[float('nan'), float('inf'), -2.0]])
    disparity_px = disparity_from_depth(depth_m, torch.tensor([100.0]), torch.tensor([0.5]))
    assert disparity_px.tolist() == [[0.0, 0.0, 0.0]]


def test_each_frame_of_a_batch_has_its_own_cameras():
    depth_m = torch.full((2, 1, 3, 4), 2.0)
    focal_px, baseline_m = torch.tensor([100.0, -50.0]), torch.tensor([0.5, 0.2])
    disparity_px = disparity_from_depth(depth_m, focal_px, baseline_m)
    assert disparity_px[:, 0, 0, 0].tolist() == [25.0, -5.0]
    assert torch.equal(depth_from_disparity(disparity_px, focal_px, baseline_m), depth_m)


def test_network_output_spans_the_depths():
    depth_m = depth_from_sigmoid(torch.tensor([0.0, 0.5, 1.0]), min_depth_m=0.5, max_depth_m=80.0)
    expected = [80.0, 1.0 / (0.5 / 80.0 + 0.5 / 0.5), 0.5]
    assert depth_m.tolist() == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ConfigError, match='min < max'):
        depth_from_sigmoid(torch.zeros(1), min_depth_m=2.0, max_depth_m=1.0)


def test_ends_of_the_network_output_are_a_hundred_meters_and_ten_centimeters():
    assert depth_from_sigmoid(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([100.0, 0.1])
    assert sigmoid_from_depth(torch.tensor([100.0, 0.1])).tolist() == pytest.approx([0.0, 1.0])


@given(st.floats(0.0, 1.0), st.floats(0.05, 2.0), st.floats(3.0, 300.0))
def test_network_output_and_depth_undo_each_other(sigmoid, min_depth_m, max_depth_m):
    ends = {'min_depth_m': min_depth_m, 'max_depth_m': max_depth_m}
    depth_m = depth_from_sigmoid(torch.tensor([sigmoid], dtype=torch.float64), **ends)
    assert min_depth_m * (1 - 1e-9) <= depth_m.item() <= max_depth_m * (1 + 1e-9)
    inverse = sigmoid / min_depth_m + (1.0 - sigmoid) / max_depth_m
    assert depth_m.item() == pytest.approx(1.0 / inverse, rel=1e-12)
    assert sigmoid_from_depth(depth_m, **ends).item() == pytest.approx(sigmoid, abs=1e-9)


def test_depth_beyond_the_ends_is_cut_and_bad_ends_are_named():
    depth_m = torch.tensor([0.01, 0.5, 1000.0, float('inf')], requires_grad=True)
    sigmoid = sigmoid_from_depth(depth_m)
    assert sigmoid.tolist() == pytest.approx([1.0, (2.0 - 0.01) / (10.0 - 0.01), 0.0, 0.0])
    sigmoid.sum().backward()
    assert depth_m.grad[[0, 2, 3]].tolist() == [0.0, 0.0, 0.0]
    assert depth_m.grad[1] < 0.0
    with pytest.raises(ConfigError, match='min < max'):
        sigmoid_from_depth(torch.ones(1), min_depth_m=0.0)
