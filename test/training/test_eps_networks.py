# SPDX-License-Identifier: Apache-2.0
"""The weights of EPS networks learn at rates of their own; DeepLab learns from every scale."""

from __future__ import annotations

import pytest
import torch
from eps_runs import changed, tiny_run
from torch.nn import functional

from kd_perception.models import ClassMapNet
from training.recipes import eps
from training.recipes.eps_networks import (
    NormalizedDeepLab,
    new_segmentation,
    parameter_groups,
    segmentation_losses,
)
from training.recipes.eps_parts import ClassifierConfig, RatesConfig, SegmentationConfig


def test_groups_of_weights():
    network = NormalizedDeepLab(
        SegmentationConfig(network='deeplab', depth=18, base_width=2).sizes(3)
    )
    groups = parameter_groups(network, ('network.classifiers.',), RatesConfig(10.0, 2.0))
    assert [group['rate_scale'] for group in groups] == [1.0, 10.0, 20.0]
    assert [group.get('weight_decay') for group in groups] == [None, None, 0.0]
    counted = sum(len(group['params']) for group in groups)
    assert counted == sum(p.requires_grad for p in network.parameters())
    assert len(groups[2]['params']) == 4  # the offsets of the classifiers
    small = parameter_groups(
        ClassMapNet(ClassifierConfig().sizes(4, 'rgb')), ('head.',), RatesConfig()
    )
    assert [group['rate_scale'] for group in small] == [1.0, 2.0, 10.0]


def rates_of(run):
    """How fast each weight learns, by its name."""
    names = {parameter: name for name, parameter in run.network.named_parameters()}
    groups = run.optimizer.param_groups
    return {names[p]: group['rate_scale'] for group in groups for p in group['params']}


def test_the_last_layers_of_a_run_learn_faster(tmp_path):
    """By the names that the networks really have."""
    rates = RatesConfig(10.0, 2.0)
    config = changed(tiny_run(tmp_path, tmp_path), 'classifier', rates=rates)
    found = rates_of(eps.build(config, 'classifier'))
    assert found.pop('head.weight') == 10.0
    assert set(found.values()) == {1.0, 2.0}
    config = changed(
        config, 'segmentation', network='deeplab', depth=18, base_width=2, frozen=False,
        rates=rates,
    )  # fmt: skip
    found = rates_of(eps.build(config, 'segmentation'))
    last = {name: rate for name, rate in found.items() if '.classifiers.' in name}
    assert len(last) == 8 and {name.rpartition('.')[2]: rate for name, rate in last.items()} == {
        'weight': 10.0, 'bias': 20.0,
    }  # fmt: skip
    assert max(rate for name, rate in found.items() if name not in last) == 2.0


def test_deeplab_learns_from_every_scale(tmp_path):
    config = changed(
        tiny_run(tmp_path, tmp_path), 'segmentation', network='deeplab', depth=18, base_width=4,
        frozen=False,
    )  # fmt: skip
    network = new_segmentation(config).train()
    generator = torch.manual_seed(0)
    image = torch.rand(2, 3, 32, 32, generator=generator)
    label = torch.randint(0, 5, (2, 32, 32), generator=generator)
    terms = segmentation_losses(network, (image, label))
    assert list(terms) == ['segmentation', 'scale_0', 'scale_1', 'scale_2']
    largest = network(image)[0]
    rows = (torch.arange(4) * 8).tolist()
    expected = functional.cross_entropy(largest, label[:, rows][:, :, rows], ignore_index=255)
    assert terms['segmentation'].item() == pytest.approx(expected.item(), rel=0.2)
