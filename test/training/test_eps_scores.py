# SPDX-License-Identifier: Apache-2.0
"""Scores of EPS networks: what they see, where overlaps lie, which images a field is tried on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from eps_runs import LOOP, changed, tiny_run
from torch import nn

from kd_perception.models import ClassMapOutput
from training.data.augmentation import JointConfig
from training.data.modality import plain_sample
from training.data.tagged_frames import TaggedFrame
from training.distributed import launch
from training.recipes import eps, eps_scores
from training.recipes.eps_data import RunFrames
from training.recipes.eps_scores import (
    overlap_shares,
    score_overlaps,
    spread_over,
    tags_of_masks,
)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scores')
    return tiny_run(folder, folder / 'world')


class Sure(nn.Module):
    """Maps that are sure of the first class in the left half, and of the background elsewhere."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def forward(self, image):
        maps = torch.zeros(1, self.classes + 1, 8, 8)
        maps[:, 0, :, :4] = maps[:, -1, :, 4:] = 50.0
        return ClassMapOutput(maps[:, :-1].mean(dim=(2, 3)), maps)


def frame(tags, saliency):
    rgb = np.zeros((32, 32, 3), np.uint8)
    return TaggedFrame('one', np.array(tags), rgb, saliency=saliency)


def test_overlaps_are_counted_for_the_classes_that_are_there(config):
    saliency = np.zeros((32, 32), np.uint8)
    saliency[:16] = 255
    network = Sure(4)
    frames = [frame([True, True, False, False], saliency), frame([False] * 4, saliency)]
    found = score_overlaps(network, frames, config)
    # Half of what the first class holds is salient; the second one holds nothing.
    assert found == {
        'pairs': 2, 'held': 0.5, 'to_0.2': 0.5, '0.2_to_0.4': 0.0, '0.4_to_0.6': 0.5,
        'above_0.6': 0.0,
    }  # fmt: skip
    assert score_overlaps(network, frames, changed(config, 'classifier', method='cam')) == {}
    assert overlap_shares([0.2, 0.4, 0.6, 0.61], [True] * 4) == {
        'pairs': 4, 'held': 1.0, 'to_0.2': 0.25, '0.2_to_0.4': 0.25, '0.4_to_0.6': 0.25,
        'above_0.6': 0.25,
    }  # fmt: skip
    assert overlap_shares([], [])['above_0.6'] is None


def test_images_go_where_the_network_is():
    image = np.zeros((1, 3, 8, 8), np.float32)
    assert eps_scores._on_device(image, nn.Conv2d(3, 4, 1).to('meta')).device.type == 'meta'
    assert eps_scores._on_device(image, nn.ReLU()).device.type == 'cpu'


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_all_is_scored_on_a_gpu_as_on_the_cpu(config):
    scores = []
    for accelerator in ('cpu', 'cuda'):
        own = replace(
            config, output=config.output / accelerator, stage='masks',
            launch=replace(config.launch, accelerator=accelerator),
        )  # fmt: skip
        scores.append(eps.run_stages(own, launch(own.launch)))
    assert scores[1]['masks']['miou'] == pytest.approx(scores[0]['masks']['miou'], abs=0.1)


def test_heat_of_8_bits_is_scored_as_it_is_learnt(config):
    """Gray levels that went through the robot's gain control are not stretched again."""
    heat = np.random.default_rng(0).integers(100, 141, (32, 32)).astype(np.uint8)
    one = TaggedFrame('t1', np.array([True] * 4), thermal=heat, label=np.zeros((32, 32), np.uint8))
    seen = []

    def network(image):
        seen.append(image.numpy())
        return torch.zeros(1, 5, 8, 8)

    config = changed(config, 'segmentation', modality='thermal')
    tags_of_masks(network, [one], config)
    still = JointConfig(32, 32, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    learnt, _ = plain_sample(one, 'thermal', np.random.default_rng(0), still, shown=True)
    np.testing.assert_allclose(seen[0][0], learnt, atol=1e-6)
    np.testing.assert_allclose(learnt[0], heat / 255.0, atol=1e-6)


def test_images_for_a_field_are_spread_over_the_set():
    assert spread_over(5, 0) == spread_over(5, 9) == [0, 1, 2, 3, 4]
    assert spread_over(10, 4) == [0, 2, 5, 7]


def test_a_field_is_tried_on_as_many_images_as_are_asked_for(config, monkeypatch):
    config = changed(
        config, 'segmentation', network='deeplab', depth=18, base_width=4, frozen=False,
        target='label', crf=True, crf_images=2, loop=replace(LOOP, steps=2, batch_size=2),
    )  # fmt: skip
    refined = []

    def refine(beliefs, image, field):
        refined.append(image)
        return beliefs

    monkeypatch.setattr(eps_scores, 'refine', refine)
    metrics = eps.run_stages(config, launch(config.launch))['segmentation']
    frames = RunFrames(config)['test']
    assert len(frames) == 4 and len(refined) == metrics['crf']['images'] == 2
    np.testing.assert_array_equal(refined[1], frames[2].rgb)
    assert metrics['miou_nanmean'] is not None and metrics['crf']['miou'] is not None
