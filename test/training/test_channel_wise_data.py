# SPDX-License-Identifier: Apache-2.0
"""What channel-wise distillation draws, who sees which channels, and shares of the classes."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from channel_wise_runs import tiny_run

from training.losses import class_weights
from training.recipes import channel_wise
from training.recipes.cekd_losses import shown_to
from training.recipes.channel_wise_data import Drawing, class_shares, split_frames


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache, 'channel_wise_logits')


def test_what_is_drawn_is_what_both_networks_see(config):
    alone = replace(config, terms=())
    rgb = replace(config.teacher, modality='rgb')
    assert config.drawn_modality('student') == config.drawn_modality('teacher') == 'rgbt'
    assert alone.drawn_modality('student') == 'thermal'
    assert replace(config, teacher=rgb).drawn_modality('student') == 'rgbt'
    assert replace(config, teacher=rgb).drawn_modality('teacher') == 'rgb'
    assert replace(config, teacher=rgb, student=rgb).drawn_modality('student') == 'rgb'


def test_rows_of_a_seed_see_the_same_views(config):
    """Also those that draw heat alone, so that rows can be compared seed by seed."""
    alone, taught = Drawing(replace(config, terms=()), 'student'), Drawing(config, 'student')
    image, label, mix = taught(3, 1)
    assert image.shape == (4, 64, 64) and image.dtype == np.float32 and image.flags.c_contiguous
    assert label.dtype == np.int64 and 0.0 <= mix <= 1.0
    np.testing.assert_array_equal(alone(3, 1)[0], image[:1])
    np.testing.assert_array_equal(alone(3, 1)[1], label)
    assert not np.array_equal(taught(3, 2)[0], image)
    other = Drawing(replace(config, seed=1), 'student')
    assert not np.array_equal(other(3, 1)[0], image)
    assert not np.array_equal(Drawing(config, 'teacher')(3, 1)[0], image)


def test_drawing_goes_to_other_processes_by_its_settings(config):
    own = Drawing(config, 'student')
    expected = own(3, 1)
    sent = pickle.dumps(own)
    assert len(sent) < 10_000
    for part, other in zip(expected, pickle.loads(sent)(3, 1), strict=True):
        np.testing.assert_array_equal(part, other)


def test_a_network_sees_the_channels_of_its_modality():
    images = torch.arange(4.0).view(1, 4, 1, 1)
    for modality, channels in (('thermal', [0]), ('rgb', [1, 2, 3]), ('rgbt', [0, 1, 2, 3])):
        assert shown_to(images, 'rgbt', modality).flatten().tolist() == channels
    assert shown_to(images[:, 1:], 'rgb', 'rgb').flatten().tolist() == [1, 2, 3]


def test_classes_weigh_by_the_shares_of_the_training_frames(config):
    shares = np.zeros(9)
    frames = split_frames(config, 'train')
    for k in range(len(frames)):
        label = frames[k].label[::7, ::7].ravel()
        shares += np.bincount(label, minlength=9) / len(frames) / label.size
    np.testing.assert_allclose(class_shares(config), shares, rtol=1e-9)
    learner = channel_wise.new_learner(config, 'student')
    torch.testing.assert_close(learner.weight, class_weights(shares))
    assert 'weight' not in learner.state_dict()
    plain = replace(config, class_weighted=False)
    assert channel_wise.new_learner(plain, 'student').weight is None
