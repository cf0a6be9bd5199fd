# SPDX-License-Identifier: Apache-2.0
"""Edge-aware smoothness: the published definition, what it does not care about, its scales."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import check_half_precision
from photometric_oracle import pictures, smoothness_by_loops, smoothness_of_monodepth2

from kd_perception.errors import ConfigError, ShapeError
from training.losses import multi_scale_smoothness_loss, smoothness_loss, smoothness_weight


@st.composite
def scenes(draw):
    """Inverse depths and images, float64."""
    batch, channels = draw(st.integers(1, 2)), draw(st.sampled_from([1, 3]))
    size = (draw(st.integers(2, 6)), draw(st.integers(2, 7)))
    seed = draw(st.integers(0, 2**20))
    levels = 0.01 + pictures(batch, 1, *size, seed=seed)
    return levels, pictures(batch, channels, *size, seed=seed + 1)


@given(scenes())
def test_loss_is_the_published_definition(scene):
    loss = smoothness_loss(*scene)
    assert loss.item() == pytest.approx(smoothness_by_loops(*scene), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize('mean', [0.0005, 0.0073, 0.15, 0.5])
def test_loss_is_that_of_monodepth2_at_its_disparities(mean):
    """Also where all is far away: the mean disparity of 12 m is 0.0073 with 0.1 to 100 m."""
    levels, image = pictures(2, 1, 24, 32) + 0.1, pictures(2, 3, 24, 32, seed=1)
    levels = levels * mean / levels.mean()
    expected = smoothness_of_monodepth2(levels, image)
    assert smoothness_loss(levels, image).item() == pytest.approx(expected, rel=1e-9)
    assert smoothness_loss(levels.float(), image.float()).item() == pytest.approx(
        expected, rel=1e-6
    )


@given(scenes(), st.floats(1.0, 1e3))
def test_scale_does_not_count(scene, factor):
    levels, image = scene
    value = smoothness_loss(levels, image).item()
    away = 1e-7 / levels.mean(dim=(2, 3)).min().item()  # what is added to the mean
    assert smoothness_loss(factor * levels, image).item() == pytest.approx(value, rel=1.01 * away)


@pytest.mark.parametrize('level', [0.0, 1e-3, 0.7])
def test_even_depth_costs_nothing(level):
    even = torch.full((2, 1, 4, 5), level, requires_grad=True)
    loss = smoothness_loss(even, pictures(2, 3, 4, 5))
    assert loss.item() == 0.0
    loss.backward()
    assert torch.isfinite(even.grad).all()


def test_steps_are_cheap_at_edges_of_the_image():
    levels = torch.ones(1, 1, 4, 6, dtype=torch.float64)
    levels[..., 3:] = 2.0
    even, edge, elsewhere = (torch.zeros(1, 3, 4, 6, dtype=torch.float64) for _ in range(3))
    edge[..., 3:] = 1.0
    elsewhere[..., 4:] = 1.0
    flat, along, beside = (smoothness_loss(levels, x).item() for x in (even, edge, elsewhere))
    # One of five steps per row is 1 in units of the mean 1.5.
    assert flat == pytest.approx(1.0 / 1.5 / 5.0)
    assert along == pytest.approx(flat * np.exp(-1.0))
    assert beside == flat


def test_gradient_is_right_and_of_depth_only():
    levels, image = pictures(2, 1, 4, 5) + 0.1, pictures(2, 3, 4, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: smoothness_loss(x, image.detach()), [levels.clone().requires_grad_()]
    )
    smoothness_loss(levels.requires_grad_(), image).backward()
    assert image.grad is None
    assert levels.grad.abs().sum() > 0.0


def test_half_precision_is_computed_in_float32():
    check_half_precision(smoothness_loss, 0.1 + pictures(2, 1, 6, 7), pictures(2, 3, 6, 7, seed=1))


def test_coarse_scales_weigh_less():
    assert [smoothness_weight(scale) for scale in range(4)] == [1e-3, 5e-4, 2.5e-4, 1.25e-4]
    assert smoothness_weight(2, weight=8.0) == 2.0


def test_scales_are_averaged_each_with_its_image():
    image = pictures(2, 3, 8, 16)
    levels = [0.1 + pictures(2, 1, 8 >> scale, 16 >> scale, seed=scale) for scale in range(3)]
    loss = multi_scale_smoothness_loss(levels, image, weight=0.5)
    terms = []
    for scale, level in enumerate(levels):
        size = (8 >> scale, 16 >> scale)
        small = image.numpy().reshape(2, 3, size[0], 8 // size[0], size[1], 16 // size[1])
        terms.append(0.5 / 2**scale * smoothness_by_loops(level, small.mean(axis=(3, 5))))
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-9)
    one = multi_scale_smoothness_loss(levels[:1], image)
    assert one.item() == pytest.approx(1e-3 * smoothness_loss(levels[0], image).item(), rel=1e-12)


def test_wrong_shapes_and_weights_are_named():
    levels, image = torch.ones(2, 1, 4, 5), torch.zeros(2, 3, 4, 5)
    with pytest.raises(ShapeError, match='inverse_depth must be of shape'):
        smoothness_loss(levels[:, 0], image)
    with pytest.raises(ShapeError, match='image must be of shape'):
        smoothness_loss(levels, image[..., :4])
    with pytest.raises(ShapeError, match='at least 2x2, received 1x5'):
        smoothness_loss(levels[:, :, :1], image[:, :, :1])
    with pytest.raises(ShapeError, match='at least one scale'):
        multi_scale_smoothness_loss([], image)
    with pytest.raises(ShapeError, match='image must be of shape'):
        multi_scale_smoothness_loss([levels], image[0])
    with pytest.raises(ConfigError, match='weight must be above 0'):
        multi_scale_smoothness_loss([levels], image, weight=0.0)
