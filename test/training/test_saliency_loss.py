# SPDX-License-Identifier: Apache-2.0
"""The saliency loss of EPS: values by hand, and against a plain loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd_perception.errors import ConfigError, ShapeError
from training.losses import estimated_saliency, map_overlap, saliency_loss

SURE = 200.0
PIXEL = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
PRESENT = torch.tensor([[1, 0]])


def sure_maps(channels):
    """Maps of two classes and background, sure of the channel that is named for each pixel."""
    maps = torch.zeros(1, 3, 2, 2)
    for k, channel in enumerate(channels):
        maps[0, channel, k // 2, k % 2] = SURE
    return maps


def loss_and_estimate(maps, **settings):
    return (
        saliency_loss(maps, PIXEL, PRESENT, **settings).item(),
        estimated_saliency(maps, PIXEL, PRESENT, **settings).flatten().tolist(),
    )


def test_a_class_on_the_salient_pixel_alone_is_right():
    loss, estimate = loss_and_estimate(sure_maps([0, 2, 2, 2]))
    assert loss == pytest.approx(0.0, abs=1e-12)
    assert estimate == pytest.approx([1.0, 0.0, 0.0, 0.0])


def test_the_threshold_decides_about_a_class_that_is_everywhere():
    maps = sure_maps([0, 0, 0, 0])
    overlap = map_overlap(maps.softmax(dim=1)[:, :2], PIXEL)
    assert overlap[0].tolist() == pytest.approx([1.0 / 4.0004, 0.0])
    assert loss_and_estimate(maps, overlap_threshold=0.4) == (0.25, [0.0] * 4)
    loss, estimate = loss_and_estimate(maps, overlap_threshold=0.2)
    assert (loss, estimate) == (pytest.approx(0.75), [1.0] * 4)


@pytest.mark.parametrize('blend', [0.5, 0.9])
def test_an_absent_class_is_neither_foreground_nor_background(blend):
    _, estimate = loss_and_estimate(sure_maps([1, 1, 1, 1]), blend=blend)
    assert estimate == pytest.approx([1.0 - blend] * 4)


def test_uniform_maps_of_twenty_classes():
    maps, label = torch.zeros(1, 21, 2, 2), torch.eye(20)[:1]
    assert map_overlap(maps.softmax(dim=1)[:, :20], PIXEL).abs().max() == 0.0
    estimate = estimated_saliency(maps, PIXEL, label)
    assert estimate.flatten().tolist() == pytest.approx([0.452381] * 4, abs=1e-6)


def test_selection_by_rule():
    maps = sure_maps([0, 0, 0, 0])
    both = torch.tensor([[1, 1]])
    assert loss_and_estimate(maps, selection='naive')[1] == [1.0] * 4
    for background, value in (((), 1.0), ((0,), 0.0), ((1,), 1.0)):
        settings = {'selection': 'fixed', 'background_classes': background}
        estimate = estimated_saliency(maps, PIXEL, both, **settings)
        assert estimate.flatten().tolist() == pytest.approx([value] * 4)


def plain_estimate(maps, saliency, label, threshold, blend, selection, background):
    """The definition, pixel by pixel, in float64."""
    batch, channels, height, width = maps.shape
    estimate = np.zeros((batch, height, width))
    shown = np.zeros((batch, height, width))
    for b in range(batch):
        scale = np.array(saliency.shape[2:]) / (height, width)
        for y in range(height):
            for x in range(width):
                shown[b, y, x] = saliency[b, 0, int(y * scale[0]), int(x * scale[1])]
        p = np.exp(maps[b] - maps[b].max(axis=0))
        p /= p.sum(axis=0)
        foreground, behind = np.zeros((height, width)), p[-1].copy()
        for c in range(channels - 1):
            held = p[c] > 0.5
            overlap = (held & (shown[b] > 0.5)).sum() / (held.sum() + 1e-4 * held.size)
            chosen = {
                'adaptive': overlap > threshold, 'naive': True, 'fixed': c not in background
            }[selection]  # fmt: skip
            if label[b, c] and chosen:
                foreground += p[c]
            elif label[b, c]:
                behind += p[c]
        estimate[b] = blend * foreground + (1 - blend) * (1 - behind)
    return estimate, ((estimate - shown) ** 2).mean()


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    batch, classes = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    size = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    maps = rng.normal(0.0, draw(st.sampled_from([1.0, 6.0])), (batch, classes + 1, *size))
    saliency = rng.uniform(size=(batch, 1, 2 * size[0], 3 * size[1]))
    label = rng.integers(0, 2, (batch, classes))
    selection = draw(st.sampled_from(['adaptive', 'naive', 'fixed']))
    settings = {
        'overlap_threshold': draw(st.floats(0.0, 1.0)),
        'blend': draw(st.floats(0.0, 1.0)),
        'selection': selection,
        'background_classes': (0,) if selection == 'fixed' else (),
    }
    return maps, saliency, label, settings


@given(cases())
def test_against_the_definition(case):
    maps, saliency, label, settings = case
    tensors = tuple(torch.from_numpy(part) for part in (maps, saliency, label))
    expected, loss = plain_estimate(maps, saliency, label, *settings.values())
    estimate = estimated_saliency(*tensors, **settings)
    np.testing.assert_allclose(estimate[:, 0].numpy(), expected, rtol=1e-10, atol=1e-12)
    assert saliency_loss(*tensors, **settings).item() == pytest.approx(loss, rel=1e-10)


@given(cases())
def test_properties(case):
    maps, saliency, label, settings = case
    maps, saliency, label = (torch.from_numpy(part) for part in (maps, saliency, label))
    loss = saliency_loss(maps, saliency, label, **settings)
    assert 0.0 <= loss.item() <= 1.0
    moved = maps + torch.linspace(-3.0, 3.0, len(maps))[:, None, None, None]
    shifted = saliency_loss(moved, saliency, label, **settings)
    assert shifted.item() == pytest.approx(loss.item(), rel=1e-9, abs=1e-12)
    single = [
        saliency_loss(m[None], s[None], t[None], **settings).item()
        for m, s, t in zip(maps, saliency, label, strict=True)
    ]
    assert loss.item() == pytest.approx(np.mean(single), rel=1e-9, abs=1e-12)


def test_gradients_are_those_of_the_sums_with_the_sorting_held():
    torch.manual_seed(0)
    maps = (4.0 * torch.randn(2, 4, 3, 3, dtype=torch.float64)).requires_grad_()
    saliency = torch.rand(2, 1, 3, 3, dtype=torch.float64).requires_grad_()
    label = torch.tensor([[1, 0, 1], [0, 1, 1]])
    assert torch.autograd.gradcheck(
        lambda m: saliency_loss(m, saliency.detach(), label, overlap_threshold=0.3), (maps,)
    )
    overlap = map_overlap(maps.softmax(dim=1)[:, :-1], saliency)
    assert not overlap.requires_grad


def test_half_precision_is_computed_in_float32():
    maps = 8.0 * torch.randn(2, 3, 8, 8, generator=torch.manual_seed(1))
    saliency, label = torch.rand(2, 1, 8, 8), torch.ones(2, 2)
    for dtype in (torch.float16, torch.bfloat16):
        expected = saliency_loss(maps.to(dtype).float(), saliency, label)
        with torch.autocast('cpu', torch.bfloat16):
            loss = saliency_loss(maps.to(dtype), saliency, label)
        assert loss.dtype == torch.float32 and torch.equal(loss, expected)


@pytest.mark.parametrize(
    ('shapes', 'message'),
    [
        (((1, 3, 2), (1, 1, 2, 2), (1, 2)), 'class_maps must be of shape'),
        (((2, 3, 2, 2), (1, 1, 2, 2), (2, 2)), r'saliency must be of shape \[2, 1, any, any\]'),
        (((1, 3, 2, 2), (1, 3, 2, 2), (1, 2)), r'saliency must be of shape \[1, 1, any, any\]'),
        (((1, 3, 2, 2), (1, 1, 2, 2), (1, 3)), r'label must be of shape \[1, 2\]'),
    ],
)
def test_wrong_shapes_are_named(shapes, message):
    with pytest.raises(ShapeError, match=message):
        saliency_loss(*(torch.zeros(shape) for shape in shapes))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'selection': 'random'}, "adaptive', 'naive', 'fixed'\\], got 'random'"),
        ({'overlap_threshold': 1.2}, 'overlap_threshold must be 0 to 1, got 1.2'),
        ({'blend': -0.1}, 'blend must be 0 to 1'),
        ({'background_classes': (0,)}, 'only selection fixed'),
        ({'selection': 'fixed', 'background_classes': (2,)}, r'0 to 1, got \[2\]'),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        saliency_loss(torch.zeros(1, 3, 2, 2), PIXEL, PRESENT, **settings)
