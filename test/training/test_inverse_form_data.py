# SPDX-License-Identifier: Apache-2.0
"""What InverseForm draws: which labels may be seen, the same in every process."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from inverse_form_runs import tiny_run

from training.recipes.inverse_form_data import Drawing, class_shares


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def test_hidden_labels_are_not_seen(config):
    few = replace(config, labeled=4)
    drawn = [Drawing(few)(0, k)[1] for k in range(30)]
    hidden = sum(bool((label == 255).all()) for label in drawn)
    assert 10 < hidden < 28
    seen = pickle.loads(pickle.dumps(Drawing(few, labeled_only=True)))
    assert not any((seen(0, k)[1] == 255).all() for k in range(30))
    assert class_shares(config).sum() == pytest.approx(1.0)
    assert not np.array_equal(class_shares(config), class_shares(few))


def test_samples_are_drawn_alike_in_another_process(config):
    drawing = Drawing(config)
    drawn = drawing(3, 1)
    sent = pickle.dumps(drawing)
    assert len(sent) < 20_000
    for ours, theirs in zip(drawn, pickle.loads(sent)(3, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(drawn[0], drawing(3, 2)[0])


@pytest.mark.parametrize('modality', ['thermal', 'rgb', 'rgbt'])
def test_images_lie_in_memory_channel_by_channel(config, modality):
    image, label = Drawing(replace(config, modality=modality))(0, 0)
    assert image.shape == ({'thermal': 1, 'rgb': 3, 'rgbt': 4}[modality], 64, 64)
    assert image.flags.c_contiguous and image.dtype == np.float32 and label.dtype == np.int64
