# SPDX-License-Identifier: Apache-2.0
"""Shapes, sizes and the last ReLU of the decoder blocks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd_perception.models.trans_bottleneck import TransBottleneck, decoder_stage


@pytest.mark.parametrize(('in_channels', 'million'), [(2048, 103.83), (1024, 25.96)])
def test_stages_of_the_paper_have_their_sizes(in_channels, million):
    half = in_channels // 2
    keeping = (1 + 9 + 9) * in_channels**2 + 3 * 2 * in_channels
    doubling = (1 + 4) * in_channels * half + (9 + 4) * half**2 + 4 * 2 * half
    with torch.device('meta'):
        stage = decoder_stage(in_channels, half)
    assert sum(p.numel() for p in stage.parameters()) == keeping + doubling
    assert (keeping + doubling) / 1e6 == pytest.approx(million, abs=0.005)


def test_stage_doubles_the_resolution():
    stage = decoder_stage(8, 4).eval()
    assert stage(torch.randn(2, 8, 3, 5)).shape == (2, 4, 6, 10)


def test_plain_block_has_an_identity_shortcut():
    torch.manual_seed(0)
    block = TransBottleneck(6, 6).eval()
    nn.init.zeros_(block.bn3.weight)
    x = torch.randn(1, 6, 4, 4)
    assert torch.equal(block(x), x.relu())


def test_last_relu_can_be_dropped():
    torch.manual_seed(0)
    block = TransBottleneck(6, 3, upsample=True, last_relu=False).eval()
    x = torch.randn(1, 6, 4, 4)
    open_ended = block(x)
    assert open_ended.min() < 0
    block.last_relu = True
    assert torch.equal(block(x), open_ended.relu())


def test_convolutions_have_no_bias_and_start_xavier_uniform():
    torch.manual_seed(0)
    block = TransBottleneck(64, 32, upsample=True)
    limits = {
        block.conv1: (6 / (64 + 32)) ** 0.5,
        block.conv2: (6 / (9 * (32 + 32))) ** 0.5,
        block.conv3: (6 / (4 * (32 + 32))) ** 0.5,
        block.shortcut[0]: (6 / (4 * (64 + 32))) ** 0.5,
    }
    for conv, limit in limits.items():
        assert conv.bias is None
        assert 0.95 * limit < conv.weight.abs().max() <= limit
