# SPDX-License-Identifier: Apache-2.0
"""The networks to compare with: their sizes, where skips go, what a pixel depends on."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from kd_perception.errors import ConfigError, ShapeError
from training.baseline_networks import DilatedPair, MFNetConfig, ThermalMFNet, UNet, UNetConfig

KINDS = {'unet': (UNet, UNetConfig), 'mfnet': (ThermalMFNet, MFNetConfig)}


def small(kind, width=4, classes=9):
    torch.manual_seed(0)
    network, sizes = KINDS[kind]
    return network(sizes(width, classes)).eval()


def weights(network):
    return sum(parameter.numel() for parameter in network.parameters())


def normalized(inputs, outputs):
    """Weights of a 3x3 convolution with batch normalization."""
    return 9 * inputs * outputs + 2 * outputs


def unet_weights(base, classes):
    widths = [base * 2**k for k in range(5)]
    count = sum(
        normalized(i, o) + normalized(o, o) for i, o in zip([1, *widths[:-1]], widths, strict=True)
    )
    for above, below in pairwise(widths):
        count += 4 * below * above + above + normalized(2 * above, above)
        count += normalized(above, above)
    return count + base * classes + classes


def mfnet_weights(widths, classes):
    a, b, c, d, e = widths
    count = normalized(1, a) + normalized(a, b) + normalized(b, b) + normalized(b, c)
    count += normalized(c, c)
    for inputs, outputs in ((c, d), (d, e)):
        count += normalized(inputs, outputs) + 2 * normalized(outputs, outputs)
    count += normalized(d, c) + normalized(c, b) + normalized(b, a)
    return count + 9 * a * classes + classes


@pytest.mark.parametrize(('preset', 'base', 'million'), [('paper', 64, 31.04), ('tiny', 11, 0.92)])
def test_unet_presets(preset, base, million):
    sizes = UNetConfig.preset(preset)
    with torch.device('meta'):
        count = weights(UNet(sizes))
    assert sizes.channels == tuple(base * factor for factor in (1, 2, 4, 8, 16))
    assert count == unet_weights(base, 9)
    assert count / 1e6 == pytest.approx(million, abs=0.005)


@pytest.mark.parametrize(
    ('preset', 'widths', 'million'),
    [('paper', (16, 16, 16, 36, 36), 0.08), ('tiny', (52, 52, 52, 116, 116), 0.87)],
)
def test_mfnet_presets(preset, widths, million):
    sizes = MFNetConfig.preset(preset)
    with torch.device('meta'):
        count = weights(ThermalMFNet(sizes))
    assert sizes.channels == widths
    assert count == mfnet_weights(widths, 9)
    assert count / 1e6 == pytest.approx(million, abs=0.005)


@pytest.mark.parametrize('kind', KINDS)
@settings(max_examples=20, deadline=None)
@given(
    width=st.integers(1, 9), classes=st.integers(1, 10), rows=st.integers(1, 4),
    columns=st.integers(1, 4), batch=st.integers(1, 2),
)  # fmt: skip
def test_scores_are_as_large_as_the_image(kind, width, classes, rows, columns, batch):
    image = torch.rand(batch, 1, 16 * rows, 16 * columns)
    with torch.no_grad():
        logits = small(kind, width, classes)(image).logits
    assert logits.shape == (batch, classes, 16 * rows, 16 * columns)
    assert logits.isfinite().all()


@pytest.mark.parametrize('kind', KINDS)
def test_scores_have_either_sign_and_every_weight_learns(kind):
    network = small(kind).train()
    logits = network(torch.rand(2, 1, 32, 48)).logits
    assert logits.min() < 0 < logits.max()
    logits.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('kind', KINDS)
def test_a_bright_square_is_learnt(kind):
    network = small(kind, 8, 2).train()
    image = 0.2 * torch.rand(4, 1, 32, 32)
    label = torch.zeros(4, 32, 32, dtype=torch.long)
    for k in range(4):
        image[k, :, 4 * k : 4 * k + 10, 6:20] += 0.7
        label[k, 4 * k : 4 * k + 10, 6:20] = 1
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        loss = functional.cross_entropy(network(image).logits, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = (network(image).logits.argmax(1) == label).float().mean()
    assert right > 0.95 > 0.9 > 1.0 - label.float().mean()


def test_a_pair_looks_at_neighbors_and_beyond_them():
    pair = DilatedPair(1, 4).eval()
    for channels, reach in ((slice(0, 2), {-1, 0, 1}), (slice(2, 4), {-2, 0, 2})):
        image = torch.rand(1, 1, 11, 11, requires_grad=True)
        pair(image)[0, channels, 5, 5].sum().backward()
        seen = {(int(y) - 5, int(x) - 5) for _, _, y, x in image.grad.nonzero()}
        assert seen == {(y, x) for y in reach for x in reach}


def entering(stages):
    """What comes into some stages and what leaves them, filled when a network runs."""
    found = {}
    for number, stage in enumerate(stages):
        stage.register_forward_hook(
            lambda module, inputs, output, number=number: found.update(
                {number: (inputs[0].clone(), output.clone())}
            )
        )
    return found


@torch.no_grad()
def test_unet_joins_the_channels_of_its_way_down():
    network = small('unet')
    down, up, enlarged = (entering(part) for part in (network.down, network.up, network.enlarge))
    network(torch.rand(1, 1, 32, 48))
    for number in range(4):
        expected = torch.cat([down[3 - number][1], enlarged[number][1]], dim=1)
        torch.testing.assert_close(up[number][0], expected)
        assert enlarged[number][0].shape[2:] == (2 << number, 3 << number)


@torch.no_grad()
def test_mfnet_adds_skips_on_its_way_up():
    network = small('mfnet')
    down, up = entering(network.down), entering(network.up)
    network(torch.rand(1, 1, 32, 48))
    left = down[4][1]
    for number, skip in enumerate((3, 2, 1)):
        enlarged = functional.interpolate(left, scale_factor=2, mode='bilinear')
        torch.testing.assert_close(up[number][0], enlarged + down[skip][1])
        left = up[number][1]
    assert left.shape == (1, 4, 16, 24)


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_refused(kind):
    network, sizes = small(kind), KINDS[kind][1]
    for shape in ((1, 3, 32, 32), (1, 32, 32), (1, 1, 24, 32), (1, 1, 32, 40)):
        with pytest.raises(ShapeError, match=r'multiples of 16, got \['):
            network(torch.zeros(shape))
    with pytest.raises(ConfigError, match=r"\['paper', 'tiny'\], got 'small'"):
        sizes.preset('small')
    for values in ((0, 9), (4, 0)):
        with pytest.raises(ConfigError, match='must be >= 1'):
            sizes(*values)
