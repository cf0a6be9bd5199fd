# SPDX-License-Identifier: Apache-2.0
"""The attention against its formula written out, its sizes and what it refuses."""

from __future__ import annotations

import pytest
import torch

from kd_perception.errors import ConfigError, ShapeError
from kd_perception.models.bottleneck_attention import (
    AttentionBlock,
    AttentionStack,
    SelfAttention,
)


def attention_by_hand(layer: SelfAttention, x: torch.Tensor) -> torch.Tensor:
    """Softmax of q k^T s + q (e_h + e_w) s, one image, head and query at a time."""
    batch, _, height, width = x.shape
    heads, size = layer.heads, layer.head_size
    query, key, value = layer.to_qkv(x).chunk(3, dim=1)
    result = torch.zeros(batch, heads * size, height, width)
    for b in range(batch):
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            q, k, v = (t[b, part] for t in (query, key, value))
            for row in range(height):
                for column in range(width):
                    at = q[:, row, column]
                    content = torch.einsum('d,dhw->hw', at, k)
                    rows = (layer.row_embedding @ at)[:, None]
                    columns = (layer.column_embedding @ at)[None, :]
                    logits = (content + rows + columns) * size**-0.5
                    weights = logits.flatten().softmax(0).view(height, width)
                    result[b, part, row, column] = (v * weights).sum((1, 2))
    return result


def test_attention_equals_its_formula():
    torch.manual_seed(0)
    layer = SelfAttention(6, (3, 4), heads=2, head_size=5)
    with torch.no_grad():
        layer.to_qkv.weight.mul_(4.0)
        layer.row_embedding.mul_(4.0)
        x = torch.randn(2, 6, 3, 4)
        torch.testing.assert_close(layer(x), attention_by_hand(layer, x))


def test_embeddings_start_with_the_spread_of_the_paper():
    torch.manual_seed(0)
    layer = SelfAttention(8, (60, 80), heads=4, head_size=256)
    for embedding in (layer.row_embedding, layer.column_embedding):
        assert embedding.std().item() == pytest.approx(256**-0.5, rel=0.02)


def test_stack_of_the_paper_has_its_size():
    with torch.device('meta'):
        stack = AttentionStack(1024, 2048, (30, 40))
    assert sum(p.numel() for p in stack.parameters()) == 43_619_328
    sizes = [tuple(block.attention.row_embedding.shape) for block in stack.blocks]
    assert sizes == [(30, 512), (15, 512), (15, 512)]
    assert [block.attention.column_embedding.shape[0] for block in stack.blocks] == [40, 20, 20]


def test_stack_halves_the_resolution_and_starts_as_its_shortcuts():
    torch.manual_seed(0)
    stack = AttentionStack(8, 16, (6, 8)).eval()
    x = torch.randn(2, 8, 6, 8)
    with torch.no_grad():
        y = stack(x)
        torch.testing.assert_close(y, stack.blocks[0].shortcut(x))
    assert y.shape == (2, 16, 3, 4)


def test_block_that_keeps_the_resolution_widens_by_a_1x1_convolution():
    block = AttentionBlock(8, 16, (4, 4), downsample=False, heads=4, contraction=4).eval()
    assert block.shortcut[0].kernel_size == (1, 1)
    assert block(torch.randn(1, 8, 4, 4)).shape == (1, 16, 4, 4)


@pytest.mark.parametrize('shape', [(1, 8, 8, 6), (1, 8, 12, 16), (1, 4, 6, 8), (8, 6, 8)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r'\[batch, 8, 6, 8\]'):
        AttentionStack(8, 16, (6, 8))(torch.zeros(shape))


@pytest.mark.parametrize('sizes', [{'heads': 3}, {'contraction': 5}, {'blocks': 0}, {'heads': 0}])
def test_sizes_that_do_not_fit_together_are_refused(sizes):
    with pytest.raises(ConfigError, match='divide its 16 channels'):
        AttentionStack(8, 16, (6, 8), **sizes)


@pytest.mark.parametrize('size', [(5, 8), (6, 7), (0, 8)])
def test_odd_feature_maps_are_refused(size):
    with pytest.raises(ConfigError, match='even'):
        AttentionStack(8, 16, size)
