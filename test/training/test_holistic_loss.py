# SPDX-License-Identifier: Apache-2.0
"""Holistic distillation: critics whose losses are known by hand, who learns, the discriminator."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_properties import normal
from torch import nn

from kd_perception.errors import ConfigError, ShapeError
from training.losses import (
    Discriminator,
    DiscriminatorConfig,
    discriminator_loss,
    gradient_penalty,
    holistic_loss,
)

TINY = DiscriminatorConfig(3, base_width=8, levels=2)


class Quadratic(nn.Module):
    """Scores gain * sum(x²) / 2, whose slope at x is gain * x."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain, dtype=torch.float64))

    def forward(self, x):
        return self.gain * x.square().sum(dim=(1, 2, 3)) / 2


def test_scores_of_student_and_teacher():
    student, teacher = normal(2, 3, 2, 4, 5)
    scores = [(1.5 * x**2).sum().item() / (2 * 3) for x in (student, teacher)]
    critic = Quadratic(1.5)
    assert holistic_loss(critic, student).item() == pytest.approx(-scores[0], rel=1e-12)
    loss = discriminator_loss(critic, student, teacher, penalty_weight=0.0)
    assert loss.item() == pytest.approx(scores[0] - scores[1], rel=1e-12)


@given(st.integers(0, 2**20), st.floats(0.1, 3.0))
def test_penalty_is_the_distance_of_the_slope_from_one(seed, gain):
    student, teacher = normal(2, 3, 2, 4, 5, seed=seed)
    mix = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    places = [(1 - m) * s + m * t for m, s, t in zip(mix, student, teacher, strict=True)]
    expected = sum((gain * x.norm().item() - 1) ** 2 for x in places) / 3
    critic = Quadratic(gain)
    penalty = gradient_penalty(critic, student, teacher, mix=mix)
    assert penalty.item() == pytest.approx(expected, rel=1e-9)
    whole = discriminator_loss(critic, student, teacher, penalty_weight=7.0, mix=mix)
    plain = discriminator_loss(critic, student, teacher, penalty_weight=0.0)
    assert whole.item() == pytest.approx(plain.item() + 7.0 * expected, rel=1e-9)
    penalty.backward()
    slope = sum(2 * (gain * x.norm() - 1) * x.norm() for x in places).item() / 3
    assert critic.gain.grad.item() == pytest.approx(slope, rel=1e-9)


def test_a_critic_without_slope_is_finite():
    critic = Quadratic(0.0)
    penalty = gradient_penalty(critic, *normal(2, 3, 2, 4, 5))
    penalty.backward()
    assert penalty.item() == 1.0
    assert critic.gain.grad.isfinite()


def test_mix_is_drawn_per_image_between_student_and_teacher():
    torch.manual_seed(0)
    seen = []

    class Spy(Quadratic):
        def forward(self, x):
            seen.append(x.detach())
            return super().forward(x)

    student = torch.zeros(64, 1, 1, 2, dtype=torch.float64)
    gradient_penalty(Spy(), student, student + 1.0)
    shares = seen[0].flatten(1)
    assert torch.equal(shares[:, 0], shares[:, 1])
    assert 0.0 <= shares.min() < 0.2 and 0.8 < shares.max() <= 1.0


def test_student_and_discriminator_learn_from_their_own_loss_alone():
    torch.manual_seed(0)
    critic = Discriminator(TINY)
    student, teacher = (normal(2, 2, 3, 17, 16)[k].requires_grad_() for k in (0, 1))
    critic.double()
    holistic_loss(critic, student).backward()
    assert student.grad.isfinite().all() and student.grad.abs().sum() > 0
    assert all(p.grad is None for p in critic.parameters())
    assert critic.norm.num_batches_tracked == 1
    student.grad = None
    discriminator_loss(critic, student, teacher).backward()
    assert student.grad is None and teacher.grad is None
    for name, parameter in critic.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_equal_scores_leave_the_penalty_alone():
    same = normal(2, 3, 16, 16)
    critic = Discriminator(TINY).double().eval()
    plain = discriminator_loss(critic, same, same, penalty_weight=0.0)
    assert plain.item() == 0.0
    whole = discriminator_loss(critic, same, same, penalty_weight=2.0)
    assert whole.item() == pytest.approx(2 * gradient_penalty(critic, same, same).item())


def test_discriminator_learns_to_tell_and_the_student_to_deceive():
    torch.manual_seed(0)
    critic = Discriminator(TINY)
    teacher, start = normal(4, 3, 16, 16, scale=3.0).float(), torch.zeros(4, 3, 16, 16)
    optimizer = torch.optim.Adam(critic.parameters(), 4e-3, (0.9, 0.99))
    student = (start + 0.1 * torch.rand_like(start)).requires_grad_()
    for _ in range(15):
        loss = discriminator_loss(critic, student, teacher)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    critic.eval()
    assert critic(student).mean() < critic(teacher).mean()
    before = holistic_loss(critic, student)
    before.backward()
    moved = (student - 0.1 * student.grad.sign()).detach()
    assert holistic_loss(critic, moved) < before


def test_half_precision_is_computed_in_float32():
    critic = Discriminator(TINY).eval()
    student, teacher = (x.half() for x in normal(2, 2, 3, 16, 16, scale=1e3))
    mix = torch.tensor([0.3, 0.6])
    with torch.autocast('cpu', torch.bfloat16):
        losses = (
            holistic_loss(critic, student),
            discriminator_loss(critic, student, teacher, mix=mix),
        )
    expected = (
        holistic_loss(critic, student.float()),
        discriminator_loss(critic, student.float(), teacher.float(), mix=mix),
    )
    for value, want in zip(losses, expected, strict=True):
        assert value.dtype == torch.float32 and torch.isfinite(value)
        torch.testing.assert_close(value, want, rtol=1e-5, atol=1e-5)


def test_discriminator_of_the_paper():
    """Four 4x4 convolutions, two attentions, a head; maps of 65x65 leave one place for it."""
    with torch.device('meta'):
        critic = Discriminator(DiscriminatorConfig(19))
        assert critic(torch.zeros(2, 19, 65, 65)).shape == (2,)
    widths = (19, 64, 128, 256, 512)
    levels = sum(16 * i * o + o for i, o in pairwise(widths))
    attentions = sum(2 * (c * c // 8 + c // 8) + c * c + c + 1 for c in (256, 512))
    expected = 2 * 19 + levels + attentions + 16 * 512 + 1
    assert sum(p.numel() for p in critic.parameters()) == expected


def test_largest_singular_values_are_one():
    torch.manual_seed(0)
    critic = Discriminator(TINY).train()
    maps = normal(2, 3, 16, 16).float()
    for _ in range(30):
        critic(maps)
    for level in critic.levels:
        values = torch.linalg.svdvals(level.weight.detach().flatten(1))
        assert values[0].item() == pytest.approx(1.0, abs=1e-2)


def test_attention_starts_as_the_identity_and_attends_then():
    torch.manual_seed(0)
    attention = Discriminator(TINY).attentions[1].double()
    x = normal(2, 16, 3, 4)
    assert torch.equal(attention(x), x)
    attention.gain.data.fill_(0.5)
    query, key, value = (
        torch.einsum('oc,bcn->bon', layer.weight[:, :, 0, 0], x.flatten(2)) + layer.bias[:, None]
        for layer in (attention.query, attention.key, attention.value)
    )
    shares = torch.einsum('bcm,bcn->bmn', query, key).softmax(dim=2)
    attended = torch.einsum('bcn,bmn->bcm', value, shares).reshape(x.shape)
    torch.testing.assert_close(attention(x), x + 0.5 * attended)


def test_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match='levels >= 2'):
        DiscriminatorConfig(19, levels=1)
    critic, maps = Discriminator(TINY), torch.zeros(2, 3, 16, 16)
    with pytest.raises(ShapeError, match=r'logits must be of shape \[any, 3, any, any\]'):
        critic(torch.zeros(2, 4, 16, 16))
    with pytest.raises(ShapeError, match=r'at least 16 with 2 levels, received \[15, 16\]'):
        critic(torch.zeros(2, 3, 15, 16))
    with pytest.raises(ShapeError, match='student_logits must be of shape'):
        holistic_loss(critic, maps[0])
    with pytest.raises(ShapeError, match=r'teacher_logits must be of shape \[2, 3, 16, 16\]'):
        discriminator_loss(critic, maps, maps[:1])
    with pytest.raises(ShapeError, match=r'mix must be of shape \[2\]'):
        discriminator_loss(critic, maps, maps, mix=torch.rand(3))
