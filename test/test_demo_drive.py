# SPDX-License-Identifier: Apache-2.0
"""The demo's recording: what it holds, and when it is made again."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from kd_perception.bags import BagReader
from kd_perception.demo.drive import (
    CAMERA_INFO_TOPIC,
    IMAGE_TOPIC,
    LABEL_TOPIC,
    DrivePlan,
    make_drive,
)
from kd_perception.demo.show import _judge
from kd_perception.errors import ConfigError
from kd_perception.evaluation.result import Counts
from kd_perception.world import drive_frames, preset

DAY, FOG = (preset(name, height=48, width=64) for name in ('day', 'fog'))
PLAN = DrivePlan(seed=3, frame_count=5, rate_hz=10.0, legs=(DAY, FOG))


def test_recording_holds_the_rendered_drive(tmp_path):
    assert make_drive(PLAN, tmp_path / 'drive', progress=False)
    with BagReader(tmp_path / 'drive') as bag:
        images = list(bag.frames(IMAGE_TOPIC))
        labels = list(bag.frames(LABEL_TOPIC))
        infos = [message.deserialize() for message in bag.messages([CAMERA_INFO_TOPIC])]
    world = [*drive_frames(DAY, 3, 3, 10.0), *drive_frames(FOG, 4, 2, 10.0)]
    assert len(images) == len(labels) == len(infos) == len(world) == 5
    for image, label, info, frame in zip(images, labels, infos, world, strict=True):
        np.testing.assert_array_equal(image.image, frame.thermal)
        np.testing.assert_array_equal(label.image, frame.label)
        np.testing.assert_allclose(np.reshape(info.k, (3, 3)), frame.camera_matrix)
        assert image.encoding == 'mono16'
        assert image.stamp_ns == label.stamp_ns
    assert np.diff([image.stamp_ns for image in images]).tolist() == [100_000_000] * 4
    assert (image.image * 0.01 - 273.15).mean() == pytest.approx(10, abs=60), 'centikelvin'


def test_the_same_recording_is_used_again_and_another_is_not(tmp_path):
    path = tmp_path / 'drive'
    assert make_drive(PLAN, path, progress=False)
    assert not make_drive(PLAN, path, progress=False)
    assert make_drive(PLAN, path, progress=False, fresh=True)
    other = replace(PLAN, seed=4)
    assert other.key() != PLAN.key()
    assert make_drive(other, path, progress=False)
    assert make_drive(PLAN, path, progress=False), 'the key belongs to the last recording'


def test_an_interrupted_recording_is_made_again(tmp_path, monkeypatch):
    path = tmp_path / 'drive'
    make_drive(PLAN, path, progress=False)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('kd_perception.demo.drive._write_frame', interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_drive(PLAN, path, progress=False, fresh=True)
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path)) == ['drive'], 'the old recording is whole, without key'
    assert make_drive(PLAN, path, progress=False)


@pytest.mark.parametrize(
    'wrong',
    [
        {'seed': -1},
        {'frame_count': 1},
        {'frame_count': 9999},
        {'rate_hz': 0.5},
        {'legs': ()},
        {'legs': (DAY,) * 6},
    ],
)
def test_wrong_plans_are_refused(wrong):
    with pytest.raises(ConfigError, match='A drive has'):
        replace(PLAN, **wrong)


@pytest.mark.parametrize(
    ('received', 'published', 'dropped', 'code'),
    [
        (80, 80, 0, 0),
        (80, 70, 10, 0),
        (79, 79, 0, 1),
        (80, 79, 0, 1),
        (80, 0, 80, 1),
        (None,) * 3 + (1,),
    ],
)
def test_the_demo_fails_when_frames_are_lost_not_when_they_are_dropped(
    received, published, dropped, code
):
    counts = Counts(received=received, published=published, dropped=dropped, failed=0)
    assert _judge(counts, sent=80) == code
