# SPDX-License-Identifier: Apache-2.0
"""Each loss against its formula as published codes compute it, step by step, in float64.

The formulas are written out here as these codes compute them: the authors' of channel-wise
distillation (CWD, PI, IFVD, HO), structured distillation (LOCAL, PA on all pairs and on halves)
and CIRKD (AT, PA on patches of 2x2). Values and gradients of the student's map are compared, on
random maps of 17x19 places: odd, as the 65x65 of the paper.
"""

from __future__ import annotations

import pytest
import torch
from loss_properties import normal
from torch import nn
from torch.nn import functional

from training.losses import (
    attention_transfer_loss,
    channel_wise_loss,
    discriminator_loss,
    intra_class_variation_loss,
    local_similarity_loss,
    pairwise_affinity_loss,
    pixel_wise_loss,
)

CLASSES = 5
TARGET = torch.randint(0, CLASSES + 1, (2, 34, 38), generator=torch.Generator().manual_seed(0))
TARGET[TARGET == CLASSES] = 255


def maps():
    return normal(2, 2, CLASSES, 17, 19, scale=2.0)


def channel_wise(student, teacher):
    """Logarithm of a softmax; the sum is divided by images and channels, and times T²."""
    count, channels = student.shape[:2]
    shares = [(x.reshape(count, channels, -1) / 4.0).softmax(dim=-1) for x in (student, teacher)]
    divergence = functional.kl_div(shares[0].log(), shares[1], reduction='sum')
    return divergence / (count * channels) * 4.0**2


def pixel_wise(student, teacher):
    """Mean over all elements."""
    divergence = functional.kl_div(
        functional.log_softmax(student, dim=1), functional.softmax(teacher, dim=1), reduction='sum'
    )
    return divergence / student.numel()


def attention_transfer(student, teacher):
    """Mean of squares over channels, of length 1 over the places of an image."""
    attention = [functional.normalize(x.pow(2).mean(dim=1).flatten(1)) for x in (student, teacher)]
    return (attention[0] - attention[1]).pow(2).mean()


def local_similarity(student, teacher):
    """Neighbors by a convolution with one 1 at the neighbor's place, channel by channel."""
    channels = student.shape[1]
    total = [0.0, 0.0]
    for place in (0, 1, 2, 3, 5, 6, 7, 8):
        kernel = torch.zeros(9, dtype=torch.float64)
        kernel[place], kernel[4] = -1.0, 1.0
        kernel = kernel.reshape(1, 1, 3, 3).repeat(channels, 1, 1, 1)
        for k, x in enumerate((student, teacher)):
            total[k] = total[k] + functional.conv2d(x, kernel, groups=channels).pow(2).sum(dim=1)
    return functional.mse_loss(total[0], total[1])


def pairs(student, teacher, patch, directions):
    """Squared differences of all cosines, over images and pairs."""
    cosines = []
    for x in (student, teacher):
        pooled = functional.max_pool2d(x, patch, patch, 0, ceil_mode=True)
        vectors = directions(pooled).flatten(2)
        cosines.append(torch.einsum('icm,icn->imn', vectors, vectors))
    return (cosines[0] - cosines[1]).pow(2).mean()


def constant_lengths(x):
    """1e-8 is added to lengths, which are constants for the gradient."""
    return x / (x.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-8).detach()


def all_pairs(student, teacher):
    return pairs(student, teacher, (1, 1), constant_lengths)


def halves(student, teacher):
    height, width = student.shape[2:]
    return pairs(student, teacher, (height // 2, width // 2), constant_lengths)


def patches(student, teacher):
    """Nothing is added to lengths, which learn."""
    return pairs(student, teacher, (2, 2), lambda x: functional.normalize(x, dim=1))


def intra_class_variation(student, teacher):
    """Each place gets the mean of its class as its center; 1e-6 is added to counts.

    Places without class are their own centers.
    """
    target = functional.interpolate(TARGET[:, None].double(), student.shape[2:], mode='nearest')
    cosines = []
    for x in (student, teacher):
        centers = x.clone()
        for k in range(CLASSES):
            member = (target == k).double()
            mean = (member * x).sum(dim=(2, 3)) / (member.sum(dim=(2, 3)) + 1e-6)
            centers = (1 - member) * centers + member * mean[:, :, None, None]
        cosines.append(nn.CosineSimilarity(dim=1)(x, centers))
    return functional.mse_loss(cosines[0], cosines[1])


FORMS = {
    'CWD': (lambda s, t: channel_wise_loss(s, t, temperature=4.0), channel_wise),
    'PI': (pixel_wise_loss, pixel_wise),
    'AT': (attention_transfer_loss, attention_transfer),
    'LOCAL': (local_similarity_loss, local_similarity),
    'PA, all pairs': (pairwise_affinity_loss, all_pairs),
    'PA, halves': (lambda s, t: pairwise_affinity_loss(s, t, pool='half'), halves),
    'IFVD': (
        lambda s, t: intra_class_variation_loss(s, t, TARGET, num_classes=CLASSES),
        intra_class_variation,
    ),
}


def value_and_slope(loss, student, teacher):
    own = student.clone().requires_grad_()
    value = loss(own, teacher)
    value.backward()
    return value.item(), own.grad


@pytest.mark.parametrize('name', FORMS)
def test_values_and_gradients_are_those_of_published_codes(name):
    own, published = (value_and_slope(loss, *maps()) for loss in FORMS[name])
    assert published[0] > 1e-6
    assert own[0] == pytest.approx(published[0], rel=1e-12)
    assert (own[1] - published[1]).norm() <= 1e-12 * published[1].norm()


def test_patches_of_two_by_two_are_those_of_cirkd_but_for_constant_lengths():
    """The value within 1e-8, which is added to lengths here; the gradient is another."""
    own = value_and_slope(lambda s, t: pairwise_affinity_loss(s, t, pool='2x2'), *maps())
    published = value_and_slope(patches, *maps())
    assert own[0] == pytest.approx(published[0], rel=1e-8)
    assert (own[1] - published[1]).norm() > 0.1 * published[1].norm()
    constant = value_and_slope(lambda s, t: pairs(s, t, (2, 2), constant_lengths), *maps())
    assert own[0] == pytest.approx(constant[0], rel=1e-12)
    assert (own[1] - constant[1]).norm() <= 1e-12 * constant[1].norm()


def test_the_discriminator_minimizes_what_published_code_does():
    """Scores of the student less the teacher's, and ten times the penalty of slopes between."""
    student, teacher = maps()
    torch.manual_seed(0)
    layers = nn.Conv2d(CLASSES, 4, 3), nn.Tanh(), nn.Conv2d(4, 1, 3), nn.Flatten()
    network = nn.Sequential(*layers).double()
    mix = torch.tensor([0.25, 0.9], dtype=torch.float64)

    def scores(x):
        return network(x).mean(dim=1)

    between = mix.view(2, 1, 1, 1) * teacher + (1 - mix).view(2, 1, 1, 1) * student
    between.requires_grad_()
    (slope,) = torch.autograd.grad(scores(between).sum(), between, create_graph=True)
    penalty = ((slope.view(2, -1).pow(2).sum(dim=1).sqrt() - 1) ** 2).mean()
    published = scores(student).mean() - scores(teacher).mean() + 10.0 * penalty

    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            return scores(x)

    own = discriminator_loss(Scores(), student, teacher, mix=mix)
    assert own.item() == pytest.approx(published.item(), rel=1e-12)
    slopes = [torch.autograd.grad(loss, network[0].weight)[0] for loss in (own, published)]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-9, atol=1e-12)
