# SPDX-License-Identifier: Apache-2.0
"""Batches come in the order of the steps, whoever draws them."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from engine_runs import draw

from training.batches import batches, moved, stacked


@pytest.mark.parametrize('workers', [0, 2])
def test_each_step_gets_its_own_share(workers):
    found = list(batches(draw, range(3, 8), range(2, 4), workers=workers))
    assert len(found) == 5
    for step, batch in zip(range(3, 8), found, strict=True):
        expected = stacked([draw(step, index) for index in (2, 3)])
        assert all(torch.equal(a, b) for a, b in zip(batch, expected, strict=True))
        assert batch._fields == ('image', 'target')


def test_batches_of_turned_images_are_contiguous():
    turned = np.moveaxis(np.arange(24, dtype=np.float32).reshape(2, 4, 3), -1, 0)
    assert not turned.flags.c_contiguous
    as_tensor = torch.from_numpy(turned)
    image, tensor = stacked([(turned, as_tensor), (turned + 1, as_tensor)])
    assert image.is_contiguous() and tensor.is_contiguous()
    np.testing.assert_array_equal(image[1].numpy(), turned + 1)


def whose(step, index):
    return (np.array(os.getpid()),)


def broken(step, index):
    raise ValueError('no such frame')


def test_workers_are_other_processes():
    own = {int(pid) for (part,) in batches(whose, range(2), range(2)) for pid in part}
    others = {int(p) for (part,) in batches(whose, range(4), range(2), workers=2) for p in part}
    assert own == {os.getpid()}
    assert len(others) == 2 and os.getpid() not in others


@pytest.mark.parametrize('workers', [0, 1])
def test_what_a_draw_raises_comes_out(workers):
    with pytest.raises(ValueError, match='no such frame'):
        next(batches(broken, range(1), range(1), workers=workers))


def test_a_batch_keeps_its_names_where_it_goes():
    batch = moved(stacked([draw(0, 0)]), torch.device('cpu'))
    assert batch._fields == ('image', 'target')


def test_samples_keep_their_names_and_kinds():
    image = np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1]
    batch = stacked([(image, 1.5, torch.ones(2, dtype=torch.int64))] * 2)
    assert [(part.dtype, list(part.shape)) for part in batch] == [
        (torch.float32, [2, 2, 3]),
        (torch.float64, [2]),
        (torch.int64, [2, 2]),
    ]
    assert torch.equal(batch[0][1], torch.tensor(image.copy()))
    assert stacked([draw(0, 0)])._fields == ('image', 'target')
