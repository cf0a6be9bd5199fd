# SPDX-License-Identifier: Apache-2.0
"""The edge module's size, its parts written out, and both losses of its logits."""

from __future__ import annotations

import torch
from torch.nn import functional

from kd_perception.models.edge_module import DilatedContext, EdgeModule, SpatialAttention


def test_module_of_the_paper_has_its_size():
    with torch.device('meta'):
        module = EdgeModule(256)
    assert sum(p.numel() for p in module.parameters()) == 2_492_713


def test_context_is_the_sum_of_four_dilations():
    torch.manual_seed(0)
    context = DilatedContext(3)
    assert not context.project.bias.any()
    x = torch.randn(1, 3, 30, 30)
    y = functional.conv2d(x, context.project.weight)
    expected = sum(
        functional.conv2d(y, conv.weight, dilation=d, padding=d)
        for d, conv in zip((5, 7, 9, 11), context.dilated, strict=True)
    )
    torch.testing.assert_close(context(x), expected)


def test_context_reaches_eleven_pixels_and_leaves_out_the_near_ones():
    context = DilatedContext(1)
    torch.nn.init.ones_(context.project.weight)
    for conv in context.dilated:
        torch.nn.init.ones_(conv.weight)
    x = torch.zeros(1, 1, 31, 31)
    x[0, 0, 15, 15] = 1.0
    reached = context(x)[0, 0].nonzero() - 15
    assert {int(v) for v in reached[:, 0].abs()} == {0, 5, 7, 9, 11}
    assert context(x)[0, 0, 15, 15] == 4.0


def test_attention_weighs_every_position_between_zero_and_one():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 6)
    ratio = SpatialAttention(8)(x) / x
    assert ratio.min() > 0 and ratio.max() < 1
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


def test_output_is_one_logit_per_position():
    logits = EdgeModule(8).eval()(torch.randn(2, 8, 24, 32))
    assert logits.shape == (2, 1, 24, 32)
