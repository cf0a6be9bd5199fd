# SPDX-License-Identifier: Apache-2.0
"""The layer between features of different width: what it computes, and that it stays apart."""

from __future__ import annotations

import pytest
import torch
from loss_properties import normal
from torch import nn

from kd_perception.errors import ConfigError, ShapeError
from training.losses import ChannelAlignment, channel_wise_loss


def test_sizes_of_the_paper():
    """128 channels to 512, without bias; a gain and an offset per channel with normalization."""
    counts = {
        form: sum(p.numel() for p in ChannelAlignment(128, 512, form=form).parameters())
        for form in ('norm_relu', 'bare')
    }
    assert counts == {'norm_relu': 128 * 512 + 2 * 512, 'bare': 128 * 512}


def test_bare_form_is_a_matrix():
    layer = ChannelAlignment(3, 5, form='bare').double()
    features = normal(2, 3, 4, 6)
    expected = torch.einsum('oi,bihw->bohw', layer.conv.weight[:, :, 0, 0], features)
    torch.testing.assert_close(layer(features), expected)


def test_default_form_normalizes_and_cuts_off():
    layer = ChannelAlignment(3, 5).double().train()
    mixed = ChannelAlignment(3, 5, form='bare').double()
    mixed.load_state_dict({'conv.weight': layer.conv.weight})
    y = mixed(normal(2, 3, 4, 6))
    mean, variance = y.mean(dim=(0, 2, 3), keepdim=True), y.var((0, 2, 3), False, keepdim=True)
    expected = ((y - mean) / (variance + 1e-5).sqrt()).clamp(min=0.0)
    torch.testing.assert_close(layer(normal(2, 3, 4, 6)), expected)


@pytest.mark.parametrize('form', ['norm_relu', 'bare'])
def test_it_learns_with_the_student_and_is_left_behind(form):
    torch.manual_seed(0)
    student = nn.Conv2d(1, 3, 3, padding=1)
    names = set(student.state_dict())
    alignment = ChannelAlignment(3, 5, form=form)
    teacher = normal(2, 5, 8, 8, scale=3.0).float()
    optimizer = torch.optim.SGD([*student.parameters(), *alignment.parameters()], lr=1.0)
    image = normal(2, 1, 8, 8, seed=1).float()
    values = []
    before = [p.detach().clone() for p in (student.weight, alignment.conv.weight)]
    for _ in range(30):
        loss = channel_wise_loss(alignment(student(image)), teacher, temperature=4.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.95 * values[0]
    for old, new in zip(before, (student.weight, alignment.conv.weight), strict=True):
        assert not torch.equal(old, new)
    assert set(student.state_dict()) == names


def test_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match='received 0 and 5'):
        ChannelAlignment(0, 5)
    with pytest.raises(ConfigError, match=r"\['norm_relu', 'bare'\], received 'linear'"):
        ChannelAlignment(3, 5, form='linear')
    with pytest.raises(
        ShapeError, match=r'student_features must be of shape \[any, 3, any, any\]'
    ):
        ChannelAlignment(3, 5)(torch.zeros(1, 4, 2, 2))
