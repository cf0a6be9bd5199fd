# SPDX-License-Identifier: Apache-2.0
"""What CEKD draws: which labels may be seen, and edges at the size of the edge module."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from cekd_runs import batch_of, tiny_run

from training.recipes.cekd_data import Drawing, edge_target, teacher_frames


@pytest.fixture
def config(tmp_path, world_cache):
    return tiny_run(tmp_path, world_cache)


def test_labels_beyond_the_labeled_frames_are_hidden(config):
    frames = teacher_frames(config)
    assert (len(frames.frames), frames.labeled) == (12, 5)
    seen = [frames.draw(np.random.default_rng(k), config, labeled_only=True)[1] for k in range(20)]
    assert all((label != 255).mean() > 0.5 for label in seen)
    every = [
        frames.draw(np.random.default_rng(k), config, labeled_only=False)[1] for k in range(40)
    ]
    hidden = [(label == 255).all() for label in every]
    assert 10 < sum(hidden) < 35


def test_images_do_not_depend_on_hidden_labels(config):
    """What a hidden label says must not steer the view or the scene either."""
    frames = teacher_frames(config)._replace(labeled=0)
    changed = [frame._replace(label=np.roll(frame.label, 20)) for frame in _samples(frames)]
    drawn = [
        source.draw(np.random.default_rng(3), config, labeled_only=False)[0]
        for source in (frames, frames._replace(frames=changed))
    ]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(('target', 'seen'), [('teacher', 0), ('none', 0), ('both', 5)])
def test_a_student_without_labels_sees_those_of_its_teacher_neither(config, target, seen):
    own = replace(config, student=replace(config.student, target=target))
    assert (Drawing(own, 'student').frames.labeled, Drawing(own, 'teacher').frames.labeled) == (
        seen,
        5,
    )


def _samples(frames):
    from collections import namedtuple

    plain = namedtuple('plain', 'thermal rgb label')
    return [plain(f.thermal, f.rgb, f.label) for f in (frames.frames[k] for k in range(12))]


def test_class_shares_are_those_of_the_labels_that_may_be_seen(config):
    shares = teacher_frames(config).class_shares(9)
    assert sum(shares) == pytest.approx(1.0) and shares[0] > 0.3
    all_labels = teacher_frames(replace(config, labeled=12)).class_shares(9)
    assert shares != all_labels


@pytest.mark.parametrize('edges', ['label', 'image'])
@pytest.mark.parametrize('stage', [1, 2, 3, 4, 5])
def test_edges_come_at_the_resolution_of_the_module(config, stage, edges):
    teacher = replace(config.teacher, edge_stage=stage, edges=edges)
    images, labels = batch_of(config)
    target = edge_target(images, labels, teacher)
    assert tuple(target.shape[1:]) == replace(config, teacher=teacher).teacher_network().edge_size
    assert set(target.unique().tolist()) <= {0, 1, 255} and (target == 1).any()


@pytest.mark.parametrize('stage', ['teacher', 'student'])
def test_drawing_goes_to_other_processes_by_its_settings(config, stage):
    own = Drawing(config, stage)
    expected = own(3, 1)
    sent = pickle.dumps(own)
    assert len(sent) < 10_000
    for part, other in zip(expected, pickle.loads(sent)(3, 1), strict=True):
        np.testing.assert_array_equal(part, other)
    assert not np.array_equal(expected[0], own(3, 2)[0])
