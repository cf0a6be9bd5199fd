# SPDX-License-Identifier: Apache-2.0
"""The enhancement against values by hand and its properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models.thermal_enhancement import (
    EXPONENTS,
    ExponentRegressor,
    ThermalEnhancement,
    enhance,
    exponent_from_delta,
    regressor_features,
)

LEVELS = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 2, 2)

kinds = st.sampled_from(EXPONENTS)
offsets = st.floats(1.01, 4.0)
deltas = st.floats(-30.0, 30.0)
gray_levels = st.floats(0.0, 1.0, width=32)


def exponent_of(delta: float, kind: str, offset: float) -> float:
    value = torch.tensor(delta, dtype=torch.float64)
    return exponent_from_delta(value, exponent=kind, offset=offset).item()


def silence(enhancement: ThermalEnhancement) -> ThermalEnhancement:
    """Let the regressor give 0 for every image."""
    torch.nn.init.zeros_(enhancement.regressor.fc2.weight)
    torch.nn.init.zeros_(enhancement.regressor.fc2.bias)
    return enhancement.eval()


def test_squares_and_the_gradient_by_hand():
    exponent = torch.tensor([2.0], requires_grad=True)
    enhanced = enhance(LEVELS, exponent)
    assert enhanced.flatten().tolist() == [0.0, 0.0625, 0.25, 1.0]
    enhanced.sum().backward()
    assert exponent.grad.item() == pytest.approx(-0.259930, abs=1e-6)


@pytest.mark.parametrize('kind', EXPONENTS)
def test_module_with_delta_zero_squares_the_image(kind):
    image = torch.rand(3, 1, 64, 96)
    image[:, :, 0] = 0.0
    enhanced, exponent = silence(ThermalEnhancement((64, 96), exponent=kind))(image)
    torch.testing.assert_close(exponent, torch.full((3,), 2.0))
    torch.testing.assert_close(enhanced, image**2, atol=1e-6, rtol=1e-5)


def test_softplus_has_the_constant_of_the_design():
    assert exponent_of(0.7, 'softplus', 2.0) == pytest.approx(
        1 + math.log1p(math.exp(0.7 + 0.5413)), abs=1e-4
    )


@given(kinds, offsets)
def test_delta_zero_gives_the_offset(kind, offset):
    assert exponent_of(0.0, kind, offset) == pytest.approx(offset)


@given(kinds, offsets, deltas, st.floats(0.0, 10.0))
def test_exponent_rises_with_delta(kind, offset, delta, step):
    assert exponent_of(delta, kind, offset) <= exponent_of(delta + step, kind, offset)


@given(offsets, deltas)
def test_ranges_of_the_exponents(offset, delta):
    assert exponent_of(delta, 'raw', offset) >= 0
    assert exponent_of(delta, 'softplus', offset) > 1
    assert exponent_of(delta, 'two_sided', offset) > 0


def test_two_sided_reaches_below_one():
    assert exponent_of(-3.0, 'two_sided', 1.0) < 0.2
    assert exponent_of(0.0, 'two_sided', 1.0) == pytest.approx(1.0)


@given(gray_levels, gray_levels, st.floats(0.0, 8.0))
def test_enhancement_keeps_the_order_of_gray_levels_and_their_range(a, b, exponent):
    image = torch.tensor(sorted((a, b))).view(1, 1, 1, 2)
    low, high = enhance(image, torch.tensor([exponent])).flatten().tolist()
    assert 0 <= low <= high <= 1


@given(gray_levels, st.floats(1.0, 8.0))
def test_an_exponent_above_one_never_brightens(level, exponent):
    enhanced = enhance(torch.full((1, 1, 1, 1), level), torch.tensor([exponent])).item()
    assert enhanced <= level * (1 + 1e-5)


@given(kinds, deltas)
def test_gradient_is_finite_with_black_pixels(kind, delta):
    leaf = torch.tensor([delta], requires_grad=True)
    exponent = exponent_from_delta(leaf, exponent=kind, offset=2.0)
    enhanced = enhance(LEVELS - 0.1, exponent)
    enhanced.sum().backward()
    assert enhanced.isfinite().all() and leaf.grad.isfinite().all()


@given(st.integers(2, 12), st.integers(2, 12))
def test_regressor_fits_every_size(rows, columns):
    size = 32 * rows, 32 * columns
    regressor = ExponentRegressor(size).eval()
    assert regressor(torch.rand(1, 1, *size)).shape == (1,)


def test_regressor_of_the_paper_has_its_size():
    assert regressor_features((480, 640)) == 80
    enhancement = ThermalEnhancement((480, 640))
    assert sum(p.numel() for p in enhancement.parameters()) == 1705


def test_every_image_gets_its_own_exponent():
    torch.manual_seed(0)
    enhancement = ThermalEnhancement((64, 64)).train()
    image = torch.rand(4, 1, 64, 64) * torch.tensor([0.2, 0.5, 0.8, 1.0]).view(4, 1, 1, 1)
    enhanced, exponent = enhancement(image)
    assert exponent.shape == (4,) and len(set(exponent.tolist())) == 4
    torch.testing.assert_close(enhanced[2], image[2] ** exponent[2])
    enhanced.sum().backward()
    assert enhancement.regressor.fc2.weight.grad.abs().sum() > 0


def test_one_image_in_training_is_refused_and_evaluated():
    enhancement = ThermalEnhancement((64, 64)).train()
    with pytest.raises(ShapeError, match='at least two images in training'):
        enhancement(torch.rand(1, 1, 64, 64))
    assert enhancement.eval()(torch.rand(1, 1, 64, 64)).image.shape == (1, 1, 64, 64)


def test_one_image_is_enough_where_processes_share_statistics():
    class Shared(nn.BatchNorm1d):
        def forward(self, batch):
            return batch  # as of all processes

    enhancement = ThermalEnhancement((64, 64)).train()
    enhancement.regressor.bn3.__class__ = Shared
    assert enhancement(torch.rand(1, 1, 64, 64)).image.shape == (1, 1, 64, 64)


@pytest.mark.parametrize('shape', [(2, 1, 64, 96), (2, 3, 64, 64), (1, 64, 64)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r'\[batch, 1, 64, 64\]'):
        ThermalEnhancement((64, 64))(torch.zeros(shape))


@pytest.mark.parametrize('size', [(32, 64), (64, 32), (64, 72)])
def test_sizes_that_leave_nothing_to_read_are_refused(size):
    with pytest.raises(ConfigError, match='>= 64'):
        ThermalEnhancement(size)


@pytest.mark.parametrize(
    ('exponent', 'offset'),
    [('softplus', 1.0), ('raw', 0.0), ('two_sided', -1.0), ('raw', math.inf), ('raw', math.nan)],
)
def test_offsets_out_of_range_are_refused(exponent, offset):
    with pytest.raises(ConfigError, match='enhancement_offset must be finite and >'):
        ThermalEnhancement((64, 64), exponent=exponent, offset=offset)


def test_unknown_exponents_are_refused():
    with pytest.raises(ConfigError, match='two_sided'):
        ThermalEnhancement((64, 64), exponent='cube')
