# SPDX-License-Identifier: Apache-2.0
"""Losses whose counts are shared: the mean over processes is the loss of the whole batch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from training.losses import (
    balanced_edge_loss,
    batch_class_weights,
    cross_entropy_loss,
    edge_attention_loss,
    inverse_form_loss,
    segmentation_loss,
)
from training.process_counts import counts_of_all

WEIGHT = torch.tensor([1.0, 4.0, 9.0])


def labels():
    """Four images; the second half knows a tenth of what the first does, and has few edges."""
    generator = torch.Generator().manual_seed(2)
    found = torch.randint(0, 3, (4, 16, 16), generator=generator)
    found[2:, :, 2:] = 255
    return found


def edges():
    found = (labels() == 2).to(torch.uint8)
    found[2:, 4:] = 0
    found[3] = 255
    return found


def logits(channels, size=16):
    generator = torch.Generator().manual_seed(3)
    spread = torch.tensor([1.0, 1.0, 3.0, 3.0])[:, None, None, None]
    return spread * torch.randn(4, channels, size, size, generator=generator)


def estimated(predicted, true):
    """As many parameters per tile as it has halves: how far they are from the true ones."""
    return (predicted - true).flatten(1).unflatten(1, (2, -1)).mean(dim=2)


LOSSES = {
    'plain': (3, 16, lambda x, k, **n: cross_entropy_loss(x, labels()[k], **n)),
    'weighted': (3, 16, lambda x, k, **n: cross_entropy_loss(x, labels()[k], weight=WEIGHT, **n)),
    'half size': (3, 4, lambda x, k, **n: segmentation_loss(x, labels()[k], weight=WEIGHT, **n)),
    'attention': (
        4,
        16,
        lambda x, k, **n: edge_attention_loss(
            x[:, :3], labels()[k], x[:, 3:], threshold=0.6, weight=WEIGHT, **n
        ),
    ),
    'edges': (1, 16, lambda x, k, **n: balanced_edge_loss(x, edges()[k], per_image=False, **n)),
    'inverse form': (
        1,
        16,
        lambda x, k, **n: inverse_form_loss(
            x, edges()[k], estimated, tile=4, min_edge_pixels=4.0, **n
        ),
    ),
    'sum over tiles': (
        1,
        16,
        lambda x, k, **n: inverse_form_loss(
            x, edges()[k], estimated, tile=4, sum_over_tiles=True, **n
        ),
    ),
}


def shared(call, parts):
    """What each part gives where counts are means over the parts, as processes exchange them."""
    asked = [[] for _ in parts]
    for part, counts in zip(parts, asked, strict=True):
        call(part, lambda count, counts=counts: counts.append(count) or count)
    means = [torch.stack(counts).mean(dim=0) for counts in zip(*asked, strict=True)]
    found = []
    for part in parts:
        told = iter(means)
        found.append(call(part, lambda _, told=told: next(told)))
    return found


@pytest.mark.parametrize('name', LOSSES)
def test_the_mean_over_processes_is_the_loss_of_the_whole_batch(name):
    channels, size, loss = LOSSES[name]
    values = logits(channels, size).double().requires_grad_()
    whole = loss(values, slice(None))
    (gradient,) = torch.autograd.grad(whole, values)
    halves = [slice(0, 2), slice(2, 4)]
    parts = shared(lambda k, mean: loss(values[k], k, mean_count=mean), halves)
    torch.testing.assert_close(sum(parts) / 2, whole, rtol=1e-5, atol=0)
    (found,) = torch.autograd.grad(sum(parts) / 2, values)
    torch.testing.assert_close(found, gradient, rtol=1e-5, atol=1e-9)
    if name != 'sum over tiles':  # whose counts are equal
        alone = sum(loss(values[k], k) for k in halves) / 2
        assert abs(alone - whole) > 1e-3 * abs(whole)


def test_weights_are_those_of_the_whole_batch():
    whole = batch_class_weights(labels(), 3)
    halves = [slice(0, 2), slice(2, 4)]
    found = shared(lambda k, mean: batch_class_weights(labels()[k], 3, mean_count=mean), halves)
    for each in found:
        torch.testing.assert_close(each, whole)
    counts = torch.bincount(labels()[labels() != 255], minlength=3)
    torch.testing.assert_close(whole, 2.0 - counts / counts.sum())


@pytest.mark.parametrize('name', ['edges', 'inverse form'])
def test_a_process_that_sees_nothing_has_a_loss_of_0(name):
    channels, size, loss = LOSSES[name]
    values = logits(channels, size).requires_grad_()

    def nothing(number):  # of the image of which nothing is known
        return loss(values[3:], slice(3, 4), mean_count=lambda count: count + number)

    assert nothing(5.0) == nothing(0.0) == 0.0
    assert torch.equal(torch.autograd.grad(nothing(5.0), values)[0], torch.zeros_like(values))


def test_one_process_counts_by_itself():
    assert counts_of_all(SimpleNamespace(world_size=1)) is None
