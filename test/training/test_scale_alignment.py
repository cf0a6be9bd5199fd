# SPDX-License-Identifier: Apache-2.0
"""Alignment of scale: the median ratio of covered pixels, and its absence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from depth_maps import drawn_maps, gradients, maps, row
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, ShapeError
from training.losses import align_scale


def test_worked_example():
    depth, reference_m = row(1.0, 2.0, 3.0, 4.0), row(2.0, 5.0, 30.0, 4.0)
    valid = torch.tensor([[[[True, True, True, False]]]])
    aligned = align_scale(depth, reference_m, valid, align='median')
    assert aligned.ratio.tolist() == [2.5]
    assert aligned.depth.flatten().tolist() == [2.5, 5.0, 7.5, 10.0]
    # Of an even number the mean of both in the middle, as NumPy has it: 2 and 2.5.
    valid[0, 0, 0, 2] = False
    assert align_scale(depth, reference_m, valid).ratio.tolist() == [2.25]


@given(drawn_maps())
def test_ratio_is_the_median_of_each_image(drawn):
    depth, _, reference_m, valid = drawn
    aligned = align_scale(depth, reference_m, valid, align='median')
    for image, other, mask, result, ratio in zip(
        depth.numpy(), reference_m.numpy(), valid.numpy(), *aligned, strict=True
    ):
        expected = np.median(other[mask] / image[mask]) if mask.any() else 1.0
        assert ratio.item() == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(result.numpy(), image * expected, rtol=1e-12)
    plain = align_scale(depth, reference_m, valid)
    assert plain.depth is depth
    assert torch.equal(plain.ratio, aligned.ratio)


@given(drawn_maps(), st.floats(0.01, 100.0))
def test_any_factor_is_undone(drawn, factor):
    depth, _, _, valid = drawn
    valid[:, :, 0, 0] = True
    aligned = align_scale(depth / factor, depth, valid, align='median')
    torch.testing.assert_close(aligned.depth, depth, rtol=1e-9, atol=0.0)
    torch.testing.assert_close(aligned.ratio, torch.full_like(aligned.ratio, factor))


def test_depths_that_are_none_are_left_out():
    depth = row(1.0, 0.0, float('inf'), 2.0, 1.0)
    reference_m = row(3.0, 1.0, 1.0, float('nan'), 0.0)
    valid = torch.ones_like(depth, dtype=torch.bool)
    assert align_scale(depth, reference_m, valid).ratio.tolist() == [3.0]
    assert align_scale(depth, reference_m, ~valid, align='median').ratio.tolist() == [1.0]


def test_gradient_takes_the_ratio_for_a_constant():
    depth, _, reference_m, valid = maps(2, 3, 4)
    ratio = align_scale(depth, reference_m, valid).ratio
    learnt = gradients(
        lambda a, b: align_scale(a, b, valid, align='median').depth.sum(), depth, reference_m
    )
    torch.testing.assert_close(learnt[0], ratio[:, None, None, None].expand_as(depth))
    assert learnt[1] is None
    assert not align_scale(depth.requires_grad_(), reference_m, valid).ratio.requires_grad


def test_wrong_arguments_are_named():
    depth, _, reference_m, valid = maps(2, 3, 4)
    with pytest.raises(ConfigError, match="align must be one of 'none', 'median'"):
        align_scale(depth, reference_m, valid, align='mean')
    with pytest.raises(ShapeError, match='depth must be of shape'):
        align_scale(depth[0], reference_m, valid)
    with pytest.raises(ShapeError, match='reference_m must be of shape'):
        align_scale(depth, reference_m[:1], valid)
    with pytest.raises(ShapeError, match='valid must be bool'):
        align_scale(depth, reference_m, valid.float())
