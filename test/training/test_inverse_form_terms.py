# SPDX-License-Identifier: Apache-2.0
"""Terms of InverseForm: which count, and what they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from inverse_form_runs import STUDENT, batch_of, module_of, tiny_run
from torch.nn import functional

from training.boundary_student import BoundaryOutput
from training.losses import (
    balanced_edge_loss,
    batch_class_weights,
    boundary_target,
    edge_attention_loss,
    inverse_form_loss,
)
from training.recipes.inverse_form_losses import student_terms


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


class Said:
    """A network that says the same whatever it sees."""

    def __init__(self, stride=4, auxiliary=False):
        generator = torch.Generator().manual_seed(0)
        size = (64 // stride, 64 // stride)
        self.logits = torch.randn(2, 9, *size, generator=generator).requires_grad_()
        self.edges = 3.0 * torch.randn(2, 1, *size, generator=generator)
        self.edges.requires_grad_()
        self.auxiliary_logits = torch.randn(2, 9, 8, 8, generator=generator) if auxiliary else None

    def __call__(self, images):
        return BoundaryOutput(self.logits, self.edges, self)


def full_size(logits):
    return functional.interpolate(logits, (64, 64), mode='bilinear', align_corners=False)


def test_terms_are_the_losses_at_the_size_of_the_labels(config):
    said, batch, module = Said(), batch_of(config), module_of(config)
    weight = torch.linspace(1.0, 5.0, 9)
    terms = student_terms(said, batch, config, inverse=module, weight=weight)
    assert list(terms) == ['segmentation', 'boundary', 'edge_attention', 'inverse_form']
    labels, own = batch[1], config.student
    logits, edges = full_size(said.logits), full_size(said.edges)
    target = boundary_target(labels)
    expected = {
        'segmentation': functional.cross_entropy(logits, labels, weight, ignore_index=255),
        'boundary': 0.3 * balanced_edge_loss(edges, target, per_image=False),
        'edge_attention': 0.1
        * edge_attention_loss(logits, labels, edges, threshold=0.8, weight=weight),
        'inverse_form': 0.3
        * inverse_form_loss(
            edges, target, module.network, tile=32,
            min_edge_pixels=config.inverse.min_edge_pixels,
        ),
    }  # fmt: skip
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    sum(terms.values()).backward()
    assert (said.logits.grad != 0.0).any() and (said.edges.grad != 0.0).any()
    doubled = replace(own, boundary_weight=0.6)
    again = student_terms(said, batch, replace(config, student=doubled), inverse=module)
    torch.testing.assert_close(again['boundary'], 2.0 * expected['boundary'])


@pytest.mark.parametrize(
    ('changes', 'names'),
    [
        ({'inverse_form_weight': 0.0}, ['segmentation', 'boundary', 'edge_attention']),
        ({'boundary_weight': 0.0, 'attention_weight': 0.0}, ['segmentation', 'inverse_form']),
        (
            {'boundary_weight': 0.0, 'attention_weight': 0.0, 'inverse_form_weight': 0.0},
            ['segmentation'],
        ),
    ],
)
def test_terms_of_weight_0_are_left_out(config, changes, names):
    config = replace(config, student=replace(STUDENT, **changes))
    assert (
        list(student_terms(Said(), batch_of(config), config, inverse=module_of(config))) == names
    )


def test_an_auxiliary_head_learns_too(config):
    said, batch = Said(stride=8, auxiliary=True), batch_of(config)
    terms = student_terms(said, batch, config, inverse=module_of(config))
    logits = full_size(said.auxiliary_logits)
    expected = 0.4 * functional.cross_entropy(logits, batch[1], ignore_index=255)
    torch.testing.assert_close(terms['auxiliary'], expected)


def test_classes_weigh_by_the_batch_where_that_is_wanted(config):
    config = replace(config, class_weights='batch')
    said, batch = Said(), batch_of(config)
    terms = student_terms(said, batch, config, inverse=module_of(config))
    weight = batch_class_weights(batch[1], 9)
    expected = functional.cross_entropy(full_size(said.logits), batch[1], weight, ignore_index=255)
    torch.testing.assert_close(terms['segmentation'], expected)


def test_the_sum_over_tiles_is_as_many_times_the_mean(config):
    config = replace(config, inverse=replace(config.inverse, min_edge_pixels=0))
    said, batch, module = Said(), batch_of(config), module_of(config)
    summed = replace(config, student=replace(STUDENT, sum_over_tiles=True))
    one, other = (student_terms(said, batch, each, inverse=module) for each in (config, summed))
    torch.testing.assert_close(other['inverse_form'], 4.0 * one['inverse_form'])


def test_a_control_is_scaled(config):
    said, batch, module = Said(), batch_of(config), module_of(config)
    terms = [
        student_terms(said, batch, config, inverse=each)['inverse_form']
        for each in (module, module._replace(scale=2.5))
    ]
    torch.testing.assert_close(terms[1], 2.5 * terms[0])
